"""The autograder zip, unpacked into the folders the platform documents, and run."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import nbformat
import pytest

from helpers.course import demo, gradescope, notebooks, source


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    base = tmp_path_factory.mktemp("autograder")
    path = gradescope.build("01_saliency", base / "upload" / "autograder.zip")
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            target = Path(archive.extract(entry, base / "source"))
            target.chmod((entry.external_attr >> 16) & 0o777 or 0o644)
    return base


def run(base, text):
    for place in ("submission", "results"):
        (base / place).mkdir(exist_ok=True)
    (base / "submission" / "01_saliency.ipynb").write_text(text, "utf-8")
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    subprocess.run([base / "source" / "run_autograder", base], check=True, env=environment, capture_output=True)
    return json.loads((base / "results" / "results.json").read_text("utf-8"))


def test_the_zip_holds_its_scripts_at_the_root_and_one_assignment(base):
    names = {path.name for path in (base / "source").iterdir()}
    assert {"setup.sh", "run_autograder", "helpers", "solutions", "data"} <= names and "tests" not in names
    assert os.access(base / "source" / "run_autograder", os.X_OK)
    assert [path.name for path in (base / "source" / "solutions").iterdir()] == ["01_saliency.py"]


def test_marks_and_messages_reach_the_platform(base):
    page = source.read(base / "source" / "solutions" / "01_saliency.py")
    solved = {name: notebooks.without_markers(cell.source) for name, cell in page.exercises.items()}
    first = next(iter(solved))
    mutant = page.mutants(first)[0]
    outcome = run(base, nbformat.writes(demo.filled(notebooks.student_notebook(page), solved | {first: mutant.source})))
    scores = {test["name"]: (test["score"], test["max_score"], test["status"]) for test in outcome["tests"]}
    expected = {f"test_{name}": (check.points, check.points, "passed") for name, check in page.checks.items()}
    assert scores == expected | {f"test_{first}": (0, page.checks[first].points, "failed")}
    assert outcome["score"] == sum(score for score, _, _ in scores.values())
    assert mutant.says in outcome["tests"][0]["output"]


def test_what_is_no_notebook_gets_a_reason_and_no_marks(base):
    outcome = run(base, "{")
    assert outcome["score"] == 0 and "cannot be read" in outcome["output"]


def test_an_unknown_assignment_names_the_known_ones(tmp_path):
    with pytest.raises(FileNotFoundError, match="01_saliency"):
        gradescope.build("99_nothing", tmp_path / "x.zip")
