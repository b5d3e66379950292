"""Signing with the real cosign, in real registries."""
