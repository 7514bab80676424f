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
from helpers.course.run import execute, sandbox
from helpers.course.run.limits import Limits


def key(notebook: NotebookNode) -> str:
    """Return the content hash under which the run of a prepared notebook is kept: its code and what runs it."""
    code = [(cell.id, cell.source) for cell in notebook.cells]
    return hashlib.sha256(json.dumps([code, fingerprint()]).encode()).hexdigest()[:32]


@cache
def fingerprint() -> str:
    """Return what else the outputs depend on, as one hash: Python, packages, helpers, whether it is isolated."""
    packages = [f"{name} {version(name)}" for name in ("torch", "numpy", "ipykernel")]
    helpers = [path.read_bytes() for path in sorted((COURSE / "helpers").rglob("*.py"))]
    parts = [platform.python_version().encode(), *(package.encode() for package in packages), *helpers]
    # What ran unsafely may have been changed by another student's code.
    parts += [b"unsafe"] if sandbox.tier() == sandbox.NONE else []
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def run_all(
    notebooks: Iterable[NotebookNode], kept: str | Path, executor: Executor, limits: Limits, label: str = "running"
) -> Iterator[tuple[str, NotebookNode]]:
    """Run prepared notebooks, at most once each, and keep every finished run in the folder `kept` by content hash.

    Yields (key, executed notebook) in the order in which they finish; a second call does only what is new. A run that
    could not be made, because no kernel could be started for instance, is logged and left out.
    """
    kept = Path(kept)
    kept.mkdir(parents=True, exist_ok=True)
    waiting: dict[str, NotebookNode] = {}
    for notebook in notebooks:
        waiting.setdefault(key(notebook), notebook)
    done = [name for name in waiting if (kept / f"{name}.ipynb").exists()]
    futures = {
        executor.submit(execute.run, nbformat.writes(notebook), limits): name
        for name, notebook in waiting.items()
        if name not in done
    }
    with tqdm(total=len(waiting), initial=len(done), desc=label, unit="notebook", disable=not futures) as bar:
        for name in done:
            yield name, nbformat.read(kept / f"{name}.ipynb", as_version=4)
        for future in as_completed(futures):
            name = futures[future]
            try:
                text = future.result()
            except Exception:
                # The machine's failure, not the notebook's: nothing is kept, so that the next run tries again.
                logging.getLogger("traitlets").exception("run %s could not be made", name)
                continue
            partial = kept / f"{name}.part"
            partial.write_text(text, "utf-8")
            partial.replace(kept / f"{name}.ipynb")
            bar.update()
            yield name, nbformat.reads(text, as_version=4)
