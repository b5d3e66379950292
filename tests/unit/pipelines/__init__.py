"""Tests of the files by which a CI runs the steps."""
