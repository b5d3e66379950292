"""Tests of `multiarch.display`."""
