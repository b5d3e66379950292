"""What the package costs beside other tools that do the same."""
