"""`make bench`: how fast, as ratios of ways to do the same thing, measured in turn in one run.

Times are wall clock and CPU: the first depends on what else the machine does, the second less. CPU is that of the whole
family of processes. What is imported once, on either side, is imported before.
"""

import argparse
import contextlib
import io
import json
import os
import platform
import resource
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import count
from multiprocessing import get_context
from pathlib import Path
from unittest import mock

import nbformat
import torch
from captum import attr
from nbgrader.api import Gradebook
from nbgrader.converters import Autograde, GenerateAssignment
from nbgrader.converters.base import NbGraderException
from torch import nn
from torch.nn import functional as F
from traitlets.config import Config

from helpers.course import demo, grade
from helpers.course.marks import compare
from helpers.course.marks.place import released, solved
from helpers.course.pages import registry
from helpers.course.pages.cells import without_markers
from helpers.course.run import execute, prepare
from helpers.course.run.limits import Limits
from helpers.models import load_model
from helpers.pictures import example_pictures, picture_book
from tests import strange
from tests.answering import cell_with, executed
from tests.submissions import TOYS

NUMBERS = count()


def cpu(of=(resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)):
    """Return the CPU seconds of this process and of all that it has started and seen the end of."""
    used = map(resource.getrusage, of)
    return sum(each.ru_utime + each.ru_stime for each in used)


def measured(function):
    """Return (wall, CPU) seconds of one call."""
    before, start = cpu(), time.perf_counter()
    function()
    return time.perf_counter() - start, cpu() - before


