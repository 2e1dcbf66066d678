"""IPython's entry to nbpipe: `%load_ext nbpipe` registers the magics. They parse and delegate, nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbpipe.errors import NbpipeError
from nbpipe.live.answers import Answers
from nbpipe.live.command import notebook_path, run_command, split_line, with_notebook
from nbpipe.live.session import Session, show_short
from nbpipe.live.verbs import VERBS
from nbpipe.live.views import has_front_end, show
from nbpipe.notebook.line import MAGICS

if TYPE_CHECKING:
    from collections.abc import Callable

_SESSION = "nbpipe_session"
_PROFILE_WORDS = 2


def load_ipython_extension(shell: Any) -> None:
    """Make the shell understand %%params, %%setup, %%stage, %%check and %nbpipe. Loading twice changes nothing."""
    if getattr(shell, _SESSION, None) is not None:
        return
    session = Session(shell)
    session.hook()
    Answers(session).register()
    # Kept on the shell: two shells in one process have a session each.
    object.__setattr__(shell, _SESSION, session)
    for name in MAGICS:
        shell.register_magic_function(_cell_magic(shell, name), magic_kind="cell", magic_name=name)
    shell.register_magic_function(_line_magic(session), magic_kind="line", magic_name="nbpipe")


def unload_ipython_extension(shell: Any) -> None:
    """Take everything back that `load_ipython_extension` did."""
    session = getattr(shell, _SESSION, None)
    if session is None:
        return
    session.unhook()
    Answers(session).unregister()
    object.__setattr__(shell, _SESSION, None)
    for name in MAGICS:
        shell.magics_manager.magics["cell"].pop(name, None)
    shell.magics_manager.magics["line"].pop("nbpipe", None)


def _line_magic(session: Session) -> Callable[[str], None]:
    def nbpipe(line: str) -> None:
        """`%nbpipe VERB ...`: the nbpipe command line; `profile`, `status`, `trials` and `restore` are of this kernel."""
        try:
            words = split_line(line)
            if words[:1] == ["profile"] and len(words) == _PROFILE_WORDS:
                for name, value in session.apply_profile(words[1]).items():
                    print(f"{name} = {value!r}")  # noqa: T201 - shown in the cell
                return
            if words and words[0] in VERBS:
                print(VERBS[words[0]](session, words[1:]))  # noqa: T201 - shown in the cell
                return
            words = with_notebook(words, notebook_path(session.shell.user_ns))
            answer = show if has_front_end(session.shell) else run_command
            answer(words)
        except NbpipeError as error:
            raise show_short(error) from None

    return nbpipe


def _cell_magic(shell: Any, name: str) -> Callable[[str, str], None]:
    """For `%%stage?`, completion, and calls of the magic as a function: cells go through the transformer."""

    def magic(line: str, cell: str) -> None:
        shell.run_cell(f"%%{name} {line}\n{cell}").raise_error()

    magic.__name__ = name
    magic.__doc__ = f"`%%{name}` of nbpipe: see docs/reference/magics.md, or `%nbpipe --help`."
    return magic
