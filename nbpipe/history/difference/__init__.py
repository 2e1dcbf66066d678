"""What differs between two sides: runs, trials, the notebook as it is now. One file per part; `nbpipe.history.diff` is the way in."""
