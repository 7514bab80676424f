"""The files around the code say the same thing and the truth."""

import ast
import re
import subprocess
import sys
import warnings
from collections import defaultdict
from importlib import metadata
from itertools import chain
from pkgutil import walk_packages

import pytest
import yaml

import helpers
from helpers import COURSE, toml

PROJECT = toml.read(COURSE / "pyproject.toml")
EXTRAS = PROJECT["project"]["optional-dependencies"]
NAME = PROJECT["project"]["name"]
# The packages that conda calls by another name.
CONDA_NAMES = {"torch": "pytorch", "jupyter-client": "jupyter_client"}


def normal(name):
    """The one spelling of a package's name that all others stand for."""
    return re.sub(r"[-_.]+", "-", name).lower()


def named(lines):
    """The names in requirements such as "numpy>=1.26"."""
    return {normal(re.match(r"[\w.-]+", line)[0]) for line in lines}


def test_the_tests_of_a_module_share_a_core(request):
    if not hasattr(request.config, "workerinput"):
        pytest.skip("all tests run in this process")
    assert request.node.nodeid.endswith("@test_repository")


# What is installed


def test_conda_and_pip_install_the_same():
    extras = [lines for extra, lines in EXTRAS.items() if extra != "book"]  # which `make book` alone brings
    wanted = [*PROJECT["project"]["dependencies"], *chain.from_iterable(extras)]
    wanted = {re.split(r"\s*;", line)[0] for line in wanted if not line.startswith(NAME)}
    wanted = {re.sub(r"^[a-z0-9-]+", lambda m: CONDA_NAMES.get(m[0], m[0]), line) for line in wanted}
    conda = yaml.safe_load((COURSE / "environment.yml").read_text("utf-8"))
    *lines, by_pip = conda["dependencies"]
    found = {line for line in lines if line != "pip" and not line.startswith("python>=")} | set(by_pip["pip"])
    # tomli is pip's affair: conda's packages bring it.
    assert found == {line for line in wanted if not line.startswith("tomli")}
    assert f"python{PROJECT['project']['requires-python']}" in conda["dependencies"]


def test_constraints_name_no_index_and_pin_every_dependency():
    lines = (COURSE / "constraints.txt").read_text("utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9_.\-]+==[^ ]+ ; python_version >= \"3.11\"", pin) for pin in pins)
    wanted = named([*PROJECT["project"]["dependencies"], *chain.from_iterable(EXTRAS.values())])
    assert wanted - {NAME, "tomli"} <= named(pins)


