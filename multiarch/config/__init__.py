"""From what is written (flags, variables, ``invoke.yaml``) to valid settings."""
