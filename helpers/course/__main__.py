"""Commands for authors and instructors: `python -m helpers.course COMMAND`; the Makefile names them all.

Where the course is installed as a package, `looking-inside COMMAND` is the same.
"""

import argparse
import os
import shlex
import shutil
import sys
import time
from argparse import Namespace
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from helpers import COURSE

try:
    from helpers.course.pages import registry
except ModuleNotFoundError as error:
    sys.exit(
        f"found no package {error.name}: the course is installed without what graders and authors need; wanted its "
        "extra `instructors`, as in pip install '.[instructors]'"
    )
from helpers.course.pages.cells import Page
from helpers.course.pages.terms import MalformedTerms
from helpers.words import counted

if TYPE_CHECKING:
    from helpers.course.run.shards import Shard


def pages() -> Iterable[Page]:
    """Read every assignment's source; exits with all problems of all pages where there are any."""
    try:
        return registry.pages().values()
    except registry.MalformedPages as error:
        sys.exit(str(error))


def notebooks(_: Namespace) -> None:
    """Build notebooks/ and solutions/*.ipynb."""
    from helpers.course.release import notebooks

    for page in pages():
        for path in notebooks.write(page):
            print(f"wrote {path.relative_to(COURSE)}")


def check(_: Namespace) -> None:
    """Compare the committed notebooks with what the sources build now."""
    from helpers.course.release import notebooks

    found = [text for page in pages() if (text := notebooks.differences(page))]
    if found:
        sys.exit("\n".join(found) + "\n\nThe notebooks are not what their sources say. Run `make notebooks`.")
    print("Every notebook is what its source says.")


def figures(_: Namespace) -> None:
    """Draw data/expected/*.png, and where COURSE_ASSETS holds weights and photographs, those of the default network."""
    from helpers.course.release import figures
    from helpers.models import DEFAULT

    drawn = [path for page in pages() for path in figures.draw(page)]
    if assets := os.environ.get("COURSE_ASSETS"):
        folder = Path(assets, "expected", DEFAULT)
        drawn += [path for page in pages() for path in figures.draw(page, folder, DEFAULT)]
    for path in drawn:
        print(f"drew {os.path.relpath(path)}")


def students(options: Namespace) -> None:
    """Write the students' copy: a folder, a zip of it and, with --branch, the next commit of a branch to push."""
    from helpers.course.pages.terms import terms
    from helpers.course.release import students

    folder = Path(options.into).absolute()
    try:
        count = len(students.write(folder))
        commit = students.committed(folder, options.branch) if options.branch else None
    except (students.NotReleased, registry.MalformedPages) as error:
        sys.exit(str(error))
    print(f"wrote {count} files to {os.path.relpath(folder)} and {os.path.relpath(students.zipped(folder))}")
    if commit:
        print(f"the branch {options.branch} is at {commit[:10]}; push it: git push ADDRESS {options.branch}:main")
    if not terms().is_placed:
        print(
            f"Colab badges and set-up cells still point to {terms().repository}, where nothing is. Put the address of "
            "the students' copy in course.toml, run `make notebooks`, then this again."
        )


def several(places: list[str]) -> list[str]:
    """Return the places of a pile: what `make grade SUBMISSIONS="a.zip b.zip"` hands over as one may be several."""
    if len(places) > 1 or Path(places[0]).exists():
        return places
    try:
        parts = shlex.split(places[0])
    except ValueError:  # a quotation mark in a name
        return places
    return parts if all(Path(part).exists() for part in parts) else places


def grade(options: Namespace) -> None:
    """Grade a folder or a zip of submissions."""
    from helpers.course.grade import grade, run_shard
    from helpers.course.intake import collect
    from helpers.course.intake.sheet import SheetError
    from helpers.course.marks import guard, ledger
    from helpers.course.report import changes, tables
    from helpers.course.run import cluster, sandbox, shards

    everywhere: dict[str, Any] = {"workers": options.workers, "unsafe": options.unsafe}
    try:
        places = several(options.submissions)
        if options.shard:
            return print_share(options, *run_shard(places, options.into, options.shard, **everywhere))
        table = grade(places, options.into, dask=options.dask, merge=options.merge, **everywhere)
    except (
        FileNotFoundError,
        registry.MalformedPages,
        collect.IntakeError,
        sandbox.NoIsolation,
        cluster.ClusterError,
        shards.ShardError,
        guard.CannotGrade,
        ledger.LedgerError,
        SheetError,
    ) as error:
        sys.exit(str(error))
    except Exception as error:
        failure = error if isinstance(error, PermissionError) else guard.disk_failure(error)
        if failure is None:
            raise
        where = failure.filename or options.into
        sys.exit(f"{where}: {failure.strerror}. What was finished before is kept; grade again when it can be written.")
    except KeyboardInterrupt:
        runs, pages = (len(list(Path(options.into).glob(kept))) for kept in ("runs/*.ipynb", "recorded/*/*.txt"))
        print(
            f"\nStopped. {options.into} keeps {counted(runs, 'finished run')} and "
            f"{counted(pages, 'recorded notebook')}; the same command goes on from there.",
            file=sys.stderr,
        )
        sys.exit(130)
    print(tables.printed(table))
    if changed := changes.printed(Path(options.into) / "changed.csv"):
        print(f"\n{changed}")
    print(f"\n{sandbox.described(sandbox.tier())}")
    print_places(options.into)


