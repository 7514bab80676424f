"""What the hand-in check says: the verdict, what to do, and what was found."""

import json
import re
import textwrap
from pathlib import Path

from helpers.handin.answers import Found
from helpers.handin.assignment import Assignment, Item
from helpers.handin.cells import bound, plain
from helpers.handin.file import Written
from helpers.handin.notebook import SAVED_SECONDS, Current
from helpers.handin.running import INTERRUPTED, Run, is_run
from helpers.writeup.figures import collected_figure, figure_path
from helpers.writeup.words import count_words

LARGE = 20_000_000  # bytes; some upload forms take no more
WIDTH = 92  # characters

_STUB_SAYS = re.compile(r"(\w+): replace this line")
_HEADING = re.compile(r"^#{1,6}[ \t]+(.+?)[ \t#]*$", re.MULTILINE)


def _failures(found: dict[str, Found], cells: list, run: Run) -> tuple[dict[int, str], dict[int, str]]:
    """Tell the cells that fail by themselves from those that fail for want of an answer.

    Returns:
        {position: the error in one line}, and {position: id of the exercise or the deleted set-up it waits for}.
    """
    unanswered = {name for name, place in found.items() if place.item.kind == "exercise" and not place.is_answered}
    checks = {
        n: name.removeprefix("test_")
        for name, place in found.items()
        if place.item.kind == "check"
        for n in (*place.copies, place.at)
    }
    gone = [place.item for place in found.values() if place.item.kind == "setup" and place.at is None]
    failures, waiting = {}, {}
    for n, (error, text) in sorted(run.errors.items()):
        stub = _STUB_SAYS.search(text) if error == "NotImplementedError" else None
        quoted = re.search(r"'(\w+)'", text) if error == "NameError" else None
        lacks = quoted[1] if quoted else ""
        if checks.get(n) in unanswered:
            waiting[n] = checks[n]
        elif stub:
            waiting[n] = stub[1]
        elif lacks in unanswered or any(lacks and _makes(cells[m].source, lacks) for m in waiting):
            waiting[n] = lacks
        elif lacks and (set_up := next((item for item in gone if _makes(item.source, lacks)), None)):
            waiting[n] = set_up.id
        else:
            failures[n] = _error(error, text) + (_hint(lacks, n, found, cells) if lacks else "")
    return failures, waiting


def _error(name: str, text: str) -> str:
    """Return an error in one line. What a check says names the check, and needs no name of the error."""
    line = _one_line(text)
    return line if name == "CheckFailed" and line else f"{name}: {line}".rstrip(": ")


def _hint(name: str, n: int, found: dict[str, Found], cells: list) -> str:
    """Return where a name that a cell lacks might come from."""
    makers = [m for m, cell in enumerate(cells) if cell.cell_type == "code" and m != n and _makes(cell.source, name)]
    if any(is_run(cells[m]) for m in makers if m > n):
        return "; a cell further down makes it: move one of the two"
    if any(not is_run(cells[m]) for m in makers):
        return "; a figure cell makes it, and figures are left out here and in grading: make it in another cell"
    return "" if makers else "; no cell makes it: was a cell deleted?"


def _makes(source: str, name: str) -> bool:
    """Whether a line of a cell seems to bind a name, at any depth."""
    pattern = rf"^\s*(?:(?:async\s+)?def|class)\s+{name}\b|^[^#\n=(]*\b{name}\b[^=\n(]*=(?!=)"
    return bool(
        re.search(rf"{pattern}|^\s*(?:from|import)\b.*\b{name}\b|\b(?:for|as)\s+{name}\b", source, re.MULTILINE)
    )


