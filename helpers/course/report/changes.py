"""Which totals changed since the last run: a mended test, a mark given by hand, a new attempt."""

import csv
from pathlib import Path

from helpers.course.report.uploads import Totals, harmless

COLUMNS = ("student", "assignment", "before", "now")
ABSENT = "nothing"


def since(totals_csv: Path, totals: Totals) -> list[dict[str, str]]:
    """Return a row (a dict of COLUMNS) for each total that is not as the totals.csv of the last run has it.

    A total of which answers wait for a marker has a "+" behind it. Nothing where there was no run before.
    """
    if not totals_csv.exists():
        return []
    with totals_csv.open(encoding="utf-8", newline="") as file:
        before = {(row["student"], row["assignment"]): _said(row) for row in csv.DictReader(file)}
    now = {(harmless(student), harmless(assignment)): _text(total) for (student, assignment), total in totals.items()}
    return [
        dict(zip(COLUMNS, (*key, before.get(key, ABSENT), now.get(key, ABSENT)), strict=True))
        for key in sorted({*before, *now})
        if before.get(key, ABSENT) != now.get(key, ABSENT)
    ]


def _said(row: dict[str, str]) -> str:
    if not row.get("score"):
        return "no mark"
    return f"{float(row['score']):g}" + "+" * (row["to_be_marked"] not in ("", "0"))


def _text(total: tuple[float, float, int] | None) -> str:
    return "no mark" if total is None else f"{total[0]:g}" + "+" * (total[2] > 0)


def printed(path: Path, most: int = 20) -> str:
    """Return what the changed.csv of the last run says, in lines; "" where nothing changed."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows:
        return ""
    lines = [f"    {row['student']} {row['assignment']}: {row['before']} -> {row['now']}" for row in rows[:most]]
    more = [f"    and {len(rows) - most} more, in {path}"] if len(rows) > most else []
    return "\n".join(["Changed since the last run (+: answers wait for a marker):", *lines, *more])
