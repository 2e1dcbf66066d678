"""`python -m nbpipe`: the command line."""

from __future__ import annotations

from nbpipe.cli.main import main

if __name__ == "__main__":
    main()
