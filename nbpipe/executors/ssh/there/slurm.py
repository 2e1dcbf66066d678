"""Slurm, by its own commands: `sbatch` hands in, `squeue` and `sacct` tell, `scancel` stops."""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

#: The whole script of every job: what it runs stands in its arguments.
_SCRIPT = '#!/bin/sh\nexport NBPIPE_NUMBER="$SLURM_JOB_ID"\nexec "$@"\n'
#: That of an array: an element finds its folder in a list. What it computes must not depend on its number.
_ARRAY = """#!/bin/sh
work=$(sed -n "$((SLURM_ARRAY_TASK_ID + 1))p" "$2")
export NBPIPE_NUMBER="${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}"
unset SLURM_ARRAY_JOB_ID SLURM_ARRAY_TASK_ID SLURM_ARRAY_TASK_COUNT SLURM_ARRAY_TASK_MIN SLURM_ARRAY_TASK_MAX SLURM_ARRAY_TASK_STEP
exec "$1" "$work/keeper.py" "$work"
"""
#: Seconds between two questions about the same job: its folder tells its end at once, this only how it was lost.
_PAUSE = 4.0
_PATIENCE = 60
#: Seconds that Slurm gives a job beyond the time its stage may take: for what has to be unpacked and stored.
_SPARE = 300.0
_WAITING = ("PENDING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT", "RESV_DEL_HOLD", "STOPPED")
_RUNNING = ("RUNNING", "CONFIGURING", "COMPLETING", "SUSPENDED", "RESIZING", "SIGNALING", "STAGE_OUT", "STAGED")
_GPUS = re.compile(r"gpu(?::(?P<type>[^:(,]+))?:(?P<count>\d+)")


