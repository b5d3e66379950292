"""Tests of `multiarch.fleet`."""
