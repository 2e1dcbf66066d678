"""What no audit event tells, or not all of it: questions about a file, the folder that a path begins at, some programs."""

from __future__ import annotations

import _posixsubprocess
import functools
import os
import sys
import threading
from collections.abc import Callable
from typing import Any

from nbpipe.job.folders import placed


class _In(threading.local):
    """Descriptor of the folder that the path given to `os.open` begins at; -1 for none. Of each thread."""

    folder = -1


IN = _In()


def watch(asked: Callable[[Any, Any], None], started: Callable[[list[str]], None]) -> None:
    """From now on, in this process, `asked` is given each path that somebody asks about, and the frame of who does.

    `started` is given the words of each program that is started, those of `multiprocessing` and joblib, too.
    """
    for name in ("stat", "lstat", "access"):
        setattr(os, name, _asked(getattr(os, name), asked))
    os.open = _opened_in(os.open)
    begin = _posixsubprocess.fork_exec

    @functools.wraps(begin)
    def fork_exec(words: Any, *args: Any) -> Any:
        if not any("resource_tracker" in str(word) for word in words):
            started([os.fsdecode(word) for word in words])
        return begin(words, *args)

    _posixsubprocess.fork_exec = fork_exec


def _asked(function: Any, note: Callable[[Any, Any], None]) -> Any:
    @functools.wraps(function)
    def ask(path: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(path, (str, bytes, os.PathLike)):
            note(placed(path, _folder(kwargs)), sys._getframe(1))  # noqa: SLF001
        return function(path, *args, **kwargs)

    _stands_for(ask, function)
    return ask


def _opened_in(function: Any) -> Any:
    @functools.wraps(function)
    def open_in(*args: Any, **kwargs: Any) -> Any:
        # The event that comes of it does not say.
        IN.folder = _folder(kwargs)
        try:
            return function(*args, **kwargs)
        finally:
            IN.folder = -1

    _stands_for(open_in, function)
    return open_in


def _folder(named: dict[str, Any]) -> int:
    """What a function is given as `dir_fd`; -1 for nothing."""
    folder = named.get("dir_fd")
    return -1 if folder is None else folder


def _stands_for(new: Any, old: Any) -> None:
    """Let those who ask what a function can do, and `pickle`, find the new one as they would the old one."""
    new.__module__ = "os"
    for can in (os.supports_dir_fd, os.supports_fd, os.supports_follow_symlinks, os.supports_effective_ids):
        if old in can:
            can.add(new)
