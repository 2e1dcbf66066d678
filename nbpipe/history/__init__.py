"""The reading side: which runs there were, and what came of them. Nothing here writes a run or loads a value."""
