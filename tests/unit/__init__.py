"""Tests that need no Docker host: fast, and each of one module."""
