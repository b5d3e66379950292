"""Travis: its file, and the mistakes in it that its schema lets pass."""
