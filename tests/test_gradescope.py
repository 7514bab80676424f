"""The autograder zip, unpacked into the folders the platform documents, and run."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import nbformat
import pytest

from helpers.course import demo
from helpers.course.pages import source
from helpers.course.pages.cells import without_markers
from helpers.course.platforms import gradescope
from helpers.course.release import notebooks
from helpers.course.run import sandbox


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return shortened(unpacked(tmp_path_factory.mktemp("autograder")))


def unpacked(base):
    path = gradescope.build("01_saliency", base / "upload" / "autograder.zip")
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            target = Path(archive.extract(entry, base / "source"))
            target.chmod((entry.external_attr >> 16) & 0o777 or 0o644)
    return base


def shortened(base):
    """Leave most known answers out of the page: they are run before anybody's is graded, and take their time."""
    page = base / "source" / "solutions" / "01_saliency.py"
    cells = re.split(r"(?m)^(?=# %%)", page.read_text("utf-8"))
    bank = [cell for cell in cells if re.match(r"# %% (\[markdown\] mistakes|mutant|variant)=", cell)]
    page.write_text("".join(cell for cell in cells if cell not in bank[1:]), "utf-8")
    return base


def run(base, text, by=()):
    for place in ("submission", "results"):
        (base / place).mkdir(exist_ok=True)
    (base / "submission" / "01_saliency.ipynb").write_text(text, "utf-8")
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    command = [*by, base / "source" / "run_autograder", base]
    done = subprocess.run(command, check=True, env=environment, capture_output=True, text=True)
    print(done.stdout)
    return json.loads((base / "results" / "results.json").read_text("utf-8"))


def test_the_zip_holds_its_scripts_at_the_root_and_one_assignment(base):
    names = {path.name for path in (base / "source").iterdir()}
    assert {"setup.sh", "run_autograder", "helpers", "solutions", "data"} <= names and "tests" not in names
    assert os.access(base / "source" / "run_autograder", os.X_OK)
    assert [path.name for path in (base / "source" / "solutions").iterdir()] == ["01_saliency.py"]


@pytest.mark.kernel
def test_marks_and_messages_reach_the_platform(base):
    page = source.read(base / "source" / "solutions" / "01_saliency.py")
    solved = {name: without_markers(cell.source) for name, cell in page.exercises.items()}
    first = next(iter(solved))
    mutant = page.mutants(first)[0]
    outcome = run(base, nbformat.writes(demo.filled(notebooks.student_notebook(page), solved | {first: mutant.source})))
    scores = {test["name"]: (test["score"], test["max_score"], test["status"]) for test in outcome["tests"]}
    expected = {f"test_{name}": (check.points, check.points, "passed") for name, check in page.checks.items()}
    assert scores == expected | {f"test_{first}": (0, page.checks[first].points, "failed")}
    assert outcome["score"] == sum(score for score, _, _ in scores.values())
    assert mutant.says in outcome["tests"][0]["output"]


@pytest.fixture
def container():
    """The platform's folders as root has them in a container: open to every user, with a Python that is, too."""
    system = f"/usr/bin/python3.{sys.version_info.minor}"
    installed = [path for path in sys.path if path.endswith("-packages")]
    if sys.platform != "linux" or os.getuid() or not shutil.which("setpriv"):
        pytest.skip("needs Linux, root and setpriv")
    if not Path(system).exists() or not all(sandbox.exposed([path]) for path in installed):
        pytest.skip("needs this version of Python, and its packages, where every user finds them")
    with tempfile.TemporaryDirectory() as folder:
        base = shortened(unpacked(Path(folder)))
        base.chmod(0o755)
        subprocess.run([system, "-m", "venv", "--without-pip", base / "source" / ".venv"], check=True)
        (packages,) = base.glob("source/.venv/lib/python*/site-packages")
        (packages / "installed.pth").write_text("\n".join([str(base / "source"), *installed]))
        for part in ("share", "bin/alembic"):  # what nbgrader takes from its environment
            (base / "source" / ".venv" / part).symlink_to(Path(sys.prefix) / part)
        yield base


@pytest.mark.kernel
def test_where_no_namespaces_can_be_had_the_answers_are_out_of_reach(container, capsys):
    """Without the right to administer the system, as in the platform's container; it can still change the user."""
    page = source.read(container / "source" / "solutions" / "01_saliency.py")
    solved = {name: without_markers(cell.source) for name, cell in page.exercises.items()}
    first, *_, last = solved

    def looks_at(names):
        return f"import os\nassert not any(os.access({str(container)!r} + '/' + name, os.R_OK) for name in {names})\n"

    answers = solved | {
        first: looks_at(["source/solutions", "submission", "results"]) + solved[first],
        last: looks_at(["source/helpers"]) + solved[last],  # which are open: the look would find what it looks for
    }
    text = nbformat.writes(demo.filled(notebooks.student_notebook(page), answers))
    outcome = run(container, text, ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin"])
    assert "Isolation: own user" in capsys.readouterr().out
    assert not outcome["output"]
    assert {test["name"]: test["status"] for test in outcome["tests"]} == {
        f"test_{name}": "failed" if name == last else "passed" for name in solved
    }


@pytest.mark.kernel
def test_what_is_no_notebook_gets_a_reason_and_no_marks(base):
    outcome = run(base, "{")
    assert outcome["score"] == 0 and "cannot be read" in outcome["output"]


def test_an_unknown_assignment_names_the_known_ones(tmp_path):
    with pytest.raises(FileNotFoundError, match="01_saliency"):
        gradescope.build("99_nothing", tmp_path / "x.zip")


def test_an_assignment_of_written_answers_alone_is_told_its_way(tmp_path):
    with pytest.raises(ValueError, match=r"no check in 07_writeup.*make pdf"):
        gradescope.build("07_writeup", tmp_path / "x.zip")
    assert not (tmp_path / "x.zip").exists()
