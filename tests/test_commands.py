"""What the command line says, and what it leaves alone."""

import subprocess
import sys
from pathlib import Path

import pytest

from helpers import COURSE
from helpers.course import __main__ as commands


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
