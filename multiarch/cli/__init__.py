"""Flags in, lines and exit statuses out; the only rooms that know Invoke."""
