"""An autograder for Gradescope, from the same core: a zip to upload, and what runs inside it.

The layout and the form of results.json are those of Gradescope's autograder specification: the zip is unpacked into
source/, one student's files lie in submission/ with submission_metadata.json beside them, and results/results.json is
what the platform reads. Where that is not written, the platform says that the autograder failed, and gives no mark.
"""

import json
import platform
import re
import shutil
import tempfile
import time
import zipfile
from collections.abc import Iterable, Mapping
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from helpers import COURSE
from helpers.course.marks import late, reference
from helpers.course.pages import registry
from helpers.course.pages.cells import Page
from helpers.course.pages.terms import Terms, terms
from helpers.course.release.students import below
from helpers.course.run import finished
from helpers.course.run.executors import executor_on
from helpers.course.run.limits import Limits

SETUP = """#!/usr/bin/env bash
# Run once, when the platform builds the image.
set -euo pipefail
cd /autograder/source
apt-get update && apt-get install -y python3 python3-pip python3-venv bubblewrap
python3 -m venv .venv
.venv/bin/python -m pip install --constraint constraints.txt --editable '.[instructors]'
"""

RUN = """#!/usr/bin/env bash
# Run for every submission. Also runs elsewhere, as `run_autograder FOLDER`, with the same folders below FOLDER.
cd "${1:-/autograder}/source"
PYTHON=.venv/bin/python
[ -x "$PYTHON" ] || PYTHON=python3
exec "$PYTHON" -m helpers.course.platforms.gradescope "${1:-/autograder}"
"""

# The executed reference, in the zip.
ANSWERED = "reference.ipynb"

# What grading needs; the networks come along, since a submission loads them.
NEEDED = (
    "pyproject.toml",
    "constraints.txt",
    "course.toml",
    "nbgrader_config.py",
    "README.md",
    "LICENSE",
    "helpers",
    "data",
)


def build(assignment: str, path: Path) -> Path:
    """Write the autograder of one assignment to a zip file at `path`, and return the path.

    The run of the reference is in it: the platform starts a new container for each submission.

    Raises:
        FileNotFoundError: there is no such assignment.
        ValueError: it has nothing to be graded by a machine, or its page is malformed.
        RuntimeError: the solved notebook does not run.
    """
    page = registry.page_of(assignment)
    if not page.checks:
        raise ValueError(
            f"found no check in {assignment}, so nothing to autograde; wanted an assignment with exercises. Written "
            f"answers go to the platform as PDF: make pdf NOTEBOOK=notebooks/{assignment}.ipynb STUDENT=template"
        )
    executed = answered(page, path.parent / "runs")
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in (("setup.sh", SETUP), ("run_autograder", RUN)):
            entry = zipfile.ZipInfo(name)
            entry.external_attr = 0o755 << 16
            archive.writestr(entry, text)
        archive.writestr(ANSWERED, nbformat.writes(executed))
        archive.write(page.path, f"solutions/{page.path.name}")
        for file in (file for name in NEEDED for file in below(COURSE / name)):
            archive.write(file, file.relative_to(COURSE))
    return path


def answered(page: Page, kept: Path) -> NotebookNode:
    """Run the reference of a page, unless its run is in the folder `kept`; RuntimeError where it does not run."""
    with executor_on(1) as executor:
        runs = finished.run_all([reference.notebook(page)], kept, executor, Limits(), label="running the reference")
        executed = next((run for _, run in runs), None)
    if executed is None:
        raise RuntimeError(f"{page.path}: the reference could not be run on this machine")
    reference.answers(page, executed)
    executed.metadata["built"] = built_with()
    return executed


def built_with() -> dict[str, str]:
    """Return what the values of a run depend on besides the code: they are close to each other, but not the same."""
    return {"machine": platform.machine()} | {name: version(name) for name in ("torch", "torchvision", "numpy")}


def shipped(page: Page, source: Path) -> NotebookNode | None:
    """Return the run of the reference that came with the zip, where it is one of this page in this environment."""
    if not (source / ANSWERED).exists():
        return None
    executed, wanted = nbformat.read(source / ANSWERED, 4), reference.notebook(page)
    same = [(cell.id, cell.source) for cell in executed.cells] == [(cell.id, cell.source) for cell in wanted.cells]
    return executed if same and executed.metadata.get("built") == built_with() else None


