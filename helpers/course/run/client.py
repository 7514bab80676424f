"""Runs the cells of a notebook in one kernel, each within its time and all within their output."""

import asyncio
import copy
import logging
import math
import queue
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from IPython.core.inputtransformer2 import TransformerManager
from nbclient import NotebookClient
from nbclient.exceptions import DeadKernelError
from nbclient.util import ensure_async
from nbformat import NotebookNode

from helpers.course.run.heard import Heard, heard
from helpers.course.run.kernels import Jail, KernelManager
from helpers.course.run.limits import UNSTOPPABLE, Limits, died, flooded, out_of_time, stopped
from helpers.course.run.prepare import is_hidden

# What nbclient says of a student's errors; the default is the logger that nbgrader's lines go through.
QUIET = logging.getLogger("helpers.course.run.client")
QUIET.disabled = True


class KernelEnded(Exception):
    """A cell after which the kernel is of no more use."""


def plain(code: str) -> str:
    """Return a hidden half as plain Python: without the kernel's help, magics are none."""
    return TransformerManager().transform_cell(code)


class BoundedClient(NotebookClient):
    """Runs every cell whatever the cells before it did.

    `finished` holds the outputs of the cells by id, in order, each as it was when the cell was done: a later cell may
    rewrite what an earlier one displays. Hidden halves are `reached`, and `parked` where there is a copy for them.
    Raises KernelEnded when the kernel died in a cell, did not stop when told to, or said too much; `ended` is the cell
    to blame.

    `at_checks` says what is done at a hidden half: "park" a copy, "answer" it here and now in the kernel itself or, in
    a jail and with "wake", in a copy; "skip" it.
    """

    def __init__(
        self,
        notebook: NotebookNode,
        limits: Limits,
        manager: KernelManager,
        at_checks: str,
        **options: Any,
    ) -> None:
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
        self.finished: dict[str, list[NotebookNode]] = {}
        self.reached: set[str] = set()
        self.parked: set[str] = set()
        self.ended: str | None = None
        self._at_checks = at_checks
        self._manager = manager
        self._interrupting: asyncio.Future[Any] | None = None
        self._limits = limits
        self._deadline = math.inf
        self._said = 0
        self._stopped = 0.0

    def create_kernel_manager(self) -> KernelManager:
        """Return the manager that was given, as one of our own: it is shut down after the run."""
        self.km = self._manager
        return self.km

    async def async_start_new_kernel_client(self) -> Any:
        """Connect to the kernel; from now on the clock of the student's cells runs."""
        result = await super().async_start_new_kernel_client()
        self._deadline = time.monotonic() + self._limits.notebook
        return result

    @property
    def _jail(self) -> Jail | None:
        return self._manager.jail

    def _seconds(self, cell: NotebookNode) -> float:
        return max(1, min(self._limits.cell, self._deadline - time.monotonic()))

    async def async_execute_cell(
        self, cell: NotebookNode, cell_index: int, execution_count: int | None = None, store_history: bool = True
    ) -> NotebookNode:
        """Run one cell, unless the time of the student's cells is used up."""
        if is_hidden(cell):
            with self._clock_stopped():
                await self._check(cell)
            return cell
        self._stopped, ended = 0.0, None
        if time.monotonic() > self._deadline:
            cell.outputs = [out_of_time(self._limits)]
        elif self._jail and not self._jail.alive():
            self._end(next(reversed(self.finished), cell.id))
        else:
            ended = await self._run(cell, cell_index, execution_count, store_history)
        if ended:
            cell.outputs.append(ended)
        self.finished[cell.id] = copy.deepcopy(cell.outputs)
        if ended:
            self._end(cell.id)
        return cell

    def _end(self, cell_id: str) -> None:
        self.ended = cell_id
        raise KernelEnded(cell_id)

    @contextmanager
    def _clock_stopped(self) -> Iterator[None]:
        """Count the time in here for nobody's."""
        start = time.monotonic()
        try:
            yield
        finally:
            self._deadline += time.monotonic() - start

    async def _run(
        self, cell: NotebookNode, cell_index: int, execution_count: int | None, store_history: bool
    ) -> NotebookNode | None:
        """Run one cell; return the error that says what ended the kernel, or None."""
        try:
            await super().async_execute_cell(cell, cell_index, execution_count, store_history)
            if self._stopped:
                assert self.kc is not None
                await ensure_async(self.kc.kernel_info(reply=True, timeout=5))  # type: ignore[call-arg]
                cell.outputs = [output for output in cell.outputs if output.get("ename") != "KeyboardInterrupt"]
                cell.outputs.append(stopped(self._stopped))
        except DeadKernelError:
            return died(await self._code(), alone=False)
        except (TimeoutError, queue.Empty):
            return UNSTOPPABLE
        if self._flooded():
            return flooded(self._limits)
        return None

    async def _code(self) -> int | None:
        """Return the exit code of a kernel that has died; None where nobody knows."""
        if self._jail:
            return self._jail.code()
        return await self._manager.provisioner.poll() if self._manager.provisioner else None

    async def _async_handle_timeout(self, timeout: float, cell: NotebookNode | None = None) -> Any:
        self._stopped = timeout
        return await super()._async_handle_timeout(timeout, cell)  # type: ignore[arg-type]

    def _flooded(self) -> bool:
        return self._said > self._limits.output

    def process_message(self, msg: dict[str, Any], cell: NotebookNode, cell_index: int) -> Any:
        """Take one message of the kernel; once the notebook has said too much, interrupt it and take no more output."""
        before = self._flooded()
        self._said += len(str(msg["content"]))
        if not self._flooded() or msg["msg_type"] == "status":
            return super().process_message(msg, cell, cell_index)
        if not before:
            assert self.km is not None
            self._interrupting = asyncio.ensure_future(ensure_async(self.km.interrupt_kernel()))
        return None

    async def _check(self, cell: NotebookNode) -> None:
        """Do at a hidden half what is to be done there."""
        self.reached.add(cell.id)
        if self._at_checks == "answer":
            said = await self._answer(cell.source)
            self.finished[cell.id] = said.outputs
            if not said.done:
                self._end(cell.id)
        elif self._at_checks != "skip" and self._jail:
            if not self._jail.alive():
                self._end(next(reversed(self.finished), cell.id))
            if await self._park(cell.id):
                self.parked.add(cell.id)
                if self._at_checks == "wake":
                    self.finished[cell.id] = self._jail.wake(cell.id, plain(cell.source), self._limits).outputs

    async def _park(self, check: str) -> bool:
        """Have the kernel park a copy; tell whether there is one."""
        assert self._jail is not None
        self._jail.expect()
        request = self._send("shell_channel", "park_request", check=check)
        async for message in self._replies("shell_channel", request, 10):
            if message["msg_type"] == "park_reply":
                return message["content"]["status"] == "ok" and self._jail.keep(check)
        return False

    async def _answer(self, code: str) -> Heard:
        """Have the kernel itself answer a hidden half."""
        messages, size, how = [], 0, "stopped"
        request = self._send("shell_channel", "answer_request", code=plain(code))
        async for message in self._replies("iopub_channel", request, self._limits.cell):
            content = message["content"]
            if message["msg_type"] == "said":
                messages.append(str(content.get("message")).encode())
                size += len(messages[-1])
                self._send("stdin_channel", "heard")
                if size > self._limits.output:
                    how = "flooded"
                    break
            elif message["msg_type"] == "status" and content["execution_state"] == "idle":
                messages.append(b'{"done": true}')
                how = "answered"
                break
        assert self.kc is not None
        died_of = None
        if how == "stopped" and not await ensure_async(self.kc.is_alive()):  # type: ignore[attr-defined]
            how, died_of = "answered", await self._code()  # as far as it came
        return heard(messages, how, self._limits, died_of)

    def _send(self, channel: str, kind: str, **content: Any) -> str:
        """Send the kernel a message of our own; return its number."""
        assert self.kc is not None
        message = self.kc.session.msg(kind, content)
        getattr(self.kc, channel).send(message)
        return message["header"]["msg_id"]

    async def _replies(self, channel: str, request: str, seconds: float) -> Any:
        """Yield the messages that answer a request, until its time is up or the kernel has died."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            assert self.kc is not None
            try:
                message = await ensure_async(getattr(self.kc, channel).get_msg(timeout=min(left, 1)))
            except queue.Empty:
                if not await ensure_async(self.kc.is_alive()):  # type: ignore[attr-defined]
                    return
                continue
            if message["parent_header"].get("msg_id") == request:
                yield message
