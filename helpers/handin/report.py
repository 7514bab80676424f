"""What the hand-in check says: the verdict, what to do, and what was found."""

import json
import re
from pathlib import Path

from nbformat import NotebookNode

from helpers.handin.answers import Found
from helpers.handin.assignment import Assignment, Item
from helpers.handin.cells import bound, plain
from helpers.handin.failures import Failures, failures
from helpers.handin.file import Written
from helpers.handin.layout import Row, filled, size, span, table, unbroken
from helpers.handin.notebook import SAVED_SECONDS, Current
from helpers.handin.running import INTERRUPTED, Run
from helpers.words import counted, first_line, shortened
from helpers.writeup.figures import collected_figure, figure_path
from helpers.writeup.words import count_words

LARGE = 20_000_000  # bytes; some upload forms take no more

_HEADING = re.compile(r"^#{1,6}[ \t]+(.+?)[ \t#]*$", re.MULTILINE)


class Report:
    """The report on one notebook: a verdict made of problems, what to do, and sections of rows."""

    def __init__(self, assignment: Assignment, now: Current, found: dict[str, Found]):
        """Start with nothing said."""
        self.assignment, self.now, self.found = assignment, now, found
        self.cells = now.notebook.cells
        self.problems: list[str] = []
        self.todo: list[str] = []
        self.sections: list[tuple[str, list[Row]]] = []
        self.age = now.age
        self.ran: set[int] = set()
        self.failed = Failures()

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
        if run:
            self.ran, self.failed = set(run.ran), failures(self.found, self.cells, run)
        self._say_exercises()
        self._say_questions()
        self._say_figures()
        self._say_cells()
        self._add("Run from top to bottom", self._course_of(run) if run else [("skipped", "", "")])

    def say_file(self, written: Written) -> None:
        """Say which notebook was checked, how old it is, and what was written."""
        if self.is_old:
            save = "Save the notebook (Ctrl+S; on a Mac Cmd+S) and run this cell again"
            self.todo.insert(0, f"{save}. What you changed after the last save is not in the file.")
        self._add("File", [self._checked(), self._written(written)])

    def text(self, written: Written) -> str:
        """Return the report as text: the verdict, what to do, the sections, and the file to hand in."""
        lines = [*filled("", f"{self.assignment.name}: {self._verdict()}"), ""]
        if self.todo:
            lines.append("To do")
            for number, todo in enumerate(self.todo, start=1):
                lines += filled(f"  {number}. ", todo)
            lines.append("")
        for title, rows in self.sections:
            lines += [title, *table(rows), ""]
        if self.todo:
            lines.append("Then save, and run this cell again. Where there is no time left, hand in the file as it is.")
        return "\n".join([*lines, f"Hand in: {self._file(written)}"])

    def _verdict(self) -> str:
        if self.problems:
            old = f"; the saved file is {span(self.age)} old" if self.is_old else ""
            return f"Not ready: {'; '.join(self.problems)}{old}."
        return f"Ready to hand in{f', if you changed nothing in the last {span(self.age)}' if self.is_old else ''}."

    def _file(self, written: Written) -> str:
        if written.path is None:
            return str(self.now.path or "File > Download > Download .ipynb")
        here = written.path.parent.parent == Path.cwd()
        return f"hand-in/{written.path.name}" if here else str(written.path)

    def _add(self, title: str, rows: list[Row]) -> None:
        if rows:
            self.sections.append((title, rows))

    # -------------------------------------------------------------------------------------------- exercises

    def _say_exercises(self) -> None:
        rows = [(*self._exercise(item), item) for item in self.assignment.exercises]
        wrong = [item for mark, _, item in rows if mark == "fails"]
        self._add("Exercises", [(mark, item.title, remark) for mark, remark, item in rows])
        self._say_missing("exercise", [item for mark, _, item in rows if mark == "missing"])
        if wrong:
            self.problems.append("1 check fails" if len(wrong) == 1 else f"{len(wrong)} checks fail")
            self.todo.append(f"Mend {_listed(wrong)}: run the check cell, it says what it found and what it wanted.")

    def _exercise(self, item: Item) -> tuple[str, str]:
        """Return mark and remark of an exercise."""
        place = self.found[item.id]
        if place.at is None:
            return "missing", "its cell was deleted"
        if not place.is_answered:
            return "missing", f"not answered{self._other_answer(item, place)}"
        if place.at in self.failed.own:
            return "fails", self.failed.own[place.at]
        check = self.found.get(f"test_{item.id}")
        if check is None or check.at is None:
            return "ok", "answered"
        return self._check(item, check, check.at)

    def _other_answer(self, item: Item, place: Found) -> str:
        """Return that there is another answer to an unanswered exercise, which does not count, if there is one."""
        others = [n for n, cell in enumerate(self.cells) if n != place.at and item.id in bound(cell.source)]
        others = [n for n in others if plain(self.cells[n].source) != plain(item.source)]
        return f"; the cell {self._place(others[-1])} does not count" if others else ""

    def _check(self, item: Item, check: Found, at: int) -> tuple[str, str]:
        """Return mark and remark of an answered exercise, by its check."""
        if at in self.failed.own:
            return "fails", self.failed.own[at]
        if at in self.failed.waiting:
            needed = self.failed.waiting[at]
            if needed == item.id:
                return "ok", "answered, but an untouched copy of its cell further down undoes it"
            return "waits", f"its check needs {self._exercise_of(needed)}"
        if at not in self.ran:
            return "ok", "answered"
        return "ok", "its edited check passes" if check.is_edited else "its check passes"

    def _say_missing(self, kind: str, missing: list[Item]) -> None:
        if not missing:
            return
        self.problems.append(f"{counted(len(missing), kind)} not answered")
        if there := [item for item in missing if self.found[item.id].at is not None]:
            marked = f"the {len(there)} {kind}s marked missing"
            self.todo.append(f"Answer {_listed(there) if len(there) <= 4 else marked}.")
        if gone := [item for item in missing if self.found[item.id].at is None]:
            new = "define the function in a new code cell" if kind == "exercise" else "answer in a new text cell"
            self.todo.append(
                f"Put the deleted cell of {_listed(gone)} back (Edit > Undo Cell Operation), or copy it from a fresh "
                f"notebook, or {new} directly below its text; grading finds it there."
            )

    # -------------------------------------------------------------------------------------------- questions

    def _say_questions(self) -> None:
        rows = [(*self._question(item), item) for item in self.assignment.questions]
        over = [item for mark, _, item in rows if mark == "over"]
        self._add("Questions", [(mark, item.title, remark) for mark, remark, item in rows])
        self._say_missing("question", [item for mark, _, item in rows if mark == "missing"])
        if over:
            self.problems.append(f"{counted(len(over), 'answer')} over the word limit")
            self.todo.append(f"Shorten {_listed(over)}.")

    def _question(self, item: Item) -> tuple[str, str]:
        """Return mark and remark of a question."""
        place = self.found[item.id]
        if place.at is None:
            return "missing", "its cell was deleted"
        words = count_words(place.source)
        # What shows nothing is no answer: a comment, a blank.
        if not place.is_answered or not (words or re.search(r"!\[|<img", place.source)):
            return "missing", "not answered"
        if item.words is None:
            return "ok", counted(words, "word")
        return "over" if words > item.words else "ok", f"{words} of {item.words} words"

    def _say_figures(self) -> None:
        names = dict.fromkeys(name for item in self.assignment.questions for name in item.figures)
        rows = [self._figure(name) for name in names]
        self._add("Figures", rows)
        missing = [name for mark, name, _ in rows if mark == "missing"]
        if not missing:
            return
        self.todo += [
            f'Put a code cell `saved_figure("{name}")` below its question, and run it.'
            for name in missing
            if not self._collecting(name)
        ]
        self.problems.append(f"{counted(len(missing), 'figure')} missing")
        unmade = [name for name in missing if not figure_path(name).is_file()]
        notebooks = ", ".join(dict.fromkeys(name.partition("-")[0] for name in unmade))
        make = f"Make the missing figures in {notebooks}, then run" if unmade else "Run"
        self.todo.append(f"{make} the cells here that show them, and save.")

    def _figure(self, name: str) -> Row:
        cells = self._collecting(name)
        if any("image/png" in output.get("data", {}) for cell in cells for output in cell.get("outputs", [])):
            return "ok", name, "shown"
        remark = "no picture below its cell" if cells else "its cell was deleted"
        made = "it is saved" if figure_path(name).is_file() else f"you make it in {name.partition('-')[0]}"
        return "missing", name, f"{remark}; {made}"

    def _collecting(self, name: str) -> list[NotebookNode]:
        """Return the cells that collect a figure."""
        return [cell for cell in self.cells if cell.cell_type == "code" and collected_figure(cell.source) == name]

    # -------------------------------------------------------------------------------------------- cells

    def _say_cells(self) -> None:
        lost = not any(place.copies for place in self.found.values())
        rows: list[Row] = []
        if lost:
            remark = "grading finds your cells by their text, their function and their place"
            rows.append(("lost", "grading data of all cells", remark))
        for place in self.found.values():
            rows += [*self._copied(place), *self._changed(place, lost)]
        self._add("Cells", rows or [("ok", "cells that count", "none deleted, copied or edited")])

    def _copied(self, place: Found) -> list[Row]:
        """Return a row on a cell that is there more than once."""
        item, copies = place.item, len(place.copies)
        if copies < 2:
            return []
        if item.is_locked or len({plain(self.cells[n].source) for n in place.copies}) == 1:
            return [("copied", self._name(item), f"{copies} copies; it counts once")]
        self.todo.append(f"Delete the copies of the cell of {_short(item)} that are not your answer.")
        number = f", number {place.copies.index(place.at) + 1}" if place.at in place.copies else ""
        return [("copied", self._name(item), f"{copies} copies; the last changed one counts{number}")]

    def _changed(self, place: Found, lost: bool) -> list[Row]:
        """Return a row on a cell that was deleted, edited, turned into code or moved."""
        item, name = place.item, self._name(place.item)
        if place.at is None:
            if item.kind == "setup":
                self.todo.insert(0, f"Put the cell of the {name} back: copy it from a fresh notebook.")
            return [("deleted", name, "grading puts it back" if item.is_locked else "see above")]
        if item.is_locked:
            return [("edited", name, "grading runs it as it was handed out")] if place.is_edited else []
        if place.is_elsewhere:
            return [] if lost else [("moved", name, f"grading takes the answer {self._place(place.at)}")]
        if item.kind == "question" and self.cells[place.at].cell_type == "code":
            self.todo.append(f"Make the cell of {_short(item)} text again: select it and press Esc, then M.")
            return [("code", name, "the answer stands in a code cell; grading makes it text again")]
        return []

    # -------------------------------------------------------------------------------------------- the run

    def _course_of(self, run: Run) -> list[Row]:
        """Return the rows on the run: what fails beside the exercises, where it ended, what waits."""
        rows = [*self._first_error(), *self._end(run)]
        if waiting := self.failed.waiting:
            names = ", ".join(dict.fromkeys(map(self._exercise_of, waiting.values())))
            rows.append(("waits", counted(len(waiting), "cell"), f"for {names}"))
        passed = len(self.ran - set(run.errors))
        return [*rows, ("ok", counted(passed, "cell"), "without the figures")]

    def _first_error(self) -> list[Row]:
        places = [place for place in self.found.values() if place.item.kind in ("exercise", "check")]
        told = {n for place in places for n in (place.at, *place.copies)}
        others = [n for n in self.failed.own if n not in told]
        if not others:
            return []
        cell = self._place(others[0])
        self.problems.append("it does not run from top to bottom")
        mend = self._mend(others[0])
        delete = "" if self._is_locked(others[0]) else ", or delete it if no answer needs it"
        self.todo.append(f"{mend[0].upper()}{mend[1:]}{delete}.")
        more = f" ({counted(len(others) - 1, 'more cell')} after it)" if len(others) > 1 else ""
        return [("fails", "first error", f"{cell}: {self.failed.own[others[0]]}{more}")]

    def _end(self, run: Run) -> list[Row]:
        """Return a row on a run that did not come to its end."""
        if not run.ended:
            return []
        self.problems.append("the run stopped before its end")
        where = f"{self._place(run.at)}: " if run.at is not None else ""
        mend = "mend your Python" if run.at is None else self._mend(run.at)
        again = f"Run this cell again; if the run hangs at the same place, {mend}."
        self.todo.append(again if run.ended == INTERRUPTED else f"{mend[0].upper()}{mend[1:]}: it ended the run.")
        return [("stopped", "here", f"{where}{run.ended}; nothing after it was run")]

    def _is_locked(self, n: int) -> bool:
        """Whether a cell is not the student's to mend."""
        return any(place.item.is_locked and n in (place.at, *place.copies) for place in self.found.values())

    def _mend(self, n: int) -> str:
        """Return what to do about a cell that fails."""
        cell = f"the cell {self._place(n)}"
        return (
            f"ask for help with {cell}, which is locked and not yours to mend" if self._is_locked(n) else f"mend {cell}"
        )

    # -------------------------------------------------------------------------------------------- the file

    def _checked(self) -> Row:
        if self.now.path is None:
            return "ok", "checked", "the notebook as it is in the browser"
        saved = f"saved {self.now.saved:%H:%M:%S}, {span(self.age)} before this check"
        return "old" if self.is_old else "ok", "checked", f"{unbroken(self.now.path.absolute())}, {saved}"

    def _written(self, written: Written) -> Row:
        if written.path is None:
            self.problems.append("the file could not be written")
            self.todo.append("Save the notebook and hand in its own file: it is the same.")
            return "fails", "written", written.failure
        count = written.path.stat().st_size
        if count > LARGE:
            sizes = [len(json.dumps(cell.get("outputs", []))) for cell in self.cells]
            largest = max(range(len(sizes)), key=sizes.__getitem__)
            output = f"the output of the cell {self._place(largest)}, {size(sizes[largest])}"
            self.todo.append(f"If the upload refuses {size(count)}, clear {output}.")
        return "large" if count > LARGE else "ok", "written", f"{unbroken(written.path)}, {size(count)}"

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
        line = first_line(self.cells[n].source)
        begins = f"that begins {shortened(line, 40)!r}" if line else "that is empty"
        return f"under {shortened(headings[-1], 40)!r} {begins}" if headings else begins


def _short(item: Item) -> str:
    """Return an exercise's or a question's title as a word in a sentence: "Exercise 1.3"."""
    return shortened(item.title.partition(":")[0] or item.id, 40)


def _listed(items: list[Item]) -> str:
    return ", ".join(_short(item) for item in items)
