"""Tests of `multiarch.image`."""
