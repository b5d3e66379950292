"""Tests of `multiarch.cli`."""
