"""Marks into nbgrader's gradebook, through preprocessors of ours that `nbgrader_config.py` names.

`nbgrader autograde`, formgrader's button and `make grade` all come through here. What was run before is taken from
the folder of finished runs; what was not is run now.
"""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from html import escape
from pathlib import Path

import nbformat
from nbgrader.preprocessors import NbGraderPreprocessor, SaveAutoGrades
from nbgrader.utils import is_grade, is_solution
from traitlets import Integer

from helpers import COURSE
from helpers.course import compare, execute, intake, notebooks, reference, source
from helpers.course.execute import Limits, is_check


def page_of(assignment):
    """Return the page an assignment is built from."""
    return source.read(COURSE / "solutions" / f"{assignment}.py")


def coursedir(db_url):
    """Return the course folder of nbgrader that a gradebook lies in."""
    return Path(db_url.removeprefix("sqlite:///")).parent


class RepairSubmission(NbGraderPreprocessor):
    """Gives every graded cell of the release exactly once, as `make grade` did at intake."""

    def preprocess(self, nb, resources):
        """Repair the notebook; each repair is a line in the log."""
        release = notebooks.student_notebook(page_of(resources["nbgrader"]["assignment"]))
        nb, notes = intake.repair(nb, release)
        for note in notes:
            self.log.warning("%s: %s", resources["nbgrader"]["student"], note)
        return nb, resources


class GradingPreprocessor(NbGraderPreprocessor):
    """What running and comparing share: the limits and the executor of the missing runs."""

    cell_seconds = Integer(30, help="how long one cell may run").tag(config=True)
    notebook_seconds = Integer(300, help="how long one notebook may run").tag(config=True)

    def run(self, nb, resources):
        """Return the executed form of a prepared notebook, from the finished runs where it is among them."""
        kept = coursedir(resources["nbgrader"]["db_url"]) / "runs"
        limits = Limits(self.cell_seconds, self.notebook_seconds)
        with ThreadPoolExecutor(1) as executor:
            ((_, executed),) = execute.run_all([nb], kept, executor, limits)
        return executed


class RunSubmission(GradingPreprocessor):
    """Takes the place of nbgrader's Execute."""

    def preprocess(self, nb, resources):
        """Run the notebook, figures left out, and put the outputs into its cells."""
        page = page_of(resources["nbgrader"]["assignment"])
        prepared = execute.prepared(nb, notebooks.student_notebook(page), notebooks.solved_notebook(page))
        executed = self.run(prepared, resources)
        return execute.merged(nb, executed), resources


class CompareWithReference(GradingPreprocessor):
    """Turns captured values into verdicts, kept in `resources` and in `verdicts/<student>/<assignment>.json`."""

    def preprocess(self, nb, resources):
        """Judge every check cell and put the verdict in place of the captured values."""
        place = resources["nbgrader"]
        page = page_of(place["assignment"])
        prepared = reference.notebook(page)
        answers = reference.answers(page, self.run(prepared, resources))
        verdicts = resources["verdicts"] = {}
        for cell in nb.cells:
            if is_check(cell):
                verdict = judged(cell, page, answers)
                if verdict is not None:
                    verdicts[verdict.question] = verdict
                    cell.outputs = [*without_captures(cell.outputs), shown(verdict)]
        path = coursedir(place["db_url"]) / "verdicts" / place["student"] / f"{place['assignment']}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps([asdict(verdict) for verdict in verdicts.values()], indent=1), "utf-8")
        return nb, resources


def judged(cell, page, answers):
    """Return the Verdict on one executed check cell; None where its hidden test emits nothing (plain asserts)."""
    question, points = cell.metadata.nbgrader.grade_id, float(cell.metadata.nbgrader.points)
    f = question.removeprefix("test_")
    known = answers[f]
    if not known.reference:
        return None
    hidden = [output for output in cell.outputs if output.get("metadata", {}).get("hidden")]
    stopped = next((o for o in cell.outputs if is_error(o) and o.ename in ("Stopped", "NotRun", "KernelDied")), None)
    try:
        got = compare.captures(hidden)
        verdict = compare.grade(question, points, got, known.reference, known.mutants, reference.judge_of(page, f))
    except compare.CaptureError as error:
        return compare.Verdict(question, 0.0, points, "wrong", f"The test sent {error}.")
    if verdict.verdict == "right" or not (stopped or not got):
        return verdict
    error = stopped or next((output for output in cell.outputs if is_error(output)), None)
    why = f"{error.ename}: {error.evalue}" if error else "the test sent nothing"
    return compare.Verdict(
        question, verdict.score, points, "stopped" if stopped else verdict.verdict, f"{why}\n{verdict.message}"
    )


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
    """Takes the place of nbgrader's SaveAutoGrades; cells without a verdict keep nbgrader's own rule."""

    def _add_score(self, cell, resources):
        verdict = resources["verdicts"].get(cell.metadata.nbgrader.grade_id)
        if verdict is None:
            return super()._add_score(cell, resources)
        place = (self.notebook_id, self.assignment_id, self.student_id)
        recorded = self.gradebook.find_grade(verdict.question, *place)
        recorded.auto_score = verdict.score
        recorded.needs_manual_grade = recorded.manual_score is not None
        self.gradebook.db.commit()


class SafeOutputs(NbGraderPreprocessor):
    """For feedback pages: no output of a student may carry script."""

    def preprocess_cell(self, cell, resources, index):
        """Keep plain text and images of a student's outputs; the verdicts are ours."""
        if cell.cell_type == "code" and not (is_grade(cell) and not is_solution(cell)):
            for output in cell.get("outputs", []):
                for kind in [k for k in output.get("data", {}) if k not in ("text/plain", "image/png", "image/jpeg")]:
                    del output.data[kind]
        return cell, resources
