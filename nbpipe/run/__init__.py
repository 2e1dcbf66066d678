"""Runs: plan, submit, watch, commit; one journal per run is the truth of its state."""
