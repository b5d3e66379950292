"""Tests of `multiarch.steps`."""
