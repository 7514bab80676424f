"""The files around the code say the same thing and the truth."""

import re
import subprocess
import sys
from itertools import chain

import pytest
import yaml

from helpers import COURSE

tomllib = pytest.importorskip("tomllib")  # from Python 3.11
PROJECT = tomllib.loads((COURSE / "pyproject.toml").read_text("utf-8"))
# The one package that conda calls by another name.
CONDA_NAMES = {"torch": "pytorch"}


def test_conda_and_pip_install_the_same():
    project = PROJECT["project"]
    wanted = [*project["dependencies"], *chain.from_iterable(project["optional-dependencies"].values())]
    wanted = {re.split(r"\s*;", line)[0] for line in wanted if not line.startswith(project["name"])}
    wanted = {re.sub(r"^[a-z0-9-]+", lambda m: CONDA_NAMES.get(m[0], m[0]), line) for line in wanted}
    conda = yaml.safe_load((COURSE / "environment.yml").read_text("utf-8"))
    *lines, by_pip = conda["dependencies"]
    found = {line for line in lines if line != "pip" and not line.startswith("python>=")} | set(by_pip["pip"])
    # setuptools and tomli are pip's affair: conda's packages bring them.
    assert found == {line for line in wanted if not line.startswith(("setuptools", "tomli"))}
    assert f"python{project['requires-python']}" in conda["dependencies"]


def test_a_student_needs_neither_nbgrader_nor_jupytext():
    code = (
        "import sys\n"
        "for name in ('nbgrader', 'jupytext', 'nbclient', 'captum'): sys.modules[name] = None\n"
        "import helpers.models, helpers.pictures, helpers.plots, helpers.checks.saliency, helpers.picturebook\n"
        "import helpers.assignment, helpers.handin, helpers.pdf, helpers.widgets, helpers.writeup"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=COURSE)


def test_every_package_is_installed():
    packages = {".".join(path.parent.relative_to(COURSE).parts) for path in (COURSE / "helpers").rglob("__init__.py")}
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == packages


def test_constraints_name_no_index_and_pin_every_dependency():
    lines = (COURSE / "constraints.txt").read_text("utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9_.\-]+==[^ ]+ ; python_version >= \"3.11\"", pin) for pin in pins)
    pinned = {re.sub(r"[-_.]+", "-", pin.split("==")[0]).lower() for pin in pins}
    named = {
        re.match(r"[a-z0-9-]+", line)[0]
        for line in [*PROJECT["project"]["dependencies"], *PROJECT["project"]["optional-dependencies"]["authors"]]
    }
    assert {name for name in named if not name.startswith(("looking", "tomli"))} <= pinned


def test_make_help_lists_every_target():
    text = (COURSE / "Makefile").read_text("utf-8")
    phony = set(re.search(r"\.PHONY: (.*)", text)[1].split())
    assert {
        "setup",
        "demo",
        "test",
        "check",
        "notebooks",
        "figures",
        "models",
        "lab",
        "grade",
        "bench",
        "clean",
    } <= phony
    described = set(re.findall(r"^([a-z]+):.*## .+", text, re.MULTILINE))
    assert described == phony


@pytest.mark.parametrize("name", ["CITATION.cff", ".pre-commit-config.yaml", "environment.yml"])
def test_yaml_files_parse(name):
    assert yaml.safe_load((COURSE / name).read_text("utf-8"))


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "data/README.md"])
def test_links_and_commands_in_the_prose_lead_somewhere(name):
    text = (COURSE / name).read_text("utf-8")
    folder = (COURSE / name).parent
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)\)", text):
        assert (folder / target).exists(), target
    for target in re.findall(r"\bmake ([a-z]+)\b", "\n".join(re.findall(r"`([^`]*)`", text))):
        assert re.search(rf"^{target}:", (COURSE / "Makefile").read_text("utf-8"), re.MULTILINE), target