class Report:
    """The report on one notebook: a verdict made of problems, what to do, and sections of rows (mark, what, remark)."""

    def __init__(self, assignment: Assignment, now: Current, found: dict[str, Found]):
        """Start with nothing said."""
        self.assignment, self.now, self.found = assignment, now, found
        self.cells = now.notebook.cells
        self.problems, self.todo, self.sections = [], [], []
        self.age = now.age

    @property
    def is_old(self) -> bool:
        """Whether the saved file may lack what the student typed last."""
        return self.age > SAVED_SECONDS

    def say_another(self) -> None:
        """Say that this is another notebook."""
        self.problems.append(f"this notebook holds no cell of {self.assignment.name}")
        self.todo.append(f"Open your notebook of {self.assignment.name} and run its last cell.")

    def say_answers(self, run: Run | None) -> None:
        """Say what became of the cells that count, and of the run."""
        failures, waiting = _failures(self.found, self.cells, run) if run else ({}, {})
        self._say_exercises(run, failures, waiting)
        self._say_questions()
        self._say_figures()
        self._say_cells()
        self._say_run(run, failures, waiting)

    def say_file(self, written: Written) -> None:
        """Say which notebook was checked, how old it is, and what was written."""
        rows = []
        if self.is_old:
            save = "Save the notebook (Ctrl+S; on a Mac Cmd+S) and run this cell again"
            self.todo.insert(0, f"{save}. What you changed after the last save is not in the file.")
        if self.now.path is None:
            rows.append(("ok", "checked", "the notebook as it is in the browser"))
        else:
            saved = f"saved {self.now.saved:%H:%M:%S}, {_span(self.age)} before this check"
            rows.append(("old" if self.is_old else "ok", "checked", f"{_unbroken(self.now.path.absolute())}, {saved}"))
        if written.path:
            size = written.path.stat().st_size
            rows.append(("large" if size > LARGE else "ok", "written", f"{_unbroken(written.path)}, {_size(size)}"))
            if size > LARGE:
                n, most = self._largest()
                output = f"the output of the cell {self._place(n)}, {_size(most)}"
                self.todo.append(f"If the upload refuses {_size(size)}, clear {output}.")
        else:
            rows.append(("fails", "written", written.failure))
            self.problems.append("the file could not be written")
            self.todo.append("Save the notebook and hand in its own file: it is the same.")
        self.sections.append(("File", rows))

    def text(self, written: Written) -> str:
        """Return the report as text: the verdict, what to do, the sections, and the file to hand in."""
        lines = [*_filled("", f"{self.assignment.name}: {self._verdict()}"), ""]
        if self.todo:
            lines.append("To do")
            for number, todo in enumerate(self.todo, start=1):
                lines += _filled(f"  {number}. ", todo)
            lines.append("")
        for title, rows in self.sections:
            lines += [title, *_table(rows), ""]
        if self.todo:
            lines.append("Then save, and run this cell again. Where there is no time left, hand in the file as it is.")
        if written.path:
            here = written.path.parent.parent == Path.cwd()
            file = f"hand-in/{written.path.name}" if here else written.path
        else:
            file = self.now.path or "File > Download > Download .ipynb"
        return "\n".join([*lines, f"Hand in: {file}"])

    def _verdict(self) -> str:
        if self.problems:
            old = f"; the saved file is {_span(self.age)} old" if self.is_old else ""
            return f"Not ready: {'; '.join(self.problems)}{old}."
        return f"Ready to hand in{f', if you changed nothing in the last {_span(self.age)}' if self.is_old else ''}."

    # -------------------------------------------------------------------------------------------- sections

    def _say_exercises(self, run: Run | None, failures: dict[int, str], waiting: dict[int, str]) -> None:
        rows = [(*self._exercise(item, run, failures, waiting), item) for item in self.assignment.exercises]
        missing = [item for mark, _, item in rows if mark == "missing"]
        wrong = [item for mark, _, item in rows if mark == "fails"]
        self._add("Exercises", [(mark, item.title, remark) for mark, remark, item in rows])
        self._say_missing("exercise", missing)
        if wrong:
            self.problems.append("1 check fails" if len(wrong) == 1 else f"{len(wrong)} checks fail")
            self.todo.append(f"Mend {_listed(wrong)}: run the check cell, it says what it found and what it wanted.")

    def _exercise(self, item: Item, run: Run | None, failures: dict[int, str], waiting: dict[int, str]) -> tuple:
        """Return mark and remark of an exercise."""
        place, check = self.found[item.id], self.found.get(f"test_{item.id}")
        if place.at is None:
            return "missing", "its cell was deleted"
        if not place.is_answered:
            others = [n for n, cell in enumerate(self.cells) if n != place.at and item.id in bound(cell.source)]
            others = [n for n in others if plain(self.cells[n].source) != plain(item.source)]
            return "missing", "not answered" + (
                f"; the cell {self._place(others[-1])} does not count" if others else ""
            )
        at = check.at if check else None
        for n in (place.at, at):
            if n in failures:
                return "fails", failures[n]
        if waiting.get(at) == item.id:
            return "ok", "answered, but an untouched copy of its cell further down undoes it"
        if at in waiting:
            return "waits", f"its check needs {self._exercise_of(waiting[at])}"
        passes = "its edited check passes" if check and check.is_edited else "its check passes"
        return "ok", passes if run and at in run.ran else "answered"

    def _say_questions(self) -> None:
        rows, missing, over = [], [], []
        for item in self.assignment.questions:
            place = self.found[item.id]
            words = count_words(place.source)
            # What shows nothing is no answer: a comment, a blank.
            shows = words or re.search(r"!\[|<img", place.source)
            mark = "ok" if place.is_answered and shows else "missing"
            remark = f"{words} of {item.words} words" if item.words else _count(words, "word")
            if mark == "missing":
                missing.append(item)
                remark = "its cell was deleted" if place.at is None else "not answered"
            elif item.words and words > item.words:
                mark = "over"
                over.append(item)
            rows.append((mark, item.title, remark))
        self._add("Questions", rows)
        self._say_missing("question", missing)
        if over:
            self.problems.append(f"{_count(len(over), 'answer')} over the word limit")
            self.todo.append(f"Shorten {_listed(over)}.")

    def _say_missing(self, kind: str, missing: list[Item]) -> None:
        if not missing:
            return
        self.problems.append(f"{_count(len(missing), kind)} not answered")
        if there := [item for item in missing if self.found[item.id].at is not None]:
            marked = f"the {len(there)} {kind}s marked missing"
            self.todo.append(f"Answer {_listed(there) if len(there) <= 4 else marked}.")
        if gone := [item for item in missing if self.found[item.id].at is None]:
            new = "define the function in a new code cell" if kind == "exercise" else "answer in a new text cell"
            self.todo.append(
                f"Put the deleted cell of {_listed(gone)} back (Edit > Undo Cell Operation), or copy it from a fresh "
                f"notebook, or {new} directly below its text; grading finds it there."
            )

    def _say_figures(self) -> None:
        rows, missing = [], []
        for name in dict.fromkeys(name for item in self.assignment.questions for name in item.figures):
            code = [cell for cell in self.cells if cell.cell_type == "code"]
            cells = [cell for cell in code if collected_figure(cell.source) == name]
            notebook = name.partition("-")[0]
            if any("image/png" in output.get("data", {}) for cell in cells for output in cell.get("outputs", [])):
                rows.append(("ok", name, "shown"))
                continue
            missing.append(name)
            remark = "no picture below its cell" if cells else "its cell was deleted"
            made = figure_path(name).is_file()
            rows.append(("missing", name, f"{remark}; {'it is saved' if made else f'you make it in {notebook}'}"))
            if not cells:
                self.todo.append(f'Put a code cell `saved_figure("{name}")` below its question, and run it.')
        self._add("Figures", rows)
        if missing:
            self.problems.append(f"{_count(len(missing), 'figure')} missing")
            unmade = [name for name in missing if not figure_path(name).is_file()]
            notebooks = ", ".join(dict.fromkeys(name.partition("-")[0] for name in unmade))
            make = f"Make the missing figures in {notebooks}, then run" if unmade else "Run"
            self.todo.append(f"{make} the cells here that show them, and save.")

    def _say_cells(self) -> None:
        lost = not any(place.copies for place in self.found.values())
        rows = []
        if lost:
            remark = "grading finds your cells by their text, their function and their place"
            rows.append(("lost", "grading data of all cells", remark))
        for item in self.assignment.items:
            rows += self._cell(item, self.found[item.id], lost)
        self._add("Cells", rows or [("ok", "cells that count", "none deleted, copied or edited")])

    def _cell(self, item: Item, place: Found, lost: bool) -> list[tuple]:
        """Return what became of a cell that counts, where it is worth a row."""
        locked, rows, copies = item.kind in ("setup", "check"), [], len(place.copies)
        if copies > 1 and (locked or len({plain(self.cells[n].source) for n in place.copies}) == 1):
            rows.append(("copied", self._name(item), f"{copies} copies; it counts once"))
        elif copies > 1:
            number = f", number {place.copies.index(place.at) + 1}" if place.at in place.copies else ""
            rows.append(("copied", self._name(item), f"{copies} copies; the last changed one counts{number}"))
            self.todo.append(f"Delete the copies of the cell of {_short(item)} that are not your answer.")
        if place.at is None:
            rows.append(("deleted", self._name(item), "grading puts it back" if locked else "see above"))
            if item.kind == "setup":
                self.todo.insert(0, f"Put the cell of the {self._name(item)} back: copy it from a fresh notebook.")
        elif locked and place.is_edited:
            rows.append(("edited", self._name(item), "grading runs it as it was handed out"))
        elif item.kind == "question" and place.at in place.copies and self.cells[place.at].cell_type == "code":
            rows.append(("code", self._name(item), "the answer stands in a code cell; grading makes it text again"))
            self.todo.append(f"Make the cell of {_short(item)} text again: select it and press Esc, then M.")
        elif place.is_elsewhere and not locked and not lost:
            rows.append(("moved", self._name(item), f"grading takes the answer {self._place(place.at)}"))
        return rows

    def _say_run(self, run: Run | None, failures: dict[int, str], waiting: dict[int, str]) -> None:
        if run is None:
            self._add("Run from top to bottom", [("skipped", "", "")])
            return
        checked = {
            n
            for place in self.found.values()
            if place.item.kind in ("exercise", "check")
            for n in (place.at, *place.copies)
        }
        rows, others = [], [n for n in failures if n not in checked]
        if others:
            first = f"{self._place(others[0])}: {failures[others[0]]}"
            more = f" ({_count(len(others) - 1, 'more cell')} after it)" if len(others) > 1 else ""
            rows.append(("fails", "first error", first + more))
            self.problems.append("it does not run from top to bottom")
            self.todo.append(f"Mend the cell {self._place(others[0])}, or delete it if no answer needs it.")
        if run.ended:
            where = f"{self._place(run.at)}: " if run.at is not None else ""
            rows.append(("stopped", "here", f"{where}{run.ended}; nothing after it was run"))
            self.problems.append("the run stopped before its end")
            cell = f"the cell {self._place(run.at)}" if run.at is not None else "your Python"
            stopped = f"Run this cell again; if the run hangs at the same place, mend {cell}."
            self.todo.append(stopped if run.ended == INTERRUPTED else f"Mend {cell}: it ended the run.")
        if waiting:
            names = ", ".join(dict.fromkeys(map(self._exercise_of, waiting.values())))
            rows.append(("waits", _count(len(waiting), "cell"), f"for {names}"))
        passed = len(set(run.ran) - set(run.errors))
        rows.append(("ok", _count(passed, "cell"), "without the figures"))
        self._add("Run from top to bottom", rows)

    def _add(self, title: str, rows: list[tuple]) -> None:
        if rows:
            self.sections.append((title, rows))

    # -------------------------------------------------------------------------------------------- names of things

    def _name(self, item: Item) -> str:
        """Return what a student calls a cell."""
        if item.kind == "check":
            return f"check of {self._exercise_of(item.id.removeprefix('test_'))}"
        if item.kind == "setup":
            titled = re.match(r"# @title (.*)", item.source)
            return f"set-up ({titled[1]})" if titled else "set-up"
        return _short(item)

    def _exercise_of(self, function: str) -> str:
        """Return what a student calls the exercise of a function, or the set-up with this id."""
        return self._name(self.found[function].item) if function in self.found else function

    def _place(self, n: int) -> str:
        """Return where a cell stands, as notebooks do not number their cells: its heading and how it begins."""
        headings = [
            match for cell in self.cells[:n] if cell.cell_type == "markdown" for match in _HEADING.findall(cell.source)
        ]
        lines = [line.strip() for line in self.cells[n].source.splitlines() if line.strip()]
        begins = f"that begins {_cut(lines[0], 40)!r}" if lines else "that is empty"
        return f"under {_cut(headings[-1], 40)!r} {begins}" if headings else begins

    def _largest(self) -> tuple[int, int]:
        """Return position and size of the largest output."""
        sizes = [len(json.dumps(cell.get("outputs", []))) for cell in self.cells]
        return max(range(len(sizes)), key=sizes.__getitem__), max(sizes)