class Scheduler:
    """`settings` are those of the target: partition, constraint, account, qos, time, gpu_type."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self._settings = settings
        #: Job -> when it was asked for, its state and why.
        self._known: dict[str, tuple[float, str, str]] = {}

    def submit(self, name: str, work: str, command: list[str], asked: dict[str, Any], hidden: set[str]) -> str:
        """Hand a job in; its number. Variables that are `hidden` are not passed on by Slurm, which writes them to files."""
        words = ["--job-name=" + name, "--output=" + work + "/slurm.log"]
        number = self._sbatch(work, _SCRIPT, [*words, *self._options(asked)], command, hidden)
        self._known[number] = (0.0, "waiting", "")
        return number

    def submit_array(self, name: str, place: str, works: list[str], asked: dict[str, Any], hidden: set[str]) -> str:
        """Hand in a job for each of these folders, all alike, with one call; the number of them together.

        What they share lies in `place`. The job of `works[2]` is called by that number and `_2`.
        """
        with open(place + "/works", "w") as file:
            file.write("".join(work + "\n" for work in works))
        words = [f"--array=0-{len(works) - 1}", "--job-name=" + name, "--output=" + place + "/%a.log"]
        command = [sys.executable, place + "/works"]
        number = self._sbatch(place, _ARRAY, [*words, *self._options(asked)], command, hidden)
        self._known.update({f"{number}_{index}": (0.0, "waiting", "") for index in range(len(works))})
        return number

    def alike(self, asked: dict[str, Any]) -> str:
        """The same for jobs that can be handed in together; empty for one that goes alone."""
        return "" if (asked.get("nodes") or 1) > 1 else " ".join(self._options(asked))

    def _sbatch(self, place: str, text: str, options: list[str], command: list[str], hidden: set[str]) -> str:
        script = place + "/batch.sh"
        with open(script, "w") as file:
            file.write(text)
        words = ["sbatch", "--parsable", "--chdir=" + place, "--open-mode=append", "--requeue", "--export=ALL"]
        given = {name: text for name, text in os.environ.items() if name not in hidden}
        said = _call([*words, *options, "--", script, *command], environment=given)
        return said.strip().splitlines()[-1].partition(";")[0]

    def _options(self, asked: dict[str, Any]) -> list[str]:
        settings = self._settings
        words = [
            f"--{name}={settings[name]}" for name in ("partition", "constraint", "account", "qos") if settings.get(name)
        ]
        limit = settings.get("time") or 0
        if asked.get("timeout") and not limit:
            # A kernel that is kept waits, and then takes as long once more.
            limit = asked["timeout"] + _SPARE + (asked["timeout"] + asked["keep"] if asked.get("keep") else 0)
        words += [f"--time={math.ceil(limit / 60)}"] if limit else []
        words += [f"--cpus-per-task={math.ceil(asked['cpus'])}"] if asked.get("cpus") else []
        words += [f"--mem={math.ceil(asked['memory'] / (1 << 20))}M"] if asked.get("memory") else []
        if asked.get("gpus"):
            kind = f"{settings['gpu_type']}:" if settings.get("gpu_type") else ""
            words.append(f"--gres=gpu:{kind}{math.ceil(asked['gpus'])}")
        count = asked.get("nodes") or 1
        return [*words, f"--nodes={count}", f"--ntasks={count}", "--ntasks-per-node=1"]

    def find(self, name: str) -> str:
        """The job of this name, or the array, if one was handed in and the answer was lost; else empty."""
        words = ["squeue", "--noheader", "--states=all", "--me", "--format=%F", "--name=" + name]
        return next(iter(_call(words).split()), "")

    def state(self, number: str, *, fresh: bool = False) -> tuple[str, str]:
        """`waiting`, `running`, `ended`, or `unknown` where Slurm does not answer; and why."""
        when, state, why = self._known.get(number, (0.0, "waiting", ""))
        if time.monotonic() - when < _PAUSE and not fresh:
            return state, why
        # All that will be asked for soon, at once: the scheduler has others to serve.
        now = time.monotonic()
        due = {one for one, (at, known, _) in list(self._known.items()) if known != "ended" and now - at > _PAUSE / 2}
        due.add(number)
        found: dict[str, str] = {}
        silent = ""
        try:
            for lines in self._lines(sorted(due)):
                found |= lines
        except RuntimeError as error:
            # Of those that it has told of before, that stands.
            silent = str(error)
        for one in due:
            known = one in found or not silent
            self._known[one] = (now, *(_understood(one, found.get(one, "UNKNOWN")) if known else ("unknown", silent)))
        return self._known[number][1:]

    def forget(self, number: str) -> None:
        """Nobody asks for it any more."""
        self._known.pop(number, None)

    def _lines(self, numbers: list[str]) -> Iterator[dict[str, str]]:
        """State, reason and nodes of those that the queue knows, then of others that the accounting does.

        Raises RuntimeError where the queue does not answer.
        """
        words = ["squeue", "--noheader", "--array", "--states=all", "--format=%i|%T|%r|%N"]
        try:
            said = _call([*words, "--jobs=" + ",".join(numbers)])
        except RuntimeError as error:
            if "Invalid job id" not in str(error):
                raise
            said = ""
        found = {number: line for number, _, line in (row.partition("|") for row in said.splitlines())}
        yield found
        missing = [number for number in numbers if number not in found]
        if missing:
            # It forgets jobs minutes after their end; the accounting does not.
            words = ["sacct", "--noheader", "--parsable2", "--allocations", "--format=JobID,State,Reason,NodeList"]
            try:
                said = _call([*words, "--jobs=" + ",".join(missing)])
            except RuntimeError as error:
                # What the queue has forgotten has ended, whoever wrote down how, or did not.
                said = "".join(f"{number}|UNKNOWN|{str(error).replace('|', ' ')}|\n" for number in missing)
            yield {number: line for number, _, line in (row.partition("|") for row in said.splitlines())}

    def kill(self, number: str) -> None:
        """Take it out of the queue, or kill all of its processes at once. Nothing happens if it has ended."""
        for words in (["scancel", "--signal=KILL", "--full", number], ["scancel", number]):
            subprocess.run(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False, timeout=_PATIENCE)

    def facts(self) -> dict[str, Any]:
        """What a node of the partition has at most, and all of them together."""
        partition = self._settings.get("partition")
        words = [
            "sinfo",
            "--noheader",
            "--Node",
            "--format=%N|%c|%m|%G|%P|%t",
            *([f"--partition={partition}"] if partition else []),
        ]
        rows = {}
        for line in _call(words).splitlines():
            name, cpus, memory, gres, part, _ = line.split("|")
            if partition or part.endswith("*"):
                rows[name] = (int(cpus), int(memory.rstrip("+")) << 20, self._count(gres))
        if not rows:
            said = f"no partition '{partition}'" if partition else "no default partition: set `partition`"
            raise RuntimeError(f"Slurm has {said}")
        # The same words as for a job, without one: an account, a constraint or a limit that does not exist is refused.
        _call(["sbatch", "--test-only", "--job-name=nbpipe-test", *self._options({}), "--wrap=true"])
        most = max(gpus for _, _, gpus in rows.values())
        return {
            "cpus": max(cpus for cpus, _, _ in rows.values()),
            "memory": max(memory for _, memory, _ in rows.values()),
            "gpus": [],
            "devices": [str(number) for number in range(most)],
            "slots": {
                "cpus": sum(cpus for cpus, _, _ in rows.values()),
                "gpus": sum(gpus for _, _, gpus in rows.values()),
            },
            "nodes": len(rows),
        }

    def _count(self, gres: str) -> int:
        wanted = self._settings.get("gpu_type")
        return sum(int(m["count"]) for m in _GPUS.finditer(gres) if not wanted or m["type"] == wanted)


def _understood(number: str, line: str) -> tuple[str, str]:
    """Of `STATE|REASON|NODES`, as Slurm writes them."""
    state, reason, nodes = (*line.split("|"), "", "")[:3]
    word = state.split(" ")[0].rstrip("+")
    if word in _WAITING:
        return "waiting", f"job {number} waits in Slurm's queue ({reason})"
    if word in _RUNNING:
        return "running", f"job {number} starts on {nodes}"
    if word == "UNKNOWN":
        return "ended", f"Slurm does not know job {number} any more" + (f", and {reason}" if reason else "")
    return "ended", f"Slurm says {word} of job {number}" + (f" on {nodes}" if nodes else "")


def _call(words: list[str], environment: Any = None) -> str:
    """What it prints. Raises RuntimeError with what it says where it fails."""
    try:
        done = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            check=False,
            timeout=_PATIENCE,
        )
    except FileNotFoundError:
        raise RuntimeError(f"there is no `{words[0]}`: a machine from which one submits has it") from None
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"`{words[0]}` does not answer") from None
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["no reason given"]
        raise RuntimeError(f"{words[0]} says: {said[-1][:300]}")
    return done.stdout.decode("utf-8", "replace")
