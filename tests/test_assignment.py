"""The notebook a student works in is found and read, and an answer is told from what was handed out."""

import json
import sys
from types import ModuleType, SimpleNamespace

import nbformat
import pytest

from helpers.course.pages import registry
from helpers.handin import assignment
from helpers.handin.assignment import Item, handed_out, is_answered
from helpers.handin.notebook import NotebookError, current

EXERCISE = Item("f", "exercise", "Exercise 1.1", 'def f(x):\n    raise NotImplementedError("f: replace this line")')
QUESTION = Item("q", "question", "Question 1", "*Your answer here.*")


def notebook(text="x = 1"):
    cell = nbformat.v4.new_code_cell(text, metadata={"nbgrader": {"grade_id": "f"}})
    return nbformat.v4.new_notebook(cells=[cell, nbformat.v4.new_markdown_cell("prose")])


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    return tmp_path


def test_every_assignment_was_handed_out():
    assert set(registry.paths()) == {path.stem for path in (assignment.DATA / "released").glob("*.json")}
    first = handed_out("01_saliency")
    assert (first.name, first.exercises[0].id, first.checks[0].points) == ("01_saliency", "compute_saliency_maps", 4)
    assert json.loads(first.as_json())["title"] == first.title


def test_a_given_path_wins(folder):
    nbformat.write(notebook(), folder / "mine.ipynb")
    nbformat.write(notebook("other"), folder / "01_toy.ipynb")
    found = current("01_toy", folder / "mine.ipynb")
    assert (found.path, found.notebook.cells[0].source) == (folder / "mine.ipynb", "x = 1")
    assert found.saved.timestamp() == pytest.approx((folder / "mine.ipynb").stat().st_mtime)


@pytest.mark.parametrize("told", ["01_toy (1).ipynb", "/somewhere/else/01_toy (1).ipynb"])
def test_jupyter_tells_which_of_several_is_open(folder, monkeypatch, told):
    for name in ("01_toy.ipynb", "01_toy (1).ipynb"):
        nbformat.write(notebook(name), folder / name)
    monkeypatch.setenv("JPY_SESSION_NAME", told)
    assert current("01_toy").notebook.cells[0].source == "01_toy (1).ipynb"


def test_a_session_of_another_notebook_is_not_believed(folder, monkeypatch):
    nbformat.write(notebook("right"), folder / "01_toy-ada.ipynb")
    nbformat.write(notebook("wrong"), folder / "scratch.ipynb")
    monkeypatch.setenv("JPY_SESSION_NAME", str(folder / "scratch.ipynb"))
    assert current("01_toy").notebook.cells[0].source == "right"


def test_one_that_cannot_be_told_is_asked_for(folder):
    with pytest.raises(NotebookError, match=r"found: none.*notebook=\"path"):
        current("01_toy")
    for name in ("01_toy.ipynb", "01_toy-copy.ipynb"):
        nbformat.write(notebook(), folder / name)
    with pytest.raises(NotebookError, match=r"found: 01_toy-copy\.ipynb, 01_toy\.ipynb"):
        current("01_toy")


def test_colab_hands_over_what_is_in_the_browser(folder, monkeypatch):
    colab, answers = (
        ModuleType("google.colab"),
        {"get_ipynb": {"ipynb": json.loads(nbformat.writes(notebook("unsaved")))}},
    )
    colab._message = SimpleNamespace(blocking_request=lambda request, timeout_sec: answers[request])
    monkeypatch.setitem(sys.modules, "google.colab", colab)
    monkeypatch.setitem(sys.modules, "google", ModuleType("google"))
    found = current("01_toy")
    assert (found.path, found.saved, found.notebook.cells[0].source) == (None, None, "unsaved")
    answers["get_ipynb"] = None
    with pytest.raises(NotebookError, match="Run this cell again"):
        current("01_toy")


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", '{"cells": 3}', "not JSON", '{"nbformat": 4, "cells": [{}]}'])
def test_a_file_that_is_no_notebook_is_refused_by_name(folder, text):
    (folder / "01_toy.ipynb").write_text(text)
    with pytest.raises(NotebookError, match=r"01_toy\.ipynb is not a notebook"):
        current("01_toy")
    with pytest.raises(NotebookError, match="found no file"):
        current("01_toy", folder / "no.ipynb")


def test_an_old_notebook_is_read(folder):
    old = {
        "metadata": {"name": ""},
        "nbformat": 3,
        "nbformat_minor": 0,
        "worksheets": [{"cells": [{"cell_type": "code", "input": "x = 2", "language": "python", "outputs": []}]}],
    }
    (folder / "01_toy.ipynb").write_text(json.dumps(old))
    assert current("01_toy").notebook.cells[0].source == "x = 2"


@pytest.mark.parametrize(
    ("item", "source", "answered"),
    [
        (EXERCISE, EXERCISE.source, False),
        (EXERCISE, EXERCISE.source.replace("    raise", "    y = x\n    raise"), False),
        (EXERCISE, "def f(x):\n    return x", True),
        (EXERCISE, " \n", False),
        (EXERCISE, None, False),
        (QUESTION, "*Your answer here.*\n", False),
        (QUESTION, "  ", False),
        (QUESTION, None, False),
        (QUESTION, "*Your answer here.*\n\nYes, since 1 + 1 = 2.", True),
    ],
)
def test_an_answer_is_told_from_what_was_handed_out(item, source, answered):
    assert is_answered(item, source) is answered
