"""How a hidden half is run on a student's names: it says values, and nothing else of it is heard or seen."""

import ast
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from operator import attrgetter
from pathlib import Path
from typing import Any

from helpers.inside.emit import HIDDEN, MIME

Say = Callable[[bytes], None]


def answer(kernel: Any, code: str, say: Say) -> None:
    """Run `code` on the kernel's names and say, as JSON, each thing it emits, its last value, and its error.

    As nbgrader has it, the last value may be a score and an error costs all points. Random numbers are as in every
    other run of this hidden half.
    """
    with silence(kernel, say):
        restart_random_numbers()
        try:
            value = run(code, kernel.shell.user_ns)
            if value is not None:
                say(json.dumps({"value": repr(value)[:1000]}).encode())
        except BaseException as error:
            text = "no text"
            with suppress(BaseException):
                text = str(error)[:10_000]
            say(json.dumps({"error": [type(error).__name__, text]}).encode())


def run(code: str, names: dict[str, Any]) -> Any:
    """Run code; return its last value, as a cell of a notebook has one."""
    body = ast.parse(code)
    last = body.body.pop() if body.body and isinstance(body.body[-1], ast.Expr) else None
    exec(compile(body, HIDDEN, "exec", dont_inherit=True), names)
    if isinstance(last, ast.Expr):
        return eval(compile(ast.Expression(last.value), HIDDEN, "eval", dont_inherit=True), names)
    return None


@contextmanager
def silence(kernel: Any, say: Say) -> Iterator[None]:
    """Let nothing out of this process but what `emit` publishes, which goes to `say`."""
    publish = kernel.session.send

    def send(stream: Any, message: Any, *arguments: Any, **options: Any) -> Any:
        if message == "status":
            return publish(stream, message, *arguments, **options)
        data = message["content"].get("data") if isinstance(message, dict) else None
        if data and MIME in data:
            say(json.dumps({"said": data[MIME]}).encode())
        return None

    kernel.session.send = send
    # Those the kernel began with, and no hook on them: a student's code may have put others in their places.
    publisher = kernel.publisher
    publisher._hooks.clear()
    kernel.shell.display_pub = publisher
    # A stream that a student's code has kept would collect what nobody fetches.
    for stream in (kernel._stdout, kernel._stderr):
        stream.write = len
    sys.stdout = sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
    try:
        yield
    finally:
        kernel.session.send = publish


def restart_random_numbers() -> None:
    """Seed every generator that is there, and let torch compute in this thread: a fork has lost its others."""
    # By attributes: numpy imports its own when it is first asked for.
    for name, seed in (("random", "seed"), ("numpy", "random.seed"), ("torch", "manual_seed")):
        with suppress(Exception):
            attrgetter(seed)(sys.modules[name])(0)
    with suppress(Exception):
        sys.modules["torch"].set_num_threads(1)
