"""Step 6, ``release``: the chain of the other five."""
