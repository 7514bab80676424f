"""What a student's process said in answer to a hidden half, made into notebook outputs. Nothing of it is trusted."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import nbformat
from nbformat import NotebookNode

from helpers.course.run.limits import Limits, died, error_output, flooded, stopped
from helpers.inside.emit import MIME


@dataclass
class Heard:
    """The outputs of a hidden half; whether it began and came to its end; how many threads its copy had lost."""

    outputs: list[NotebookNode] = field(default_factory=list)
    awake: bool = False
    done: bool = False
    lost: int = 0

    def take(self, said: bytes) -> None:
        """Take one message; one that cannot be read becomes values that nobody can read."""
        try:
            message: Any = json.loads(said)
        except (ValueError, RecursionError):
            message = None
        match message:
            case {"awake": int(lost)}:
                self.awake, self.lost = True, lost
            case {"done": True}:
                self.done = True
            case {"said": dict(payload)}:
                self.outputs.append(nbformat.v4.new_output("display_data", data={MIME: payload}))
            case {"value": str(text)}:
                self.outputs.append(nbformat.v4.new_output("execute_result", data={"text/plain": text}))
            case {"error": [str(ename), str(evalue)]}:
                self.outputs.append(error_output(ename, evalue))
            case _:
                self.outputs.append(nbformat.v4.new_output("display_data", data={MIME: {}}))


def heard(messages: Iterable[bytes], how: str, limits: Limits, code: int | None = None) -> Heard:
    """Return what was heard in `messages` of a process that ended as `how` and `code` say (`Supervisor.do_wake`)."""
    result = Heard()
    for message in messages:
        result.take(message)
    if how == "stopped":
        result.outputs.append(stopped(limits.cell))
    elif how == "flooded":
        result.outputs.append(flooded(limits))
    elif not result.done:
        result.outputs.append(died(code))
    return result
