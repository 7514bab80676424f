"""Starts kernels: in jails, each with a supervisor that keeps its copies, or plainly where there are no jails."""

import json
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from jupyter_client.manager import AsyncKernelManager

from helpers.course.run import sandbox
from helpers.course.run import warm as servers
from helpers.course.run.heard import Heard, heard
from helpers.course.run.limits import DIED, Limits
from helpers.course.run.warm import Process
from helpers.inside import frames

PATIENCE = 60  # seconds, more than a supervisor takes for any request beyond the time it is given


class Jail:
    """What is known out here of a jail: its first process and the socket to its supervisor."""

    def __init__(self, process: Process, control: socket.socket) -> None:
        """Ask the supervisor on `control`."""
        self.process, self._control = process, control

    def _ask(self, patience: float, **request: Any) -> Any:
        """Ask the supervisor; None where it does not answer, after which the jail is no more."""
        try:
            self._control.settimeout(patience + PATIENCE)
            return frames.ask(self._control, **request)
        except (OSError, EOFError):
            self.close()
            return None

    def alive(self) -> bool:
        """Tell whether the kernel runs."""
        return bool(self._ask(0, do="alive"))

    def code(self) -> int | None:
        """Return the exit code of the kernel; None where it runs or nobody knows."""
        return self._ask(0, do="code")

    def expect(self) -> None:
        """Let the next copy be kept, and none before."""
        self._ask(0, do="expect")

    def keep(self, check: str) -> bool:
        """Wait a few seconds for the copy that is parked for `check`; tell whether it is there."""
        return bool(self._ask(5, do="keep", check=check, seconds=5))

    def end(self) -> set[str]:
        """End everything in the jail but the copies; return for which checks there is one."""
        return set(self._ask(0, do="end") or [])

    def wake(self, check: str, code: str, limits: Limits) -> Heard:
        """Hand a copy its hidden half; return what was heard from it."""
        answer = self._ask(limits.cell, do="wake", check=check, code=code, seconds=limits.cell, most=limits.output)
        try:
            data = frames.exactly(self._control, answer["bytes"])
        except (OSError, EOFError, TypeError):
            self.close()
            return Heard([DIED])
        return heard(frames.split(data), answer["how"], limits, answer["code"])

    def close(self) -> None:
        """End everything in the jail, which its supervisor does when nobody asks any more, and wait until it has."""
        with self._control, suppress(OSError):
            self._control.shutdown(socket.SHUT_WR)
            self._control.settimeout(PATIENCE)
            while self._control.recv(1 << 16):  # what was not fetched
                pass
        try:
            self.process.wait(1)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class KernelManager(AsyncKernelManager):
    """Starts a kernel, in `jail` where there is one."""

    jail: Jail | None = None


class PlainKernelManager(KernelManager):
    """Starts our kernel with all the rights of this process."""

    def format_kernel_cmd(self, extra_arguments: list[str] | None = None) -> list[str]:
        """Return the command that starts the kernel."""
        return [sys.executable, "-m", "helpers.inside.kernel", self.connection_file, "{}", "-1"]


class JailedKernelManager(KernelManager):
    """Starts our kernel in a jail; `folder` is for the sockets and has a short path."""

    def __init__(self, name: str, folder: str, limits: dict[str, int], scratch: int, warm: bool) -> None:
        """Jail by the tier `name`; see `sandbox.planned` for limits and scratch."""
        place = Path(folder)
        ports = dict(
            zip(("shell_port", "iopub_port", "stdin_port", "hb_port", "control_port"), range(1, 6), strict=True)
        )
        super().__init__(transport="ipc", ip=str(place / "s"), connection_file=str(place / "kernel.json"), **ports)
        # No signal reaches the kernel from out here.
        self.kernel_spec.interrupt_mode = "message"  # type: ignore[union-attr]
        self._options = (name, limits, scratch, warm)

    async def _async_launch_kernel(self, kernel_cmd: list[str], **options: Any) -> None:
        # The folder is ours alone; the kernel may be another user.
        Path(self.connection_file).chmod(0o644)
        listening = {f"ipc://{self.ip}-{port}": socket.socket(socket.AF_UNIX) for port in self.ports}
        control, inner = socket.socketpair()
        try:
            for address, given in listening.items():
                given.bind(address.removeprefix("ipc://"))
                given.listen()
            self.jail = Jail(self._start({**listening, "control": inner}, **options), control)
        finally:
            for given in (*listening.values(), inner):
                given.close()
        self.provisioner.process = self.jail.process  # type: ignore[union-attr]
        self._reconcile_connection_info(self.provisioner.connection_info)  # type: ignore[union-attr]

    def _start(self, given: dict[str, socket.socket], env: dict[str, str], cwd: str, **_: Any) -> Process:
        """Start the jail's first process with sockets: forked from a server where that can be had, or afresh."""
        name, limits, scratch, warm = self._options
        numbers = {address: each.fileno() for address, each in given.items()}
        control = numbers.pop("control")
        kernel = ["-m", "helpers.inside.kernel", self.connection_file, json.dumps(numbers), "{registrar}"]
        command = [sys.executable, *kernel]
        plan = sandbox.planned(name, command, limits, scratch, [self.connection_file], control, cwd)
        server = servers.server(env) if warm and name == "namespaces" else None
        env = env | (sandbox.IDENTITY if name != sandbox.NONE else {})
        if server is not None:
            with suppress(OSError, EOFError):
                return server.start(plan, list(numbers), env, [*numbers.values(), control])
        return subprocess.Popen(
            sandbox.jailed(name, plan),
            env=env,
            cwd=cwd,
            pass_fds=(*numbers.values(), control),
            stdin=subprocess.DEVNULL,
            # What a kernel writes outside its cells is the kernel's own chatter.
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    async def _async_is_alive(self) -> bool:
        """Tell whether the kernel runs; its supervisor outlives it."""
        return self.jail is not None and self.jail.alive()

    is_alive = _async_is_alive  # type: ignore[assignment]

    async def shutdown_kernel(self, now: bool = False, restart: bool = False) -> None:  # type: ignore[override]
        """End the kernel, and all that is not a copy."""
        if self.jail is not None:
            self.jail.end()


def manager(limits: Limits, folder: str, checks: int) -> KernelManager:
    """Return what starts a kernel, in the best isolation there is.

    Args:
        limits: what it may use.
        folder: the kernel's own.
        checks: how many hidden halves it may have to answer by itself.
    """
    if limits.isolated:
        sandbox.require()
    if not sandbox.SUPERVISED:
        return PlainKernelManager()
    # More than all cells may take: a kernel that uses several cores at once ends sooner.
    seconds = 60 + limits.notebook + limits.cell * checks
    most = sandbox.limits(limits.memory, limits.scratch, limits.processes, seconds)
    return JailedKernelManager(sandbox.tier(), folder, most, limits.scratch, limits.warm)
