"""A client of the OCI distribution specification."""
