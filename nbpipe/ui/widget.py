"""The widgets, on anywidget. They carry small state; pages and diffs travel as answers to custom messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

import anywidget
import msgspec
import traitlets

from nbpipe.history.diff import PARTS, Diff
from nbpipe.history.search import Query, search
from nbpipe.ui import fallback, fallback_diff
from nbpipe.ui.answers import Answers
from nbpipe.ui.bundle import SCRIPT, STYLE
from nbpipe.ui.watch import Watch

if TYPE_CHECKING:
    from nbpipe.run.project import Project

#: Rows that a widget carries itself: it shows something before the kernel answers, and where there is none.
SNAPSHOT = 30
#: Rows of the static fallback.
_STATIC = 20


class View(anywidget.AnyWidget):
    """What all views share: the bundle, the answers to the front-end, and the fallback beside the live view.

    Responsibilities: pass requests on; stand in a saved notebook as static HTML and text. It must not read a run itself.
    """

    _esm = SCRIPT
    _css = STYLE
    view = traitlets.Unicode().tag(sync=True)
    #: Names the static copy, which the live view hides.
    static_id = traitlets.Unicode().tag(sync=True)

    def __init__(self, answers: Answers, **traits: Any) -> None:
        self._answers = answers
        super().__init__(static_id=uuid4().hex, **traits)
        self.on_msg(self._heard)

    def _heard(self, _widget: Any, content: Any, _buffers: Any) -> None:
        answer = self._answers.answer(content)
        if answer is not None:
            self.send(answer)

    def _fallback(self) -> fallback.Static:
        raise NotImplementedError

    def _ipython_display_(self) -> None:
        """Two outputs: the live view, and the static one that hides while the live one is there."""
        from IPython.display import display

        bundle = anywidget.AnyWidget._repr_mimebundle_(self)
        if bundle is not None:
            data, metadata = bundle
            data.pop("text/plain", None)
            display(data, metadata=metadata, raw=True)
        self._show_static()

    def _show_static(self) -> None:
        from IPython.display import display

        display(self._fallback().bundle(self.static_id), raw=True)

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """For hosts that put both into one output."""
        bundle = super()._repr_mimebundle_(**kwargs)
        if bundle is None:
            return None
        data, metadata = bundle
        return {**self._fallback().bundle(""), **data, "text/plain": self._fallback().text}, metadata


class History(View):
    """`nbpipe.history()`: the table of runs. `selected` and `runs` are read from Python."""

    #: Ids of the runs that are checked, in the order in which they were.
    selected = traitlets.List(traitlets.Unicode()).tag(sync=True)
    #: Id of the run that the others are compared with; "" for none.
    baseline = traitlets.Unicode().tag(sync=True)
    pinned = traitlets.List(traitlets.Unicode()).tag(sync=True)
    #: Names of the columns shown, such as `params.lr`; empty: chosen by what differs.
    columns = traitlets.List(traitlets.Unicode()).tag(sync=True)
    #: What the table is asked for: see `Query` in docs/formats/view-models.md.
    query = traitlets.Dict().tag(sync=True)
    snapshot = traitlets.Dict().tag(sync=True)

    def __init__(self, project: Project, query: Query) -> None:
        # First: a widget that cannot be made is closed as well.
        self._watch = Watch(project, self.send)
        answers = Answers(project)
        page = answers.page(msgspec.structs.replace(query, limit=SNAPSHOT))
        super().__init__(answers, view="history", query=msgspec.to_builtins(query), snapshot=msgspec.to_builtins(page))

    @property
    def runs(self) -> Any:
        """The runs that the table's search and filters find, all pages, as a `pandas.DataFrame`."""
        return self.page(limit=None).dataframe()

    def page(self, limit: int | None = 50) -> Any:
        """What the table's search and filters find, as a `nbpipe.history.search.Page`."""
        asked = msgspec.structs.replace(msgspec.convert(self.query, Query), offset=0, limit=limit)
        return search(self._answers.project, asked)

    def close(self) -> None:
        """Take the view away, and stop looking after the runs."""
        self._watch.stop()
        super().close()

    def _ipython_display_(self) -> None:
        # Before the front-end can say that it looks: the next cells may already keep the kernel busy.
        self._watch.start()
        super()._ipython_display_()

    def _heard(self, widget: Any, content: Any, buffers: Any) -> None:
        self._watch.hear(content)
        super()._heard(widget, content, buffers)

    def _fallback(self) -> fallback.Static:
        page = self.page(limit=_STATIC)
        return fallback.history(page.rows, page.total)


class DiffView(View):
    """`nbpipe.diff(a, b)`: what changed, part by part."""

    pair = traitlets.List(traitlets.Unicode()).tag(sync=True)

    def __init__(self, project: Project, a: str, b: str) -> None:
        answers = Answers(project, sides=(a, b))
        self._diff = answers.diff(a, b, ("code", "params", "metrics", "environment"))
        super().__init__(answers, view="diff", pair=[a, b])

    @property
    def diff(self) -> Diff:
        """All parts, as `docs/formats/diff.md` specifies them."""
        return self._answers.diff(self.pair[0], self.pair[1], PARTS)

    def _fallback(self) -> fallback.Static:
        return fallback_diff.diff(self._diff)
