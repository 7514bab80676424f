"""Marks into nbgrader's gradebook, through preprocessors of ours that `nbgrader_config.py` names.

`nbgrader autograde`, formgrader's button and `make grade` all come through here. What was run before is taken from
the folder of finished runs; what was not is run now.
"""

import hashlib
import json
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from functools import cache
from html import escape
from pathlib import Path

import nbformat
from nbgrader.preprocessors import NbGraderPreprocessor, SaveAutoGrades
from nbgrader.utils import determine_grade
from traitlets import Bool, Integer

from helpers import COURSE
from helpers.course import compare, execute, intake, ledger, notebooks, reference, source
from helpers.course.execute import Limits, is_check


def page_of(assignment):
    """Return the page an assignment is built from; read anew only where its file has changed."""
    path = COURSE / "solutions" / f"{assignment}.py"
    return _page(path, path.stat().st_mtime_ns)


@cache
def _page(path, _changed):
    return source.read(path)


def coursedir(db_url):
    """Return the course folder of nbgrader that a gradebook lies in."""
    return Path(db_url.removeprefix("sqlite:///")).parent


class RepairSubmission(NbGraderPreprocessor):
    """Gives every graded cell of the release exactly once, as `make grade` did at intake."""

    def preprocess(self, nb, resources):
        """Repair the notebook; each repair is a line in the log and, with those of intake, on the feedback page."""
        place = resources["nbgrader"]
        nb, notes = intake.repair(nb, notebooks.student_notebook(page_of(place["assignment"])))
        for note in notes:
            self.log.warning("%s: %s", place["student"], note)
        kept = coursedir(place["db_url"]) / "repairs" / place["student"] / f"{place['assignment']}.txt"
        notes = [*(kept.read_text("utf-8").splitlines() if kept.exists() else []), *notes]
        if notes:
            nb.cells.insert(0, listed(notes))
        return nb, resources


