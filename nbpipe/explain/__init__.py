"""Why a metric moved between two runs: the way from one to the other, one difference at a time."""
