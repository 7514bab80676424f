"""The class on one page: nobody who needs a human is missing, nothing counts that waits, and alike is what is alike."""

import builtins
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone

import nbformat
import pytest
from bs4 import BeautifulSoup

from helpers.course import demo
from helpers.course.intake.repair import repair
from helpers.course.pages import registry
from helpers.course.pages.cells import without_markers
from helpers.course.pages.names import names, parsed
from helpers.course.release import notebooks
from helpers.course.report import alike, drawn, overview, spent
from helpers.course.report.tables import COLUMNS
from helpers.course.run.limits import Limits

PAGE = registry.page_of("01_saliency")
FIRST = "compute_saliency_maps"
SAYS = PAGE.mutants(FIRST)[0].says


def row(student, question, score, most, verdict, message="", assignment="01_saliency"):
    return dict(zip(COLUMNS, (student, assignment, question, score, most, verdict, message), strict=True))


TABLE = [
    row("ada", f"test_{FIRST}", "4", "4", "right", "All 9 parts are right.\n(notebook: cells without an id: 2)"),
    row("ada", "q_batch", "", "3", "to be marked", "a written answer; mark it in formgrader"),
    row("bob", f"test_{FIRST}", "1", "4", "partly right", f"2 of 9 parts are right.\n{SAYS}"),
    row("bob", "q_batch", "2", "3", "to be marked", "it has changed since it was marked; look at it again"),
    row("bob", "late_penalty", "-1", "0", "late", "handed in 3.0 hours late"),
    row("<b>carl</b>", f"test_{FIRST}", "0", "4", "stopped", "The hidden test was ended: stopped after 30 seconds."),
    row("<b>carl</b>", "q_batch", "0", "3", "not answered", "no answer"),
    row("dora", "", "", "", "refused", "it is not JSON; was the file cut off?"),
    row("emil", "", "", "", "failed", "nbgrader could not grade it"),
]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("graded")
    pictures = {(FIRST, SAYS): [("With this mistake", "QUJD"), ("Right", "QUJE")]}
    path = overview.write(folder, TABLE, {PAGE.name: PAGE}, "A course", "Isolation: none.", pictures)
    return BeautifulSoup(path.read_text("utf-8"), "html.parser")


def table_after(page, heading):
    found = page.find(id=heading).find_next("table")
    return [[cell.get_text(" ", strip=True) for cell in line.find_all("td")] for line in found.find_all("tr")[1:]]


def test_whoever_needs_a_human_is_named_and_nobody_else(page):
    needs = table_after(page, "you")
    assert [(student, why.partition(":")[0]) for student, _, why in needs] == [
        ("emil", "not graded, which is no fault of the student's"),
        ("dora", "refused"),
        ("<b>carl</b>", f"test_{FIRST}"),
        ("bob", "q_batch"),
    ]
    assert "2 written answers wait" in page.get_text()


def test_late_work_and_repairs_stand_together(page):
    assert [(student, why) for student, _, why in table_after(page, "notes")] == [
        ("ada", "notebook: cells without an id: 2"),
        ("bob", "handed in 3.0 hours late: -1 points"),
    ]


def test_what_waits_counts_for_nobody(page):
    (saliency, batch) = table_after(page, PAGE.name)
    assert saliency[:3] == ["Exercise 1.1: saliency maps", "4", "1.67"] and batch[2] == ""
    bars = [bar["aria-label"] for bar in page.select(".bar")]
    assert bars == ["1 right, 1 partly right, 1 stopped", "1 not answered, 2 to be marked"]
    # ada has 4 of 4 so far, carl 0 of 7; bob's 2 of 7 are 1 and 2, less 1.
    assert page.select_one(".bins")["aria-label"] == "1 from 0 %, 1 from 20 %, 1 from 90 %"


def test_a_misconception_has_its_name_its_count_and_its_pictures(page):
    (found,) = (part for part in page.find_all("details") if SAYS in part.summary.get_text())
    assert found.b.get_text() == "1" and "bob" in found.get_text()
    assert [picture["alt"] for picture in found.find_all("img")] == ["With this mistake", "Right"]


def test_it_needs_nothing_from_elsewhere_and_names_are_text(page):
    assert not page.find_all(["script", "link"]) and not page.select("[src^=http]")
    assert page.find(string="<b>carl</b>") and not page.find("b", string="carl")


def test_a_share_of_nothing_or_below_nothing_has_a_bar():
    assert overview.distribution([])["bins_said"] == ""
    assert overview.distribution([-0.1, 0.0, 0.3, 1.0])["bins_said"] == "2 from 0 %, 1 from 30 %, 1 from 90 %"


# Alike

SOLVED = {name: without_markers(cell.source) for name, cell in PAGE.exercises.items()}
OWN = """
def brighter(values, k):
    total = 0
    for value in values:
        if value > k and value % 2:
            total = total + value * value - k
        else:
            total -= value // 3
    ordered = sorted(values, key=lambda each: (each % 7, -each))
    table = {each: [each * other for other in ordered if other != each] for each in ordered}
    return total, table


"""
OTHER = """
from functools import reduce

assert reduce(lambda left, right: left ^ right, map(hash, range(20))) >= 0 or {"never": [None] * 3, "ever": (1, 2)}
while (number := sum(divmod(97, 8))) < 0 or not isinstance(number, int):
    raise SystemError(f"{number:b}".count("1").bit_length().real)


"""


