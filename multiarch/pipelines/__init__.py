"""Files by which a CI runs the steps."""