def _short(item: Item) -> str:
    """Return an exercise's or a question's title as a word in a sentence: "Exercise 1.3"."""
    return _cut(item.title.partition(":")[0] or item.id, 40)


def _listed(items: list[Item]) -> str:
    return ", ".join(_short(item) for item in items)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + "s" * (number != 1)


def _span(seconds: float) -> str:
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= 2 * size:
            return _count(int(seconds // size), unit)
    return _count(int(seconds), "second")


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{max(1, round(count / 1e3))} kB"


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 3].rstrip() + "..."


def _one_line(text: str) -> str:
    return _cut(next((line.strip() for line in text.splitlines() if line.strip()), ""), 160)


def _table(rows: list[tuple]) -> list[str]:
    """Return rows of (mark, what, remark) as aligned lines."""
    width = min(max(len(what) for _, what, _ in rows), 56) + 2
    return [line for mark, what, remark in rows for line in _filled(f"  {mark:<9}{_cut(what, 56):<{width}}", remark)]


def _filled(start: str, text: str) -> list[str]:
    """Return a text as lines, the further ones below where the text starts; names are not broken."""
    lines = textwrap.wrap(text, WIDTH - len(start), break_long_words=False, break_on_hyphens=False) or [""]
    lines = [f"{start}{lines[0]}".rstrip(), *(" " * len(start) + line for line in lines[1:])]
    return [line.replace("\0", " ") for line in lines]


def _unbroken(path: Path) -> str:
    """Return a path whose spaces break no line."""
    return str(path).replace(" ", "\0")
