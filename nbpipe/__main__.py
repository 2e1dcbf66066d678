"""`python -m nbpipe`: the command line."""

from __future__ import annotations

from nbpipe.cli.entry import main

if __name__ == "__main__":
    main()
