"""Marks into nbgrader's gradebook, through preprocessors of ours that `nbgrader_config.py` names.

`nbgrader autograde`, formgrader's button and `make grade` all come through here. What was run before is taken from
the folder of finished runs; what was not is run now.
"""

import hashlib
import json
import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict

import nbformat
from nbformat import NotebookNode
from nbgrader.api import Grade, Gradebook
from nbgrader.preprocessors import NbGraderPreprocessor
from nbgrader.utils import compute_checksum, determine_grade, is_grade, is_solution, is_task
from traitlets import Bool, Integer

from helpers.course import whole
from helpers.course.intake import pictures
from helpers.course.intake.repair import repair
from helpers.course.marks import ledger, reference
from helpers.course.marks.compare import Verdict
from helpers.course.marks.place import Place
from helpers.course.marks.reference import Answers
from helpers.course.marks.verdicts import explained, judged
from helpers.course.run import finished, prepare
from helpers.course.run.limits import Limits
from helpers.course.run.prepare import is_check
from helpers.handin.assignment import NOT_ANSWERED


class RepairSubmission(NbGraderPreprocessor):
    """Gives every graded cell of the release exactly once, as `make grade` did at intake.

    Takes the place of nbgrader's ClearOutput as well: no output is left but the pictures of collected figures.
    """

    def preprocess(self, nb: NotebookNode, resources: dict) -> tuple[NotebookNode, dict]:
        """Repair the notebook; each repair is a line in the log and, with those of intake, on the feedback page."""
        place = Place.of(resources)
        nb, notes = repair(nb, place.release)
        for note in notes:
            self.log.warning("%s: %s", place.student, note)
        kept = place.file("repairs", ".txt")
        notes = [*(kept.read_text("utf-8").splitlines() if kept.exists() else []), *notes]
        if notes:
            nb.cells.insert(0, listed(notes))
        return nb, resources


