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
from html.parser import HTMLParser
from pathlib import Path

import nbformat
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbgrader.preprocessors import NbGraderPreprocessor, SaveAutoGrades
from nbgrader.utils import determine_grade
from traitlets import Bool, Integer

from helpers import COURSE
from helpers.assignment import NOT_ANSWERED
from helpers.course.intake import collect, pictures
from helpers.course.marks import compare, ledger, reference
from helpers.course.pages import source
from helpers.course.release import notebooks
from helpers.course.run import execute
from helpers.course.run.execute import Limits, is_check


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
    """Gives every graded cell of the release exactly once, as `make grade` did at intake.

    Takes the place of nbgrader's ClearOutput as well: no output is left but the pictures of collected figures.
    """

    def preprocess(self, nb, resources):
        """Repair the notebook; each repair is a line in the log and, with those of intake, on the feedback page."""
        place = resources["nbgrader"]
        nb, notes = collect.repair(nb, notebooks.student_notebook(page_of(place["assignment"])))
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
        handed_in, figures = nb, pictures.figures(notebooks.student_notebook(page))
        nb, resources["hidden"] = execute.merged(nb, executed)
        for cell, before in zip(nb.cells, handed_in.cells, strict=True):
            if pictures.figure_of(cell) in figures:
                cell.outputs = before.outputs
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
    """Takes the place of nbgrader's SaveAutoGrades, and keeps marks: what is as it was marked is not marked again.

    nbgrader asks for a second look at everything marked whenever it is graded again. Here it is asked for where the
    text of an answer is another than the marked one, and where the automatic score of an overridden check is. What was
    marked is kept in `marked/<student>/<assignment>.json`. An answer without a mark keeps nbgrader's own rule.
    """

    def preprocess(self, nb, resources):
        """Save the scores of all cells, and which texts they were given for."""
        place = resources["nbgrader"]
        path = coursedir(place["db_url"]) / "marked" / place["student"] / f"{place['assignment']}.json"
        self._texts = json.loads(path.read_text("utf-8")) if path.exists() else {}
        nb, resources = super().preprocess(nb, resources)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self._texts, indent=1), "utf-8")
        return nb, resources

    def _add_score(self, cell, resources):
        name = cell.metadata.nbgrader.grade_id
        recorded = self.gradebook.find_grade(name, self.notebook_id, self.assignment_id, self.student_id)
        waited, score = recorded.needs_manual_grade, recorded.auto_score
        verdict = resources["verdicts"].get(name)
        if verdict is None:
            super()._add_score(cell, resources)
            self._keep_mark(cell, recorded, waited)
            if recorded.manual_score is None and cell.source.strip() in ("", NOT_ANSWERED):
                recorded.auto_score, recorded.needs_manual_grade = 0.0, False
        else:
            recorded.auto_score = verdict.score
            recorded.needs_manual_grade = recorded.manual_score is not None and (waited or score != verdict.score)
        self.gradebook.db.commit()

    def _keep_mark(self, cell, recorded, waited):
        now, before = text_hash(cell), self._texts.get(recorded.name)
        marked = None
        if recorded.manual_score is not None and before:
            # A mark that waited for a second look was given for an earlier text than the last one.
            marked = before["marked"] if waited else before["graded"]
            recorded.needs_manual_grade = marked != now
        self._texts[recorded.name] = {"graded": now, "marked": marked}


def text_hash(cell):
    """Return the hash of a written answer: its text and the pictures attached to it."""
    content = json.dumps([cell.source.strip(), cell.get("attachments", {})], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


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
                if "metadata" in output:
                    output.metadata = {}  # nbconvert writes sizes from here into the tag as they are
            if cell.cell_type != "code" and cell.source not in released:
                typed = cell.source
                cell.source = re.sub(r"<(?=[a-zA-Z/!?])", "&lt;", cell.source)
                if "attachments" in cell:
                    cell.attachments = {
                        name: kinds for name, data in cell.attachments.items() if (kinds := _safe(data))
                    }
                if not harmless(cell):
                    cell.source = as_text(typed)
        return nb, resources


SAFE = {"text/plain", "image/png", "image/jpeg"}


def _safe(attachment):
    """Return the part of an attachment that is a picture in base64."""
    kinds = {kind: text for kind, text in attachment.items() if kind in SAFE and kind.startswith("image/")}
    return {kind: text for kind, text in kinds.items() if re.fullmatch(r"[A-Za-z0-9+/=\s]*", text)}


def harmless(cell):
    """Tell whether a Markdown cell can be rendered, and nothing in the page it becomes runs anything."""
    renderer = IPythonRenderer(escape=False, attachments=cell.get("attachments", {}))
    try:
        finder = _Finder()
        finder.feed(MarkdownWithMath(renderer=renderer).render(cell.source))
    except Exception:
        # An attachment that is not there, a list a thousand levels deep: one such cell stops a whole page.
        return False
    return not finder.found


def as_text(source):
    """Return Markdown that shows `source` line by line as it was typed: a character as a number is never markup."""
    lines = (re.sub(r"[^\w\s]|_", lambda match: f"&#{ord(match[0])};", line.strip()) for line in source.splitlines())
    return "  \n".join(lines)


class _Finder(HTMLParser):
    """Finds what runs something in HTML made of Markdown: event handlers, and addresses other than those of the web."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            address = re.sub(r"[\x00-\x20]", "", value or "")
            scheme = re.match(r"([^/?#:]*):", address)
            allowed = not scheme or re.match(r"https?:|mailto:|data:image/(png|jpeg);", address, re.IGNORECASE)
            if tag == "script" or name.startswith("on") or (name in ("href", "src") and not allowed):
                self.found.append((tag, name, value))


class ShowFigures(NbGraderPreprocessor):
    """Says where the picture of a collected figure is missing, below its cell or in its place before the question."""

    def preprocess(self, nb, resources):
        """Go through the collected figures of the release; after NoScript, which would take the line away."""
        release = notebooks.student_notebook(page_of(resources["nbgrader"]["assignment"]))
        figures = pictures.figures(release)
        for cell in nb.cells:
            if (figure := pictures.figure_of(cell)) in figures:
                cell.outputs = cell.outputs or [missing(figure)]
                for output in cell.outputs:
                    output.metadata = {kind: {"alt": figure} for kind in output.data}
        there = set(map(pictures.figure_of, nb.cells))
        for position, cell in enumerate(release.cells):
            if (figure := pictures.figure_of(cell)) in figures - there:
                after = next((c.id for c in release.cells[position:] if "nbgrader" in c.metadata), None)
                at = next((n for n, c in enumerate(nb.cells) if c.id == after), len(nb.cells))
                nb.cells.insert(at, nbformat.v4.new_code_cell(cell.source, id=cell.id, outputs=[missing(figure)]))
        return nb, resources


def missing(figure):
    """Return the line about a missing figure as a notebook output."""
    text = f"Missing figure: the notebook as handed in holds no picture of {figure}."
    html = f'<div class="alert alert-warning"><b>Missing figure:</b>{escape(text.partition(":")[2])}</div>'
    return nbformat.v4.new_output("display_data", data={"text/plain": text, "text/html": html})
