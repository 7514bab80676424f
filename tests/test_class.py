"""One class of strange submissions, graded in one run: never aborted, each with the marks it must get."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from html import escape

import nbformat
import psutil
import pytest
from bs4 import BeautifulSoup

from helpers import COURSE
from helpers.course import grade
from helpers.course.marks import ledger, reference
from helpers.course.marks.verdicts import explained, judged
from helpers.course.release import notebooks
from helpers.course.report import tables
from helpers.course.run import finished, prepare, sandbox
from helpers.course.run.limits import Limits
from tests import strange
from tests.strange import notebook
from tests.submissions import RIGHT, TOYS

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(900)]

SCRIPT = "def double(x):\n    raise ValueError('<script>steal()</script>')"
CLASS = strange.SUBMISSIONS | {
    "half-wrong": (notebook(RIGHT | {"half": "def half(x):\n    return 2 * x"}), 4, 0, "AssertionError"),
    "script-in-an-error": (notebook(RIGHT | {"double": SCRIPT}), 0, 2, "ValueError"),
    "=formula": (notebook(RIGHT), 4, 2, ""),
}
GRADED = [name for name, (_, double, _, _) in CLASS.items() if double is not None]


# A right answer takes a tenth of a second; on a busy machine, what is stopped is tried again with twice the time.
SECONDS = 2


@pytest.fixture(scope="module")
def graded(toys, tmp_path_factory):
    """The course folder of a graded class, and the rows of grades.csv."""
    folder = tmp_path_factory.mktemp("class")
    strange.write_class(folder / "handed-in", toys["01_toy"], CLASS)
    paths = [toys["01_toy"].path]
    table = grade.grade(folder / "handed-in", folder / "grading", page_paths=paths, cell_seconds=SECONDS, unsafe=True)
    return folder / "grading", table


def rows(table, student):
    return {row["question"]: row for row in table if row["student"] == student}


@pytest.mark.parametrize("name", CLASS)
def test_each_gets_its_marks_and_its_message(graded, name):
    _, double, half, says = CLASS[name]
    mine = rows(graded[1], name)
    message = "\n".join(row["message"] for row in mine.values())
    if double is None:
        assert [row["verdict"] for row in mine.values()] == ["refused"], message
    else:
        assert (mine["test_double"]["score"], mine["test_half"]["score"]) == (f"{double}", f"{half}"), message
    assert says in message


@pytest.mark.parametrize("mode", [{"warm": False}, {"park": False}], ids=["afresh", "replayed"])
def test_verdicts_are_the_same_however_kernels_start_and_halves_are_answered(graded, toys, tmp_path, mode):
    page = toys["01_toy"]
    release, solved = notebooks.student_notebook(page), notebooks.solved_notebook(page)
    # What happened on the way in happens before anything runs.
    students = strange.HONEST | strange.ATTACKS
    submitted = {s: nbformat.read(graded[0] / "submitted" / s / "01_toy" / "01_toy.ipynb", 4) for s in students}
    prepared = {student: prepare.prepared(submitted[student], release, solved) for student in students}
    with ThreadPoolExecutor(2) as executor:
        limits = Limits(SECONDS, 300, **mode)
        todo = [reference.notebook(page), *prepared.values()]
        runs = dict(finished.run_all(todo, tmp_path, executor, limits))
    answers = reference.answers(page, runs[finished.key(todo[0])])
    for student in students:
        notebook, hidden = prepare.merged(submitted[student], runs[finished.key(prepared[student])])
        own = {cell.metadata.nbgrader.grade_id: cell for cell in notebook.cells if "nbgrader" in cell.metadata}
        found = [
            explained(judged(own[check], hidden[check], page, answers), own[check.removeprefix("test_")])
            for check in ("test_double", "test_half")
        ]
        wanted = json.loads((graded[0] / "verdicts" / student / "01_toy.json").read_text("utf-8"))
        assert [asdict(verdict) | {"isolation": sandbox.tier()} for verdict in found] == wanted, student


def test_nobody_is_missing_from_the_tables(graded):
    folder, table = graded
    assert {row["student"] for row in table} == set(CLASS)
    with (folder / "grades.csv").open(newline="") as file:
        written = list(csv.DictReader(file))
    assert tuple(written[0]) == tables.COLUMNS and len(written) == len(table)
    # A spreadsheet would take a name that begins with = for a formula.
    assert {row["student"] for row in written} == {"'=formula", *CLASS} - {"=formula"}


def test_written_answers_wait_to_be_marked_where_there_are_any(graded):
    said = {name: rows(graded[1], name)["q_half"] for name in GRADED}
    assert {name for name, row in said.items() if row["verdict"] != "to be marked"} == {"blank"}
    assert (said["blank"]["score"], said["blank"]["verdict"]) == ("0", "not answered")
    assert {row["score"] for name, row in said.items() if name != "blank"} == {""}


def test_no_page_a_student_gets_shows_a_hidden_test_or_runs_a_script(graded):
    pages = list((graded[0] / "feedback").rglob("*.html"))
    assert len(pages) == len(GRADED)
    for path in pages:
        text = path.read_text("utf-8")
        typed = path.parent.parent.name == "right-with-nbgraders-words"
        assert "numbers.copy" not in text and ("BEGIN HIDDEN" in text) == typed, path
        assert "<script>steal()" not in text, path
        assert ("steal()" in text) == path.relative_to(graded[0] / "feedback").parts[0].startswith("script-in-"), path


def test_a_page_names_the_mistake(graded):
    page = (graded[0] / "feedback" / "squared" / "01_toy" / "01_toy.html").read_text("utf-8")
    assert "You squared x. Multiply it by two." in page


def test_a_page_opens_with_each_question_and_counts_nothing_that_waits(graded):
    page = BeautifulSoup(
        (graded[0] / "feedback" / "half-wrong" / "01_toy" / "01_toy.html").read_text("utf-8"), "html.parser"
    )
    summary = page.select_one(".course-summary")
    lines = [[cell.get_text() for cell in line.find_all("td")] for line in summary.find_all("tr")[1:]]
    assert [line[1:3] for line in lines] == [["4 of 4", "right"], ["0 of 2", "wrong"], [" of 3", "to be marked"]]
    assert summary.b.get_text() == "4 of 6 points; 3 more wait to be marked."
    assert {link["href"].removeprefix("#") for link in summary.find_all("a")} <= {
        a.get("name") for a in page.find_all("a")
    }


def test_the_report_of_the_class_names_whoever_needs_a_human(graded):
    text = (graded[0] / "report.html").read_text("utf-8")
    refused = [name for name, (_, double, _, _) in CLASS.items() if double is None]
    stopped = {row["student"] for row in graded[1] if row["verdict"] == "stopped"}
    assert refused and stopped and all(escape(name) in text for name in (*refused, *stopped))
    assert "<script" not in text


def test_every_verdict_is_in_the_record_with_what_it_was_given_for(graded):
    path = graded[0] / "ledger.jsonl"
    assert len(ledger.verify(path)) == 64
    lines = path.read_text("utf-8").splitlines()
    assert len(lines) == len(GRADED)
    assert all(f'"isolation": "{sandbox.tier()}"' in line for line in lines)


GRADE = """
import sys
from pathlib import Path
from helpers.course import grade

