"""Tests of the small Travis of tests/travis, on which others rely."""
