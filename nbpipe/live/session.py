"""One kernel with nbpipe loaded: its input transformer, the thresholds after a check, the profiles it has seen, its record."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING, Any

from nbpipe.checkpoints import LIVE
from nbpipe.errors import CheckRejected, NbpipeError, UsageError
from nbpipe.live.command import notebook_path
from nbpipe.live.executions import KEPT
from nbpipe.live.numbers import number
from nbpipe.live.place import LOCAL, place_of
from nbpipe.live.recording import Recording
from nbpipe.live.transform import read_cell, transform_lines
from nbpipe.model import Code, Notebook, Outline
from nbpipe.notebook.quantities import did_you_mean
from nbpipe.notebook.thresholds import holds, threshold_names
from nbpipe.pipeline.params import extract_params

if TYPE_CHECKING:
    from collections.abc import Callable

    from nbpipe.live.elsewhere.guard import Guard
    from nbpipe.live.elsewhere.places import Places


class Session:
    """Hooks nbpipe into one IPython shell, and out again. It never runs user code itself."""

    def __init__(self, shell: Any) -> None:
        self.shell = shell
        #: Bodies of the params cell and the profile cells that were run in this kernel.
        self.params: Code | None = None
        self.profiles: dict[str, Code] = {}
        self.transformer: Callable[[list[str]], list[str]] = self._transformer()
        self.recording = Recording(shell, lambda: notebook_path(shell.user_ns))
        #: The target of stage cells that name none.
        self.place = LOCAL
        self._places: Places | None = None
        self._guard: Guard | None = None

    def hook(self) -> None:
        """Start reading cells."""
        self.shell.input_transformers_cleanup.insert(0, self.transformer)
        self.shell.events.register("pre_run_cell", self.recording.begin)
        self.shell.events.register("post_run_cell", self.after_cell)
        self._watch_handles()

    def unhook(self) -> None:
        """Leave the shell as it was. Where values have stayed elsewhere, cells are looked at until the last has come."""
        self.shell.input_transformers_cleanup.remove(self.transformer)
        self.shell.events.unregister("pre_run_cell", self.recording.begin)
        self.shell.events.unregister("post_run_cell", self.after_cell)
        self.recording.close()
        self._watch_handles()
        if self._places is not None:
            self._places.close()

    def run_elsewhere(self, count: int) -> None:
        """Run the cell that is being run, whose number is `count`, on its target; its results are bound here."""
        from nbpipe.live.elsewhere.cell import run_cell
        from nbpipe.live.elsewhere.places import Places

        cell = self.recording.running()
        found = read_cell(cell.source) if cell is not None else None
        if cell is None or found is None:
            raise UsageError(
                "this runs a stage cell elsewhere, and is called by none", fix="Write %%stage NAME --on TARGET."
            )
        self._places = self._places or Places(self.shell.user_ns)
        cell.count = count
        before = self.recording.executions.before(cell.order, limit=KEPT)
        try:
            run_cell(self.shell, self._places, before, cell, place_of(found[0], self.place))
        except NbpipeError as error:
            raise error if "_render_traceback_" in vars(error) else show_short(error) from None
        finally:
            self._watch_handles()

    def _watch_handles(self) -> None:
        """From now on look at each cell before it runs, if values have stayed elsewhere; those of an unloaded nbpipe, too."""
        if "nbpipe.live.elsewhere.handles" not in sys.modules:
            return
        from nbpipe.live.elsewhere.guard import Guard
        from nbpipe.live.elsewhere.handles import held
        from nbpipe.live.elsewhere.places import Places

        guards = [one for one in self.shell.ast_transformers if type(one) is Guard]
        if not held(self.shell.user_ns):
            wanted = []
        elif self._guard is not None:
            wanted = [self._guard]
        else:
            self._places = self._places or Places(self.shell.user_ns)
            wanted = [Guard(self._places.handles, self.recording.look_again)]
        if wanted != guards:
            self._guard = wanted[0] if wanted else None
            others = [one for one in self.shell.ast_transformers if type(one) is not Guard]
            # The last: what others make of a cell is what runs.
            self.shell.ast_transformers[:] = [*others, *wanted]

    def after_cell(self, result: Any) -> None:
        """Compare the thresholds of a check with the variables the cell left, then record how it ended."""
        self._judge(result)
        self.recording.end(result)

    def _judge(self, result: Any) -> None:
        """Remember params and profiles; a threshold that does not hold is the error of its cell."""
        source = result.info.raw_cell if result.info is not None else None
        if not source or "%%" not in source or not result.success:
            return
        found = read_cell(source)
        if found is None:
            return
        said, index, body = found
        if said.role == "stage":
            shutil.rmtree(LIVE / said.name, ignore_errors=True)
        if said.role == "params":
            self.params = Code(cell=0, body=body, line=index + 2)
        elif said.role == "profile":
            self.profiles[said.name] = Code(cell=0, body=body, line=index + 2)
        for threshold in said.options.thresholds:
            error = self._rejection(said.name, threshold)
            if error is not None:
                result.error_in_exec = show_short(error)
                self.shell.showtraceback((type(error), error, None))
                return

    def apply_profile(self, name: str) -> dict[str, Any]:
        """Assign the profile's values in the user's namespace and return them. Raises `UsageError` for one not seen."""
        if name not in self.profiles or self.params is None:
            fix = did_you_mean(name, self.profiles) or "Run its %%params cells first."
            raise UsageError(f"no profile {name!r} has been run in this kernel", name=name, fix=fix)
        outline = Outline(
            notebook=Notebook(path="", sha256="", cells=()),
            params=(self.params,),
            profiles={name: self.profiles[name]},
        )
        values = extract_params(outline)[1][name]
        self.shell.push(values)
        return values

    def _rejection(self, name: str, threshold: str) -> NbpipeError | None:
        """Why the check says no, or None. Thresholds on a champion or on logged metrics are for runs."""
        own, champion = threshold_names(threshold)
        values = self.shell.user_ns
        if champion or not all(key in values for key in own):
            missing = [f"champion.{key}" for key in champion] + [key for key in own if key not in values]
            print(f"nbpipe: '{threshold}' is left to runs: {', '.join(missing)} not known here")  # noqa: T201 - shown in the cell
            return None
        try:
            met = holds(threshold, values, {})
        except Exception as error:  # noqa: BLE001 - comparing the user's objects runs their code
            return CheckRejected(f"'{threshold}' cannot be computed: {error}", stage=name)
        if met:
            return None
        said = ", ".join(f"{key} = {_shown(values[key])}" for key in own)
        return CheckRejected(f"'{threshold}' does not hold: {said}", stage=name)

    def _transformer(self) -> Callable[[list[str]], list[str]]:
        def nbpipe_cell(lines: list[str]) -> list[str]:
            try:
                return transform_lines(lines, self.shell.user_ns, self.place)
            except NbpipeError as error:
                raise show_short(error) from None

        # IPython's completeness check calls transformers without this mark, and survives no error but SyntaxError.
        nbpipe_cell.has_side_effects = True  # type: ignore[attr-defined]
        return nbpipe_cell


def _shown(value: Any) -> str:
    found = number(value)
    return f"{found:.6g}" if found is not None else f"{value!r:.80}"


def show_short(error: NbpipeError) -> NbpipeError:
    """The error, made to show its message alone: a traceback through nbpipe tells a user nothing."""
    vars(error)["_render_traceback_"] = lambda: [f"nbpipe: {error}"]
    return error