def results(table: Iterable[Mapping[str, str]], page: Page, found: Terms, hours_late: float = 0.0) -> dict[str, Any]:
    """Return Gradescope's results from the rows of one submission (`helpers.course.report.tables.rows`).

    Written answers are left out: they are marked on the platform.

    Args:
        table: the rows.
        page: the page of the assignment.
        found: what late work costs and who sees what when.
        hours_late: hours after the due date at which the submission was made.
    """
    rows = {row["question"]: row for row in table}
    tests: list[dict[str, Any]] = []
    for name in page.checks:
        if (row := rows.get(f"test_{name}")) is None:
            continue
        number, title = titled(page, name)
        message = {"output": f"{row['verdict']}\n{row['message']}".strip(), "output_format": "text"}
        score = {
            "score": float(row["score"]),
            "max_score": float(row["max_score"]),
            "status": "passed" if row["verdict"] == "right" else "failed",
        }
        mark = {"number": number, "name": title, "visibility": found.show_scores}
        if found.show_messages == found.show_scores:
            tests.append(mark | score | message)
        else:
            tests.append(mark | score)
            tests.append(mark | message | {"name": f"{title}: what was found", "visibility": found.show_messages})
    total = sum(test.get("score", 0.0) for test in tests)
    said = [row["message"] for row in rows.values() if row["verdict"] == "refused"]
    if lost := late.lost(total, hours_late * late.HOUR, found.per_day, found.grace_minutes):
        said.append(f"Handed in {hours_late:.1f} hours late: {lost:.4g} of {total:g} points are taken off.")
        total -= lost
    return {"score": total, "tests": tests, "output": "\n".join(said), "stdout_visibility": "hidden"}


def titled(page: Page, exercise: str) -> tuple[str, str]:
    """Return the number of an exercise and its title, from its heading: "### Exercise 1.1: Saliency maps"."""
    heading = page.exercises[exercise].heading.lstrip("# ")
    found = re.fullmatch(r"\D*([\d.]+\d|\d+)[:.]?\s+(.+)", heading)
    return (found[1], found[2]) if found else ("", heading)


def hours_late(path: Path) -> float:
    """Return how many hours after the student's due date a submission was made, by its submission_metadata.json."""
    if not path.exists():
        return 0.0
    about = json.loads(path.read_text("utf-8"))
    # An extension is the student's own; a group has that of its most generously treated member.
    dates = [user.get("assignment", {}).get("due_date") for user in about.get("users", [])]
    dates = list(filter(None, dates)) or list(filter(None, [about.get("assignment", {}).get("due_date")]))
    if not dates or not about.get("created_at"):
        return 0.0
    due = max(map(datetime.fromisoformat, dates))
    return max(0.0, (datetime.fromisoformat(about["created_at"]) - due).total_seconds() / late.HOUR)


def run(base: Path) -> None:
    """Grade what lies in `base`/submission and write `base`/results/results.json.

    A failure of ours is no mark: nothing is written, the log is printed, for instructors alone, and the error goes on.
    """
    from helpers.course.grade import grade
    from helpers.course.run import sandbox

    target = base / "results" / "results.json"
    target.unlink(missing_ok=True)
    # One container per student is the platform's isolation. Its root can run a student's code as another user at least:
    # the answers, the other files of the student's and the results must not be open to that one.
    closed = (
        registry.SOLUTIONS,
        COURSE / ANSWERED,
        base / "submission",
        base / "submission_metadata.json",
        target.parent,
    )
    for path in filter(Path.exists, closed):
        path.chmod(0o700)
    print(sandbox.described(sandbox.tier()))
    (page,) = registry.pages().values()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        shutil.copytree(base / "submission", folder / "class" / "student")
        if executed := shipped(page, COURSE):
            (folder / "grading" / "runs").mkdir(parents=True)
            key = finished.key(reference.notebook(page))
            nbformat.write(executed, folder / "grading" / "runs" / f"{key}.ipynb")
        else:
            print(f"The zip holds no run of the reference for {built_with()}: it is run now, which takes its time.")
        try:
            table = grade(folder / "class", folder / "grading", unsafe=True)
            if failed := [row["message"] for row in table if row["verdict"] == "failed"]:
                raise RuntimeError("\n".join(failed))
        except BaseException:
            if (log := folder / "grading" / "grading.log").exists():
                print(log.read_text("utf-8"))
            raise
    outcome = results(table, page, terms(), hours_late(base / "submission_metadata.json"))
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(outcome | {"execution_time": round(time.monotonic() - started)}, indent=1), "utf-8")


if __name__ == "__main__":
    import sys

    run(Path(sys.argv[1]))