def listed(notes):
    """Return the lines about repairs as a cell for the feedback page; nothing in them is markup."""
    lines = [re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", note) for note in notes]
    text = "\n".join(["**Put right before grading**\n", *(f"- {line}" for line in lines)])
    return nbformat.v4.new_markdown_cell(text, id="repairs")


class GradingPreprocessor(NbGraderPreprocessor):
    """What running and comparing share: the limits and the executor of the missing runs."""

    cell_seconds = Integer(30, help="how long one cell may run").tag(config=True)
    notebook_seconds = Integer(300, help="how long one notebook may run").tag(config=True)
    unsafe = Bool(False, help="run notebooks even where they cannot be isolated").tag(config=True)

    def run(self, nb, resources):
        """Return the executed form of a prepared notebook, from the finished runs where it is among them."""
        kept = coursedir(resources["nbgrader"]["db_url"]) / "runs"
        limits = Limits(self.cell_seconds, self.notebook_seconds, isolated=not self.unsafe)
        with ThreadPoolExecutor(1) as executor:
            executed = list(execute.run_all([nb], kept, executor, limits))
        if not executed:
            raise RuntimeError("the notebook could not be run; the error stands above in the log")
        return executed[0][1]


class RunSubmission(GradingPreprocessor):
    """Takes the place of nbgrader's Execute."""

    def preprocess(self, nb, resources):
        """Run the notebook, figures left out; what its hidden halves said goes into `resources`."""
        page = page_of(resources["nbgrader"]["assignment"])
        prepared = execute.prepared(nb, notebooks.student_notebook(page), notebooks.solved_notebook(page))
        executed = self.run(prepared, resources)
        nb, resources["hidden"] = execute.merged(nb, executed)
        resources["isolation"] = executed.metadata["isolation"]
        return nb, resources


# What the reference and the mutants said, by the content hash of their run: the same for a whole class.
ANSWERS = {}


class CompareWithReference(GradingPreprocessor):
    """Turns captured values into verdicts, kept in `resources` and in `verdicts/<student>/<assignment>.json`."""

    def preprocess(self, nb, resources):
        """Judge every check cell and write the verdict below its visible half."""
        place = resources["nbgrader"]
        page = page_of(place["assignment"])
        prepared = reference.notebook(page)
        name = execute.key(prepared)
        if name not in ANSWERS:
            ANSWERS[name] = reference.answers(page, self.run(prepared, resources))
        answers = ANSWERS[name]
        verdicts = resources["verdicts"] = {}
        for cell in nb.cells:
            if is_check(cell):
                verdict = judged(cell, resources["hidden"][cell.metadata.nbgrader.grade_id], page, answers)
                verdicts[verdict.question] = verdict
                cell.outputs = [*without_captures(cell.outputs), shown(verdict)]
        path = coursedir(place["db_url"]) / "verdicts" / place["student"] / f"{place['assignment']}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        isolation = {"isolation": resources["isolation"]}
        path.write_text(json.dumps([asdict(verdict) | isolation for verdict in verdicts.values()], indent=1), "utf-8")
        entry = {
            "student": place["student"],
            "assignment": place["assignment"],
            "submission": hashlib.sha256("\0".join(cell.source for cell in nb.cells).encode()).hexdigest(),
            "source": hashlib.sha256(page.path.read_bytes()).hexdigest(),
            "environment": execute.fingerprint(),
            **isolation,
            "scores": {verdict.question: verdict.score for verdict in verdicts.values()},
        }
        ledger.append(coursedir(place["db_url"]) / "ledger.jsonl", entry)
        return nb, resources


def judged(cell, hidden, page, answers):
    """Return the Verdict on one check cell, from what its hidden half said.

    Args:
        cell: the check cell with the outputs of its visible half.
        hidden: the outputs of its hidden half.
        page: the page it is from.
        answers: what the reference and the mutants said, by exercise (`reference.answers`).
    """
    question, points = cell.metadata.nbgrader.grade_id, float(cell.metadata.nbgrader.points)
    f = question.removeprefix("test_")
    known, error = answers[f], next(filter(is_error, hidden), None)
    if not known.reference:
        return asserted(cell, hidden)
    public = {f"{output.ename}: {output.evalue}" for output in cell.outputs if is_error(output)}
    try:
        got = compare.captures(hidden)
        judge = reference.judge_of(page, f)
        verdict = compare.grade(question, points, got, known.reference, known.mutants, judge=judge, public=public)
    except compare.CaptureError as problem:
        message = f"What arrived is not what the hidden test sends: {problem}."
        return compare.Verdict(question, 0.0, points, "wrong", message)
    if verdict.verdict == "right" or error is None:
        return verdict
    if error.ename in execute.ENDINGS:
        hint = " Is there a loop that does not end?" if error.ename == "Stopped" else ""
        said = [f"The hidden test was ended: {error.evalue}.{hint}", *([verdict.message] if got else [])]
        return replace(verdict, verdict="stopped", message="\n".join(said))
    return replace(verdict, message="\n".join([compare.public_error(error, public), verdict.message]))


def asserted(cell, hidden):
    """Return the Verdict on a check whose hidden half emits nothing, by nbgrader's own rule.

    An error costs all points, a last value between 0 and the points is the score. A warning costs nothing.
    """
    quiet = [output for output in hidden if output.get("name") != "stderr"]
    score, points = determine_grade(nbformat.from_dict({**cell, "outputs": quiet}))
    error = next(filter(is_error, hidden), None)
    message = f"{error.ename} in the hidden test" if error else ""
    verdict = "right" if score == points else "partly right" if score else "wrong"
    if error is not None and error.ename == "NotImplementedError":
        verdict, message = "not answered", "Not answered."
    return compare.Verdict(cell.metadata.nbgrader.grade_id, score, points, verdict, message)


def is_error(output):
    """Tell whether a notebook output is an error."""
    return output.output_type == "error"


def without_captures(outputs):
    """Return the outputs that carry no captured values."""
    return [output for output in outputs if compare.MIME not in output.get("data", {})]


COLOURS = {"right": "success", "partly right": "warning", "not answered": "info"}


def shown(verdict):
    """Return a verdict as a notebook output for the feedback page; every text in it is escaped."""
    head = f"{verdict.verdict}: {verdict.score:g} of {verdict.max_score:g} points"
    lines = verdict.message.splitlines()
    colour = COLOURS.get(verdict.verdict, "danger")
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return nbformat.v4.new_output(
        "display_data",
        data={
            "text/plain": "\n".join([head, *lines]),
            "text/html": f'<div class="alert alert-{colour}"><b>{escape(head)}</b><ul>{items}</ul></div>',
        },
    )


class SaveVerdicts(SaveAutoGrades):
    """Takes the place of nbgrader's SaveAutoGrades; written answers keep nbgrader's own rule."""

    def _add_score(self, cell, resources):
        verdict = resources["verdicts"].get(cell.metadata.nbgrader.grade_id)
        if verdict is None:
            return super()._add_score(cell, resources)
        place = (self.notebook_id, self.assignment_id, self.student_id)
        recorded = self.gradebook.find_grade(verdict.question, *place)
        recorded.auto_score = verdict.score
        recorded.needs_manual_grade = recorded.manual_score is not None
        self.gradebook.db.commit()


class NoScript(NbGraderPreprocessor):
    """Leaves nothing of a student's that a browser would run; markers and students read it in theirs."""

    def preprocess(self, nb, resources):
        """Keep text and images of outputs; show HTML in a student's own text as text."""
        released = {
            cell.source for cell in notebooks.student_notebook(page_of(resources["nbgrader"]["assignment"])).cells
        }
        for cell in nb.cells:
            for output in cell.get("outputs", []):
                for kind in [kind for kind in output.get("data", {}) if kind not in SAFE]:
                    del output.data[kind]
            if cell.cell_type != "code" and cell.source not in released:
                cell.source = re.sub(r"<(?=[a-zA-Z/!?])", "&lt;", cell.source)
        return nb, resources


SAFE = {"text/plain", "image/png", "image/jpeg"}
