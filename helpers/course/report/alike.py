"""Which submissions share text that is nobody's but theirs, by winnowing (Schleimer et al. 2003, as in MOSS)."""

import io
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from copydetect import CodeFingerprint, compare_files
from copydetect.utils import get_token_coverage
from nbformat import NotebookNode

from helpers.course.marks.place import released
from helpers.course.pages.cells import Page, without_markers

# Characters of code once names are replaced by their kind, and of prose as it is.
CODE, PROSE = ("code.py", 25), ("prose.txt", 40)
WINDOW = 6
LEAST = 150  # characters that two must share
SHARE = 0.4  # of the text of one of them
ANSWERS = ("exercise", "mutant", "variant", "check")


@dataclass(frozen=True)
class Group:
    """Students, two or more, who share these lines, and the largest share that they are of anybody's own text."""

    students: tuple[str, ...]
    share: float
    lines: tuple[str, ...]


def groups(submitted: Mapping[str, NotebookNode], page: Page) -> list[Group]:
    """Return who is alike among the submissions to one assignment, the most alike first.

    What was handed out counts for nobody, nor what is in the reference solution, in a right answer written differently
    or in a known mistake: many come to these by themselves.
    """
    given = [cell.source for cell in released(page).cells]
    known = {"code": [without_markers(cell.source) for cell in page.cells if cell.kind in ANSWERS], "markdown": []}
    found: dict[tuple[str, ...], dict[str, float]] = {}
    for kind, form in (("code", CODE), ("markdown", PROSE)):
        common = hashes([*given, *known[kind]], form)
        plain = {line.strip() for text in (*given, *known[kind]) for line in text.splitlines()}
        own = {student: own_text(notebook, kind, given) for student, notebook in submitted.items()}
        prints = {student: fingerprint(text, form, common) for student, text in own.items() if len(text) >= LEAST}
        for one, two in combinations(prints, 2):
            overlap, shares, (slices, _) = compare_files(prints[one], prints[two])
            if overlap >= LEAST and max(shares) >= SHARE:
                shared = tuple(line for line in lines(own[one], slices.T) if line.strip() not in plain)
                group = found.setdefault(shared, {})
                group |= {student: max(group.get(student, 0.0), max(shares)) for student in (one, two)}
    groups = [Group(tuple(students), float(max(students.values())), shared) for shared, students in found.items()]
    return sorted(groups, key=lambda group: (-group.share, -len(group.lines)))


def own_text(notebook: NotebookNode, kind: str, given: Sequence[str]) -> str:
    """Return the cells of a kind whose text is not as it was handed out."""
    there = set(given)
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == kind and cell.source not in there)


def fingerprint(text: str, form: tuple[str, int], common: Collection[int]) -> CodeFingerprint:
    """Return the fingerprint of a text in one of the forms CODE and PROSE, without the hashes that are `common`."""
    name, size = form
    found = CodeFingerprint(name, size, WINDOW, filter=form is CODE, fp=io.StringIO(text))
    # Its own way to leave hashes out misses those that occur twice.
    found.hashes -= common
    found.hash_idx = {value: found.hash_idx[value] for value in found.hashes}
    found.token_coverage = get_token_coverage(found.hash_idx, size, len(found.filtered_code))
    return found


def hashes(texts: Iterable[str], form: tuple[str, int]) -> frozenset[int]:
    """Return every hash of some texts, whichever a window would choose."""
    name, size = form
    prints = (CodeFingerprint(name, size, 1, filter=form is CODE, fp=io.StringIO(text)) for text in texts if text)
    return frozenset().union(*(found.hashes for found in prints))


def lines(text: str, slices: Iterable[Sequence[int]]) -> list[str]:
    """Return the lines of a text that lie in slices of it, (first, last) characters."""
    shared, start = [], 0
    spans = [tuple(map(int, span)) for span in slices]
    for line in text.splitlines(keepends=True):
        end = start + len(line)
        middle = (start + end) / 2
        if line.strip() and any(first <= middle < last for first, last in spans):
            shared.append(line.rstrip())
        start = end
    return shared
