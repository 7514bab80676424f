"""The file to hand in."""

import json
from dataclasses import dataclass
from pathlib import Path

from nbformat import NotebookNode


@dataclass(frozen=True)
class Written:
    """The file to hand in; where it could not be written, path is None and the failure says why."""

    path: Path | None
    failure: str = ""

    @property
    def says(self) -> str:
        """A line on it, for a notebook that cannot be read."""
        return f"The file is copied as it is to {self.path}." if self.path else f"{self.failure}."


def write(assignment: str, path: Path | None, notebook: NotebookNode | None = None) -> Written:
    """Write the file to hand in, in one step, so that no half of it is ever handed in.

    Args:
        assignment: its name.
        path: the notebook's file, which is copied byte for byte.
        notebook: the notebook itself, where it has no file.
    """
    folder = path.resolve().parent if path else Path.cwd()
    name = f"{assignment}.ipynb"
    if path and (folder.name, path.name) == ("hand-in", name):
        return Written(folder / name)  # the student works in the copy
    target = folder / "hand-in" / name
    partial = target.with_name(f".{name}.part")
    try:
        content = path.read_bytes() if path else json.dumps(notebook, indent=1).encode()
        target.parent.mkdir(exist_ok=True)
        partial.write_bytes(content)
        partial.replace(target)
    except OSError as error:
        return Written(None, f"{target} cannot be written: {error.strerror or error}")
    return Written(target)
