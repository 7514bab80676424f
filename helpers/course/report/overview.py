"""The class on one page, after grading: who needs a human, how it went, which mistakes were made, who is alike."""

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
import nbformat

from helpers.course import whole
from helpers.course.marks.place import released
from helpers.course.pages.cells import Page
from helpers.course.release import handout
from helpers.course.report import alike, drawn, spent
from helpers.course.report.tables import UNGRADED, Row, total_scores
from helpers.words import counted

TEMPLATE = Path(__file__).with_suffix(".html")
COLOURS = {
    "right": "right",
    "marked": "right",
    "partly right": "partly",
    "wrong": "wrong",
    "stopped": "stopped",
    "not answered": "none",
    "to be marked": "waiting",
}
KEY = [("right", "right"), ("partly", "partly right"), ("wrong", "wrong"), ("stopped", "stopped"),
       ("none", "not answered"), ("waiting", "to be marked")]  # fmt: skip
BINS, HIGH = 10, 5.0  # of the distribution; its height in rem
MOST_GROUPS = 20
ORDER = ("failed", "refused", "stopped", "to be marked")  # of who needs a human
Drawn = Mapping[drawn.Mistake, Sequence[tuple[str, str]]]


def write(
    folder: Path, table: Sequence[Row], pages: Mapping[str, Page], title: str, isolation: str, pictures: Drawn
) -> Path:
    """Write report.html, which holds all that it shows, to a course folder; return its path.

    Args:
        folder: the course folder.
        table: the rows of grades.csv.
        pages: the pages of the assignments by name.
        title: the name of the course.
        isolation: how students' code was isolated, as a sentence.
        pictures: what `drawn.pictures` returned: the pictures that known mistakes draw, beside the right one.
    """
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, undefined=jinja2.StrictUndefined)
    by_assignment: dict[str, list[Row]] = defaultdict(list)
    for row in table:
        by_assignment[row["assignment"]].append(row)
    shown = {
        "title": title,
        "time": f"{datetime.now():%Y-%m-%d %H:%M}",
        "isolation": isolation,
        "students": {row["student"] for row in table},
        "needs": needs(folder, table),
        "waiting": waiting(table),
        "parts": [
            part(folder, pages[name], rows, pictures) for name, rows in sorted(by_assignment.items()) if name in pages
        ],
        "notes": notes(table),
        "key": KEY,
    }
    path = folder / "report.html"
    whole.write(path, environment.from_string(TEMPLATE.read_text("utf-8")).render(shown))
    return path


def waiting(table: Iterable[Row]) -> str:
    """Return how many written answers wait, or ""."""
    count = sum(row["verdict"] == "to be marked" for row in table)
    return counted(count, "written answer") if count else ""


def needs(folder: Path, table: Iterable[Row]) -> list[dict[str, str]]:
    """Return who needs a human, and why: what could not be graded first, then what was stopped, then second looks."""
    found = []
    for row in table:
        first = row["message"].partition("\n")[0]
        why = {
            "failed": f"not graded, which is no fault of the student's: {first}",
            "refused": f"refused: {first}",
            "stopped": f"{row['question']}: {first}",
        }.get(row["verdict"])
        if row["verdict"] == "to be marked" and "has changed since it was marked" in row["message"]:
            why = f"{row['question']}: {first}"
        if why:
            found.append((ORDER.index(row["verdict"]), row, why))
    found.sort(key=lambda item: (item[0], item[1]["student"]))
    found_once = dict.fromkeys((row["student"], row["assignment"], link(folder, row), why) for _, row, why in found)
    return [dict(zip(("student", "assignment", "link", "why"), each, strict=True)) for each in found_once]


def link(folder: Path, row: Row) -> str:
    """Return the address of a submission's feedback page from the report, or "" where there is none."""
    path = Path("feedback", row["student"], row["assignment"], f"{row['assignment']}.html")
    return quote(path.as_posix()) if row["assignment"] and (folder / path).exists() else ""


def notes(table: Iterable[Row]) -> list[dict[str, str]]:
    """Return what was late, and what was put right before grading, a line each."""
    found = []
    for row in table:
        lines = [line[1:-1] for line in row["message"].splitlines() if line.startswith("(") and line.endswith(")")]
        lines += [f"{row['message']}: {row['score']} points"] if row["verdict"] == "late" else []
        found += [{"student": row["student"], "assignment": row["assignment"], "why": line} for line in lines]
    return found


