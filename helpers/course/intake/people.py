"""Which names are one person: never are two made one, or one made two, without a line that says so."""

from collections.abc import Iterable
from dataclasses import replace

from helpers.course.intake import names
from helpers.course.intake.owners import NOBODY, Owned


def told_apart(owned: list[Owned], releases: Iterable[str]) -> list[Owned]:
    """Return the files of all exports, with students of one name told apart, and a line wherever that is a guess."""
    numbers = _numbers(owned, releases)
    several = {student for student, things in numbers.items() if len(things) > 1 and _overlap(list(things.values()))}
    result = []
    for item in owned:
        if item.student in several and item.twin:
            note = f"several students are called {item.student!r}; told apart by a number of this assignment's export"
            item = replace(item, student=f"{item.student}_{item.twin}", notes=(*item.notes, note))
        elif len(things := numbers.get(item.student, {})) > 1:
            listed = " and ".join(sorted(filter(None, things)))
            note = f"{item.student!r} has the numbers {listed} in the exports; taken for one student"
            item = replace(item, notes=(*item.notes, note))
        result.append(item)
    return _with_other_spellings(result)


def _numbers(owned: list[Owned], releases: Iterable[str]) -> dict[str, dict[str, set[str | None]]]:
    """Return {student: {number: the assignments, None for one that is not known}}."""
    numbers: dict[str, dict[str, set[str | None]]] = {}
    for item in owned:
        if item.twin and not item.from_platform:
            things = numbers.setdefault(item.student, {}).setdefault(item.twin, set())
            things.add(names.assignment_of(item.name, releases))
    return numbers


def _overlap(things: list[set[str | None]]) -> bool:
    """Tell whether a thing is in several sets, or may be: None stands for one that is not known.

    One student has another number in each assignment, so two numbers are one student where each belongs to
    assignments of its own; where that cannot be told, they are two.
    """
    together = {thing for some in things for thing in some}
    return None in together or sum(map(len, things)) > len(together)


def _with_other_spellings(owned: list[Owned]) -> list[Owned]:
    """Return the files with a line where a student's name is spelled in several ways, or nearly is another's."""
    spellings: dict[str, set[str]] = {}
    alike: dict[str, set[str]] = {}
    for item in owned:
        if item.student != NOBODY:
            alike.setdefault(item.student.casefold(), set()).add(item.student)
            if item.called:
                spellings.setdefault(item.student, set()).add(item.called)
    result = []
    for item in owned:
        notes = item.notes
        if len(ways := spellings.get(item.student, set())) > 1:
            notes += (f"the names {' and '.join(sorted(map(ascii, ways)))} are taken for one student's",)
        if others := alike.get(item.student.casefold(), set()) - {item.student}:
            notes += (f"{item.student!r} and {', '.join(map(repr, sorted(others)))} are taken for different students",)
        result.append(replace(item, notes=notes))
    return result
