"""`nbpipe`: the tree of commands, and the one place where errors become messages and exit codes."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module

import click

from nbpipe.errors import EXIT_CODES, Interrupted, NbpipeError, UsageError

#: Command -> what it does. Each lives in `nbpipe.cli.NAME` as `command`; the text here is the first line of its help.
COMMANDS = {
    "run": "Run a notebook as a pipeline.",
    "plan": "Say what a run would do, stage by stage, and why.",
    "check": "Find every problem that can be found without running.",
    "sweep": "Run a notebook many times and find the best parameters.",
    "graph": "Draw the pipeline: stages, and what travels between them.",
    "suggest": "Propose stages for a notebook that has none.",
    "history": "List the runs, newest first.",
    "show": "Show one run: its stages, parameters and metrics.",
    "tag": "Note tags of a run.",
    "diff": "Show what changed between two runs, or since a run.",
    "explain": "Say why a metric moved between two runs.",
    "trials": "List the trials: every execution of a stage cell in a live notebook.",
    "logs": "Print what the stages of a run printed.",
    "report": "Write a run as one page, or as a script.",
    "checkout": "Write the notebook of a run to a new file.",
    "reproduce": "Make a run again, and say whether it gives the same.",
    "stop": "Stop a run.",
    "export": "Write the pipeline for a production scheduler.",
    "promote": "Make a run's model the champion.",
    "rollback": "Make the model before the champion again.",
    "models": "List the registered models.",
    "gc": "Free the space of results that nothing needs.",
    "fsck": "Check every byte of the store.",
    "target": "List the targets, test whether they answer, or find out what a run would lack there.",
    "doctor": "Check this machine and this project.",
    "help": "Explain an error, or a command.",
}
#: Set by the shell that asks for completions; click's name for it.
COMPLETION = "_NBPIPE_COMPLETE"
CONTEXT = {"help_option_names": ["-h", "--help"]}
_WIDEST_HELP = 100


class Commands(click.Group):
    """Imports a command when it is called; lists and describes all of them without importing any."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names in the order in which a newcomer meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Import the command."""
        if cmd_name not in COMMANDS:
            return None
        command = import_module(f"nbpipe.cli.{cmd_name}").command
        assert isinstance(command, click.Command)  # noqa: S101 - every module of the table has one
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click, with a fix for a word that is no command."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            raise UsageError(f"there is no command {args[0]!r}", name=args[0], fix=_nearest(args[0]))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - as above
        """Write the table above into the help."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=Commands, invoke_without_command=True, context_settings=CONTEXT)
@click.option("--debug", is_flag=True, help="Show the traceback of an error in nbpipe itself.")
@click.option("--version", is_flag=True, help="Print the version and stop.")
@click.pass_context
def nbpipe(ctx: click.Context, *, debug: bool, version: bool) -> None:
    """Turn the notebook you have into a pipeline.

    \b
    Examples:
      nbpipe run digits.ipynb
      nbpipe run digits.ipynb -p lr=0.01
      nbpipe plan digits.ipynb
      nbpipe history

    Every command has --help with examples.
    """  # noqa: D301 - \b is click's mark for text that is not wrapped again
    ctx.obj = {"debug": debug}
    if version:
        from nbpipe import __version__

        click.echo(f"nbpipe {__version__}")
    elif ctx.invoked_subcommand is None:
        from nbpipe.cli.welcome import welcome

        click.echo(welcome())


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and end the process with its exit code."""
    # A command makes little garbage, and importing it much that stays: looking for it took a twelfth of a short command.
    gc.set_threshold(100_000)
    _open_what_is_closed()
    code = run(sys.argv[1:] if argv is None else argv)
    # What there is to say is said: a Ctrl-C while the interpreter ends would only put a traceback below it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(code)


