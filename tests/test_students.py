"""The students' copy: it holds no answer, hidden test or rubric, and works where nothing else of the course is."""

import json
import os
import re
import subprocess
import sys
import zipfile
from itertools import pairwise

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

from helpers.course.pages import registry
from helpers.course.pages.cells import regions, without_markers
from helpers.course.release import notebooks, students

PAGES = registry.pages()
# Two lines that stand in an answer, and in a helper for reasons of its own.
IDIOMS = {
    "optimiser.zero_grad()\nloss.backward()",
    "covered = images.clone()\ncovered[:, :, top : top + patch, left : left + patch] = fill",
    "image = blur(image, sigma)\nreturn image",
    "def __call__(self, image):\nself.asked += 1",
    "for parameter in model.parameters():\nparameter.grad = torch.ones_like(parameter)",
}


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A students' copy, as unpacked from its zip."""
    place = tmp_path_factory.mktemp("copy")
    students.write(place / "made" / "course")
    with zipfile.ZipFile(students.zipped(place / "made" / "course")) as archive:
        archive.extractall(place)
    return place / "course"


def lines(text):
    """Return what is compared of a text: long lines, and short ones, which say nothing alone, with the next."""
    found = [re.sub(r"\s+", " ", line).strip(" \"',") for line in text.splitlines()]
    found = [line for line in found if re.search(r"\w", line) and not re.match(r"(from \S+ )?import ", line)]
    long = {line for line in found if len(re.sub(r"\W", "", line)) >= 40}
    return long | {f"{one}\n{two}" for one, two in pairwise(found) if len(re.sub(r"\W", "", one + two)) >= 30}


def texts(folder):
    """Yield each text file of a folder, a notebook as the sources and outputs of its cells."""
    for path in folder.rglob("*"):
        if path.suffix == ".ipynb":
            for cell in nbformat.read(path, 4).cells:
                yield path, cell.source
        elif path.suffix == ".json":
            yield path, "\n".join(str(value) for value in leaves(json.loads(path.read_text("utf-8"))))
        elif path.suffix in (".py", ".md", ".toml", ".txt", ".typ", "") and path.is_file():
            yield path, path.read_text("utf-8")


def leaves(value):
    """Return the texts in what a JSON file holds."""
    if isinstance(value, dict):
        value = [*value.values()]
    return [leaf for each in value for leaf in leaves(each)] if isinstance(value, list) else [value]


def secrets(page):
    """Return the lines of a page that no student may see."""
    found = set()
    for cell in page.cells:
        if cell.kind in ("exercise", "check"):
            source = cell.source.splitlines()
            for label in ("SOLUTION", "HIDDEN TESTS"):
                for first, last in regions(cell.source, label):
                    found |= lines("\n".join(source[first : last + 1]))
        elif cell.kind in ("question", "mutant", "variant", "judge"):
            found |= lines(cell.source)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", PAGES)
def test_no_line_of_an_answer_a_hidden_test_or_a_rubric_is_in_it(copy, name):
    # What a worked example shows anyway is no secret: a page may give what an earlier one had asked for.
    shown = {
        line for page in PAGES.values() for c in notebooks.student_notebook(page).cells for line in lines(c.source)
    }
    hidden = secrets(PAGES[name]) - shown - IDIOMS
    assert len(hidden) > 20
    found = {(line, path.relative_to(copy).as_posix()) for path, text in texts(copy) for line in lines(text) & hidden}
    assert found == set()


def test_the_search_finds_what_is_there(copy):
    page = PAGES["01_saliency"]
    answer = copy / "helpers" / "left.py"
    answer.write_text(without_markers(page.exercises["compute_saliency_maps"].source))
    try:
        assert any(lines(text) & secrets(page) for path, text in texts(copy) if path == answer)
    finally:
        answer.unlink()


def test_it_holds_nothing_of_the_grader(copy):
    names = {path.relative_to(copy).as_posix() for path in copy.rglob("*")}
    assert {path.name for path in copy.iterdir()} == {
        "LICENSE", "README.md", "data", "helpers", "notebooks", "pyproject.toml",
    }  # fmt: skip
    assert not {"helpers/course", "helpers/inside"} & names and "helpers/checks/saliency.py" in names
    assert sorted(path.stem for path in (copy / "notebooks").iterdir()) == list(PAGES)
    assert not [name for name in names if "__pycache__" in name]


