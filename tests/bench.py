"""`make bench`: how fast, as ratios of two ways of doing the same thing, measured in turn in one run."""

import contextlib
import io
import statistics
import tempfile
import time
import warnings
from functools import partial
from pathlib import Path

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
from helpers.course.pages import registry
from helpers.course.pages.cells import without_markers
from helpers.course.release import notebooks
from helpers.models import load_model
from helpers.pictures import example_pictures, picture_book
from tests import strange
from tests.answering import cell_with, executed
from tests.submissions import TOYS

STUDENTS = 6


def seconds(function):
    """Return how long one call takes."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def compared(what, slow, fast, rounds):
    """Time two functions in turn and print the ratio of each round's pair: smallest, median, largest."""
    pairs = [(seconds(slow), seconds(fast)) for _ in range(rounds)]
    ratios = sorted(a / b for a, b in pairs)
    medians = [statistics.median(column) for column in zip(*pairs, strict=True)]
    print(
        f"{what}\n    {medians[0]:8.3f} s against {medians[1]:8.3f} s: "
        f"{statistics.median(ratios):.2f} times as fast ({ratios[0]:.2f} to {ratios[-1]:.2f}, {rounds} rounds)"
    )


def batch_against_loop():
    """A saliency map for each of 32 pictures: one backward pass for the batch, or one for each picture."""
    page = registry.page_of("01_saliency")
    namespace = {"torch": torch}
    exec(page.exercises["compute_saliency_maps"].source, namespace)
    maps, model, pictures = namespace["compute_saliency_maps"], load_model("picturebook", "cpu"), picture_book(32)
    images, labels = pictures.images, pictures.labels

    def loop():
        for i in range(len(images)):
            maps(images[i : i + 1], labels[i : i + 1], model)

    loop()
    compared("saliency of 32 pictures: one by one, against in one batch", loop, lambda: maps(images, labels, model), 7)


def answers_against_captum():
    """Grad-CAM and Guided Grad-CAM of five photographs, SqueezeNet, one thread: Captum, against the model answers."""
    model = load_model("squeezenet1_1", "cpu")
    images = example_pictures(model, 5).images
    labels = model(images).argmax(dim=1)
    page = registry.page_of("02_gradcam")
    names = executed({"torch": torch, "nn": nn, "F": F}, cell_with(page, "def score_gradient("))
    names = executed(names, *page.exercises.values())
    captum = {
        "grad_cam": partial(attr.LayerGradCam(model, model.cam_layer).attribute, relu_attributions=True),
        "guided_grad_cam": partial(attr.GuidedGradCam(model, model.cam_layer).attribute, interpolate_mode="bilinear"),
    }
    warnings.filterwarnings("ignore", "Setting backward hooks on ReLU")
    for name, theirs in captum.items():
        one = partial(theirs, images, labels)
        other = partial(names[name], images, labels, model, model.cam_layer)
        one(), other()
        compared(f"{name} of 5 photographs: Captum, against the model answer", one, other, 25)


def stock(folder, handed_in, page, **options):
    """Grade with nbgrader as it comes: one notebook after the other, figures and all."""
    config = grade.nbgrader_config(folder)
    plain = Config({"CourseDirectory": config.CourseDirectory, **options})
    place = folder / "source" / page.name
    place.mkdir(parents=True)
    nbformat.write(notebooks.solved_notebook(page), place / f"{page.name}.ipynb")
    for path in sorted(path for path in handed_in.rglob("*.ipynb") if path.is_file()):
        target = folder / "submitted" / path.parent.name / page.name / path.name
        target.parent.mkdir(parents=True)
        target.write_bytes(path.read_bytes())
    grade.convert(GenerateAssignment, page.name, ".", plain)
    for path in sorted(handed_in.iterdir()):
        # One by one: a copied cell would stop nbgrader's run through the class.
        with contextlib.suppress(NbGraderException, SystemExit):
            grade.convert(Autograde, page.name, path.name, plain)


def grading_against_stock():
    """A class of students with the solved saliency notebook: nbgrader as it comes, against `make grade`."""
    page = registry.page_of("01_saliency")
    answers = {name: without_markers(cell.source) for name, cell in page.exercises.items()}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for i in range(STUDENTS):
            # No two are the same, so that no run can be taken from another's.
            notebook = demo.filled(notebooks.student_notebook(page), answers)
            notebook.cells.append(nbformat.v4.new_code_cell(f"student = {i}"))
            path = folder / "class" / f"student-{i}" / f"{page.name}.ipynb"
            path.parent.mkdir(parents=True)
            nbformat.write(notebook, path)

        def ours():
            grade.grade(folder / "class", folder / "ours", page_paths=[page.path], unsafe=True)

        def theirs():
            (folder / "stock").mkdir()
            with grade.logged(folder / "stock.log"):
                stock(folder / "stock", folder / "class", page)

        with contextlib.redirect_stderr(io.StringIO()):
            compared(f"grading {STUDENTS} notebooks: nbgrader as it comes, against make grade", theirs, ours, 1)


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
    print(f"\n{len(wanted)} strange submissions (wanted points of 4 and 2; - where there are none)")
    print(f"    {'':32} {'wanted':>10} {'nbgrader':>10} {'make grade':>10}")

    def shown(marks):
        marks = [marks.get(name) for name in ("test_double", "test_half")]
        return "-" if None in marks else " + ".join(f"{mark:g}" for mark in marks)

    right = [0, 0]
    for name, marks in wanted.items():
        columns = [shown(marks), shown(theirs.get(name, {})), shown(ours.get(name, {}))]
        right = [count + (column == columns[0]) for count, column in zip(right, columns[1:], strict=True)]
        if columns[1] != columns[0] or columns[2] != columns[0]:
            print(f"    {name:32} {columns[0]:>10} {columns[1]:>10} {columns[2]:>10}")
    print(f"    {'as wanted':32} {len(wanted):>10} {right[0]:>10} {right[1]:>10}")


def main():
    """Run every comparison."""
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads\n")
    batch_against_loop()
    answers_against_captum()
    grading_against_stock()
    strange_class()


if __name__ == "__main__":
    main()
