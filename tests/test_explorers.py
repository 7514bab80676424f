"""The explorers of the pages: each draws every choice with the solved functions, soon; without them it does no harm."""

import time
from functools import cache
from types import CodeType

import ipywidgets
import pytest

from helpers.course.pages import registry
from helpers.course.pages.cells import NOT_SHIPPED, cut
from helpers.course.pages.names import names, parsed
from helpers.widgets.explorers import Explorer
from tests import claims

EXPLORERS = [
    pytest.param(page, figure, id=f"{page}-{figure}", marks=pytest.mark.xdist_group(page))
    for page, found in registry.pages().items()
    for figure, cell in found.figures.items()
    if "explore(" in cell.source
]
each = pytest.mark.parametrize(("page", "figure"), EXPLORERS)
# Seconds of one core for a figure, twice what they take on a slow one. Now and then Python clears up its memory, which
# takes longer: hence the median.
SOON = 0.4


@cache
def made(page, figure) -> tuple[Explorer, dict]:
    """An explorer on the picture book, and the names of its page right after it."""
    for cell, shown, found in claims.run(page, [figure], claims.BOOK):
        if cell.name == figure and cell.kind == "figure":
            return shown[-1], found
    raise LookupError(figure)


def values_of(control):
    """All values of a menu; the ends of a slider, and what lies two steps from its start."""
    match control:
        case ipywidgets.Dropdown():
            return [value for _, value in control.options]
        case ipywidgets.FloatLogSlider():
            return [
                control.base**control.min,
                control.base**control.max,
                control.value * control.base ** (2 * control.step),
            ]
        case _:
            return [control.min, control.max, min(control.max, control.value + 2 * control.step)]


def test_there_are_explorers_where_one_wants_to_play():
    assert {page for page, _ in (param.values for param in EXPLORERS)} >= {
        "01_saliency", "02_gradcam", "03_fooling", "04_class_visualization", "06_trust",
    }  # fmt: skip


@pytest.mark.slow
@each
def test_every_choice_is_drawn_soon(page, figure):
    explorer, _ = made(page, figure)
    assert explorer.show(), explorer.error
    took = []
    for name, control in explorer.controls.items():
        first, different = control.value, set()
        for value in values_of(control):
            control.value = first
            if control.value != value:
                begun = time.process_time()
                control.value = value
                took.append(time.process_time() - begun)
            if explorer.start in explorer.box.children[1].children:
                explorer.show()  # all that grow from one start begin alike
            assert not explorer.error, f"{name} = {value}: {explorer.error}"
            different.add(explorer._png)
        assert len(different) > 1, f"{name} changes nothing"
        control.value = first
    assert sorted(took)[len(took) // 2] < SOON


def code(cell):
    """The byte code of a cell as students have it."""
    return parsed(cut(cell.source, "HIDDEN TESTS"))[1]


def drawn_from(cell):
    """The names that a cell's functions need from outside: at each change of a slider, these are looked up anew."""
    parts = [part for part in code(cell).co_consts if isinstance(part, CodeType)]
    functions = [part for part in parts if not part.co_name.endswith("comp>")]  # comprehensions run once, with the cell
    return set().union(*(names(function).needed for function in functions))


@each
def test_later_cells_change_nothing_that_an_explorer_draws_from(page, figure):
    cells = [cell for cell in registry.page_of(page).cells if not cell.is_markdown and cell.kind not in NOT_SHIPPED]
    [place] = [i for i, cell in enumerate(cells) if cell.kind == "figure" and cell.name == figure]
    needed = drawn_from(cells[place])
    assert "plots" in needed
    for cell in cells[place + 1 :]:
        assert not needed & names(code(cell)).bound, f"{page}.py:{cell.line}"


@pytest.mark.slow
@each
def test_without_an_answer_an_explorer_says_so_in_the_place_of_its_figure(page, figure, monkeypatch):
    def unanswered(*given, **more):
        raise NotImplementedError("f: replace this line")

    explorer, found = made(page, figure)
    assert explorer.show(), explorer.error
    answers = registry.page_of(page).exercises
    for name in answers:
        if name in found:
            monkeypatch.setitem(found, name, unanswered)
    drew = explorer.show()
    if drawn_from(registry.page_of(page).figures[figure]) & set(answers):
        assert explorer.error == "NotImplementedError: f: replace this line"
    else:  # it draws from what was computed once
        assert drew
