"""Jobs on another machine, reached with the user's own `ssh` and `rsync`."""
