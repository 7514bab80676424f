"""A notebook in, the same notebook with outputs out. No database, no expected values; can run anywhere.

`prepared` makes the notebook that is run from a repaired submission, `run` runs it within limits, `merged` puts the
outputs back where they belong, and `run_all` does this for a class on any `concurrent.futures.Executor`.
"""

import copy
import hashlib
import json
import os
import platform
import subprocess
import tempfile
import time
from concurrent.futures import as_completed
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path

import nbformat
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import DeadKernelError
from tqdm.auto import tqdm

from helpers import COURSE

HIDDEN_BEGIN = "### BEGIN HIDDEN TESTS"


@dataclass(frozen=True)
class Limits:
    """How long one cell and one whole notebook may run, in seconds."""

    cell: int = 30
    notebook: int = 300


def is_hidden(cell):
    """Tell whether `cell` is the hidden half of a check in a prepared notebook."""
    return cell.metadata.get("course", {}).get("half") == "hidden"


def halves(cell):
    """Split a check cell in its visible and its hidden half, so that a failed visible check hides no result."""
    visible, marker, hidden = cell.source.partition(HIDDEN_BEGIN)
    result = []
    for half, source in (("visible", visible), ("hidden", marker + hidden)):
        part = copy.deepcopy(cell)
        part.id = f"{cell.metadata.nbgrader.grade_id[:55]}-{half}"
        part.source = source
        part.metadata = nbformat.from_dict({"course": {"half": half}})
        result.append(part)
    return result


def is_check(cell):
    """Tell whether `cell` is an autograded test cell."""
    tags = cell.metadata.get("nbgrader", {})
    return cell.cell_type == "code" and bool(tags.get("grade")) and not tags.get("solution")


def is_figure(cell):
    """Tell whether `cell` only draws."""
    return "figure" in cell.metadata.get("tags", [])


def prepared(submission, release, solved):
    """Return the notebook to run: code cells only, no figures, checks as released with their hidden halves.

    Args:
        submission: a repaired notebook (`helpers.course.intake.repair`).
        release: the students' notebook, whose figures are left out.
        solved: the solved notebook, whose check cells hold the hidden tests.
    """
    checks = {cell.metadata.nbgrader.grade_id: cell for cell in solved.cells if is_check(cell)}
    # By text as well as by tag: a student's own code is run, whatever tag it carries.
    drawn = {cell.source for cell in release.cells if is_figure(cell)}
    cells = []
    for cell in submission.cells:
        if is_check(cell):
            cells += halves(checks[cell.metadata.nbgrader.grade_id])
        elif cell.cell_type == "code" and not (is_figure(cell) and cell.source in drawn):
            cells.append(nbformat.v4.new_code_cell(cell.source, id=cell.id))
    return nbformat.v4.new_notebook(cells=cells)


def merged(submission, executed):
    """Return a copy of `submission` whose code cells carry the outputs of the `executed` prepared notebook.

    A check cell gets the outputs of its visible half, then those of its hidden half, whose error, if any, is cut to
    one line: its traceback would show hidden tests.
    """
    result = copy.deepcopy(submission)
    outputs = {cell.id: cell.outputs for cell in executed.cells}
    for cell in result.cells:
        if cell.cell_type != "code":
            continue
        cell.execution_count = None
        if is_check(cell):
            visible, hidden = (outputs[half.id] for half in halves(cell))
            cell.outputs = [marked(output, hidden=False) for output in visible]
            cell.outputs += [marked(output, hidden=True) for output in hidden]
        else:
            cell.outputs = outputs.get(cell.id, [])
    return result


def marked(output, hidden):
    """Return an output with a mark that says which half it is from; an error of the hidden half loses its traceback."""
    output = copy.deepcopy(output)
    if hidden and output.output_type == "error":
        output.traceback = [f"{output.ename}: {output.evalue}"]
    if "metadata" in output:
        output.metadata["hidden"] = hidden
    return output


