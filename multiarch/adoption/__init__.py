"""Files that a project has for other tools, adopted as settings: found, put together, written to ``invoke.yaml``."""
