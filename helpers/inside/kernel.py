"""The kernel of a graded notebook: IPython's, on sockets that were made outside its jail and handed in."""

import json
import sys

import zmq
from ipykernel.kernelapp import IPKernelApp


def use_given(sockets):
    """Let every later bind to an address in `sockets` ({address: file descriptor}) use the socket that is there."""
    bind = zmq.Socket.bind

    def bind_to_given(socket, address):
        if address in sockets:
            socket.setsockopt(zmq.USE_FD, sockets[address])
        return bind(socket, address)

    zmq.Socket.bind = bind_to_given


if __name__ == "__main__":
    connection_file, sockets = sys.argv[1:]
    # The folder in which it starts; the shell puts it back.
    del sys.path[0]
    use_given(json.loads(sockets))
    IPKernelApp.launch_instance(["-f", connection_file, "--HistoryManager.hist_file=:memory:"])
