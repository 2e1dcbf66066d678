"""Proposes stages for a notebook that has none. Adds tags; never splits, merges, reorders or drops a cell."""
