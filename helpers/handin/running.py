"""Runs a student's notebook from top to bottom in a fresh kernel."""

import asyncio
import logging
import os
import re
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path

from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook
from tqdm.auto import tqdm

from helpers.handin.notebook import Current

CELL_SECONDS = 120
INTERRUPTED = "you stopped the run"
# Set in the kernel of the run, where a hand-in check must not start another.
RUNNING = "COURSE_HAND_IN_RUNS"

_NOT_RUN = re.compile(r"\b(?:hand_in|write_pdf)\(")
# Nobody can answer the browser's question in the run; the drive is there once it was mounted.
_MOUNTS = re.compile(r"^([ \t]*)([^\n]*\bdrive\.mount\()", re.MULTILINE)


@dataclass
class Run:
    """What happened from top to bottom.

    errors: {position of the cell: (name of the error, its text)}
    ran: positions of the cells that came to their end
    at: position of the cell that was started last
    ended: why the run ended before its last cell, or ""
    """

    errors: dict[int, tuple[str, str]] = field(default_factory=dict)
    ran: list[int] = field(default_factory=list)
    at: int | None = None
    ended: str = ""


def is_run(cell: NotebookNode) -> bool:
    """Whether a cell is part of the run."""
    left_out = "figure" in _tags(cell) or _NOT_RUN.search(cell.source) or _is_written(cell)
    return cell.cell_type == "code" and bool(cell.source.strip()) and not left_out


def _is_written(cell: NotebookNode) -> bool:
    """Whether a cell is for a written answer, whatever its type has become."""
    data = cell.metadata.get("nbgrader")
    return isinstance(data, dict) and bool(data.get("grade")) and bool(data.get("solution"))


def _tags(cell: NotebookNode) -> list:
    tags = cell.metadata.get("tags")
    return tags if isinstance(tags, list) else []


def run_notebook(now: Current) -> Run:
    """Run a notebook's cells in a fresh kernel, in the notebook's folder; it is left as it is, and no process stays."""
    cells = {n: cell for n, cell in enumerate(now.notebook.cells) if is_run(cell)}
    result, stop, done = Run(), threading.Event(), threading.Event()
    folder = now.path.resolve().parent if now.path else Path.cwd()

    def work() -> None:
        try:
            asyncio.run(_session(cells, folder, result, stop))
        except Exception as error:
            result.ended = f"the run could not be made ({type(error).__name__}: {str(error)[:160]})"
        finally:
            done.set()

    with tqdm(total=len(cells), desc="running from top to bottom", unit="cell", leave=False) as bar:
        # A thread of its own: this one has an event loop that runs, and is the one that is interrupted. It is waited
        # for by an event, since a join that is interrupted takes the thread for ended (bpo-45274).
        threading.Thread(target=work, daemon=True).start()
        try:
            while not done.wait(0.1):
                bar.update(len(result.ran) - bar.n)
        except KeyboardInterrupt:
            stop.set()
            done.wait(20)
            result.ended = INTERRUPTED
    return result


async def _session(cells: dict[int, NotebookNode], folder: Path, result: Run, stop: threading.Event) -> None:
    """Run cells in a kernel until they are done, one ends the run, or `stop` is set; fill in `result`."""
    client = _Client(cells, result)
    work = asyncio.ensure_future(client.work(folder))
    try:
        while not (work.done() or stop.is_set()):
            await asyncio.wait([work], timeout=0.1)
        work.cancel()
        await asyncio.wait([work])
        if not work.cancelled():
            work.result()
    except CellTimeoutError:
        result.ended = f"it took longer than {CELL_SECONDS} seconds"
    except DeadKernelError:
        result.ended = "the kernel died in it, of too little memory perhaps"
    finally:
        await client.end()


class _Client(NotebookClient):
    """Runs cells in a kernel of their own. Takes no output: some cells say a gigabyte. Errors come with the reply."""

    def __init__(self, cells: dict[int, NotebookNode], result: Run):
        quiet = logging.getLogger("helpers.handin.client")
        quiet.disabled = True
        manager = AsyncKernelManager(kernel_name="python3")
        if manager.kernel_spec:
            # The Python that runs here: the kernel of this name may be another's.
            manager.kernel_spec.argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        sources = [_MOUNTS.sub(r"\1pass  # \2", cell.source) for cell in cells.values()]
        super().__init__(
            new_notebook(cells=[new_code_cell(source) for source in sources]),
            km=manager,
            timeout=CELL_SECONDS,
            iopub_timeout=60,
            allow_errors=True,
            on_cell_execute=self._started,
            on_cell_executed=self._executed,
            log=quiet,
        )
        self.manager, self.result = manager, result
        self.places, self.tags = list(cells), list(map(_tags, cells.values()))

    async def work(self, folder: Path) -> None:
        """Start the kernel and run the cells."""
        await self.manager.start_kernel(
            cwd=str(folder), env=os.environ | {RUNNING: "1"}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self.kc = client = self.manager.client()
        client.start_channels()
        await client.wait_for_ready(timeout=CELL_SECONDS)
        client.allow_stdin = False
        await self.async_execute()

    async def end(self) -> None:
        """End the kernel, whatever it does."""
        if self.kc:
            self.kc.stop_channels()
        if self.manager.has_kernel:
            await self.manager.shutdown_kernel(now=True)

    def process_message(self, msg: dict, cell: NotebookNode, cell_index: int) -> NotebookNode | None:
        """Look at the kernel's status only."""
        return super().process_message(msg, cell, cell_index) if msg["msg_type"] == "status" else None

    def _started(self, cell: NotebookNode, cell_index: int) -> None:
        self.result.at = self.places[cell_index]

    def _executed(self, cell: NotebookNode, cell_index: int, execute_reply: dict) -> None:
        self.result.ran.append(self.places[cell_index])
        reply = execute_reply["content"]
        if reply["status"] == "error" and "raises-exception" not in self.tags[cell_index]:
            self.result.errors[self.places[cell_index]] = (reply.get("ename", ""), reply.get("evalue", ""))
