"""The reading side: which runs there were, and what came of them. Nothing here writes a run or loads a value.

Called, it shows the history in a notebook.
"""

from nbpipe.callable import make_callable

make_callable(__name__, "nbpipe.ui.api:history")
