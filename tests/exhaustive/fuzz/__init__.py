"""Fuzz tests of what comes from outside, one module for each format."""
