"""The students' copy of the course: notebooks and what they import, without answers, hidden tests and rubrics."""

import json
import os
import re
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from helpers import COURSE, toml
from helpers.course.pages import registry
from helpers.course.pages.cells import Page
from helpers.course.pages.terms import terms
from helpers.course.release import notebooks
from helpers.words import counted

README = Path(__file__).with_suffix(".md")
SECRET = ("course", "inside")  # of helpers: the grader, and what of it runs beside a student's code


class NotReleased(ValueError):
    """The students' copy cannot be made; the text says why and what to do."""


def files() -> Iterator[Path]:
    """Yield what is copied as it is, in the order of its names."""
    yield COURSE / "LICENSE"
    for page in registry.pages().values():
        yield COURSE / "notebooks" / f"{page.name}.ipynb"
    yield from (path for path in below(COURSE / "helpers") if path.relative_to(COURSE).parts[1] not in SECRET)
    yield from below(COURSE / "data")


def below(place: Path) -> list[Path]:
    """Return the file at a place, or those below it, in the order of their names, without those that Python makes."""
    if place.is_file():
        return [place]
    return [file for file in sorted(place.rglob("*")) if file.is_file() and "__pycache__" not in file.parts]


def write(into: Path) -> list[Path]:
    """Write the students' copy to an empty or new folder, or over an earlier copy; return the paths in it.

    Raises:
        NotReleased: a notebook is not what its source says, or `into` holds something that is not a students' copy.
        registry.MalformedPages: a page is malformed.
    """
    pages = registry.pages()
    if changed := [name for name, page in pages.items() if notebooks.differences(page)]:
        raise NotReleased(f"{', '.join(changed)}: the notebooks are not what their sources say; run `make notebooks`")
    made = {"README.md": readme(pages), "pyproject.toml": project()}
    if into.exists() and any(into.iterdir()) and not is_copy(into):
        raise NotReleased(f"{into} holds something else than a students' copy; wanted a new or an empty folder")
    for path in into.iterdir() if into.exists() else ():
        if path.name != ".git":  # a checkout of theirs stays one
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    written = []
    for path in files():
        target = into / path.relative_to(COURSE)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
        written.append(target)
    for name, text in made.items():
        (into / name).write_text(text, "utf-8")
        written.append(into / name)
    return written


def is_copy(folder: Path) -> bool:
    """Tell whether a folder is a students' copy: the notebooks and helpers of one, and no page."""
    found = {path.name for path in folder.iterdir()}
    return {"notebooks", "helpers", "README.md"} <= found and not {"solutions", "tests"} & found


def readme(pages: dict[str, Page]) -> str:
    """Return the README of the copy."""
    rows = []
    for name, page in pages.items():
        exercises = sum(check.points for check in page.checks.values())
        questions = sum(cell.points for cell in page.cells if cell.kind == "question")
        points = [f"{exercises} for exercises"] * bool(exercises) + [f"{questions} for questions"] * bool(questions)
        minutes = sum(exercise.minutes for exercise in page.exercises.values())
        time = f"about {counted(minutes, 'minute')}" if minutes else ""
        rows.append(f"| [{page.title}](notebooks/{name}.ipynb) | {', '.join(points)} | {time} |")
    return README.read_text("utf-8").format(name=terms().name, table="\n".join(rows))


def project() -> str:
    """Return the pyproject.toml of the copy: what a student needs, and nothing of the grader."""
    whole = toml.read(COURSE / "pyproject.toml")
    project, wheel = whole["project"], whole["tool"]["hatch"]["build"]["targets"]["wheel"]
    copied = {path.relative_to(COURSE).as_posix() for path in files()} | {"README.md", "pyproject.toml"}
    copied |= {name.partition("/")[0] for name in copied}
    tables = {
        "build-system": whole["build-system"],
        "project": {key: project[key] for key in ("name", "version", "requires-python", "dependencies")},
        "tool.hatch.build.targets.wheel": {
            "only-include": [name for name in wheel["only-include"] if name in copied],
            "dev-mode-dirs": wheel["dev-mode-dirs"],
        },
    }
    for key in ("sources", "force-include"):
        tables[f"tool.hatch.build.targets.wheel.{key}"] = {
            name: target for name, target in wheel[key].items() if name in copied
        }
    lines = []
    for name, table in tables.items():
        keys = (key if re.fullmatch(r"[\w-]+", key) else json.dumps(key) for key in table)
        values = (json.dumps(value, indent=4) for value in table.values())
        lines += [f"[{name}]", *map(" = ".join, zip(keys, values, strict=True)), ""]
    return "\n".join(lines)


def zipped(folder: Path) -> Path:
    """Write a folder to a zip beside it, below its own name; return the path."""
    path = folder.with_name(f"{folder.name}.zip")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file() and ".git" not in file.relative_to(folder).parts:
                archive.write(file, Path(folder.name) / file.relative_to(folder))
    return path


def committed(folder: Path, branch: str) -> str:
    """Make a folder the next commit of a branch of this repository, whose checkout stays as it is; the commit's name.

    The branch has no history but its own: what is pushed of it holds no answer of an earlier time.

    Raises:
        NotReleased: this is no git repository, or the branch is checked out or holds something else.
    """
    place = git(COURSE, "rev-parse", "--absolute-git-dir")
    if branch == git(COURSE, "branch", "--show-current"):
        raise NotReleased(f"the branch {branch} is checked out here; wanted one for the students' copy alone")
    before = git(COURSE, "for-each-ref", "--format=%(objectname)", f"refs/heads/{branch}")
    if before and "solutions" in git(COURSE, "ls-tree", "--name-only", before).split("\n"):
        raise NotReleased(f"the branch {branch} holds solutions; wanted a new one, or one of students' copies")
    with tempfile.TemporaryDirectory() as temporary:
        index = {"GIT_INDEX_FILE": str(Path(temporary, "index")), "GIT_DIR": place, "GIT_WORK_TREE": str(folder)}
        git(folder, "add", "--all", "--force", ".", **index)
        tree = git(folder, "write-tree", **index)
    if before and tree == git(COURSE, "rev-parse", f"{before}^{{tree}}"):
        return before
    parent = ["-p", before] if before else []
    commit = git(COURSE, "commit-tree", tree, *parent, "-m", f"{terms().name}: the students' copy")
    git(COURSE, "update-ref", f"refs/heads/{branch}", commit, before)
    return commit


def git(folder: Path, *arguments: str, **more: str) -> str:
    """Return what a git command says in a folder; NotReleased with its own words where it fails."""
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, env=os.environ | more, capture_output=True, text=True)
    except FileNotFoundError:
        raise NotReleased("found no git on this machine; wanted it for a branch") from None
    if done.returncode:
        raise NotReleased(f"git {arguments[0]}: {done.stderr.strip() or 'no reason given'}")
    return done.stdout.strip()