if __name__ == "__main__":
    toy, handed_in, into = map(Path, sys.argv[1:])
    grade.grade(handed_in, into, page_paths=[toy], workers=1, unsafe=True)
"""


def test_a_killed_grading_loses_and_repeats_nothing(toys, tmp_path):
    slow = {
        f"student-{i}": (notebook(RIGHT, strange.code(f"import time; time.sleep(1); print({i})")), 4, 2, "")
        for i in range(4)
    }
    strange.write_class(tmp_path / "handed-in", toys["01_toy"], slow)
    script = tmp_path / "grade_toy.py"
    script.write_text(GRADE)
    command = [sys.executable, script, TOYS / "01_toy.py", tmp_path / "handed-in", tmp_path / "grading"]
    environment = os.environ | {"PYTHONPATH": str(COURSE)}
    first = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 90
    runs = tmp_path / "grading" / "runs"
    while len(list(runs.glob("*.ipynb"))) < 2 and first.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    workers = psutil.Process(first.pid).children(recursive=True)
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert workers and psutil.wait_procs(workers, timeout=20)[1] == []
    kept = {path: path.stat().st_mtime_ns for path in runs.glob("*.ipynb")}
    assert 2 <= len(kept) < 5
    subprocess.run(command, env=environment, check=True, stderr=subprocess.DEVNULL)
    assert all(path.stat().st_mtime_ns == written for path, written in kept.items())
    assert len(list(runs.glob("*.ipynb"))) == 5
    totals = (tmp_path / "grading" / "totals.csv").read_text("utf-8")
    assert totals.count(",6.0,9.0,1") == 4
