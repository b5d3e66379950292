"""The pages, and what writes the schema beside them."""
