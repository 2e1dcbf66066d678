"""Runs one stage and tells the truth about it: `python -m nbpipe.job JOB_DIR`."""