def imported(*places):
    """Every package from elsewhere that the files import, by name, with the files that do."""
    paths = [path for place in places for path in (place.rglob("*.py") if place.is_dir() else [place])]
    own = {"helpers", "tests", *(path.stem for path in TESTS)}
    found = defaultdict(set)
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            else:
                names = [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            for name in {name.partition(".")[0] for name in names} - own - set(sys.stdlib_module_names):
                found[name].add(path.relative_to(COURSE).as_posix())
    return found


DOCS = COURSE / "docs"
TESTS = list((COURSE / "tests").glob("*.py"))
HELPERS, GRADER = COURSE / "helpers", [COURSE / "helpers" / "course", COURSE / "helpers" / "inside"]
STUDENT = [place for place in HELPERS.iterdir() if place not in GRADER and (place.suffix == ".py" or place.is_dir())]


@pytest.mark.parametrize(
    ("places", "extras"),
    [
        pytest.param(STUDENT, [], id="students"),
        pytest.param([*GRADER, COURSE / "nbgrader_config.py"], ["instructors", "cluster"], id="instructors"),
        pytest.param(
            [*TESTS, COURSE / "solutions", DOCS], ["instructors", "captum", "cluster", "authors", "book"], id="authors"
        ),
    ],
)
def test_every_import_is_declared(places, extras):
    declared = named([*PROJECT["project"]["dependencies"], *chain.from_iterable(EXTRAS[extra] for extra in extras)])
    of = metadata.packages_distributions()
    undeclared = {
        name: sorted(files)
        for name, files in imported(*places).items()
        if not {normal(package) for package in of.get(name, [name])} & declared
    }
    assert undeclared.keys() <= {"google"}, undeclared  # google.colab is there in Colab, and nowhere else


def test_a_student_needs_neither_nbgrader_nor_jupytext():
    modules = [
        module.name
        for module in walk_packages(helpers.__path__, "helpers.", onerror=lambda name: None)
        if not re.match(r"helpers\.(course|inside)\b|.*\.__main__$", module.name)
    ]
    assert {"helpers.models", "helpers.checks.saliency", "helpers.handin", "helpers.pdf.pages"} <= set(modules)
    code = (
        "import sys, importlib\n"
        "for name in ('nbgrader', 'jupytext', 'captum'): sys.modules[name] = None\n"
        f"for name in {modules}: importlib.import_module(name)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=COURSE)


def test_every_folder_of_helpers_is_a_package():
    for path in (path for path in HELPERS.rglob("*.*") if path.is_file() and "__pycache__" not in path.parts):
        assert (path.parent / "__init__.py").exists(), f"{path.parent} is no package"


# Commands


def test_make_help_lists_every_target():
    text = (COURSE / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z]+):", text, re.MULTILINE))
    assert targets == set(re.search(r"\.PHONY: (.*)", text)[1].split())
    assert targets == set(re.findall(r"^([a-z]+):.*## .+", text, re.MULTILINE))


def commands_of_make_check():
    recipe = re.search(r"^check:.*\n((?:\t.*\n)+)", (COURSE / "Makefile").read_text("utf-8"), re.MULTILINE)[1]
    return [line.strip().removeprefix("$(BIN)/") for line in recipe.splitlines()]


def test_pre_commit_runs_what_make_check_runs():
    [repository] = yaml.safe_load((COURSE / ".pre-commit-config.yaml").read_text("utf-8"))["repos"]
    hooks = [hook["entry"] for hook in repository["hooks"] if hook["language"] == "system"]
    assert hooks == commands_of_make_check()


def test_integration_checks_and_tests():
    script = (COURSE / ".ci" / "run").read_text("utf-8")
    assert re.findall(r"^make (.*)", script, re.MULTILINE) == ["check", "book", "test"]
    jobs = yaml.safe_load((COURSE / ".github" / "workflows" / "ci.yml").read_text("utf-8"))["jobs"]
    assert [step["run"] for step in jobs["all"]["steps"] if "run" in step] == ["bash .ci/run"]
    assert f">={jobs['all']['strategy']['matrix']['python'][0]}" == PROJECT["project"]["requires-python"]
    assert jobs["checks"]["steps"][-1]["run"] == "pre-commit run --all-files"


# Versions


def test_version_is_the_same_everywhere():
    citation = yaml.safe_load((COURSE / "CITATION.cff").read_text("utf-8"))
    newest = re.search(r"^## (\S+) \((.+)\)$", (COURSE / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert newest[1] == citation["version"] == PROJECT["project"]["version"]
    assert newest[2] == str(citation.get("date-released", "unreleased"))


# Warnings


@pytest.mark.parametrize("kind", [DeprecationWarning, PendingDeprecationWarning, FutureWarning])
def test_what_our_own_code_calls_that_will_be_gone_is_an_error(kind):
    with pytest.raises(kind):
        warnings.warn_explicit("will be gone", kind, "models.py", 1, module="helpers.models")
    with pytest.warns(kind):
        warnings.warn_explicit("will be gone", kind, "api.py", 1, module="numpy.api")


# Prose


PROSE = ["README.md", "CONTRIBUTING.md", "data/README.md", *(f"docs/{path.name}" for path in DOCS.glob("*.md"))]


@pytest.mark.parametrize("name", PROSE)
def test_links_and_commands_in_the_prose_lead_somewhere(name):
    text = (COURSE / name).read_text("utf-8")
    folder = (COURSE / name).parent
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)\)", text):
        drawn = target.startswith("/build/drawings/")  # by docs/conf.py
        assert drawn or (folder / target).exists(), target
    for target in re.findall(r"\bmake ([a-z]+)\b", "\n".join(re.findall(r"`([^`]*)`", text))):
        assert re.search(rf"^{target}:", (COURSE / "Makefile").read_text("utf-8"), re.MULTILINE), target
