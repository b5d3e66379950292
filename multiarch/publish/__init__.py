"""From pushed images to moved tags, all or none."""
