"""Tests of the files of this repository."""
