"""The hand-in check, last cell of every notebook: what is answered, what is missing, does it run, what to hand in."""

import os
import textwrap
from pathlib import Path

from helpers.handin import answers
from helpers.handin.assignment import handed_out
from helpers.handin.file import write
from helpers.handin.layout import WIDTH
from helpers.handin.notebook import NotebookError, current
from helpers.handin.report import Report
from helpers.handin.running import RUNNING, run_notebook
from helpers.writeup.colab import offer_download


def hand_in(assignment: str, notebook: str | Path | None = None, *, run: bool = True) -> None:
    """Check the notebook of an assignment, print a report, and write hand-in/<assignment>.ipynb beside it.

    The file is a copy of the saved notebook, byte for byte; in Colab it is the notebook in the browser. It is written
    before anything else, whatever is wrong with the notebook.

    Args:
        assignment: such as "01_saliency".
        notebook: its file; None for the notebook that is open.
        run: also run it from top to bottom in a fresh kernel, without its figures. The interrupt button stops this;
            the report comes all the same.
    """
    if os.environ.get(RUNNING):
        return
    try:
        released = handed_out(assignment)
        now = current(assignment, notebook)
    except NotebookError as error:
        print(f"{assignment}: cannot be checked.\n\n{textwrap.fill(str(error), WIDTH)}")
        if notebook is not None and Path(notebook).is_file():
            print(f"\n{write(assignment, Path(notebook)).says}")
        return
    except ValueError as error:
        print(f"The hand-in check cannot start: {error}.")
        return
    written = write(assignment, now.path, now.notebook)
    report = Report(released, now, answers.find(released, now.notebook.cells))
    if answers.are_of(released, now.notebook.cells):
        report.say_answers(run_notebook(now) if run else None)
    else:
        report.say_another()
    report.say_file(written)
    print(report.text(written))
    if written.path:
        offer_download(written.path)
