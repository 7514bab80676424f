"""The kernel of a graded notebook: IPython's, on sockets that were made outside its jail and handed in.

It knows two more requests: `park_request` leaves a copy of it behind for a check, and `answer_request` has it answer a
hidden half itself, after which it is of no more use. Nothing that a student's code shadows is part of this.
"""

import json
import os
import sys
import threading
from typing import Any

import zmq
from ipykernel.ipkernel import IPythonKernel
from ipykernel.kernelapp import IPKernelApp
from ipykernel.zmqshell import ZMQInteractiveShell

from helpers.inside.answers import answer

if sys.platform == "linux":
    from helpers.inside.park import park, threads
else:
    from threading import active_count as threads


class Shell(ZMQInteractiveShell):
    """IPython's, which `exit()` and `quit()` do not end."""

    def ask_exit(self) -> None:
        """Go on: the kernel would end a moment later, in the middle of another cell."""


class Kernel(IPythonKernel):
    """With the two requests. `registrar` is the number of the socket on which copies make themselves known."""

    shell_class = Shell
    registrar = -1

    def __init__(self, **options: Any) -> None:
        """Remember what a student's code may put something else in the place of."""
        super().__init__(**options)
        self.publisher = self.shell.display_pub  # type: ignore[union-attr]
        self.own_threads = self.threads_at_fork = 0
        self.shell_handlers |= {"park_request": self.park_request, "answer_request": self.answer_request}

    def kernel_info_request(self, stream: Any, ident: Any, parent: Any) -> Any:
        """Answer the first request there is, after all threads of the kernel have started and before a student's."""
        self.own_threads = self.own_threads or threads()
        return super().kernel_info_request(stream, ident, parent)

    def park_request(self, stream: Any, ident: Any, parent: Any) -> None:
        """Park a copy for a check."""
        self.threads_at_fork = threads()
        try:
            park(self, parent["content"]["check"], self.registrar)
            status = "ok"
        except OSError:
            status = "error"
        assert self.session is not None
        self.session.send(stream, "park_reply", {"status": status}, parent, ident=ident)

    def answer_request(self, stream: Any, ident: Any, parent: Any) -> None:
        """Answer a hidden half; what it says is published."""
        assert self.session is not None
        publish, stdin = self.session.send, self.stdin_socket

        def say(message: bytes) -> None:
            publish(self.iopub_socket, "said", {"message": message.decode()}, parent)
            # The next line of a student's may end this process, with what sockets have not sent yet: wait for "heard".
            if stdin.poll(10_000):
                stdin.recv_multipart()

        answer(self, parent["content"]["code"], say)
        publish(stream, "answer_reply", {"status": "ok"}, parent, ident=ident)


def end_thread_only() -> None:
    """Let `os._exit` in a thread end that thread: it would end the kernel in the middle of a later cell."""
    end_process = os._exit

    def end(status: int) -> None:
        if threading.current_thread() is threading.main_thread():
            end_process(status)
        raise SystemExit(status)

    os._exit = end  # type: ignore[assignment]


def use_given(sockets: dict[str, int]) -> None:
    """Let every later bind to an address in `sockets` ({address: file descriptor}) use the socket that is there."""
    bind = zmq.Socket.bind

    def bind_to_given(given: zmq.Socket[Any], address: str) -> Any:
        if address in sockets:
            given.setsockopt(zmq.USE_FD, sockets[address])
        return bind(given, address)

    zmq.Socket.bind = bind_to_given  # type: ignore[method-assign, assignment]


def main(connection_file: str, sockets: str, registrar: str) -> None:
    """Be the kernel.

    Args:
        connection_file: Jupyter's.
        sockets: {address: file descriptor}, as JSON.
        registrar: the number of the socket on which copies make themselves known.
    """
    use_given(json.loads(sockets))
    end_thread_only()
    Kernel.registrar = int(registrar)
    arguments = ["-f", connection_file, "--HistoryManager.hist_file=:memory:"]
    IPKernelApp.launch_instance(arguments, kernel_class=Kernel)


if __name__ == "__main__":
    # The folder in which it starts; the shell puts it back.
    del sys.path[0]
    main(*sys.argv[1:])
