"""Tests of `multiarch.publish`."""
