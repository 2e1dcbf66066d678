"""A stage cell that runs on a target: its inputs travel from this kernel, its output and its results come back."""
