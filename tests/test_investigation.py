"""Assignment 8: what is measured of open answers, and a class of six honest investigations that are all different."""

import nbformat
import pytest
import torch
from nbgrader.api import Gradebook

from helpers.checks import investigation as study
from helpers.checks.problems import tiny_batch
from helpers.course import grade
from helpers.course.demo import filled
from helpers.course.pages import registry
from helpers.course.release import notebooks
from helpers.pictures import picture_pairs
from helpers.synthesis import blur, clamp, jitter

PAGE = registry.page_of("08_investigation")

# The measures


def climbed(steps, *, rate=0.3, pull=0.002, normalised=True, reach=0, momentum=0.0, change=lambda slope: slope):
    """Steps of gradient ascent from a start, on a tiny network: start, first and second image, target, network."""
    start, model, target = study.start_of(3), study.sure_network(3), 2
    images, image, speed = [start], start, torch.zeros_like(start)
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        offset = torch.randint(-reach, reach + 1, (2,), generator=generator).tolist()
        pixels = jitter(image, *offset).requires_grad_()
        slope = change(torch.autograd.grad(model(pixels)[0, target], pixels)[0])
        slope = slope / slope.norm() if normalised else slope / 100
        speed = momentum * speed + jitter(slope, *(-each for each in offset))
        image = clamp(image + rate * speed - pull * (image - 0.5)).detach()
        images.append(image)
    return *images, target, model


@pytest.mark.parametrize("reach", [0, 5])
@pytest.mark.parametrize("normalised", [True, False])
@pytest.mark.parametrize("pull", [0.0, 0.002])
def test_the_steps_of_assignment_4_are_known_with_any_of_its_settings(reach, normalised, pull):
    assert study.is_ascent_of_assignment_4(*climbed(2, reach=reach, normalised=normalised, pull=pull))


@pytest.mark.parametrize(
    "options",
    [
        {"momentum": 0.9},
        {"change": torch.sign},
        {"change": lambda slope: blur(slope, 1.0)},
        {"change": lambda slope: slope + 0.1 * slope.norm() * torch.ones_like(slope) / slope.numel() ** 0.5},
        {"rate": -0.3},
    ],
    ids=["momentum", "sign", "smoothed", "another objective", "downhill"],
)
def test_other_optimisations_are_not_taken_for_it(options):
    assert not study.is_ascent_of_assignment_4(*climbed(2, **options))


def test_a_picture_is_told_from_what_is_none():
    image = torch.rand(1, 3, 4, 4)
    assert study.is_picture(image) and study.is_picture(image.round())
    assert not any(map(study.is_picture, (image + 0.5, image - 0.5, image / 0, image.where(image > 0.5, torch.nan))))


def test_scenes_are_named_by_the_networks_of_other_seeds_and_clouds_are_not():
    scenes = study.ten_scenes(seed=5)
    assert study.told_by_others(scenes.images, scenes.labels) >= 9
    assert study.told_by_others(scenes.images, (scenes.labels + 1) % 10) <= 1
    assert study.told_by_others(0.5 + 0 * scenes.images, scenes.labels) <= 2


def test_masks_turn_to_their_object_and_anything_else_does_not():
    masks = picture_pairs(5, seed=6).masks
    own = masks.float().transpose(0, 1)
    assert study.turned_to_the_object(own, masks) == study.turned_to_the_object(5 * own - 100, masks) == 10
    assert study.turned_to_the_object(own.flip(0), masks) == study.turned_to_the_object(-own, masks) == 0
    assert study.turned_to_the_object(own[:1].expand(2, -1, -1, -1), masks) == 0


def test_what_is_alike_or_constant_is_counted_once_or_not_at_all():
    one, other = torch.rand(2, 5, 5, generator=torch.Generator().manual_seed(0))
    assert study.distinct([one, other]) == 2
    assert study.distinct([one, one + 1e-4, other, torch.full((5, 5), 0.3)]) == 2


def test_tiny_batches_of_the_second_study_hold_labels_that_are_not_predicted():
    images, labels, model = study.explained_problem(811, 3)
    assert (model(images).argmax(dim=1) != labels).all()
    assert torch.equal(images, tiny_batch(model, 3, 811, (12, 16))[0])


# A class


def text(question, student):
    return f"{student}'s report on {question}: I varied one choice at a time, and this is what I saw."


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """Six investigations through the grader: its folder and its table. The bank is tested where all banks are."""
    folder = tmp_path_factory.mktemp("investigations")
    path = folder / f"{PAGE.name}.py"
    path.write_text(PAGE.path.read_text("utf-8").partition("\n# %% [markdown] mistakes=")[0], "utf-8")
    for k in range(6):
        chosen = {f: [*PAGE.variants(f), PAGE.exercises[f]][k] for f in PAGE.exercises}
        answers = {f: cell.source for f, cell in chosen.items()}
        notebook = filled(notebooks.student_notebook(PAGE), answers)
        for cell in notebook.cells:
            name = cell.metadata.get("nbgrader", {}).get("grade_id")
            if name in PAGE.questions:
                cell.source = text(name, f"student-{k}")
        into = folder / "handed-in" / f"student-{k}" / f"{PAGE.name}.ipynb"
        into.parent.mkdir(parents=True)
        nbformat.write(notebook, into)
    table = grade.grade(folder / "handed-in", folder / "grading", page_paths=[path], cell_seconds=300, unsafe=True)
    return folder / "grading", table


of_the_class = [pytest.mark.kernel, pytest.mark.slow, pytest.mark.timeout(900)]


class TestClass:
    pytestmark = of_the_class

    def test_the_machine_accepts_six_different_methods_and_says_what_it_found(self, graded):
        rows = [row for row in graded[1] if row["question"].startswith("test_")]
        assert [(row["score"], row["verdict"]) for row in rows] == [("40", "right"), ("24", "right")] * 6
        found = [row["message"] for row in rows]
        assert all("of 10 are named right" in words for words in found[::2])
        assert all("of 12 cases the object that is asked about ranks higher" in words for words in found[1::2])

    def test_every_report_waits_for_a_person(self, graded):
        folder, table = graded
        reports = [row for row in table if row["question"] in PAGE.questions]
        assert len(reports) == 60
        assert {(row["score"], row["verdict"]) for row in reports} == {("", "to be marked")}
        points = {row["question"]: float(row["max_score"]) for row in table if row["student"] == "student-0"}
        assert sum(points.values()) == 200
        with Gradebook(f"sqlite:///{folder}/gradebook.db") as gradebook:
            for k in range(6):
                submission = gradebook.find_submission(PAGE.name, f"student-{k}")
                waiting = {g.name for g in submission.notebooks[0].grades if g.needs_manual_grade}
                assert waiting == set(PAGE.questions)

    def test_the_marker_reads_the_report_and_what_the_machine_found(self, graded):
        folder, _ = graded
        marked = (folder / "autograded" / "student-3" / PAGE.name / f"{PAGE.name}.ipynb").read_text("utf-8")
        assert "of 10 are named right" in marked and text("q_start", "student-3") in marked


def test_each_study_is_worth_100_points():
    checks = {f: cell.points for f, cell in PAGE.checks.items()}
    questions = [cell.points for cell in PAGE.questions.values()]
    assert checks["my_visualisation"] + sum(questions[:5]) == 100 == checks["my_explanation"] + sum(questions[5:])
