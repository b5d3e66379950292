"""The pages; what writes the schema, the reference and the pictures beside them; the hooks of their site."""
