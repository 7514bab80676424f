"""The notebook that a student works in: found, and read."""

import json
import os
import sys
import textwrap
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import nbformat

from helpers.writeup import colab

SAVED_SECONDS = 15  # an older file may lack what was typed since


class NotebookError(ValueError):
    """The notebook cannot be found, read or used; the message says what to do."""

    def _render_traceback_(self) -> list[str]:
        """Return what a notebook shows in place of a traceback, which would only lead into our files."""
        return textwrap.wrap(str(self), 92, break_long_words=False, break_on_hyphens=False)


@dataclass(frozen=True)
class Current:
    """A student's notebook as it is now: its content, its file (None in Colab), and when that was last saved."""

    notebook: nbformat.NotebookNode
    path: Path | None = None
    saved: datetime | None = None

    @property
    def age(self) -> float:
        """Seconds since its file was saved; 0 in Colab."""
        return max(0.0, (datetime.now() - self.saved).total_seconds()) if self.saved else 0.0


def current(name: str, path: str | Path | None = None) -> Current:
    """Return the notebook of assignment `name` that is open here.

    It is the file at `path` if given, else Colab's notebook as it is in the browser, else the file that Jupyter or
    VS Code runs, else the one <name>*.ipynb in the working folder.

    Raises:
        NotebookError: it cannot be found, or is no notebook.
    """
    if path is None and colab.is_here():
        return Current(_in_colab())
    path = Path(path) if path is not None else _open_file(name)
    return Current(read(path), path, datetime.fromtimestamp(path.stat().st_mtime))


def read(path: str | Path) -> nbformat.NotebookNode:
    """Return the notebook in a file, in nbformat's version 4; NotebookError where there is none."""
    path = Path(path)
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        raise NotebookError(f"found no file {path}; wanted a notebook (.ipynb). Check name and folder.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise NotebookError(f"{path} cannot be read ({error}); wanted a notebook (.ipynb).") from error
    return parsed(text, str(path))


def parsed(text: str, where: str) -> nbformat.NotebookNode:
    """Return the notebook in a text, in nbformat's version 4; NotebookError where it is none."""
    try:
        # As grading reads it: nbformat.reads would give new ids to cells that share one.
        notebook = nbformat.convert(nbformat.reader.reads(text), 4)
        # nbformat lets much pass that has no cells; what follows needs these.
        for cell in notebook.cells:
            cell.source = "".join(cell.source)
            cell.setdefault("metadata", nbformat.NotebookNode())
    except Exception as error:
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise NotebookError(
            f"{where} is not a notebook ({said[:120]}). Save the notebook in Jupyter or Colab (.ipynb) and try again."
        ) from error
    return notebook


def _in_colab() -> nbformat.NotebookNode:
    """Return the notebook in the browser, unsaved changes included."""
    if (live := colab.open_notebook()) is None:
        raise NotebookError("Colab did not hand over the notebook within 30 seconds. Run this cell again.")
    return parsed(json.dumps(live), "what Colab handed over")


def _open_file(name: str) -> Path:
    """Return the file this kernel runs, as Jupyter (JPY_SESSION_NAME) or VS Code tell it, else the one that fits."""
    shell = sys.modules.get("IPython") and sys.modules["IPython"].get_ipython()
    told = (shell.user_ns.get("__vsc_ipynb_file__") if shell else None) or os.environ.get("JPY_SESSION_NAME", "")
    # A kernel that was started for another file, or a console, has another name; Jupyter's path may be of its own root.
    for place in (Path(told), Path(told).name) if told.endswith(".ipynb") else ():
        if (path := Path(place)).is_file() and name in path.name:
            return path
    found = sorted(path for path in Path().glob("*.ipynb") if path.name.startswith(name))
    if len(found) == 1:
        return found[0]
    shown = ", ".join(path.name for path in found) or "none"
    raise NotebookError(
        f"found no single notebook {name}*.ipynb in {Path.cwd()} (found: {shown}). Say which one is yours: add "
        '`notebook="path/to/your/notebook.ipynb"` to the call.'
    )
