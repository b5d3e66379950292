"""Formats from outside, fed to their readers by the thousand (hypothesis)."""
