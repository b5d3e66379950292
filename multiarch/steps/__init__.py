"""The steps, one module each, named as on the command line."""
