"""Real Docker host, BuildKit and registry."""