class BoundedClient(NotebookClient):
    """Runs every cell whatever happens before, until the time is up or the kernel is dead."""

    def __init__(self, notebook, limits, **options):
        """Bound the run of `notebook` by `limits`."""
        super().__init__(
            notebook,
            kernel_manager_class=AsyncKernelManager,
            timeout_func=lambda cell: max(1, min(limits.cell, self._deadline - time.monotonic())),
            interrupt_on_timeout=True,
            error_on_timeout={
                "ename": "Stopped",
                "evalue": f"stopped after {limits.cell} seconds",
                "traceback": [f"Stopped: this cell ran longer than {limits.cell} seconds"],
            },
            allow_errors=True,
            startup_timeout=120,
            shutdown_kernel="immediate",
            **options,
        )
        self._deadline = time.monotonic() + limits.notebook
        self._limits = limits
        self._dead = False

    async def async_execute_cell(self, cell, cell_index, execution_count=None, store_history=True):
        """Run one cell; once the kernel is dead or the time is up, note in the cell why it did not run."""
        if self._dead:
            return not_run(cell, "the kernel died in an earlier cell")
        if time.monotonic() > self._deadline:
            return not_run(cell, f"the notebook had used up its {self._limits.notebook} seconds")
        try:
            return await super().async_execute_cell(cell, cell_index, execution_count, store_history)
        except DeadKernelError:
            self._dead = True
            cell.outputs.append(error_output("KernelDied", "the kernel died while this cell ran"))
            return cell

    async def _async_handle_timeout(self, timeout, cell=None):
        reply = await super()._async_handle_timeout(timeout, cell)
        if cell is not None:
            cell.outputs.append(error_output(**{k: self.error_on_timeout[k] for k in ("ename", "evalue")}))
        return reply


def error_output(ename, evalue):
    """Return an error as a notebook output."""
    return nbformat.v4.new_output("error", ename=ename, evalue=evalue, traceback=[f"{ename}: {evalue}"])


def not_run(cell, why):
    """Note in a code cell that it was not run."""
    if cell.cell_type == "code":
        cell.outputs = [error_output("NotRun", why)]
    return cell


def environment():
    """Return the environment of a graded kernel: one thread, the picture book, no assets, no internet needed."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("COURSE_")}
    return kept | {
        "COURSE_MODEL": "picturebook",
        "CUDA_VISIBLE_DEVICES": "",
        "NBGRADER_EXECUTION": "autograde",
        "OMP_NUM_THREADS": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        "PYTHONPATH": str(COURSE),
    }


def run(notebook_json, limits):
    """Run a notebook in a kernel and a scratch folder of its own.

    Text in, text out, so that any executor can carry it. An error in a cell stays in that cell; a cell that runs too
    long is interrupted; after the kernel died or the time ran out, the remaining cells say so.
    """
    notebook = nbformat.reads(notebook_json, as_version=4)
    with tempfile.TemporaryDirectory(prefix="course-") as scratch:
        client = BoundedClient(notebook, limits, kernel_name="python3", resources={"metadata": {"path": scratch}})
        client.log.disabled = True
        try:
            # What a kernel writes outside its cells is the kernel's own chatter.
            client.execute(env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        except Exception as error:
            for cell in notebook.cells:
                if not cell.get("outputs"):
                    not_run(cell, f"the kernel could not be used ({type(error).__name__})")
    return nbformat.writes(notebook)


def key(notebook):
    """Return the content hash under which the run of a prepared notebook is kept: its code and what runs it."""
    code = [(cell.id, cell.source) for cell in notebook.cells]
    return hashlib.sha256(json.dumps([code, fingerprint()]).encode()).hexdigest()[:32]


@cache
def fingerprint():
    """Return what else the outputs depend on: Python, the packages that compute, and the helpers, as one hash."""
    packages = [f"{name} {version(name)}" for name in ("torch", "numpy", "ipykernel")]
    helpers = [path.read_bytes() for path in sorted((COURSE / "helpers").rglob("*.py"))]
    parts = [platform.python_version().encode(), *(package.encode() for package in packages), *helpers]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def run_all(notebooks, kept, executor, limits, label="running"):
    """Run prepared notebooks, at most once each, and keep every finished run in the folder `kept` by content hash.

    Yields (key, executed notebook) in the order in which they finish; a second call does only what is new.
    """
    kept = Path(kept)
    kept.mkdir(parents=True, exist_ok=True)
    waiting = {}
    for notebook in notebooks:
        waiting.setdefault(key(notebook), notebook)
    done = [name for name in waiting if (kept / f"{name}.ipynb").exists()]
    futures = {
        executor.submit(run, nbformat.writes(notebook), limits): name
        for name, notebook in waiting.items()
        if name not in done
    }
    with tqdm(total=len(waiting), initial=len(done), desc=label, unit="notebook", disable=not futures) as bar:
        for name in done:
            yield name, nbformat.read(kept / f"{name}.ipynb", as_version=4)
        for future in as_completed(futures):
            name, text = futures[future], future.result()
            partial = kept / f"{name}.part"
            partial.write_text(text, "utf-8")
            partial.replace(kept / f"{name}.ipynb")
            bar.update()
            yield name, nbformat.reads(text, as_version=4)
