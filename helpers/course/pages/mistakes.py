"""Mistakes as edits of the answer: a line of it, what people write instead, and the sentence they should read.

A cell `# %% [markdown] mistakes="f"` holds one paragraph for each mistake:

    = own = scores.gather(1, labels[:, None])
    + own = scores.amax(dim=1)
    You explain the class with the largest score and never use the labels. Take the score of the label.
    ~ labels are not used

`=` lines are a place in the answer: one line, or several that follow each other there. `+` lines take that place, a
`+` alone takes the lines away. The sentence is what a student reads whose values are those of the edited answer, and
`~` is what the visible check must say to it. A place serves every paragraph until the next one. A mistake of several
places has several pairs of `=` and `+`.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise

from helpers.course.pages.cells import Cell, without_markers
from helpers.course.pages.problems import Problem, problem


@dataclass
class _Edit:
    """One paragraph: what replaces what, and what is said about it."""

    line: int
    places: list[tuple[list[str], list[str]]] = field(default_factory=list)
    says: list[str] = field(default_factory=list)
    visible: list[str] = field(default_factory=list)
    unfinished: bool = False  # its last place has no line yet to take it

    @property
    def shown(self) -> str:
        """The line by which an author knows it: the first that it puts in, else what it says."""
        return next((text for _, new in self.places for text in new), " ".join(self.says))


@dataclass(eq=False)
class _Unsound(Exception):
    """What is wrong with an edit, as in a Problem."""

    rule: str
    found: str
    wanted: str
    advice: str


def expanded(cells: list[Cell]) -> tuple[list[Cell], list[Problem]]:
    """Return the cells with a mutant for every sound edit in place of the mistakes, and what is wrong with the rest."""
    answers = {cell.name: without_markers(cell.source) for cell in cells if cell.kind == "exercise"}
    result: list[Cell] = []
    problems: list[Problem] = []
    for cell in cells:
        # A code cell, and an answer that is not Python or not there, are another rule's business.
        typed = cell.kind == "mistakes" and cell.marker.startswith("# %% [markdown]")
        sound = typed and is_python(answers.get(cell.name, "pass pass"))
        for edit in _edits(cell) if sound else ():
            try:
                result.append(_mutant(cell, edit, answers[cell.name]))
            except _Unsound as fault:
                problems.append(problem(cell, fault.rule, fault.wanted, fault.advice, fault.found, edit.line))
        if not sound:
            result.append(cell)
    return result, problems


def _edits(cell: Cell) -> Iterator[_Edit]:
    """The paragraphs of a cell; one of `=` lines alone says where the next ones are."""
    place: list[str] = []
    edit, before = None, ""
    for number, line in enumerate([*cell.source.splitlines(), ""], cell.start):
        mark, text = (line[0], line[2:]) if line[:2] in ("= ", "+ ", "~ ") or line in ("=", "+", "~") else ("", line)
        if not line.strip():
            if edit and (edit.places or edit.says or edit.visible):
                yield edit
            edit, before = None, ""
            continue
        edit = edit or _Edit(number)
        if mark == "=":
            place = [*place, text] if before == "=" else [text]
            edit.unfinished = True
        elif mark == "+":
            if before != "+":
                edit.places.append((place, []))
            edit.places[-1][1].append(text)
            edit.unfinished = False
        else:
            (edit.visible if mark == "~" else edit.says).append(text.strip())
        before = mark


def _mutant(cell: Cell, edit: _Edit, answer: str) -> Cell:
    """The edited answer as a mutant; _Unsound where the edit is no good."""
    if not edit.places or edit.unfinished:
        wanted = "`= a line of the answer`, then `+ what it becomes`"
        raise _Unsound("mistake without an edit", edit.shown, wanted, "add them")
    if not edit.says:
        wanted = "the sentence that a student should read"
        raise _Unsound("mistake that says nothing", edit.shown, wanted, "write it below")
    source = _edited(answer, edit)
    if not is_python(source):
        wanted = "Python, with the indentation of the place"
        raise _Unsound("edited answer is not Python", edit.shown, wanted, "mend the edit")
    if ast.dump(ast.parse(source)) == ast.dump(ast.parse(answer)):
        raise _Unsound("edit changes nothing", edit.shown, "another program than the answer", "mend or delete the edit")
    says, visible = " ".join(edit.says), " ".join(edit.visible)
    return replace(cell, kind="mutant", source=source, line=edit.line, start=edit.line, says=says, visible=visible)


def _edited(answer: str, edit: _Edit) -> str:
    """The answer with its places replaced; _Unsound where one of them is not in it exactly once."""
    lines, replaced = answer.splitlines(), []
    for old, new in edit.places:
        at = [n for n in range(len(lines)) if old and [line.strip() for line in lines[n : n + len(old)]] == old]
        if len(at) != 1:
            times = f"{len(at)} times in the answer" if old else "no `=` line before it"
            advice = "name more lines, or mend the line" if at else "copy the line from the answer"
            found = f"{' / '.join(old) or edit.shown}: {times}"
            raise _Unsound("place not once in the answer", found, "exactly once", advice)
        indent = lines[at[0]][: -len(lines[at[0]].lstrip())]
        replaced.append((at[0], len(old), [indent + text for text in new if text]))
    replaced.sort(reverse=True)  # from the last, so that lines keep their numbers
    for (later, *_), (first, count, _) in pairwise(replaced):
        if first + count > later:
            raise _Unsound("places overlap", lines[later].strip(), "each line in one place", "make one place of them")
    for first, count, new in replaced:
        lines[first : first + count] = new
    return "\n".join(lines)


def is_python(source: str) -> bool:
    """Tell whether `source` can be compiled."""
    try:
        compile(source, "<cell>", "exec", dont_inherit=True)
    except SyntaxError:
        return False
    return True
