"""Tests of the adoption of what projects have for other tools."""
