"""An assignment as it was handed out, and the notebook a student has made of it.

`make notebooks` writes data/released/<assignment>.json: the cells that count, as released. The hand-in check and the
PDF of the written answers go by it, whatever has become of the notebook.
"""

import json
import os
import re
import sys
import textwrap
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

import nbformat

from helpers import DATA

NOT_ANSWERED = "*Your answer here.*"
SAVED_SECONDS = 15  # an older file may lack what was typed since
_STUB = re.compile(r'raise NotImplementedError\("\w+: replace this line"\)')


class NotebookError(ValueError):
    """The notebook cannot be found, read or used; the message says what to do."""

    def _render_traceback_(self):
        """Return what a notebook shows in place of a traceback, which would only lead into our files."""
        return textwrap.wrap(str(self), 92, break_long_words=False, break_on_hyphens=False)


@dataclass(frozen=True)
class Item:
    """A cell that counts, as it was handed out.

    id: nbgrader's grade id
    kind: setup, exercise, check or question
    title: heading above an exercise or a question, without its #
    source: text of the cell; an exercise's stub, a question's placeholder
    points: of a check or a question
    words: of a question, how many it may have
    text: of a question, its prose (Markdown), from the heading on
    figures: of a question, the figures of other notebooks collected for it, such as "01_saliency-maps"
    """

    id: str
    kind: str
    title: str
    source: str
    points: int | None = None
    words: int | None = None
    text: str = ""
    figures: tuple[str, ...] = ()


@dataclass(frozen=True)
class Assignment:
    """An assignment: its file name without the ending, its title, the name of the course, the cells that count."""

    name: str
    title: str
    course: str
    items: tuple[Item, ...]

    def _of(self, kind: str) -> tuple[Item, ...]:
        return tuple(item for item in self.items if item.kind == kind)

    @property
    def exercises(self) -> tuple[Item, ...]:
        """The functions to write, in order."""
        return self._of("exercise")

    @property
    def checks(self) -> tuple[Item, ...]:
        """The check cells, one for each exercise."""
        return self._of("check")

    @property
    def questions(self) -> tuple[Item, ...]:
        """The written questions, in order."""
        return self._of("question")

    def as_json(self) -> str:
        """Return the text of its file in data/released/."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n"


def handed_out(name: str) -> Assignment:
    """Return the assignment `name`, such as "07_writeup"; ValueError where there is none of this name."""
    folder = DATA / "released"
    path = folder / f"{name}.json"
    if not path.is_file():
        known = ", ".join(sorted(other.stem for other in folder.glob("*.json"))) or "none"
        raise ValueError(f"found no assignment {name!r}; known are {known}")
    content = json.loads(path.read_text("utf-8"))
    items = (Item(**{**item, "figures": tuple(item["figures"])}) for item in content.pop("items"))
    return Assignment(**content, items=tuple(items))


# ------------------------------------------------------------------------------------------------ the notebook


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
    if path is None and (live := _notebook_in_colab()) is not None:
        return Current(live)
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
        notebook = nbformat.reads(text, as_version=4)
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


def _notebook_in_colab() -> nbformat.NotebookNode | None:
    """Return the notebook in the browser, unsaved changes included, where this is Colab."""
    if "google.colab" not in sys.modules:
        return None
    from google.colab import _message

    answer = _message.blocking_request("get_ipynb", timeout_sec=30)
    if not answer:
        raise NotebookError("Colab did not hand over the notebook within 30 seconds. Run this cell again.")
    return parsed(json.dumps(answer["ipynb"]), "what Colab handed over")


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


def is_answered(item: Item, source: str | None) -> bool:
    """Return whether `source` answers a question or an exercise: something stands in place of what was handed out."""
    if item.kind == "exercise":
        return bool(source) and bool(source.strip()) and not _STUB.search(source)
    return bool(source) and source.strip() not in ("", NOT_ANSWERED)
