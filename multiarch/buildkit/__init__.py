"""BuildKit: its server, its client, and one solve."""