@pytest.mark.kernel
def test_a_student_works_with_it_alone(copy, tmp_path):
    page = PAGES["01_saliency"]
    notebook = nbformat.read(copy / "notebooks" / "01_saliency.ipynb", 4)
    cells = {cell.metadata.get("nbgrader", {}).get("grade_id"): cell for cell in notebook.cells}
    f = "compute_saliency_maps"
    cells[f].source = without_markers(page.exercises[f].source)
    where = "import helpers, pathlib; print(pathlib.Path(helpers.__file__).parent)"
    wanted = [cells["setup-0"], cells["setup-1"], cells[f], cells[f"test_{f}"], new_code_cell(where)]
    run = new_notebook(cells=wanted, metadata=notebook.metadata)
    # No checkout is on the path, as an editable install would put it there.
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "COURSE"))}
    environment |= {"COURSE_MODEL": "picturebook", "PYTHONPATH": str(copy)}
    NotebookClient(run, timeout=120, resources={"metadata": {"path": copy / "notebooks"}}).execute(env=environment)
    assert run.cells[-1].outputs[0].text.strip() == str(copy / "helpers")
    assert "passed" in str(run.cells[-2].outputs)


@pytest.mark.slow
def test_its_modules_import_without_the_grader(copy):
    code = (
        "import importlib, pkgutil, helpers\n"
        "for module in pkgutil.walk_packages(helpers.__path__, 'helpers.'):\n"
        "    if not module.name.endswith('__main__'): importlib.import_module(module.name)\n"
        "print(helpers.__file__)"
    )
    environment = os.environ | {"PYTHONPATH": str(copy)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, cwd=copy, capture_output=True, text=True)
    assert done.stdout.strip() == str(copy / "helpers" / "__init__.py"), done.stderr


@pytest.mark.slow
def test_a_second_copy_replaces_the_first_and_nothing_else_is_overwritten(tmp_path):
    first = students.write(tmp_path / "course")
    (tmp_path / "course" / "helpers" / "gone.py").write_text("")
    assert students.write(tmp_path / "course") == first
    assert not (tmp_path / "course" / "helpers" / "gone.py").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("")
    with pytest.raises(students.NotReleased, match="something else than a students' copy"):
        students.write(tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.tex").exists()


def test_notebooks_that_are_not_what_their_sources_say_are_not_handed_out(tmp_path, monkeypatch):
    monkeypatch.setattr(notebooks, "differences", lambda page: "a line" * (page.name == "02_gradcam"))
    with pytest.raises(students.NotReleased, match=r"^02_gradcam: .*make notebooks"):
        students.write(tmp_path / "course")
    assert not (tmp_path / "course").exists()


@pytest.fixture
def repository(tmp_path, monkeypatch):
    place = tmp_path / "repository"
    (place / "solutions").mkdir(parents=True)
    (place / "solutions" / "01.py").write_text("the answer")
    for key in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{key}_NAME", "An author")
        monkeypatch.setenv(f"GIT_{key}_EMAIL", "author@example.org")
    monkeypatch.setattr(students, "COURSE", place)
    for command in (["init", "--quiet", "-b", "main"], ["add", "."], ["commit", "--quiet", "-m", "first"]):
        students.git(place, *command)
    return place


def test_a_branch_gets_one_commit_for_each_change_and_no_history_with_answers(repository, tmp_path):
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "README.md").write_text("one")
    first = students.committed(copy, "students")
    assert students.committed(copy, "students") == first  # nothing has changed
    (copy / "README.md").write_text("two")
    students.committed(copy, "students")
    assert students.git(repository, "log", "--format=%s", "students").count("the students' copy") == 2
    assert students.git(repository, "ls-tree", "-r", "--name-only", "students") == "README.md"
    assert students.git(repository, "show", "students:README.md") == "two"
    assert students.git(repository, "status", "--porcelain") == ""


@pytest.mark.parametrize(("branch", "says"), [("main", "checked out"), ("other", "holds solutions")])
def test_a_branch_of_something_else_is_left_alone(repository, tmp_path, branch, says):
    students.git(repository, "branch", "other")
    before = students.git(repository, "rev-parse", branch)
    with pytest.raises(students.NotReleased, match=says):
        students.committed(tmp_path, branch)
    assert students.git(repository, "rev-parse", branch) == before
