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

from helpers import COURSE
from helpers.course import demo
from helpers.course.pages import registry, source
from helpers.course.pages.cells import without_markers
from helpers.course.pages.terms import Terms
from helpers.course.platforms import gradescope
from helpers.course.release import notebooks
from helpers.course.run import sandbox


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """The zip of a page with few known answers: they are run when it is built, and take their time."""
    folder = tmp_path_factory.mktemp("autograder")
    cells = re.split(r"(?m)^(?=# %%)", (COURSE / "solutions" / "01_saliency.py").read_text("utf-8"))
    bank = [cell for cell in cells if re.match(r"# %% (\[markdown\] mistakes|mutant|variant)=", cell)]
    (folder / "solutions").mkdir()
    (folder / "solutions" / "01_saliency.py").write_text(
        "".join(cell for cell in cells if cell not in bank[1:]), "utf-8"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "SOLUTIONS", folder / "solutions")
        return gradescope.build("01_saliency", folder / "upload" / "autograder.zip")


@pytest.fixture(scope="module")
def base(archive, tmp_path_factory):
    return unpacked(archive, tmp_path_factory.mktemp("platform"))


def unpacked(path, base):
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            target = Path(archive.extract(entry, base / "source"))
            target.chmod((entry.external_attr >> 16) & 0o777 or 0o644)
    return base


def run(base, text, by=()):
    for place in ("submission", "results"):
        (base / place).mkdir(exist_ok=True)
    (base / "submission" / "01_saliency.ipynb").write_text(text, "utf-8")
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    command = [*by, base / "source" / "run_autograder", base]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    print(done.stdout)
    results = base / "results" / "results.json"
    assert (done.returncode == 0) == results.exists(), done.stderr
    return json.loads(results.read_text("utf-8")) if results.exists() else None


@pytest.mark.slow
def test_the_zip_holds_its_scripts_at_the_root_and_one_assignment(base):
    names = {path.name for path in (base / "source").iterdir()}
    assert {"setup.sh", "run_autograder", "helpers", "solutions", "data"} <= names and "tests" not in names
    assert os.access(base / "source" / "run_autograder", os.X_OK)
    assert [path.name for path in (base / "source" / "solutions").iterdir()] == ["01_saliency.py"]


@pytest.mark.kernel
def test_marks_and_messages_reach_the_platform(base, capsys):
    page = source.read(base / "source" / "solutions" / "01_saliency.py")
    solved = {name: without_markers(cell.source) for name, cell in page.exercises.items()}
    first = next(iter(solved))
    mutant = page.mutants(first)[0]
    outcome = run(base, nbformat.writes(demo.filled(notebooks.student_notebook(page), solved | {first: mutant.source})))
    scores = {test["name"]: (test["score"], test["max_score"], test["status"]) for test in outcome["tests"]}
    titles = {name: gradescope.titled(page, name)[1] for name in page.checks}
    expected = {titles[name]: (check.points, check.points, "passed") for name, check in page.checks.items()}
    assert scores == expected | {titles[first]: (0, page.checks[first].points, "failed")}
    assert [test["number"] for test in outcome["tests"]] == ["1.1", "1.2", "1.3", "1.4"]
    assert (
        outcome["score"] == sum(score for score, _, _ in scores.values()) and outcome["stdout_visibility"] == "hidden"
    )
    assert "no run of the reference" not in capsys.readouterr().out
    assert mutant.says in outcome["tests"][0]["output"]


@pytest.fixture
def container(archive):
    """The platform's folders as root has them in a container: open to every user, with a Python that is, too."""
    system = f"/usr/bin/python3.{sys.version_info.minor}"
    installed = [path for path in sys.path if path.endswith("-packages")]
    if sys.platform != "linux" or os.getuid() or not shutil.which("setpriv"):
        pytest.skip("needs Linux, root and setpriv")
    if not Path(system).exists() or not all(sandbox.exposed([path]) for path in installed):
        pytest.skip("needs this version of Python, and its packages, where every user finds them")
    with tempfile.TemporaryDirectory() as folder:
        base = unpacked(archive, Path(folder))
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
    assert [test["status"] for test in outcome["tests"]] == ["failed" if name == last else "passed" for name in solved]


@pytest.mark.kernel
def test_what_is_no_notebook_gets_a_reason_and_no_marks(base):
    outcome = run(base, "{")
    assert outcome["score"] == 0 and "cannot be read" in outcome["output"]


@pytest.mark.kernel
def test_a_failure_of_the_grader_is_no_mark_and_its_log_is_printed(base, tmp_path, capsys):
    broken = shutil.copytree(base, tmp_path / "broken", symlinks=True)
    # What answers a right function with an error, as a machine without memory may.
    page = broken / "source" / "solutions" / "01_saliency.py"
    page.write_text(page.read_text("utf-8").replace("### BEGIN HIDDEN TESTS", "### BEGIN HIDDEN TESTS\nraise OSError"))
    assert run(broken, nbformat.writes(notebooks.student_notebook(source.read(page)))) is None
    assert "no run of the reference" in capsys.readouterr().out  # that in the zip is not this page's


ROW = {"student": "student", "assignment": "01_saliency", "question": "test_compute_saliency_maps"}
ROW |= {"score": "2", "max_score": "4", "verdict": "partly right", "message": "You took the mean."}


def graded(found, hours_late=0.0):
    return gradescope.results([ROW], registry.page_of("01_saliency"), found, hours_late)


def test_messages_may_wait_until_nobody_can_hand_in_again():
    found = Terms("A course", "", "", show_messages="after_due_date")
    scored, said = graded(found)["tests"]
    assert (scored["visibility"], scored["score"], "output" in scored) == ("visible", 2, False)
    assert (said["visibility"], "score" in said) == ("after_due_date", False) and "the mean" in said["output"]


@pytest.mark.parametrize(("hours", "score"), [(0, 2), (0.4, 2), (0.6, 1.5), (24, 1.5), (25, 1), (400, 0)])
def test_late_work_loses_a_share_for_each_day_begun(hours, score):
    outcome = graded(Terms("A course", "", "", per_day=0.25, grace_minutes=30), hours)
    assert outcome["score"] == score and ("hours late" in outcome["output"]) == (score < 2)


@pytest.mark.parametrize(
    ("users", "hours"),
    [
        ([{"name": "Ada"}], 26),
        ([{"name": "Ada", "assignment": {"due_date": "2026-03-02T10:00:00.000000-08:00"}}], 2),
        ([{"name": "Ada", "assignment": {"due_date": "2026-03-03T10:00:00.000000-08:00"}}], 0),
    ],
)
def test_lateness_is_read_from_what_the_platform_says(tmp_path, users, hours):
    assert gradescope.hours_late(tmp_path / "submission_metadata.json") == 0
    about = {"created_at": "2026-03-02T12:00:00.000000-08:00", "users": users}
    about["assignment"] = {"due_date": "2026-03-01T10:00:00.000000-08:00"}
    (tmp_path / "submission_metadata.json").write_text(json.dumps(about))
    assert gradescope.hours_late(tmp_path / "submission_metadata.json") == hours


def test_an_unknown_assignment_names_the_known_ones(tmp_path):
    with pytest.raises(FileNotFoundError, match="01_saliency"):
        gradescope.build("99_nothing", tmp_path / "x.zip")


def test_an_assignment_of_written_answers_alone_is_told_its_way(tmp_path):
    with pytest.raises(ValueError, match=r"no check in 07_writeup.*make pdf"):
        gradescope.build("07_writeup", tmp_path / "x.zip")
    assert not (tmp_path / "x.zip").exists()
