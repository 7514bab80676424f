"""What stays with a kernel in its jail: starts it, keeps its parked copies, and wakes them when it is gone.

Runs no code of a student's, is out of reach of those who do, and answers the trusted side on a socket that no kernel
holds. It uses the standard library only.
"""

import json
import os
import select
import signal
import socket
import stat
import struct
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from helpers.inside import frames
from helpers.inside.system import SET_CHILD_SUBREAPER, SET_DUMPABLE, call

CREDENTIALS = struct.Struct("3i")  # process, user, group
PATIENCE = 5.0  # seconds for processes to die
PARENT, THREADS = 1, 17  # places in /proc/<process>/stat, counted behind the name


class Copy(NamedTuple):
    """A process that stands where a check stood, and our end of its channel."""

    process: int
    channel: socket.socket


def supervise(
    control: int, start: Callable[[socket.socket], None], as_student: Callable[[], None], scratch: Sequence[str]
) -> None:
    """Start a kernel and serve the trusted side until it closes `control`; never returns.

    Args:
        control: the number of our end of the socket to the trusted side.
        start: becomes the kernel, given the socket on which its copies make themselves known.
        as_student: takes on the identity of the kernel.
        scratch: the folders that the kernel and its copies may write to.
    """
    registrar, given = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    registrar.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    # Orphans become our children, not those of a process further up.
    call("prctl", SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    kernel = os.fork()
    if kernel == 0:
        os.close(control)
        registrar.close()
        start(given)
        os._exit(1)
    given.close()
    # Nobody of the same user may look into us, and no signal that has a meaning to Python does anything.
    call("prctl", SET_DUMPABLE, 0, 0, 0, 0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    supervisor = Supervisor(socket.socket(fileno=control), registrar, kernel, as_student, scratch)
    try:
        supervisor.serve()
    finally:
        supervisor.clear(spared=set())
        os._exit(0)


class Supervisor:
    """The kernel `kernel`, its copies, and what the trusted side may ask for."""

    def __init__(
        self,
        control: socket.socket,
        registrar: socket.socket,
        kernel: int,
        as_student: Callable[[], None],
        scratch: Sequence[str],
    ) -> None:
        """Answer on `control`; copies come from `registrar`."""
        self.control, self.registrar, self.kernel = control, registrar, kernel
        self.as_student, self.scratch = as_student, scratch
        self.copies: dict[str, Copy] = {}
        self.dead: dict[int, int] = {}  # with their exit codes, negative for a signal's number
        self.ended_at = 0
        self.folders: set[str] = set()

    def serve(self) -> None:
        """Answer requests until the other side is gone."""
        waiting = select.poll()
        waiting.register(self.control, select.POLLIN)
        while True:
            # Not for ever: orphans are buried in between.
            if waiting.poll(200):
                try:
                    request = json.loads(frames.received(self.control))
                except (EOFError, OSError):
                    return
                answer, data = getattr(self, f"do_{request.pop('do')}")(**request), b""
                if isinstance(answer, tuple):
                    answer, data = answer
                self.control.sendall(frames.packed(json.dumps(answer).encode()) + data)
            self.bury()

    def do_alive(self) -> bool:
        """Tell whether the kernel runs."""
        return not self.is_dead(self.kernel)

    def do_code(self) -> int | None:
        """Return the exit code of the kernel; None where it runs."""
        return self.dead.get(self.kernel)

    def is_dead(self, process: int) -> bool:
        """Tell whether a child of ours has ended."""
        self.bury()
        return process in self.dead

    def do_expect(self) -> bool:
        """Forget what copies said up to now; the next one may."""
        # As many as fit into a socket: somebody may send for ever.
        return any(self._register("") is None for _ in range(1000))

    def do_keep(self, check: str, seconds: float) -> bool:
        """Wait until the copy for `check` has made itself known; tell whether it has."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if select.select([self.registrar], [], [], left)[0]:
                copy = self._register(check)
                if isinstance(copy, Copy):
                    self.copies[check] = copy
                    return True
        return False

    def _register(self, check: str) -> Copy | bool | None:
        """Take one message from the registrar: a copy if it is for `check`, None where there is no message."""
        space = socket.CMSG_SPACE(CREDENTIALS.size) + socket.CMSG_SPACE(4)
        try:
            data, said, _, _ = self.registrar.recvmsg(256, space, socket.MSG_DONTWAIT | socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return None
        process, channels = 0, []
        for _, kind, content in said:
            if kind == socket.SCM_CREDENTIALS:
                process = CREDENTIALS.unpack(content)[0]
            elif kind == socket.SCM_RIGHTS:
                channels += [int.from_bytes(content[i : i + 4], "little") for i in range(0, len(content) // 4 * 4, 4)]
        wanted = check and data == check.encode() and process in family() - {self.kernel}
        if not data and not said:  # everybody who could say something is gone
            return None
        try:
            return Copy(process, socket.socket(fileno=channels.pop())) if wanted and channels else False
        except OSError:  # no socket
            return False
        finally:
            for number in channels:
                os.close(number)

    def do_end(self) -> list[str]:
        """End the kernel and whatever else runs in here but the copies; return for which checks there is one."""
        if not self.clear(spared={copy.process for copy in self.copies.values()} - {self.kernel}):
            self.copies = {}
        self.copies = {check: copy for check, copy in self.copies.items() if copy.process not in self.dead}
        self.ended_at = time.time_ns()
        # Clocks of file systems are coarse.
        time.sleep(0.02)
        self.folders = {path for path, entry in found(self.scratch) if stat.S_ISDIR(entry.st_mode)}
        return list(self.copies)

    def do_wake(self, check: str, code: str, seconds: float, most: int) -> tuple[dict[str, object], bytes]:
        """Hand a copy its hidden half and return how it ended ("answered", "stopped", "flooded") and what it said.

        At most `most` bytes in at most `seconds`. Afterwards it is gone; where the kernel had ended before, so is all
        that it had started and written.
        """
        copy = self.copies.pop(check, None)
        if copy is None:
            return {"how": "absent", "bytes": 0}, b""
        with suppress(ProcessLookupError):
            os.kill(copy.process, signal.SIGCONT)
        with copy.channel:
            how, data = converse(
                copy.channel, frames.packed(code.encode()), seconds, most, lambda: self.is_dead(copy.process)
            )
        if how == "answered":
            self.await_death(copy.process)
        ended = self.dead.get(copy.process)
        if not self.ended_at:
            with suppress(ProcessLookupError):
                os.kill(copy.process, signal.SIGKILL)
        else:
            if not self.clear(spared={other.process for other in self.copies.values()} - {copy.process}):
                self.copies = {}
            self.clean()
        return {"how": how, "bytes": len(data), "code": ended}, data

    def await_death(self, process: int) -> None:
        """Wait a moment for a process that has closed its channel: it closes first and ends then."""
        end = time.monotonic() + 0.2
        while not self.is_dead(process) and time.monotonic() < end:
            time.sleep(0.001)

    def clear(self, spared: set[int]) -> bool:
        """End all processes in here but `spared`; tell whether that could be done. If not, those are ended too."""
        end = time.monotonic() + PATIENCE
        while True:
            self.bury()
            if time.monotonic() > end:
                spared = set()
            others = family() - spared
            if not others or time.monotonic() > end + PATIENCE:
                return not others and time.monotonic() < end
            for process in others:
                with suppress(OSError):
                    os.kill(process, signal.SIGKILL)
            time.sleep(0.001)

    def bury(self) -> None:
        """Take leave of the children that have died."""
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0] != 0:
                self.dead[ended[0]] = os.waitstatus_to_exitcode(ended[1])

    def is_written(self) -> bool:
        """Tell whether anything was written since the kernel ended, or might have been where we cannot look."""
        closed: list[OSError] = []
        entries = found(self.scratch, closed.append)
        return bool(closed) or any(
            path not in self.folders if stat.S_ISDIR(entry.st_mode) else entry.st_ctime_ns >= self.ended_at
            for path, entry in entries
        )

    def clean(self) -> None:
        """Remove what was written since the kernel ended, with the rights of those who wrote it."""
        if not self.is_written():
            return
        cleaner = os.fork()
        if cleaner == 0:
            with suppress(BaseException):
                self.as_student()
                for path, entry in sorted(found(self.scratch), reverse=True):
                    if entry.st_uid != os.getuid() or path in self.folders:
                        continue
                    with suppress(OSError):
                        if stat.S_ISDIR(entry.st_mode):
                            Path(path).rmdir()
                        elif entry.st_ctime_ns >= self.ended_at:
                            Path(path).unlink()
            os._exit(0)
        os.waitpid(cleaner, 0)


def converse(
    channel: socket.socket, message: bytes, seconds: float, most: int, over: Callable[[], bool]
) -> tuple[str, bytes]:
    """Send a message and return what comes back before the other end closes or all is `over`, and how that ended."""
    end, said = time.monotonic() + seconds, bytearray()
    # The other end could make it block again: no call may rely on it.
    while (left := end - time.monotonic()) > 0:
        # Something that was started there may hold the other end open.
        last = over()
        ready, writable, _ = select.select([channel], [channel] if message else [], [], 0 if last else min(left, 0.1))
        if last and not ready:
            return "answered", bytes(said)
        try:
            if writable:
                message = message[channel.send(message, socket.MSG_DONTWAIT) :]
            if ready:
                part = channel.recv(1 << 16, socket.MSG_DONTWAIT)
                said += part
                if not part:
                    return "answered", bytes(said)
        except BlockingIOError:
            continue
        except OSError:
            return "answered", bytes(said)
        if len(said) > most:
            return "flooded", bytes(said)
    return "stopped", bytes(said)


def family() -> set[int]:
    """Return the processes, still running, that descend from this one."""
    parents: dict[int, int] = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with suppress(OSError):
                # The name stands in parentheses and may hold anything.
                facts = Path(entry.path, "stat").read_bytes().rpartition(b")")[2].split()
                # What looks dead may be a first thread that has ended before the others.
                if facts[0] not in (b"Z", b"X") or int(facts[THREADS]) > 1:
                    parents[int(entry.name)] = int(facts[PARENT])
    found, new = set(), {os.getpid()}
    while new:
        new = {process for process, parent in parents.items() if parent in new}
        found |= new
    return found


def found(tops: Iterable[str], closed: Callable[[OSError], object] | None = None) -> list[tuple[str, os.stat_result]]:
    """Return what lies below some folders, as (path, facts); call `closed` for those that we may not look into."""
    entries = []
    for top in tops:
        for folder, folders, files in os.walk(top, onerror=closed):
            for name in (*folders, *files):
                path = f"{folder}/{name}"
                with suppress(OSError):
                    entries.append((path, os.lstat(path)))
    return entries
