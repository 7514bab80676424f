"""Kernels in a fraction of a second: forked from a server that has imported everything, one server for each process."""

import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Protocol

from helpers.course.run import sandbox
from helpers.inside import frames, jail

STARTUP = 300  # seconds


class Process(Protocol):
    """What is asked of a jail's first process."""

    def poll(self) -> int | None:
        """Return None while it runs."""

    def kill(self) -> None:
        """End it."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it has ended; subprocess.TimeoutExpired where that takes longer than `timeout` seconds."""


class Forked:
    """A process that is the server's child and not ours."""

    stdin = stdout = stderr = None

    def __init__(self, number: int) -> None:
        """Hold on to the process with a number, which nobody else has before the server is asked again."""
        self._file: int | None = None
        with suppress(ProcessLookupError):
            self._file = os.pidfd_open(number)

    def poll(self) -> int | None:
        """Return None while it runs."""
        return 0 if self._file is None or select.select([self._file], [], [], 0)[0] else None

    def kill(self) -> None:
        """End it."""
        if self._file is not None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._file, signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it has ended."""
        if self._file is not None:
            if not select.select([self._file], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("kernel", timeout or 0)
            os.close(self._file)
            self._file = None
        return 0


class Server:
    """The server of this process."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Start it, in the environment of kernels; OSError or EOFError where that fails."""
        self._lock = threading.Lock()
        self._requests, theirs = socket.socketpair()
        with tempfile.TemporaryDirectory(prefix="course-") as home:
            place = Path(home, ".cache", "matplotlib")
            place.mkdir(parents=True)
            for path in map(Path, sandbox.fonts()):
                (place / path.name).write_bytes(path.read_bytes())
            # It ends when nobody is left who could ask: when this process does, however that happens.
            with theirs:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "helpers.inside.server", str(theirs.fileno())],
                    env={**environment, "HOME": home, "OPENBLAS_NUM_THREADS": "1", "MPLBACKEND": INLINE},
                    cwd="/",
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )
            self._requests.settimeout(STARTUP)
            frames.received(self._requests)
        atexit.register(self.close)

    def start(
        self, plan: jail.Plan, addresses: Sequence[str], environment: Mapping[str, str], given: Sequence[int]
    ) -> Forked:
        """Fork a jail; OSError or EOFError where there is no server any more."""
        request = frames.packed(
            json.dumps({"plan": plan, "addresses": list(addresses), "environment": dict(environment)}).encode()
        )
        size = frames.LENGTH.size
        with self._lock:
            socket.send_fds(self._requests, [request[:size]], given)
            self._requests.sendall(request[size:])
            return Forked(json.loads(frames.received(self._requests)))

    def close(self) -> None:
        """End it."""
        self._requests.close()
        self._process.kill()
        self._process.wait()


# Which back end a kernel takes; pyplot looks when it is imported.
INLINE = "module://matplotlib_inline.backend_inline"
_starting = threading.Lock()


def server(environment: Mapping[str, str]) -> Server | None:
    """Return the server of this process, which is started when it is first asked for; None where there can be none."""
    with _starting:
        return _server(tuple(sorted(environment.items())))


@cache
def _server(environment: tuple[tuple[str, str], ...]) -> Server | None:
    try:
        return Server(dict(environment))
    except (OSError, EOFError):
        return None
