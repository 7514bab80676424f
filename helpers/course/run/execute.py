"""A notebook in, the same notebook with outputs out. No database, no expected values; can run anywhere.

`prepared` makes the notebook that is run from a repaired submission, `run` runs it within limits, `merged` puts the
outputs back where they belong, and `run_all` does this for a class on any `concurrent.futures.Executor`.

A student's cells and the visible halves of the checks run first, in order; the hidden halves run after all of them.
So no cell of a student's can show what a hidden half holds, and what a cell breaks costs the cells, not the marks.
"""

import asyncio
import copy
import hashlib
import json
import logging
import os
import platform
import queue
import subprocess
import tempfile
import time
from concurrent.futures import as_completed
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import version
from pathlib import Path

import nbformat
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import DeadKernelError
from nbclient.util import ensure_async
from tqdm.auto import tqdm

from helpers import COURSE
from helpers.course.run import sandbox

HIDDEN_BEGIN = "### BEGIN HIDDEN TESTS"


@dataclass(frozen=True)
class Limits:
    """What a notebook may use.

    Seconds for one cell and for all of a student's cells; bytes of output; fresh starts of the kernel. In isolation
    also: bytes of memory of each process, bytes of files, processes and threads. Where `isolated`, nothing is run on a
    machine that offers no isolation; otherwise the best is used that the machine offers.
    """

    cell: int = 30
    notebook: int = 300
    output: int = 20_000_000
    restarts: int = 3
    memory: int = 12 << 30
    scratch: int = 256 << 20
    processes: int = 128
    isolated: bool = False


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
    """Return the notebook to run: code cells only, no figures, checks as released, their hidden halves at the end.

    Args:
        submission: a repaired notebook (`helpers.course.intake.repair`).
        release: the students' notebook, whose figures are left out.
        solved: the solved notebook, whose check cells hold the hidden tests.
    """
    checks = {cell.metadata.nbgrader.grade_id: cell for cell in solved.cells if is_check(cell)}
    # By text as well as by tag: a student's own code is run, whatever tag it carries.
    drawn = {cell.source for cell in release.cells if is_figure(cell)}
    own, after = [], []
    for cell in submission.cells:
        if is_check(cell):
            visible, hidden = halves(checks[cell.metadata.nbgrader.grade_id])
            own.append(visible)
            after.append(hidden)
        elif cell.cell_type == "code" and not (is_figure(cell) and cell.source in drawn):
            own.append(nbformat.v4.new_code_cell(cell.source, id=cell.id))
    return nbformat.v4.new_notebook(cells=own + after)


def merged(submission, executed):
    """Return a copy of `submission` with outputs, and what the hidden halves said.

    Returns:
        The notebook, whose check cells carry the outputs of their visible halves only, and
        {grade id: outputs of the hidden half}, which no student gets to see.
    """
    result, said = copy.deepcopy(submission), {}
    outputs = {cell.id: cell.outputs for cell in executed.cells}
    for cell in result.cells:
        if cell.cell_type != "code":
            continue
        cell.execution_count = None
        if is_check(cell):
            visible, hidden = halves(cell)
            cell.outputs = outputs[visible.id]
            said[cell.metadata.nbgrader.grade_id] = outputs[hidden.id]
        else:
            cell.outputs = outputs.get(cell.id, [])
    return result, said


# The errors a cell gets from us.
ENDINGS = ("NotRun", "Stopped", "KernelDied", "KernelKilled", "TooMuchOutput")


class KernelEnded(Exception):
    """A cell after which the kernel is of no more use."""


# What nbclient says of a student's errors; the default is the logger that nbgrader's lines go through.
QUIET = logging.getLogger("helpers.course.run.execute.client")
QUIET.disabled = True


class BoundedClient(NotebookClient):
    """Runs every cell whatever the cells before it did, each within its time and all within their output.

    `finished` holds the outputs of the cells by id, in order, each as it was when the cell was done: a later cell may
    rewrite what an earlier one displays. Raises KernelEnded when the kernel died in a cell, did not stop when told to,
    or said too much; the outputs of the last cell say which.
    """

    def __init__(self, notebook, limits, manager, **options):
        """Bound the run of `notebook` by `limits`; `manager` starts the kernel."""
        super().__init__(
            notebook,
            timeout_func=self._seconds,
            interrupt_on_timeout=True,
            # Without a reply of our own, nbclient would wait for the kernel's for ever.
            error_on_timeout={"ename": "Stopped", "evalue": "", "traceback": []},
            allow_errors=True,
            startup_timeout=120,
            shutdown_kernel="immediate",
            log=QUIET,
            **options,
        )
        self.finished = {}
        self._manager = manager
        self._interrupting = None
        self._limits = limits
        self._deadline = time.monotonic() + limits.notebook
        self._said = 0
        self._stopped = False

    def create_kernel_manager(self):
        """Return the manager that was given, as one of our own: it is shut down after the run."""
        self.km = self._manager
        return self.km

    def _seconds(self, cell):
        if is_hidden(cell):
            return self._limits.cell
        return max(1, min(self._limits.cell, self._deadline - time.monotonic()))

    async def async_execute_cell(self, cell, cell_index, execution_count=None, store_history=True):
        """Run one cell, unless the time of the student's cells is used up."""
        self._stopped, ended = False, None
        if not is_hidden(cell) and time.monotonic() > self._deadline:
            cell.outputs = [error_output("NotRun", f"the cells before it took all {self._limits.notebook} seconds")]
        else:
            ended = await self._run(cell, cell_index, execution_count, store_history)
        if ended:
            cell.outputs.append(error_output(*ended))
        self.finished[cell.id] = copy.deepcopy(cell.outputs)
        if ended:
            raise KernelEnded(ended)
        return cell

    async def _run(self, cell, cell_index, execution_count, store_history):
        """Run one cell; return name and text of what ended the kernel, or None."""
        try:
            await super().async_execute_cell(cell, cell_index, execution_count, store_history)
            if self._stopped:
                await ensure_async(self.kc.kernel_info(reply=True, timeout=5))
                cell.outputs = [output for output in cell.outputs if output.get("ename") != "KeyboardInterrupt"]
                cell.outputs.append(error_output("Stopped", f"stopped after {self._limits.cell} seconds"))
        except DeadKernelError:
            return "KernelDied", "the kernel died while this cell ran"
        except (TimeoutError, queue.Empty):
            return "KernelKilled", "this cell could not be interrupted"
        if self._flooded():
            return "TooMuchOutput", f"more than {self._limits.output // 1_000_000} MB of output"
        return None

    async def _async_handle_timeout(self, timeout, cell=None):
        self._stopped = True
        return await super()._async_handle_timeout(timeout, cell)

    def _flooded(self):
        return self._said > self._limits.output

    def process_message(self, msg, cell, cell_index):
        """Take one message of the kernel; once the notebook has said too much, interrupt it and take no more output."""
        before = self._flooded()
        self._said += len(str(msg["content"]))
        if not self._flooded() or msg["msg_type"] == "status":
            return super().process_message(msg, cell, cell_index)
        if not before:
            self._interrupting = asyncio.ensure_future(ensure_async(self.km.interrupt_kernel()))
        return None


