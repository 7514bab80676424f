"""The file to hand in."""

import json
from dataclasses import dataclass
from pathlib import Path

from helpers.handin.notebook import Current


@dataclass(frozen=True)
class Written:
    """The file to hand in; where it could not be written, path is None and the failure says why."""

    path: Path | None
    failure: str = ""

    @property
    def says(self) -> str:
        """A line on it, for a notebook that cannot be read."""
        return f"The file is copied as it is to {self.path}." if self.path else f"{self.failure}."


def write(assignment: str, now: Current) -> Written:
    """Write the file to hand in, in one step, so that no half of it is ever handed in."""
    folder = now.path.resolve().parent if now.path else Path.cwd()
    name = f"{assignment}.ipynb"
    if now.path and (folder.name, now.path.name) == ("hand-in", name):
        return Written(folder / name)  # the student works in the copy
    target = folder / "hand-in" / name
    partial = target.with_name(f".{name}.part")
    try:
        content = now.path.read_bytes() if now.path else json.dumps(now.notebook, indent=1).encode()
        target.parent.mkdir(exist_ok=True)
        partial.write_bytes(content)
        partial.replace(target)
    except OSError as error:
        return Written(None, f"{target} cannot be written: {error.strerror or error}")
    return Written(target)
