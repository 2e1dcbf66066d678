"""Runs: plan, submit, watch, commit; one journal per run is the truth of its state. Called, it runs a notebook."""

from nbpipe.callable import make_callable

make_callable(__name__, "nbpipe.run.api:run_notebook")
