r"""The written answers of a notebook as a PDF that a grader can page through.

Page 1 has the name, the course and a table of the questions. Then comes one question a page, in the order of the
assignment, answered or not: question k is on page k + 1 of every student, so that one page template fits all.

Where an answer is too long for its page, the page's text is set smaller in steps from 10.5 to 7 pt, and its pictures
shrink with it. What does not fit in 7 pt either continues after the last question.

    write_pdf("07_writeup", "Ada Lovelace")                                in the notebook
    python -m helpers.pdf submitted/*/07_writeup.ipynb --to pdf/           in a shell

The way: Markdown -> pandoc -> Typst -> a PDF for each question -> one PDF. Nothing that a student typed gets into Typst
but through pandoc's writer or as a quoted string, and Typst sees no file but those made here.
"""

import re
import unicodedata
import zlib
from pathlib import Path

from helpers.handin.assignment import handed_out
from helpers.handin.notebook import SAVED_SECONDS, NotebookError, current
from helpers.pdf.markdown import printable
from helpers.pdf.pages import make
from helpers.writeup.colab import offer_download
from helpers.writeup.figures import figure_path

# Those that Unicode does not take apart into a Latin letter and a mark.
_LETTERS = str.maketrans({"ł": "l", "Ł": "L", "ø": "o", "Ø": "O", "đ": "d", "Đ": "D", "ß": "ss", "æ": "ae", "Æ": "Ae"})


def write_pdf(assignment: str, name: str, notebook: str | Path | None = None, to: str | Path | None = None) -> Path:
    """Write the PDF of the written answers, say so, and return its path. In Colab, offer it for download.

    A long answer is set smaller, from 10.5 down to 7 pt, and the pictures shrink with it, until its question fits one
    page. What does not fit then continues after the last question.

    Args:
        assignment: such as "07_writeup".
        name: the student's.
        notebook: its file; None for the notebook that is open.
        to: file or folder; None for <assignment>-<name>.pdf beside the notebook.

    Raises:
        ImportError: a package that makes the PDF is missing; the message names the line that installs it.
        NotebookError: there is no name, or no notebook.
        ValueError: there is no such assignment.
    """
    find_packages()
    name = checked_name(name)
    released = handed_out(assignment)
    now = current(assignment, notebook)
    made = make(released, name, now.notebook, figure_path)
    path = place_for(to, now.path.parent if now.path else Path(), f"{assignment}-{slug(name)}")
    write(path, made.pdf)
    saved = f", from the notebook as saved at {now.saved:%H:%M:%S}" if notebook is None and now.saved else ""
    print(f"Wrote {path}: {made.says}{saved}")
    for remark in made.remarks:
        print(f"  {remark}")
    if saved and now.age > SAVED_SECONDS:
        print("  What you changed after that is not in the PDF: save (Ctrl+S; on a Mac Cmd+S) and run this cell again.")
    offer_download(path)
    return path


def find_packages() -> None:
    """Raise one error that names all packages, and how to install them, where one is missing."""
    try:
        import pypandoc
        import pypdf  # noqa: F401
        import typst  # noqa: F401

        pypandoc.get_pandoc_path()
    except (ImportError, OSError) as error:
        found = f"no {error.name}" if isinstance(error, ImportError) and error.name else str(error).splitlines()[0]
        raise ImportError(
            f"found {found}; the PDF needs the packages typst, pypandoc_binary and pypdf. Run this line in a notebook\n"
            "    %pip install typst pypandoc_binary pypdf\n"
            "or this one in a shell\n"
            "    pip install typst pypandoc_binary pypdf\n"
            "and try again."
        ) from error


def checked_name(name: object) -> str:
    """Return a name without what cannot be printed; NotebookError where nothing is left."""
    shown = " ".join(printable(name).split()) if isinstance(name, str) else ""
    if not shown:
        raise NotebookError(
            f"found the name {name!r}; wanted yours. Write it between the quotes of YOUR_NAME at the top of the "
            "notebook, run that cell, then this one."
        )
    return shown


def slug(name: str) -> str:
    """Return a name in ASCII for a file; a name of other letters than Latin ones becomes a number."""
    name = name.translate(_LETTERS)
    latin = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    slug = re.sub("[^a-z0-9]+", "-", latin.lower()).strip("-")[:60].strip("-")
    return slug or f"{zlib.crc32(name.encode()):08x}"


def place_for(to: str | Path | None, beside: Path, stem: str) -> Path:
    """Return the file to write: `to` is a file if it ends in .pdf, else a folder."""
    to = beside if to is None else Path(to)
    return to if to.suffix.lower() == ".pdf" and not to.is_dir() else to / f"{stem}.pdf"


def write(path: Path, content: bytes) -> None:
    """Write a file, in a folder that may not be there yet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
