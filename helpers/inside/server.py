"""A process that has imported what notebooks import, and is forked into jails, where each fork becomes a kernel.

It runs nothing: neither an operation of torch's, which would start threads that no fork has, nor code of a student's.
So what one kernel finds in its memory is what every kernel finds there.
"""

import gc
import importlib
import json
import os
import pkgutil
import signal
import socket
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import helpers.checks
from helpers.inside import frames, jail, kernel
from helpers.inside.system import SET_DUMPABLE, call

# What the cells of notebooks and hidden halves import takes seconds together. The optimisers import the compiler when
# they are first used. But not torchvision: only its own networks need it, and every fork would take longer.
MODULES = (
    *("torch", "torch.nn.functional", "torch._dynamo", "numpy", "numpy.random", "PIL.Image", "scipy.ndimage"),
    *("matplotlib.figure", "matplotlib.pyplot", "matplotlib.backends.backend_agg", "matplotlib.font_manager"),
    *("ipykernel.kernelapp", "ipykernel.ipkernel", "IPython", "IPython.core.completer"),
    *("helpers.inside.emit", "helpers.writeup"),
)
# Those of which every module is imported.
PACKAGES = (helpers, helpers.checks)

FIRST_FREE = 3


def warm_up() -> None:
    """Import everything; SystemExit where that has started a thread."""
    inside = [
        f"{package.__name__}.{module.name}"
        for package in PACKAGES
        for module in pkgutil.iter_modules(package.__path__)
        if not module.ispkg
    ]
    for name in (*MODULES, *inside):
        # What cannot be had here, a kernel will miss in its own way.
        with suppress(ImportError):
            importlib.import_module(name)
    if len(list(Path("/proc/self/task").iterdir())) > 1:
        sys.exit("a thread was started by an import: kernels cannot be forked")
    # Not to be touched by the collectors of the forks, so that they share its memory.
    gc.collect()
    gc.freeze()


def serve(requests: socket.socket) -> None:
    """Fork a jail for every request until nobody is there to make one."""
    requests.sendall(frames.packed(b"ready"))
    while True:
        header, given, _, _ = socket.recv_fds(requests, frames.LENGTH.size, 16)
        if not header:
            return
        request = json.loads(frames.exactly(requests, frames.LENGTH.unpack(header)[0]))
        # Those of earlier requests: not before, so that the number of the last one is nobody else's meanwhile.
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        child = os.fork()
        if child == 0:
            try:
                become_jail(given, **request)
            finally:
                os._exit(1)
        for number in given:
            os.close(number)
        requests.sendall(frames.packed(json.dumps(child).encode()))


def become_jail(given: list[int], plan: jail.Plan, addresses: list[str], environment: dict[str, str]) -> None:
    """Become a jail with a kernel; `given` are its sockets at `addresses`, and the one to its supervisor."""
    os.setsid()
    moved = move(given)
    os.environ.clear()
    os.environ.update(environment)
    tempfile.tempdir = None
    plan["control"] = moved.pop()
    connection_file = plan["command"][-3]
    plan["command"][-2] = json.dumps(dict(zip(addresses, moved, strict=True)))

    def become_kernel(command: list[str]) -> None:
        # As if it had been started afresh: it may look at itself.
        call("prctl", SET_DUMPABLE, 1, 0, 0, 0)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.argv = [command[0], *command[-3:]]
        kernel.main(connection_file, *command[-2:])

    jail.carry_out(plan, become_kernel)


def move(given: list[int]) -> list[int]:
    """Close all that is open but `given`, and what leads nowhere; return the numbers that these have then.

    A file that is open outside is a way out of a jail.
    """
    high = [os.dup2(number, 1000 + position, inheritable=False) for position, number in enumerate(given)]
    os.closerange(FIRST_FREE, 1000)
    moved = [os.dup2(number, FIRST_FREE + position) for position, number in enumerate(high)]
    os.closerange(FIRST_FREE + len(moved), 1 << 16)
    return moved


def main(number: str) -> None:
    """Serve on a socket that was handed in."""
    del sys.path[0]
    warm_up()
    serve(socket.socket(fileno=int(number)))


if __name__ == "__main__":
    main(*sys.argv[1:])
