"""Images: their names, platforms, manifests and programs. No network."""
