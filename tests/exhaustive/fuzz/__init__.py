"""Fuzz tests: whatever comes from outside, only what is promised goes on."""
