"""Tests of `multiarch.buildkit`."""
