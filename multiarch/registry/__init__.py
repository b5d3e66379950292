"""Client of container registries (OCI distribution specification)."""