def handed_in(answer=SOLVED[FIRST]):
    notebook = demo.filled(notebooks.student_notebook(PAGE), SOLVED | {FIRST: answer})
    notebook.cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return notebook


@pytest.mark.slow
def test_renamed_code_is_alike_and_right_answers_and_known_mistakes_are_not():
    renamed = OWN.replace("total", "summe").replace("value", "wert").replace("ordered", "folge")
    mutants = [mutant.source for mutant in PAGE.mutants(FIRST)[:9]]
    answers = {"ada": OWN + SOLVED[FIRST], "bob": renamed + SOLVED[FIRST], "carl": OTHER + SOLVED[FIRST]}
    answers |= {f"wrong {n}": source for n, source in enumerate(mutants)} | {
        "dora": SOLVED[FIRST],
        "emil": SOLVED[FIRST],
    }
    (group,) = alike.groups({student: handed_in(answer) for student, answer in answers.items()}, PAGE)
    assert set(group.students) == {"ada", "bob"} and group.share > 0.9
    assert "def brighter(values, k):" in group.lines and not set(group.lines) & set(SOLVED[FIRST].splitlines())


# Drawn


def test_the_figure_of_an_exercise_is_the_first_after_it_that_uses_it():
    assert drawn.figure_of(PAGE, FIRST).name == "maps"
    assert drawn.figure_of(PAGE, "no_such_function") is None


@pytest.mark.parametrize("page", registry.pages().values(), ids=lambda page: page.name)
def test_the_cells_before_a_figure_name_all_that_it_needs(page):
    for function in page.exercises:
        if figure := drawn.figure_of(page, function):
            notebook = drawn.with_mistake(page, function, page.mutants(function)[0].says, figure)
            bound = set(dir(builtins))
            for cell in notebook.cells:
                found = names(parsed(cell.source)[1])
                assert cell.source != figure.source or found.needed <= bound, (function, found.needed - bound)
                bound |= found.bound


@pytest.mark.kernel
def test_a_mistake_that_shows_is_drawn_beside_the_right_picture_and_one_that_does_not_is_left_out(tmp_path):
    seen = next(mutant for mutant in PAGE.mutants(FIRST) if "softmax probability" in mutant.says)
    unseen = next(mutant for mutant in PAGE.mutants(FIRST) if "training mode" in mutant.says)
    table = [row(f"s{n}", f"test_{FIRST}", "0", "4", "wrong", mutant.says) for n, mutant in enumerate((seen, unseen))]
    with ThreadPoolExecutor(1) as executor:
        found = drawn.pictures([PAGE], table, tmp_path, executor, Limits())
    assert list(found) == [(FIRST, seen.says)]
    assert [caption for caption, _ in found[FIRST, seen.says]] == ["With this mistake", "Right"]


# ------------------------------------------------------------------------------------------------ time spent


def worked(*minutes, form="lab"):
    """A notebook whose cells were run after so many minutes, each for one."""

    def stamps(minute):
        begun = datetime(2026, 3, 1, 22, 30, tzinfo=timezone.utc) + timedelta(minutes=minute)
        if form == "colab":
            return {"executionInfo": {"timestamp": begun.timestamp() * 1000, "elapsed": 60_000, "user": {"id": "x"}}}
        ended = begun + timedelta(minutes=1)
        times = {"iopub.execute_input": f"{begun:%Y-%m-%dT%H:%M:%S.%fZ}", "shell.execute_reply": ended.isoformat()}
        return {"execution": times}

    cells = [nbformat.v4.new_code_cell("1", metadata=stamps(minute)) for minute in minutes]
    return nbformat.v4.new_notebook(cells=[*cells, nbformat.v4.new_markdown_cell("x", metadata={"execution": 3})])


@pytest.mark.parametrize(
    "notebook, minutes",
    [
        (worked(0, 5, 10, 15, 20), 21),
        (worked(20, 0, 10, 5, 15), 21),  # in whatever order
        (worked(0, 5, 10, 15, 90, 100), 16 + 11),  # a pause, and midnight
        (worked(0, 5, 10, 15, 20, form="colab"), 20),
        (worked(0, 5, 10), None),  # too little to tell
        (
            nbformat.v4.new_notebook(
                cells=[nbformat.v4.new_code_cell("1", metadata={"executionInfo": {"timestamp": "x"}})]
            ),
            None,
        ),
    ],
)
def test_the_time_spent_is_that_between_cells_without_pauses(notebook, minutes):
    found = spent.spent(notebook)
    assert found == (None if minutes is None else timedelta(minutes=minutes))


def test_the_time_spent_comes_through_the_repair_into_a_sentence():
    release = notebooks.student_notebook(PAGE)
    handed_in = nbformat.from_dict(release)
    for minute, cell in enumerate(cell for cell in handed_in.cells if cell.cell_type == "code"):
        cell.metadata |= worked(minute).cells[0].metadata | {"executionInfo": {"user": {"displayName": "Ada L."}}}
    repaired, _ = repair(handed_in, release)
    assert "Ada L." not in nbformat.writes(repaired)
    count = sum(cell.cell_type == "code" for cell in repaired.cells)
    assert spent.spent(repaired) == timedelta(minutes=count)
    assert f"at least {count / 60:.1f} hours in the middle" in spent.said([repaired, release])
    assert spent.said([release]) == ""
