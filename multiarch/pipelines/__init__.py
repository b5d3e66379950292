"""The files by which a CI runs the steps."""