def error_output(ename, evalue):
    """Return an error as a notebook output."""
    return nbformat.v4.new_output("error", ename=ename, evalue=evalue, traceback=[f"{ename}: {evalue}"])


# The second line is what Windows needs.
KEPT = """PATH LANG TZ HOME TMPDIR LD_LIBRARY_PATH
    APPDATA COMSPEC LOCALAPPDATA PATHEXT PROGRAMDATA SYSTEMROOT TEMP TMP USERPROFILE"""


def environment():
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


def run(notebook_json, limits):
    """Run a notebook in a kernel and a scratch folder of its own.

    Text in, text out, so that any executor can carry it. An error stays in its cell. A cell that runs too long is
    interrupted. Where a cell ends the kernel, the notebook is run again in a fresh one without that cell.
    """
    notebook = nbformat.reads(notebook_json, as_version=4)
    if notebook.metadata.get("course") == "reference":
        # Ours, and a hundred answers long.
        limits = replace(limits, notebook=10 * limits.notebook, output=10 * limits.output)
    todo, outputs = notebook.cells, {}
    for _ in range(1 + limits.restarts):
        executed, ended = session(todo, limits)
        # The first outputs of a cell stand: those of a student's cells are from before any hidden half ran.
        outputs = executed | outputs
        if ended is None:
            break
        todo = [cell for cell in todo if cell.id != ended and not (is_hidden(cell) and cell.id in outputs)]
    for cell in notebook.cells:
        cell.outputs = outputs.get(cell.id, [error_output("NotRun", "the kernel ended too often")])
    notebook.metadata["isolation"] = sandbox.tier()
    return nbformat.writes(notebook)


def session(cells, limits):
    """Run cells in one fresh kernel.

    Returns:
        {cell id: outputs} of the cells that were run, and the id of the cell that ended the kernel, or None.
    """
    notebook = nbformat.v4.new_notebook(cells=copy.deepcopy(cells))
    with tempfile.TemporaryDirectory(prefix="course-", dir=sandbox.short_place()) as folder:
        client = BoundedClient(
            notebook, limits, manager(cells, limits, folder), resources={"metadata": {"path": folder}}
        )
        try:
            # What a kernel writes outside its cells is the kernel's own chatter.
            client.execute(env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            ended = None
        except KernelEnded:
            ended = list(client.finished)[-1]
    return client.finished, ended


def manager(cells, limits, folder):
    """Return what starts the kernel for `cells`, in the best isolation there is; `folder` is the kernel's own."""
    if limits.isolated:
        sandbox.require()
    if sandbox.tier() == sandbox.NONE:
        return AsyncKernelManager(kernel_name="python3")
    # More than all cells may take: a kernel that uses several cores at once ends sooner.
    seconds = 60 + limits.notebook + limits.cell * sum(map(is_hidden, cells))
    most = sandbox.limits(limits.memory, limits.scratch, limits.processes, seconds)
    return sandbox.JailedKernelManager(sandbox.tier(), folder, most, limits.scratch)


def key(notebook):
    """Return the content hash under which the run of a prepared notebook is kept: its code and what runs it."""
    code = [(cell.id, cell.source) for cell in notebook.cells]
    return hashlib.sha256(json.dumps([code, fingerprint()]).encode()).hexdigest()[:32]


@cache
def fingerprint():
    """Return what else the outputs depend on, as one hash: Python, packages, helpers, whether it is isolated."""
    packages = [f"{name} {version(name)}" for name in ("torch", "numpy", "ipykernel")]
    helpers = [path.read_bytes() for path in sorted((COURSE / "helpers").rglob("*.py"))]
    parts = [platform.python_version().encode(), *(package.encode() for package in packages), *helpers]
    # What ran unsafely may have been changed by another student's code.
    parts += [b"unsafe"] if sandbox.tier() == sandbox.NONE else []
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def run_all(notebooks, kept, executor, limits, label="running"):
    """Run prepared notebooks, at most once each, and keep every finished run in the folder `kept` by content hash.

    Yields (key, executed notebook) in the order in which they finish; a second call does only what is new. A run that
    could not be made, because no kernel could be started for instance, is logged and left out.
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
