"""Runs that are made once and kept by content hash, on any `concurrent.futures.Executor`."""

import hashlib
import json
import logging
import platform
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor, as_completed
from functools import cache
from importlib.metadata import version
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from tqdm.auto import tqdm

from helpers import COURSE
from helpers.course import whole
from helpers.course.run import execute, sandbox
from helpers.course.run.limits import Limits, is_stopped


def key(notebook: NotebookNode) -> str:
    """Return the content hash under which the run of a prepared notebook is kept: its code and what runs it."""
    code = [(cell.id, cell.source) for cell in notebook.cells]
    return hashlib.sha256(json.dumps([code, fingerprint()]).encode()).hexdigest()[:32]


@cache
def surroundings() -> dict[str, str]:
    """Return what else the outputs depend on, by name: Python, packages, helpers, whether it is isolated."""
    helpers = [path.read_bytes() for path in sorted((COURSE / "helpers").rglob("*.py"))]
    return {
        "Python": platform.python_version(),
        **{name: version(name) for name in ("torch", "numpy", "ipykernel")},
        "the course": hashlib.sha256(b"\0".join(helpers)).hexdigest()[:12],
        # What ran unsafely may have been changed by another student's code.
        "isolation": "none" if sandbox.tier() == sandbox.NONE else "there",
    }


def fingerprint() -> str:
    """Return the surroundings as one hash."""
    return hashlib.sha256(json.dumps(surroundings()).encode()).hexdigest()


class Kept:
    """A folder of finished runs, and beside them of those that were stopped for time: nobody's final word."""

    def __init__(self, folder: str | Path) -> None:
        """Keep runs in `folder`."""
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)

    def get(self, name: str, limits: Limits, again: bool) -> NotebookNode | None:
        """Return a finished run or, unless they are to be tried again, one that had all the time there is now."""
        if (path := self.folder / f"{name}.ipynb").exists():
            return nbformat.read(path, as_version=4)
        if not again and (path := self.folder / f"{name}.stopped").exists():
            stopped = nbformat.read(path, as_version=4)
            cell, notebook = stopped.metadata["seconds"]
            return stopped if cell >= limits.cell and notebook >= limits.notebook else None
        return None

    def put(self, name: str, notebook: NotebookNode, limits: Limits) -> None:
        """Keep a run."""
        finished, stopped = self.folder / f"{name}.ipynb", self.folder / f"{name}.stopped"
        if is_stopped(notebook):
            notebook.metadata["seconds"] = [limits.cell, limits.notebook]
        whole.write(stopped if is_stopped(notebook) else finished, nbformat.writes(notebook))
        if finished.exists():
            stopped.unlink(missing_ok=True)


def missing(notebooks: Iterable[NotebookNode], kept: str | Path, limits: Limits) -> list[str]:
    """Return the keys of those prepared notebooks that have no run in the folder `kept`."""
    place = Kept(kept)
    return [name for name in dict.fromkeys(map(key, notebooks)) if place.get(name, limits, again=False) is None]


def run_all(
    notebooks: Iterable[NotebookNode],
    kept: str | Path,
    executor: Executor,
    limits: Limits,
    label: str = "running",
    again: bool = True,
) -> Iterator[tuple[str, NotebookNode]]:
    """Run prepared notebooks, at most once each, and keep every finished run in the folder `kept` by content hash.

    What is stopped for time is run once more when all others are done, with twice the time. Where it is stopped then,
    too, it is tried in every call, but for those with `again=False`.

    Yields (key, executed notebook) in the order in which they finish; a second call does only what is new. A run that
    could not be made, because no kernel could be started for instance, is logged and left out.
    """
    place = Kept(kept)
    waiting: dict[str, NotebookNode] = {}
    for notebook in notebooks:
        waiting.setdefault(key(notebook), notebook)
    done = {name: run for name in waiting if (run := place.get(name, limits, again))}
    todo = [name for name in waiting if name not in done]
    with tqdm(total=len(waiting), initial=len(done), desc=label, unit="notebook", disable=not todo) as bar:
        yield from done.items()
        for factor in (1, 2):
            stopped = []
            runs = {executor.submit(execute.run, nbformat.writes(waiting[n]), limits.times(factor)): n for n in todo}
            for future in as_completed(runs):
                name = runs[future]
                try:
                    run = nbformat.reads(future.result(), as_version=4)
                except Exception:
                    # The machine's failure, not the notebook's: nothing is kept, so that the next run tries again.
                    logging.getLogger("traitlets").exception("run %s could not be made", name)
                    continue
                if factor == 1 and is_stopped(run):
                    stopped.append(name)
                    continue
                place.put(name, run, limits)
                bar.update()
                yield name, run
            todo = stopped
