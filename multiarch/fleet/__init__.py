"""The fleet: builders elsewhere, which of them builds what, and what follows when one is lost."""