def part(folder: Path, page: Page, table: Sequence[Row], pictures: Drawn) -> dict[str, Any]:
    """Return what is shown of one assignment."""
    graded = [row for row in table if row["verdict"] not in UNGRADED]
    totals = total_scores(graded)
    open_points: dict[str, float] = defaultdict(float)
    for row in graded:
        if row["verdict"] == "to be marked" and not row["score"]:
            open_points[row["student"]] += float(row["max_score"])
    scores = [score for score, _, _ in totals.values()]
    # A share of what has been given so far: what waits counts for nobody and against nobody.
    shares = [
        score / (most - open_points[student])
        for (student, _), (score, most, _) in totals.items()
        if most > open_points[student]
    ]
    everybody, students = {row["student"] for row in table}, sorted({row["student"] for row in graded})
    notebooks = submitted(folder, page.name, students)
    groups = alike.groups(notebooks, page)
    return {
        "name": page.name,
        "title": page.title,
        "count": f"{counted(len(students), 'submission')} graded, {len(everybody - set(students))} not",
        "scores": shares,
        "median": f"{statistics.median(scores):.4g}" if scores else "",
        "most": f"{max((most for _, most, _ in totals.values()), default=0):g}",
        **distribution(shares),
        "spent": spent.said(notebooks.values()),
        "questions": questions(page, graded),
        "mistakes": mistakes(page, graded, pictures),
        "alike": [
            {"students": group.students, "share": f"{group.share:.0%}", "lines": group.lines}
            for group in groups[:MOST_GROUPS]
        ],
        "more_alike": counted(len(groups) - MOST_GROUPS, "more group") if len(groups) > MOST_GROUPS else "",
    }


def submitted(folder: Path, assignment: str, students: Iterable[str]) -> dict[str, nbformat.NotebookNode]:
    """Return the notebooks that count, by student."""
    paths = {student: folder / "submitted" / student / assignment / f"{assignment}.ipynb" for student in students}
    return {student: nbformat.read(path, 4) for student, path in paths.items() if path.exists()}


def distribution(shares: Sequence[float]) -> dict[str, Any]:
    """Return the bars of a histogram of shares from 0 to 1, and the same as words."""
    counts = Counter(min(BINS - 1, int(max(0.0, share) * BINS + 1e-9)) for share in shares)
    most = max(counts.values(), default=1)
    bins = [
        {"from": 100 * n // BINS, "count": counts[n], "height": f"{HIGH * counts[n] / most:.2f}"} for n in range(BINS)
    ]
    return {"bins": bins, "bins_said": ", ".join(f"{b['count']} from {b['from']} %" for b in bins if b["count"])}


def questions(page: Page, graded: Sequence[Row]) -> list[dict[str, Any]]:
    """Return how each question of a page went, in the order of the page."""
    found = []
    for question, title in handout.titles(page, released(page)).items():
        if not (rows := [row for row in graded if row["question"] == question]):
            continue
        verdicts = Counter(COLOURS.get(row["verdict"], "wrong") for row in rows)
        given = [float(row["score"]) for row in rows if row["score"]]
        found.append(
            {
                "title": title,
                "points": rows[0]["max_score"],
                "mean": f"{statistics.mean(given):.3g}" if given and not verdicts["waiting"] else "",
                "widths": [(colour, 100 * verdicts[colour] / len(rows)) for colour, _ in KEY if verdicts[colour]],
                "said": ", ".join(f"{verdicts[colour]} {label}" for colour, label in KEY if verdicts[colour]),
            }
        )
    return found


def mistakes(page: Page, graded: Iterable[Row], pictures: Drawn) -> list[dict[str, Any]]:
    """Return the known mistakes that were made, the most frequent first."""
    return [
        {
            "question": page.exercises[function].heading.lstrip("# "),
            "says": says,
            "count": len(students),
            "students": students,
            "pictures": pictures.get((function, says), []),
        }
        for (function, says), students in drawn.made(page, graded)
    ]