def printed(title, header, rows):
    """Print a table."""
    rows = [[str(cell) for cell in row] for row in (header, *rows)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    load = os.getloadavg()[0]
    print(f"\n{title} (load {load:.1f})")
    for row in rows:
        others = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        print("  ".join([row[0].ljust(widths[0]), *others]), flush=True)


def spread(values, form="{:.1f}"):
    """Return the median, and from where to where where there are several."""
    shown = form.format(statistics.median(values))
    ends = f" ({form.format(min(values))} to {form.format(max(values))})" if len(values) > 1 else ""
    return shown + ends


# ------------------------------------------------------------------------------------------------ grading


def write_class(folder, students, page):
    """Write a class that has solved a page; no two notebooks are the same, so that no run can be taken for another."""
    answers = {name: without_markers(cell.source) for name, cell in page.exercises.items()}
    for _ in range(students):
        number = next(NUMBERS)
        notebook = demo.filled(released(page), answers)
        notebook.cells.append(nbformat.v4.new_code_cell(f"student = {number}"))
        path = folder / f"student-{number}" / f"{page.name}.ipynb"
        path.parent.mkdir(parents=True)
        nbformat.write(notebook, path)


def without_figures(folder, page):
    """Take out of each notebook what draws only, as grading does."""
    drawn = {cell.source for cell in released(page).cells if prepare.is_figure(cell)}
    for path in folder.rglob("*.ipynb"):
        notebook = nbformat.read(path, as_version=4)
        notebook.cells = [cell for cell in notebook.cells if cell.source not in drawn]
        nbformat.write(notebook, path)


def stock(folder, handed_in, page, **options):
    """Grade with nbgrader as it comes: one notebook after the other."""
    config = grade.nbgrader_config(folder)
    plain = Config({"CourseDirectory": config.CourseDirectory, **options})
    place = folder / "source" / page.name
    place.mkdir(parents=True)
    nbformat.write(solved(page), place / f"{page.name}.ipynb")
    for path in sorted(path for path in handed_in.rglob("*.ipynb") if path.is_file()):
        target = folder / "submitted" / path.parent.name / page.name / path.name
        target.parent.mkdir(parents=True)
        target.write_bytes(path.read_bytes())
    grade.convert(GenerateAssignment, page.name, ".", plain)
    for path in sorted(handed_in.iterdir()):
        # One by one: a copied cell would stop nbgrader's run through the class.
        with contextlib.suppress(NbGraderException, SystemExit):
            grade.convert(Autograde, page.name, path.name, plain)


def ours(folder, handed_in, page, jobs, warm=True):
    """Grade with `make grade`."""
    with mock.patch.object(grade, "Limits", partial(Limits, warm=warm)):
        grade.grade(handed_in, folder, workers=jobs, page_paths=[page.path], unsafe=True)


def grading(students, rounds):
    """Compare the ways to grade a class that has solved a page, each submission another, once the reference has run."""
    page = registry.page_of("01_saliency")
    took = {}
    with tempfile.TemporaryDirectory() as temporary, contextlib.redirect_stderr(io.StringIO()):
        folder, fresh = Path(temporary), count()
        write_class(folder / "one", 1, page)
        once = measured(lambda: ours(folder / "ours", folder / "one", page, 1))

        def theirs(handed_in):
            place = folder / f"stock-{next(fresh)}"
            place.mkdir()
            with grade.logged(folder / "stock.log"):
                stock(place, handed_in, page)

        ways: dict[str, Callable[[Path], None]] = {
            "nbgrader as it comes": theirs,
            "nbgrader, figures left out": theirs,
            "make grade, cold, one job": lambda handed_in: ours(folder / "ours", handed_in, page, 1, warm=False),
            "make grade, cold, two jobs": lambda handed_in: ours(folder / "ours", handed_in, page, 2, warm=False),
            "make grade, one job": lambda handed_in: ours(folder / "ours", handed_in, page, 1),
            "make grade, two jobs": lambda handed_in: ours(folder / "ours", handed_in, page, 2),
        }
        for _ in range(rounds):
            for way, how in ways.items():
                handed_in = folder / f"class-{next(fresh)}"
                write_class(handed_in, students, page)
                if "figures" in way:
                    without_figures(handed_in, page)
                wall, used = measured(partial(how, handed_in))
                took.setdefault(way, []).append((wall / students, used / students))
    base = took["nbgrader as it comes"]
    rows = []
    for way, pairs in took.items():
        walls, used = zip(*pairs, strict=True)
        rows.append(
            [
                way,
                f"{statistics.median(walls):.1f}",
                f"{statistics.median(used):.1f}",
                spread([a[0] / b[0] for a, b in zip(base, pairs, strict=True)]),
                spread([a[1] / b[1] for a, b in zip(base, pairs, strict=True)]),
            ]
        )
    printed(
        f"A submission of {page.name}, of {students} in a class, {rounds} rounds",
        ["", "seconds", "CPU seconds", "times as fast", "times less CPU"],
        rows,
    )
    print(f"Once for each page, the reference, all known wrong answers and one submission: {once[1]:.0f} CPU seconds.")


def sizes(numbers):
    """Grade classes of several sizes: what a submission costs, and how much memory the grader takes."""
    page, rows = registry.page_of("01_saliency"), []
    with tempfile.TemporaryDirectory() as temporary, contextlib.redirect_stderr(io.StringIO()):
        folder = Path(temporary)
        write_class(folder / "one", 1, page)
        ours(folder / "ours", folder / "one", page, 2)
        for size in sorted(numbers):
            write_class(folder / f"class-{size}", size, page)
            wall, used = measured(lambda size=size: ours(folder / "ours", folder / f"class-{size}", page, 2))
            again = measured(lambda size=size: ours(folder / "ours", folder / f"class-{size}", page, 2))
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            rows.append([size, f"{wall / size:.1f}", f"{used / size:.1f}", f"{again[0]:.1f}", f"{peak:.0f}"])
    header = ["submissions", "seconds each", "CPU seconds each", "graded again, seconds", "grader's peak memory, MB"]
    printed("Classes of several sizes, two jobs", header, rows)


TIMED = """
import time
started = time.process_time()
{source}
emit("cpu", torch.tensor(time.process_time() - started))
"""
WATCH = """
import json, time
seconds, begun = [], []
get_ipython().events.register("pre_run_cell", lambda info: begun.append(time.process_time()))
get_ipython().events.register("post_run_cell", lambda found: seconds.extend(
    time.process_time() - each for each in begun[-1:]))
"""


def parts(number):
    """Say what the CPU time of a submission goes into, one job, warm."""
    page = registry.page_of("01_saliency")
    with tempfile.TemporaryDirectory() as temporary, contextlib.redirect_stderr(io.StringIO()):
        folder = Path(temporary)
        write_class(folder / "class", 1, page)
        [path] = (folder / "class").rglob("*.ipynb")
        submission = nbformat.read(path, as_version=4)
        prepared = prepare.prepared(submission, released(page), solved(page))
        own, checks = cells_cpu(prepared)
        few, many = (runs_cpu(prepared, copies) for copies in (1, 1 + number))
        running = (many - few) / number

        write_class(folder / "more", number, page)
        ours(folder / "ours", folder / "class", page, 1)
        record, recording = grade.record_everything, []

        def noted(*arguments):
            recording.append(measured(lambda: record(*arguments))[1])

        with mock.patch.object(grade, "record_everything", noted):
            whole = measured(lambda: ours(folder / "ours", folder / "more", page, 1))[1] / number
            again = measured(lambda: ours(folder / "ours", folder / "more", page, 1))[1] / number
    recorded = recording[0] / number
    rows = [
        ["the student's cells", f"{own:.2f}"],
        ["the checks, visible and hidden", f"{checks:.2f}"],
        ["the kernel: start, copies, messages, end", f"{running - own - checks:.2f}"],
        ["recording and feedback page", f"{recorded:.2f}"],
        ["intake, tables", f"{again:.2f}"],
        ["all but the student's cells and the checks", f"{running - own - checks + recorded + again:.2f}"],
    ]
    printed(f"Where the CPU seconds of a submission of {page.name} go, of {number}", ["", "CPU seconds"], rows)
    print(f"All of it, with the start of one worker shared by {number}: {whole:.2f}.")


def cells_cpu(prepared):
    """Return the CPU seconds of the student's cells, and of both halves of the checks, as a warm kernel takes them."""
    watched = nbformat.from_dict(prepared)
    for cell in watched.cells:
        if prepare.is_hidden(cell):
            cell.source = TIMED.replace("{source}", cell.source)
    watched.cells.insert(0, prepare.code_cell("watch", WATCH))
    watched.cells.append(prepare.code_cell("told", "print(json.dumps(seconds))"))
    run = nbformat.reads(execute.run(nbformat.writes(watched), Limits()), as_version=4)
    hidden = sum(float(compare.captures(cell.outputs)[-1].arrays[0]) for cell in run.cells if prepare.is_hidden(cell))
    seconds = json.loads(next(output.text for output in run.cells[-1].outputs))
    own = [cell.id for cell in run.cells[1:-1] if not prepare.is_hidden(cell)]
    taken = dict(zip(own, seconds, strict=True))
    visible = sum(value for name, value in taken.items() if name.endswith("-visible"))
    return sum(taken.values()) - visible, visible + hidden


def runs_cpu(prepared, copies):
    """Return the CPU seconds of a worker that runs a notebook so many times."""
    before, text = cpu((resource.RUSAGE_CHILDREN,)), nbformat.writes(prepared)
    with ProcessPoolExecutor(1, get_context("spawn")) as executor:
        list(executor.map(execute.run, [text] * copies, [Limits()] * copies))
    return cpu((resource.RUSAGE_CHILDREN,)) - before


def strange_class():
    """The class of tests/strange.py: how many get the marks they must, from nbgrader as it comes and from us."""
    page = registry.read(TOYS / "01_toy.py")
    with tempfile.TemporaryDirectory() as temporary, contextlib.redirect_stderr(io.StringIO()):
        folder = Path(temporary)
        strange.write_class(folder / "class", page)
        table = grade.grade(folder / "class", folder / "ours", page_paths=[page.path], cell_seconds=4, unsafe=True)
        ours = {}
        for row in table:
            if row["question"].startswith("test_"):
                ours.setdefault(row["student"], {})[row["question"]] = float(row["score"] or 0)
        (folder / "stock").mkdir()
        with grade.logged(folder / "stock.log"):
            stock(folder / "stock", folder / "class", page, Execute={"timeout": 4})
        with Gradebook(f"sqlite:///{folder}/stock/gradebook.db") as gradebook:
            theirs = {
                notebook.student.id: {grade.name: grade.auto_score for grade in notebook.grades}
                for notebook in gradebook.notebook_submissions(page.name, page.name)
            }
    wanted = {
        name: {} if double is None else {"test_double": double, "test_half": half}
        for name, (_, double, half, _) in strange.SUBMISSIONS.items()
    }

    def shown(marks):
        marks = [marks.get(name) for name in ("test_double", "test_half")]
        return "-" if None in marks else " + ".join(f"{mark:g}" for mark in marks)

    right, rows = [0, 0], []
    for name, marks in wanted.items():
        columns = [shown(marks), shown(theirs.get(name, {})), shown(ours.get(name, {}))]
        right = [count + (column == columns[0]) for count, column in zip(right, columns[1:], strict=True)]
        if columns[1] != columns[0] or columns[2] != columns[0]:
            rows.append([name, *columns])
    printed(
        f"{len(wanted)} strange submissions: those that do not get the points that they must (of 4 and 2; - for none)",
        ["", "wanted", "nbgrader", "make grade"],
        [*rows, ["as wanted", len(wanted), *right]],
    )


# ------------------------------------------------------------------------------------------------ functions


def functions(rounds):
    """The answers of the pages beside Captum and beside the bare forward and backward pass, on five pictures."""
    model = load_model(device="cpu")
    images = example_pictures(model, 5).images
    labels = model(images).argmax(dim=1)
    names = {"torch": torch, "nn": nn, "F": F}
    for page in map(registry.page_of, ("01_saliency", "02_gradcam")):
        names = executed(names, cell_with(page, "def score_gradient(")) if page.name == "02_gradcam" else names
        names = executed(names, *page.exercises.values())
    layer = model.cam_layer
    at_layer = (images, labels, model, layer)
    captum = {
        "compute_saliency_maps": (attr.Saliency(model).attribute, at_layer[:3]),
        "guided_backprop": (attr.GuidedBackprop(model).attribute, at_layer[:3]),
        "grad_cam": (partial(attr.LayerGradCam(model, layer).attribute, relu_attributions=True), at_layer),
        "guided_grad_cam": (
            partial(attr.GuidedGradCam(model, layer).attribute, interpolate_mode="bilinear"),
            at_layer,
        ),
    }

    def bare():
        """One forward and one backward pass."""
        inputs = images.clone().requires_grad_()
        torch.autograd.grad(model(inputs).gather(1, labels[:, None]).sum(), inputs)

    warnings.filterwarnings("ignore", "Setting backward hooks on ReLU")
    warnings.filterwarnings("ignore", "Input Tensor 0 did not already require gradients")
    rows = []
    for name, (theirs, arguments) in captum.items():
        turns = [partial(names[name], *arguments), partial(theirs, images.clone(), target=labels), bare]
        for turn in turns:
            turn()
        times = [[measured(turn)[0] for turn in turns] for _ in range(rounds)]
        mine, captums, bares = (statistics.median(column) for column in zip(*times, strict=True))
        rows.append(
            [
                name,
                *(f"{1000 * seconds:.0f}" for seconds in (mine, captums, bares)),
                spread([a / b for a, b, _ in times], "{:.2f}"),
                spread([a / c for a, _, c in times], "{:.2f}"),
            ]
        )
    printed(
        f"Answers on five pictures, {model.network.__class__.__name__}, {rounds} rounds, milliseconds",
        ["", "answer", "Captum", "bare", "answer / Captum", "answer / bare"],
        rows,
    )


def batch_against_loop(rounds):
    """A saliency map for each of 32 pictures: one backward pass for the batch, or one for each picture."""
    page = registry.page_of("01_saliency")
    maps = executed({"torch": torch}, page.exercises["compute_saliency_maps"])["compute_saliency_maps"]
    model, pictures = load_model("picturebook", "cpu"), picture_book(32)
    images, labels = pictures.images, pictures.labels

    def loop():
        for i in range(len(images)):
            maps(images[i : i + 1], labels[i : i + 1], model)

    def batch():
        maps(images, labels, model)

    loop(), batch()
    times = [(measured(loop)[0], measured(batch)[0]) for _ in range(rounds)]
    ratios = [one / other for one, other in times]
    print(f"\nSaliency maps of 32 pictures in one batch: {spread(ratios)} times as fast as one by one.", flush=True)


def main():
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    known = ("functions", "parts", "grading", "sizes", "strange")
    parser.add_argument("what", nargs="*", help=f"some of {', '.join(known)} (default: all)")
    parser.add_argument("--students", type=int, default=3, help="submissions that each way of grading gets")
    parser.add_argument("--rounds", type=int, default=2, help="how often all ways of grading have their turn")
    parser.add_argument("--sizes", type=int, nargs="*", default=[5, 20], help="of classes, such as 5 20 60")
    options = parser.parse_args()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    torch.set_num_threads(1)
    print(f"Python {platform.python_version()}, torch {torch.__version__}, {cores} cores, one thread each")
    what = options.what or known
    if "functions" in what:
        functions(rounds=15)
        batch_against_loop(rounds=7)
    if "parts" in what:
        parts(number=5)
    if "grading" in what:
        grading(options.students, options.rounds)
    if "sizes" in what:
        sizes(options.sizes)
    if "strange" in what:
        strange_class()


if __name__ == "__main__":
    main()
