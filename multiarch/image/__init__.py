"""What an image is and holds: names, platforms, manifests, programs. No network."""
