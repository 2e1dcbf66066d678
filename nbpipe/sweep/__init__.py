"""Sweeps: many runs of one notebook, each with other parameters, to find the best. Called, it makes one."""

from nbpipe.callable import make_callable

make_callable(__name__, "nbpipe.sweep.api:sweep_notebook")
