"""File of Travis, and the mistakes in it that its schema lets pass."""