def listed(notes: Iterable[str]) -> NotebookNode:
    """Return the lines about repairs as a cell for the feedback page; nothing in them is markup."""
    lines = [re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", note) for note in notes]
    text = "\n".join(["## Put right before grading\n", *(f"- {line}" for line in lines)])
    return nbformat.v4.new_markdown_cell(text, id="repairs")


class GradingPreprocessor(NbGraderPreprocessor):
    """What running and comparing share: the limits and the executor of the missing runs."""

    cell_seconds = Integer(30, help="how long one cell may run").tag(config=True)
    notebook_seconds = Integer(300, help="how long one notebook may run").tag(config=True)
    unsafe = Bool(False, help="run notebooks even where they cannot be isolated").tag(config=True)

    def run(self, nb: NotebookNode, place: Place) -> NotebookNode:
        """Return the executed form of a prepared notebook, from the finished runs where it is among them."""
        limits = Limits(self.cell_seconds, self.notebook_seconds, isolated=not self.unsafe)
        with ThreadPoolExecutor(1) as executor:
            executed = list(finished.run_all([nb], place.folder / "runs", executor, limits, again=False))
        if not executed:
            raise RuntimeError("the notebook could not be run; the error stands above in the log")
        return executed[0][1]


class RunSubmission(GradingPreprocessor):
    """Takes the place of nbgrader's Execute."""

    def preprocess(self, nb: NotebookNode, resources: dict) -> tuple[NotebookNode, dict]:
        """Run the notebook, figures left out; what its hidden halves said goes into `resources`."""
        place = Place.of(resources)
        executed = self.run(prepare.prepared(nb, place.release, place.solved), place)
        handed_in, figures = nb, pictures.figures(place.release)
        nb, resources["hidden"] = prepare.merged(nb, executed)
        for cell, before in zip(nb.cells, handed_in.cells, strict=True):
            if pictures.figure_of(cell) in figures:
                cell.outputs = before.outputs
        resources["isolation"] = executed.metadata["isolation"]
        return nb, resources


# What the reference and the mutants said, by the content hash of their run: the same for a whole class.
ANSWERS: dict[str, dict[str, Answers]] = {}


class CompareWithReference(GradingPreprocessor):
    """Turns captured values into verdicts, kept in `resources`, in `verdicts/` and in the ledger."""

    def preprocess(self, nb: NotebookNode, resources: dict) -> tuple[NotebookNode, dict]:
        """Judge every check cell."""
        place = Place.of(resources)
        prepared = reference.notebook(place.page)
        name = finished.key(prepared)
        if name not in ANSWERS:
            ANSWERS[name] = reference.answers(place.page, self.run(prepared, place))
        hidden = resources["hidden"]
        own = {cell.metadata.nbgrader.grade_id: cell for cell in nb.cells if "nbgrader" in cell.metadata}
        found = [
            explained(judged(cell, hidden[check], place.page, ANSWERS[name]), own.get(check.removeprefix("test_")))
            for check, cell in own.items()
            if is_check(cell)
        ]
        resources["verdicts"] = {verdict.question: verdict for verdict in found}
        isolation = {"isolation": resources["isolation"]}
        said = json.dumps([asdict(verdict) | isolation for verdict in found], indent=1)
        whole.write(place.file("verdicts", ".json"), said)
        entry = {
            "student": place.student,
            "assignment": place.assignment,
            "submission": hashlib.sha256("\0".join(cell.source for cell in nb.cells).encode()).hexdigest(),
            "source": hashlib.sha256(place.page.path.read_bytes()).hexdigest(),
            "environment": finished.fingerprint(),
            **isolation,
            "scores": {verdict.question: verdict.score for verdict in found},
        }
        ledger.append(place.folder / "ledger.jsonl", entry)
        return nb, resources


class SaveVerdicts(NbGraderPreprocessor):
    """Takes the place of nbgrader's SaveAutoGrades, and keeps marks: what is as it was marked is not marked again.

    nbgrader asks for a second look at everything marked whenever it is graded again. Here it is asked for where the
    text of an answer is another than the marked one, and where the automatic score of an overridden check is. What was
    marked is kept in `marked/<student>/<assignment>.json`. An answer without a mark keeps nbgrader's own rule.
    """

    def preprocess(self, nb: NotebookNode, resources: dict) -> tuple[NotebookNode, dict]:
        """Save the scores of all cells, in one transaction, and which texts they were given for."""
        about, kept = resources["nbgrader"], Place.of(resources).file("marked", ".json")
        texts = json.loads(kept.read_text("utf-8")) if kept.exists() else {}
        with Gradebook(about["db_url"]) as gradebook:
            recorded = gradebook.find_submission_notebook(about["notebook"], about["assignment"], about["student"])
            grades = {grade.name: grade for grade in recorded.grades}
            comments = {comment.name: comment for comment in recorded.comments}
            for cell in nb.cells:
                name = cell.metadata.get("nbgrader", {}).get("grade_id")
                if is_grade(cell) and name in resources["verdicts"]:
                    save_verdict(grades[name], resources["verdicts"][name])
                elif is_grade(cell):
                    texts[name] = save_answer(cell, grades[name], texts.get(name))
                if is_solution(cell) or is_task(cell):
                    unchanged = cell.metadata.nbgrader.get("checksum") == compute_checksum(cell)
                    comments[name].auto_comment = "No response." if unchanged and not is_task(cell) else None
            gradebook.db.commit()
        whole.write(kept, json.dumps(texts, indent=1))
        return nb, resources


def save_verdict(recorded: Grade, verdict: Verdict) -> None:
    """Put the verdict on a check into its grade."""
    changed = recorded.auto_score != verdict.score
    recorded.auto_score = verdict.score
    recorded.needs_manual_grade = recorded.manual_score is not None and (recorded.needs_manual_grade or changed)


def save_answer(cell: NotebookNode, recorded: Grade, before: dict[str, str | None] | None) -> dict[str, str | None]:
    """Put a written answer into its grade.

    Args:
        cell: the answer.
        recorded: its grade.
        before: what this function returned when it was graded last, if it was.

    Returns:
        The hashes of the text that is graded now, and of the one that the mark was given for.
    """
    waited, now, marked = recorded.needs_manual_grade, text_hash(cell), None
    recorded.auto_score, _ = determine_grade(cell)
    recorded.needs_manual_grade = recorded.manual_score is not None or recorded.auto_score is None
    if recorded.manual_score is not None and before:
        # A mark that waited for a second look was given for an earlier text than the last one.
        marked = before["marked"] if waited else before["graded"]
        recorded.needs_manual_grade = marked != now
    if recorded.manual_score is None and cell.source.strip() in ("", NOT_ANSWERED):
        recorded.auto_score, recorded.needs_manual_grade = 0.0, False
    return {"graded": now, "marked": marked}


def text_hash(cell: NotebookNode) -> str:
    """Return the hash of a written answer: its text and the pictures attached to it."""
    content = json.dumps([cell.source.strip(), cell.get("attachments", {})], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()
