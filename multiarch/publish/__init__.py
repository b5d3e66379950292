"""Publishing: from pushed images to moved tags, all or none."""
