"""Copies of a kernel that stand where a check stood, each until it is handed its hidden half and has answered it."""

import json
import os
import signal
import threading
from contextlib import suppress
from pathlib import Path
from socket import AF_UNIX, SOCK_STREAM, send_fds, socket, socketpair
from typing import Any

from helpers.inside import frames
from helpers.inside.answers import answer


def park(kernel: Any, check: str, registrar: int) -> None:
    """Leave a copy of this process behind for `check`, which makes itself known on the socket `registrar`."""
    helper = os.fork()
    if helper:
        os.waitpid(helper, 0)
        return
    # The copy is nobody's child here: a student's code may wait for its own.
    try:
        if os.fork() == 0:
            live(kernel, check, registrar)
    finally:
        os._exit(0)


def live(kernel: Any, check: str, registrar: int) -> None:
    """Wait for a hidden half, answer it, and end."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nowhere, number)
    channel, other_end = socketpair(AF_UNIX, SOCK_STREAM)
    with other_end, socket(fileno=registrar) as door:
        send_fds(door, [check.encode()], [other_end.fileno()])
    code = frames.received(channel).decode()

    def say(message: bytes) -> None:
        channel.sendall(frames.packed(message))

    say(json.dumps({"awake": lost_threads(kernel)}).encode())
    with suppress(BaseException):
        answer(kernel, code, say)
    say(json.dumps({"done": True}).encode())


def lost_threads(kernel: Any) -> int:
    """Return how many threads of a student's this copy has lost, without which his functions may wait for ever."""
    return max(0, kernel.threads_at_fork - kernel.own_threads)


def threads() -> int:
    """Return how many threads this process has, Python's or not."""
    try:
        return len(list(Path("/proc/self/task").iterdir()))
    except OSError:
        return threading.active_count()
