"""Tests of `multiarch.registry`."""