def run(argv: Sequence[str]) -> int:
    """Run one command line; return its exit code. Every error has been printed by then."""
    # `--debug` and `--json` count wherever they stand, even when the words around them do not parse.
    debug = "--debug" in argv or bool(os.environ.get("NBPIPE_DEBUG"))
    as_json = "--json" in argv
    _survive_odd_terminals()
    try:
        # Without "standalone", click returns the code of an `Exit` instead of ending the process with it.
        code = nbpipe.main(
            args=[word for word in argv if word != "--debug"],
            prog_name="nbpipe",
            standalone_mode=False,
            color=wants_color(),
            terminal_width=_help_width(),
        )
        sys.stdout.flush()
    except BrokenPipeError:
        return end_quietly()
    except SystemExit:
        # click ends like this after completing a word for a shell, and, with code 1, after a broken pipe.
        if COMPLETION in os.environ:
            raise
        return end_quietly()
    except (click.exceptions.Abort, KeyboardInterrupt):
        return interrupted(argv)
    except click.UsageError as error:
        return _known(_usage(error, argv), as_json=as_json)
    except click.ClickException as error:
        return _known(UsageError(error.format_message()), as_json=as_json)
    except NbpipeError as error:
        return _known(error, as_json=as_json)
    except OSError as error:
        known = _outer(error)
        return _known(known, as_json=as_json) if known else _unexpected(error, as_json=as_json, debug=debug)
    except Exception as error:  # noqa: BLE001 - the last line of defence; nothing is lost, see `_unexpected`
        return _unexpected(error, as_json=as_json, debug=debug)
    return code if isinstance(code, int) else EXIT_CODES["ok"]


def interrupted(argv: Sequence[str]) -> int:
    """Say that a Ctrl-C ended the command; its exit code."""
    return _known(Interrupted("interrupted"), as_json="--json" in argv)


def wants_color() -> bool | None:
    """Whether output is coloured: NO_COLOR and FORCE_COLOR decide, else (None) whether it goes to a terminal."""
    if os.environ.get("NO_COLOR"):
        return False
    return True if os.environ.get("FORCE_COLOR") else None


def _help_width() -> int:
    """Columns of help texts. Told to click, which else imports shutil and all its compressors to find out."""
    text = os.environ.get("COLUMNS", "")
    if text.isdecimal() and int(text):
        columns = int(text)
    else:
        try:
            columns = os.get_terminal_size(sys.__stdout__.fileno() if sys.__stdout__ else 1).columns or _WIDEST_HELP
        except (OSError, ValueError):
            columns = _WIDEST_HELP
    return max(min(columns, _WIDEST_HELP) - 2, 40)


def _known(error: NbpipeError, *, as_json: bool) -> int:
    from nbpipe.cli.failure import print_error

    print_error(error, as_json=as_json)
    return error.exit_code


def _unexpected(error: Exception, *, as_json: bool, debug: bool) -> int:
    from nbpipe.cli.failure import print_unexpected

    return print_unexpected(error, as_json=as_json, debug=debug)


def _outer(error: OSError) -> NbpipeError | None:
    """The error in words where it is the machine's, and no mistake of nbpipe."""
    from nbpipe.run.refused import is_refusal, refused

    try:
        os.getcwd()  # noqa: PTH109 - only whether it is there
    except FileNotFoundError:
        return UsageError("the current folder is gone", fix="Go to one that is there: cd")
    return refused("a file", error) if is_refusal(error) else None


def _usage(error: click.UsageError, argv: Sequence[str]) -> UsageError:
    # click's parser knows no context where an option lacks its value.
    command = next((f"nbpipe {word}" for word in argv if word in COMMANDS), "nbpipe")
    path = error.ctx.command_path if error.ctx is not None else command
    return UsageError(error.format_message().rstrip("."), fix=f"Try: {path} --help")


def _nearest(word: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(word, COMMANDS, n=1)
    if near:
        return f"Did you mean {near[0]!r}?"
    return "Try: nbpipe --help"


def _open_what_is_closed() -> None:
    """Who starts a program may give it no files to write to; what it opens must not get their numbers."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:  # noqa: PLR2004 - standard error
        os.set_inheritable(number, True)  # noqa: FBT003 - its only parameter
    os.close(number)
    for name, number in (("stdin", 0), ("stdout", 1), ("stderr", 2)):
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w" if number else "r", closefd=False))  # noqa: SIM115 - stays open


def _survive_odd_terminals() -> None:
    """A terminal that cannot show ✓ shows ? instead of ending the program."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")


def end_quietly() -> int:
    """The reader has gone (`nbpipe history | head`): nothing is wrong; Python must not flush into the pipe again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return EXIT_CODES["ok"]


if __name__ == "__main__":
    main()
