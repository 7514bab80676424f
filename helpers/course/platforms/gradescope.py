"""An autograder for Gradescope, from the same core: a zip to upload, and what runs inside it.

The layout and the form of results.json are those of Gradescope's autograder specification: the zip is unpacked into
source/, one student's files lie in submission/, and results/results.json is what the platform reads.
"""

import json
import shutil
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from helpers import COURSE
from helpers.course.pages import registry

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

    Raises:
        FileNotFoundError: there is no such assignment.
        ValueError: it has nothing to be graded by a machine, or its page is malformed.
    """
    page = registry.page_of(assignment)
    if not page.checks:
        raise ValueError(
            f"found no check in {assignment}, so nothing to autograde; wanted an assignment with exercises. Written "
            f"answers go to the platform as PDF: make pdf NOTEBOOK=notebooks/{assignment}.ipynb STUDENT=template"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    files = [page.path]
    for name in NEEDED:
        place = COURSE / name
        files += [place] if place.is_file() else sorted(file for file in place.rglob("*") if file.is_file())
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in (("setup.sh", SETUP), ("run_autograder", RUN)):
            entry = zipfile.ZipInfo(name)
            entry.external_attr = 0o755 << 16
            archive.writestr(entry, text)
        for file in files:
            if "__pycache__" not in file.parts:
                archive.write(file, file.relative_to(COURSE))
    return path


def results(table: Iterable[dict[str, str]]) -> dict[str, Any]:
    """Return Gradescope's results from the rows of one submission (`helpers.course.report.tables.rows`).

    Written answers are left out: they are marked on the platform.
    """
    table = list(table)
    tests: list[dict[str, Any]] = [
        {
            "name": row["question"],
            "score": float(row["score"]),
            "max_score": float(row["max_score"]),
            "status": "passed" if row["verdict"] == "right" else "failed",
            "output": f"{row['verdict']}\n{row['message']}",
            "output_format": "text",
            "visibility": "visible",
        }
        for row in table
        if row["question"].startswith("test_")
    ]
    refused = [row["message"] for row in table if row["verdict"] == "refused"]
    return {"tests": tests, "score": sum(test["score"] for test in tests), "output": "\n".join(refused)}


def run(base: Path) -> None:
    """Grade what lies in `base`/submission and write `base`/results/results.json, whatever happens."""
    from helpers.course.grade import grade
    from helpers.course.run import sandbox

    # One container per student is the platform's isolation. Its root can run a student's code as another user at least:
    # the answers, the other files of the student's and the results must not be open to that one.
    for path in (registry.SOLUTIONS, base / "submission", base / "submission_metadata.json", base / "results"):
        if path.exists():
            path.chmod(0o700)
    print(sandbox.described(sandbox.tier()))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        shutil.copytree(base / "submission", folder / "class" / "student")
        try:
            outcome = results(grade(folder / "class", folder / "grading", unsafe=True))
        except Exception as error:
            outcome = {"score": 0, "tests": [], "output": f"The autograder failed ({type(error).__name__}): {error}"}
    target = base / "results" / "results.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(outcome, indent=1), "utf-8")


if __name__ == "__main__":
    import sys

    run(Path(sys.argv[1]))
