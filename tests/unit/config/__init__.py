"""Tests of `multiarch.config`."""
