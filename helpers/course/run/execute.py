"""A notebook in, the same notebook with outputs out. No database, no expected values; can run anywhere.

A student's cells and the visible halves of the checks run in order. A hidden half is answered by a copy of the kernel
that was parked where its check stood, after the last cell has run and nothing of the student's is left but the copies.
So no cell can show what a hidden half holds or change what an earlier one finds. Where there is no copy, a fresh kernel
replays the cells before the check and answers it itself.
"""

import copy
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace

import nbformat
from nbformat import NotebookNode

from helpers import COURSE
from helpers.course.run import kernels, sandbox
from helpers.course.run.client import BoundedClient, KernelEnded, plain
from helpers.course.run.kernels import Jail
from helpers.course.run.limits import DIED, ENDED_TOO_OFTEN, Limits
from helpers.course.run.prepare import is_hidden

# The second line is what Windows needs.
KEPT = """PATH LANG TZ HOME TMPDIR LD_LIBRARY_PATH
    APPDATA COMSPEC LOCALAPPDATA PATHEXT PROGRAMDATA SYSTEMROOT TEMP TMP USERPROFILE"""


def environment() -> dict[str, str]:
    """Return the environment of a graded kernel: one thread, the picture book, no assets, nobody's secrets."""
    kept = {key: value for key, value in os.environ.items() if key.upper() in KEPT.split() or key.startswith("LC_")}
    return kept | {
        "COURSE_MODEL": "picturebook",
        "CUDA_VISIBLE_DEVICES": "",
        "NBGRADER_EXECUTION": "autograde",
        "OMP_NUM_THREADS": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        "PYTHONPATH": str(COURSE),
    }


def is_reference(notebook: NotebookNode) -> bool:
    """Tell whether a notebook is ours, with answers we know, and not a student's."""
    return notebook.metadata.get("course") == "reference"


def run(notebook_json: str, limits: Limits) -> str:
    """Run a prepared notebook in kernels and scratch folders of its own.

    Text in, text out, so that any executor can carry it. An error stays in its cell. A cell that runs too long is
    interrupted. Where a cell ends the kernel, the notebook is run again in a fresh one without that cell.
    """
    start = time.monotonic()
    notebook = nbformat.reads(notebook_json, as_version=4)
    if is_reference(notebook):
        outputs = reference_outputs(notebook.cells, limits)
    else:
        outputs = student_outputs(notebook.cells, limits)
    for cell in notebook.cells:
        cell.outputs = outputs.get(cell.id, [ENDED_TOO_OFTEN])
    notebook.metadata["isolation"] = sandbox.tier()
    notebook.metadata["took"] = time.monotonic() - start
    return nbformat.writes(notebook)


def reference_outputs(cells: Sequence[NotebookNode], limits: Limits) -> dict[str, list[NotebookNode]]:
    """Return {cell id: outputs} of a notebook of ours: a hundred answers long, with nothing to hide from it."""
    limits = replace(limits.times(10), output=10 * limits.output)
    with session(cells, limits, "wake" if parks(limits) else "answer") as done:
        return done.outputs


def student_outputs(cells: Sequence[NotebookNode], limits: Limits) -> dict[str, list[NotebookNode]]:
    """Return {cell id: outputs} of a student's notebook, as far as there are any."""
    todo, reached = list(cells), set[str]()
    outputs: dict[str, list[NotebookNode]] = {}
    copies: dict[str, Jail | None] = {}
    with ExitStack() as jails:
        for _ in range(1 + limits.restarts):
            done = jails.enter_context(session(todo, limits, "park" if parks(limits) else "skip"))
            # The first outputs of a cell stand, and so do the first copies.
            outputs, reached = done.outputs | outputs, reached | done.reached
            copies = {check: done.jail for check in done.parked} | copies
            if done.ended is None:
                break
            todo = [cell for cell in todo if cell.id != done.ended and cell.id not in copies]
        # Every session has closed its channels: what is said from now on is no output of a student's cell.
        for number, cell in enumerate(cells):
            if cell.id in reached:
                before = [other for other in cells[:number] if not is_hidden(other) and other in todo]
                outputs[cell.id] = answered(cell, copies.get(cell.id), before, limits)
    return outputs


def answered(
    hidden: NotebookNode, jail: Jail | None, before: Sequence[NotebookNode], limits: Limits
) -> list[NotebookNode]:
    """Return the outputs of a hidden half, from its copy in `jail` or else from a kernel that replays the cells before.

    A copy has lost the threads that a student's code had started, and may have waited for one of them in vain.
    """
    if jail is not None:
        said = jail.wake(hidden.id, plain(hidden.source), limits)
        if said.awake and (said.done or not said.lost):
            return said.outputs
    with session([*before, hidden], limits, "answer") as done:
        return done.outputs.get(hidden.id, [DIED])


def parks(limits: Limits) -> bool:
    """Tell whether kernels are copied; where they are not, every hidden half is replayed."""
    return limits.park and sandbox.SUPERVISED


@dataclass
class Session:
    """What became of the cells in one kernel, and the jail in which its copies wait.

    {cell id: outputs} of the cells that were run, the hidden halves that were reached and those with a copy, and the
    cell that ended the kernel, or None.
    """

    outputs: dict[str, list[NotebookNode]]
    reached: set[str] = field(default_factory=set)
    parked: set[str] = field(default_factory=set)
    ended: str | None = None
    jail: Jail | None = None


@contextmanager
def session(cells: Sequence[NotebookNode], limits: Limits, at_checks: str = "skip") -> Iterator[Session]:
    """Run cells in one fresh kernel and go on when it has ended, with all it had started but its copies.

    `at_checks` is the client's (`BoundedClient`).
    """
    notebook = nbformat.v4.new_notebook(cells=copy.deepcopy(list(cells)))
    with tempfile.TemporaryDirectory(prefix="course-", dir=sandbox.short_place()) as folder:
        manager = kernels.manager(limits, folder, sum(map(is_hidden, cells)))
        client = BoundedClient(notebook, limits, manager, at_checks, resources={"metadata": {"path": folder}})
        try:
            with suppress(KernelEnded):
                client.execute(env=environment())
            parked = manager.jail.end() & client.parked if manager.jail else set()
            yield Session(client.finished, client.reached, parked, client.ended, manager.jail)
        finally:
            if manager.jail:
                manager.jail.close()
