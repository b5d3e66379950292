"""Tests of the pipeline of Travis."""
