"""What can be known to be wrong with a notebook before anything of it runs. Nothing here executes or imports user code."""
