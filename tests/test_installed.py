"""The course as a package: what the wheel and the sdist hold, and grading with it where no checkout is."""

import csv
import os
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import nbformat
import pytest

from helpers import COURSE
from helpers.course import demo
from helpers.course.pages import registry
from helpers.course.release import notebooks
from helpers.course.release.students import below
from tests.submissions import code, hand_in

FOLDER = "looking_inside_cnns"
PACKAGES = sysconfig.get_path("purelib")

pytestmark = pytest.mark.slow


def build(kind, source, into):
    """Build a wheel or an sdist from a source tree; return its path."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", kind, "--directory", into]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    [path] = into.iterdir()
    return path


def names(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return build("wheel", COURSE, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The bin/ of an environment of its own with nothing of ours but the wheel; all else is this environment's."""
    place = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place / "venv"], check=True)
    [python] = [path for path in (place / "venv").glob("*/python*") if path.stem == "python"]
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    own = Path(subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout.strip())
    # Packages of a path that a .pth file names are found, but not what .pth files there name: this checkout.
    (own / "shared.pth").write_text(f"{PACKAGES}\n")
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-index", "--no-deps", wheel]
    subprocess.run(pip, check=True)
    return python.parent


@pytest.fixture
def run(installed, tmp_path):
    """Run a command of that environment in an empty folder; return what it says."""
    scripts, data = sysconfig.get_path("scripts"), sysconfig.get_path("data")
    own = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    own |= {"PATH": os.pathsep.join([scripts, os.environ["PATH"]]), "JUPYTER_PATH": str(Path(data, "share", "jupyter"))}
    folder = tmp_path / "empty"
    folder.mkdir()

    def run(name, *arguments):
        command = [installed / name, *arguments]
        done = subprocess.run(command, cwd=folder, env=own, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    run.folder = folder
    return run


def test_wheel_holds_the_course_as_it_lies_here(wheel):
    folders = ("data", "helpers", "notebooks", "solutions")
    course = {path.relative_to(COURSE).as_posix() for folder in folders for path in below(COURSE / folder)}
    course -= {f"helpers/{FOLDER}.pth"}  # which lies beside the folder there
    single = {"LICENSE", "README.md", "constraints.txt", "course.toml", "nbgrader_config.py", "pyproject.toml"}
    assert names(wheel) == {f"{FOLDER}/{name}" for name in course | single} | {f"{FOLDER}.pth"}


def test_sdist_builds_the_same_wheel_and_has_all_that_tests_it(wheel, tmp_path):
    sdist = build("sdist", COURSE, tmp_path / "sdist")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    unpacked = tmp_path / sdist.name.removesuffix(".tar.gz")
    for name in ("CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md", "Makefile", "docs", "environment.yml", "tests"):
        assert (unpacked / name).exists(), name
    assert names(build("wheel", unpacked, tmp_path / "wheel")) == names(wheel)


def test_helpers_are_imported_from_anywhere(run):
    said = run("python", "-c", "import helpers; print(helpers.COURSE); from helpers.models import load_model")
    assert Path(said.strip()).name == FOLDER and not Path(said.strip()).is_relative_to(COURSE)


def test_commands_are_named_as_they_are_typed(run):
    assert "usage: looking-inside " in run("looking-inside", "--help")
    assert "Every notebook is what its source says." in run("looking-inside", "check")
    assert list(run.folder.iterdir()) == []


PEEK = """import helpers
print("seen:", sorted(path.name for path in helpers.COURSE.iterdir()), (helpers.COURSE / "helpers/course").exists())"""


@pytest.mark.kernel
@pytest.mark.timeout(900)  # the reference of a whole page
def test_grades_in_an_empty_folder(run):
    page = registry.page_of("04_class_visualization")
    answers = demo.class_of(page)["felix"]
    notebook = demo.filled(notebooks.student_notebook(page), answers)
    code(PEEK)(notebook)
    hand_in(notebook, run.folder / "class", "felix", page.name)
    said = run("looking-inside", "grade", "class", "--into", "grading", "--workers", "1")
    with (run.folder / "grading" / "grades.csv").open(newline="") as file:
        table = {row["question"]: row for row in csv.DictReader(file)}
    for name, wrong in answers.items():
        right = wrong != page.mutants(name)[0].source
        row = table[f"test_{name}"]
        assert (row["verdict"] == "right") == right and (float(row["score"]) == float(row["max_score"])) == right
    assert (run.folder / "grading" / "feedback" / "felix" / page.name / f"{page.name}.html").exists()
    # A student's code sees as little of an installed course as of a checkout.
    graded = nbformat.read(run.folder / "grading" / "autograded" / "felix" / page.name / f"{page.name}.ipynb", 4)
    [peeked] = [cell for cell in graded.cells if cell.source == PEEK]
    seen = peeked.outputs[0].text.strip()
    assert "Isolation: namespaces" not in said or seen == "seen: ['data', 'helpers'] False"
    # JupyterLab is started here, and nbgrader's settings lie there.
    assert f"JUPYTER_CONFIG_PATH={run('python', '-c', 'import helpers; print(helpers.COURSE)').strip()} " in said
