"""What the command line says, and what it leaves alone."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from nbgrader.api import Gradebook

from helpers import COURSE
from helpers.course import __main__ as commands
from helpers.course import grade
from helpers.course.pages import registry


def test_a_demo_leaves_a_folder_alone_that_is_not_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    thesis = tmp_path / "build" / "demo" / "thesis.md"
    thesis.parent.mkdir(parents=True)
    thesis.write_text("mine")
    with pytest.raises(SystemExit, match="holds something else than an earlier demo"):
        commands.main(["demo"])
    assert thesis.read_text() == "mine"


@pytest.mark.parametrize("here", ["the course", "elsewhere"])
def test_formgrader_is_started_with_the_settings_of_the_course(here, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(COURSE if here == "the course" else tmp_path)
    commands.print_places("grading")
    shown = capsys.readouterr().out
    assert f"The class on one page    {Path('grading', 'report.html')}\n" in shown
    # nbgrader_config.py takes a folder as seen from its own.
    at_home = "     COURSE_GRADING=grading "
    abroad = f"     JUPYTER_CONFIG_PATH={COURSE} COURSE_GRADING={tmp_path / 'grading'} "
    assert (at_home if here == "the course" else abroad) in shown


def test_commands_say_what_is_not_installed():
    code = "import sys; sys.modules['jupytext'] = None; import helpers.course.__main__"
    done = subprocess.run([sys.executable, "-c", code], cwd=COURSE, capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.startswith("found no package jupytext: ")
    assert "pip install '.[instructors]'" in done.stderr and "Traceback" not in done.stderr


def refusal(page, folder):
    """Return what is said where nbgrader does not take a page."""
    with pytest.raises(SystemExit, match="nbgrader cannot take this assignment into") as refused:
        grade.release(page, folder, grade.nbgrader_config(folder))
    return str(refused.value)


@pytest.mark.slow
def test_what_keeps_nbgrader_from_taking_a_page_is_said(toys, begun, tmp_path, monkeypatch):
    folder, page = tmp_path / "grading", toys["01_toy"]
    folder.mkdir()
    shutil.copy(begun / "gradebook.db", folder)
    grade.release(page, folder, config := grade.nbgrader_config(folder))
    with Gradebook(f"sqlite:///{folder}/gradebook.db", config.CourseDirectory.course_id) as gradebook:
        gradebook.add_student("ada")
        gradebook.add_submission(page.name, "ada")
    other = tmp_path / page.path.name
    other.write_text(page.path.read_text("utf-8").replace('"half"', '"halved"').replace("half(", "halved("), "utf-8")
    said = refusal(registry.read(other), folder)
    assert "there are submissions associated with it" in said and said.endswith("grade into a new folder.")

    # nbgrader asks a program about a new database.
    folder = tmp_path / "new"
    config = grade.nbgrader_config(folder)
    monkeypatch.setattr(grade, "nbgrader_config", lambda folder: config)
    monkeypatch.setenv("PATH", str(tmp_path))
    said = refusal(page, folder)
    assert "'alembic'" in said and said.endswith(f"stands in {folder}/grading.log.")
