"""What a person sees of a run: lines, rows, table, report."""
