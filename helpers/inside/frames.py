"""Messages on a stream: a length in four bytes, then as many bytes."""

import json
import socket
import struct
from collections.abc import Iterator
from typing import Any

LENGTH = struct.Struct(">I")


def packed(message: bytes) -> bytes:
    """Return a message with its length before it."""
    return LENGTH.pack(len(message)) + message


def received(stream: socket.socket) -> bytes:
    """Wait for a message; EOFError where the stream ends."""
    return exactly(stream, LENGTH.unpack(exactly(stream, LENGTH.size))[0])


def exactly(stream: socket.socket, count: int) -> bytes:
    """Wait for `count` bytes; EOFError where the stream ends."""
    data = bytearray()
    while len(data) < count:
        part = stream.recv(min(1 << 16, count - len(data)))
        if not part:
            raise EOFError
        data += part
    return bytes(data)


def split(data: bytes) -> Iterator[bytes]:
    """Yield the whole messages that `data` begins with."""
    while len(data) >= LENGTH.size:
        end = LENGTH.size + LENGTH.unpack(data[: LENGTH.size])[0]
        if end > len(data):
            return
        yield data[LENGTH.size : end]
        data = data[end:]


def ask(stream: socket.socket, **request: Any) -> Any:
    """Send a request as JSON and wait for the answer; EOFError or OSError where nobody answers."""
    stream.sendall(packed(json.dumps(request).encode()))
    return json.loads(received(stream))
