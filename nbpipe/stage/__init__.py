"""One stage of an exported pipeline, in a process of its own: what a scheduler starts, `python -m nbpipe.stage`."""