def print_share(options: Namespace, made: int, held: int) -> None:
    """Say what became of a share; exits where it is not whole."""
    runs = Path(options.into) / "runs"
    line = f"Share {options.shard}: {made} of {held} runs are in {runs}."
    if made < held:
        sys.exit(f"{line} Why the others could not be made stands in {options.shard.files(runs)[1]}; run it again.")
    print(f"{line} When all shares are there: the same command with --merge in the place of --shard.")


def share(text: str) -> "Shard":
    """Return the share that was typed."""
    from helpers.course.run.shards import ShardError, shard

    try:
        return shard(text)
    except ShardError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def gradescope(options: Namespace) -> None:
    """Write a Gradescope autograder for one assignment."""
    from helpers.course.platforms import gradescope

    try:
        path = gradescope.build(options.assignment, Path("build", f"gradescope-{options.assignment}.zip"))
    except (FileNotFoundError, ValueError, RuntimeError) as error:
        sys.exit(str(error))
    print(f"wrote {path}; upload it as the autograder of the assignment")


def verify(options: Namespace) -> None:
    """Tell whether the ledger of a graded folder is as it was written."""
    from helpers.course.marks import ledger

    path = Path(options.folder) / "ledger.jsonl"
    try:
        last = ledger.verify(path)
    except (FileNotFoundError, ValueError) as error:
        sys.exit(str(error))
    print(f"Every line of {path} is as it was written; the last seal is {last}.")


def print_places(folder: str | Path) -> None:
    """Say where the results of a grading lie."""
    here, whole = Path.cwd(), Path(folder).absolute()
    folder = whole.relative_to(here) if whole.is_relative_to(here) else whole
    lab = os.path.relpath(Path(sys.executable).parent / "jupyter")
    # Formgrader shows no course that lies outside the folder JupyterLab serves.
    root = f" --ServerApp.root_dir={folder.parent}" if folder.is_absolute() else ""
    # nbgrader looks for its settings where JupyterLab is started, and ours name a folder as seen from their own.
    settings = f"COURSE_GRADING={folder}" if here == COURSE else f"JUPYTER_CONFIG_PATH={COURSE} COURSE_GRADING={whole}"
    print(
        f"\nThe class on one page    {folder / 'report.html'}"
        f"\nOne row per graded cell  {folder / 'grades.csv'}"
        f"\nOne row per assignment   {folder / 'totals.csv'}"
        f"\nFor platforms            {folder / 'uploads'}/canvas.csv, moodle.csv, blackboard.csv"
        f"\nFeedback pages           {folder / 'feedback'}/<student>/<assignment>/<assignment>.html"
        f"\nGradebook                {folder / 'gradebook.db'}"
        f"\nMark written answers     {settings} {lab} lab{root}, then menu Nbgrader, Formgrader"
    )


def demo(_: Namespace) -> None:
    """Grade a small made-up class."""
    from helpers.course import demo
    from helpers.course.grade import grade
    from helpers.course.report import tables
    from helpers.course.run import sandbox

    folder = Path("build", "demo").absolute()
    if folder.exists() and not {path.name for path in folder.iterdir()} <= {"class", "grading"}:
        sys.exit(f"{folder} holds something else than an earlier demo; wanted to write one there: move it away")
    shutil.rmtree(folder, ignore_errors=True)
    page = registry.page_of("01_saliency")
    students = demo.write_class(page, folder / "class")
    print(f"{len(students)} students hand in {page.name}:")
    for student in students:
        print(f"  {student:<8} {demo.STORY.get(student, 'a wrong answer to the first exercise')}")
    started = time.monotonic()
    table = grade(folder / "class", folder / "grading", page_paths=[page.path], cell_seconds=10, unsafe=True)
    print(f"\nGraded in {time.monotonic() - started:.0f} seconds.\n")
    print(tables.printed(table))
    print(f"\n{sandbox.described(sandbox.tier())}")
    print_places(folder / "grading")


def main(arguments: list[str] | None = None) -> None:
    """Read the command line and run one command."""
    installed = Path(sys.argv[0]).stem == "looking-inside"
    prog = "looking-inside" if installed else "python -m helpers.course"
    parser = argparse.ArgumentParser(prog=prog, description="Commands for authors and instructors.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in (notebooks, check, figures, students, grade, verify, gradescope, demo):
        sub = commands.add_parser(command.__name__, help=command.__doc__)
        sub.set_defaults(run=command)
        if command is students:
            sub.add_argument("--into", default="build/students", help="a new or empty folder (default: build/students)")
            sub.add_argument("--branch", help="a branch of this repository that holds nothing but students' copies")
        if command is gradescope:
            sub.add_argument("assignment", help="such as 01_saliency")
        if command is verify:
            sub.add_argument("folder", nargs="?", default="grading", help="a graded folder (default: grading)")
        if command is grade:
            sub.add_argument("submissions", nargs="+", help="folders or zips, as students or a platform hand them over")
            sub.add_argument("--into", default="grading", help="nbgrader's course folder (default: grading)")
            sub.add_argument("--workers", type=int, help="notebooks run at once (default: one per core)")
            sub.add_argument("--unsafe", action="store_true", help="grade even where students' code cannot be isolated")
            where = sub.add_mutually_exclusive_group()
            where.add_argument(
                "--dask", metavar="ADDRESS", help="run notebooks on the Dask cluster with this scheduler"
            )
            where.add_argument("--shard", metavar="I/N", type=share, help="run only share I of N, and record nothing")
            where.add_argument("--merge", action="store_true", help="record what the shares have run, and run nothing")
    options = parser.parse_args(arguments)
    try:
        options.run(options)
    except MalformedTerms as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
