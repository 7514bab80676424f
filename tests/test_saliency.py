"""Assignment 1: the reference answers against Captum, against identities, and against what the prose promises."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from helpers import graphcut
from helpers.checks.networks import tiny_network
from helpers.checks.problems import tiny_batch
from helpers.course.pages import registry
from helpers.models import load_model
from helpers.pictures import picture_book
from tests.answering import executed, judged, linear_scorer, parts_of, relative

pytestmark = pytest.mark.slow  # all together; one by one they take no time

PAGE = registry.page_of("01_saliency")


@pytest.fixture(scope="module")
def answers():
    """The names of the setup's imports and the four reference functions."""
    namespace = {"math": math, "torch": torch, "nn": nn, "F": F}
    return executed(namespace, *PAGE.exercises.values())


@pytest.fixture
def problem():
    model = tiny_network(1)
    return *tiny_batch(model, 3, seed=1), model


# Captum


def test_maps_agree_with_captum(answers, problem):
    attr = pytest.importorskip("captum.attr")
    images, labels, model = problem
    theirs = attr.Saliency(model).attribute(images.clone().requires_grad_(), target=labels).amax(dim=1)
    assert relative(answers["compute_saliency_maps"](images, labels, model), theirs) < 1e-12


def test_score_gradient_agrees_with_captum(answers, problem):
    attr = pytest.importorskip("captum.attr")
    images, labels, model = problem
    theirs = attr.Saliency(model).attribute(images.clone().requires_grad_(), target=labels, abs=False)
    assert relative(answers["score_gradient"](images, labels, model), theirs) < 1e-12


def test_smooth_grad_agrees_with_captum_on_the_noise_captum_drew(answers, problem):
    attr = pytest.importorskip("captum.attr")
    images, labels, model = problem
    seen = []
    handle = model.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].detach().clone()))
    tunnel = attr.NoiseTunnel(attr.Saliency(model))
    theirs = tunnel.attribute(
        images.clone().requires_grad_(), nt_type="smoothgrad", nt_samples=6, stdevs=0.2, target=labels, abs=False
    )
    handle.remove()
    noisy = torch.cat(seen).view(3, 6, *images.shape[1:]).transpose(0, 1)
    noise = noisy - images
    assert noise.std() == pytest.approx(0.2, rel=0.1)
    assert relative(answers["smooth_grad"](images, labels, model, noise), theirs) < 1e-12


# Identities


def test_gradient_of_a_linear_scorer_is_its_weight_row(answers):
    model, rows = linear_scorer()
    images, labels = torch.rand(5, 3, 4, 5).double(), torch.tensor([0, 3, 1, 1, 2])
    assert torch.equal(answers["score_gradient"](images, labels, model), rows[labels])
    assert torch.equal(answers["compute_saliency_maps"](images, labels, model), rows[labels].abs().amax(dim=1))
    noise = torch.randn(4, *images.shape).double()
    assert relative(answers["smooth_grad"](images, labels, model, noise), rows[labels]) < 1e-12


def test_gradients_of_probability_and_log_probability_follow_from_those_of_the_scores(answers, problem):
    images, labels, model = problem
    gradient, rows = answers["score_gradient"], torch.arange(len(labels))
    each = torch.stack([gradient(images, torch.full_like(labels, c), model) for c in range(5)], dim=1)
    p = model(images).softmax(dim=1)
    against = each[rows, labels] - torch.einsum("nc,nc...->n...", p, each)
    own = p[rows, labels][:, None, None, None]
    assert relative(gradient(images, labels, model, "log_probability"), against) < 1e-12
    assert relative(gradient(images, labels, model, "probability"), own * against) < 1e-12


def test_gradients_of_all_probabilities_add_up_to_nothing(answers, problem):
    images, labels, model = problem
    each = [answers["score_gradient"](images, torch.full_like(labels, c), model, "probability") for c in range(5)]
    assert sum(each).norm() < 1e-12 * each[0].norm()


def test_saliency_map_is_the_largest_size_of_the_score_gradient(answers, problem):
    images, labels, model = problem
    sizes = answers["score_gradient"](images, labels, model).abs()
    maps = answers["compute_saliency_maps"](images, labels, model)
    assert (maps[:, None] >= sizes).all()
    assert ((maps[:, None] == sizes).sum(dim=1) >= 1).all()


def test_smooth_grad_without_noise_is_the_gradient(answers, problem):
    images, labels, model = problem
    noise = torch.zeros(4, *images.shape).double()
    gradient = answers["score_gradient"](images, labels, model)
    assert relative(answers["smooth_grad"](images, labels, model, noise), gradient) < 1e-14


def test_smooth_grad_of_two_halves_is_their_mean(answers, problem):
    images, labels, model = problem
    noise = torch.randn(6, *images.shape, generator=torch.Generator().manual_seed(0)).double()
    smooth = answers["smooth_grad"]
    halves = (smooth(images, labels, model, noise[:3]) + smooth(images, labels, model, noise[3:])) / 2
    assert relative(smooth(images, labels, model, noise), halves) < 1e-12


@pytest.mark.parametrize("fraction", [0.01, 0.1, 0.3, 0.8, 1.0])
def test_box_holds_the_share_asked_for_and_every_side_touches_it(answers, fraction):
    values = torch.rand(13, 8, generator=torch.Generator().manual_seed(0)) ** 8
    x0, y0, x1, y1 = answers["saliency_box"](values, fraction)
    inside = values[y0:y1, x0:x1].flatten().sort(descending=True).values
    brightest = values.flatten().sort(descending=True).values[: math.ceil(fraction * 104)]
    assert torch.equal(inside[: len(brightest)], brightest)
    for side in (values[y0, x0:x1], values[y1 - 1, x0:x1], values[y0:y1, x0], values[y0:y1, x1 - 1]):
        assert side.max() >= brightest[-1]


def test_box_of_the_transposed_map_has_x_and_y_exchanged(answers):
    values = torch.rand(9, 14, generator=torch.Generator().manual_seed(3)) ** 4
    x0, y0, x1, y1 = answers["saliency_box"](values, 0.05)
    assert answers["saliency_box"](values.T, 0.05) == (y0, x0, y1, x1)


def test_boxes_grow_with_the_fraction(answers):
    values = torch.rand(16, 16, generator=torch.Generator().manual_seed(1)) ** 4
    boxes = [answers["saliency_box"](values, fraction) for fraction in (0.01, 0.05, 0.2, 0.6, 1.0)]
    for (a0, b0, a1, b1), (x0, y0, x1, y1) in itertools.pairwise(boxes):
        assert x0 <= a0 and y0 <= b0 and a1 <= x1 and b1 <= y1
    assert boxes[-1] == (0, 0, 16, 16)


def test_answers_follow_their_images_to_float32(answers):
    model = tiny_network(2, dtype=torch.float32)
    images, labels = tiny_batch(model, 2, seed=2)
    noise = torch.zeros(2, *images.shape)
    assert answers["compute_saliency_maps"](images, labels, model).dtype == torch.float32
    assert answers["smooth_grad"](images, labels, model, noise).dtype == torch.float32


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_answers_stay_on_the_device_of_their_images(answers, problem):
    images, labels, model = problem
    on_cpu = answers["compute_saliency_maps"](images, labels, model)
    on_gpu = answers["compute_saliency_maps"](images.cuda(), labels.cuda(), model.cuda())
    assert on_gpu.is_cuda
    assert relative(on_gpu.cpu(), on_cpu) < 1e-10


# The judge: a mistake in exercise 1.2 does not cost marks in exercise 1.3 again


@pytest.fixture(scope="module")
def judge_smooth_grad(answers):
    """For the functions of a namespace: which parts of smooth_grad are taken for right."""
    want = parts_of(PAGE, "smooth_grad", answers)
    return lambda namespace: judged(PAGE, "smooth_grad", parts_of(PAGE, "smooth_grad", namespace), want)


def test_a_mistake_in_score_gradient_costs_nothing_in_smooth_grad(answers, judge_smooth_grad):
    for mutant in PAGE.mutants("score_gradient"):
        namespace = executed(dict(answers), mutant, PAGE.exercises["smooth_grad"])
        shapes_kept = "one value for each pixel" not in mutant.says
        assert all(judge_smooth_grad(namespace)[:3]) == shapes_kept, mutant.says


def test_a_mistake_in_smooth_grad_is_not_excused_by_one_in_score_gradient(answers, judge_smooth_grad):
    loss = """def score_gradient(images, labels, model, of="score"):
        pixels = images.detach().clone().requires_grad_()
        return torch.autograd.grad(F.cross_entropy(model(pixels), labels, reduction="sum"), pixels)[0]"""
    for mutant in PAGE.mutants("smooth_grad"):
        assert not all(judge_smooth_grad(executed(dict(answers), loss, mutant))), mutant.says


def test_a_score_gradient_that_ignores_its_images_excuses_nothing(answers, judge_smooth_grad):
    constant = "def score_gradient(images, labels, model, of='score'):\n    return torch.ones_like(images)"
    lazy = "def smooth_grad(images, labels, model, noise):\n    return torch.ones_like(images)"
    assert not any(judge_smooth_grad(executed(dict(answers), constant, lazy)))


def test_smooth_grad_needs_no_score_gradient(answers, judge_smooth_grad):
    missing = "def score_gradient(*_):\n    raise NotImplementedError"
    alone = next(cell for cell in PAGE.variants("smooth_grad") if "score_gradient" not in cell.source)
    assert all(judge_smooth_grad(executed(dict(answers), alone, missing)))


# Graph cut


def cost_of(mask, background, object_, right, down):
    edges = (right * (mask[:, 1:] != mask[:, :-1])).sum() + (down * (mask[1:] != mask[:-1])).sum()
    return (background * ~mask).sum() + (object_ * mask).sum() + edges


@pytest.mark.parametrize("seed", range(6))
def test_minimum_cut_costs_what_the_best_of_all_labellings_costs(seed):
    rng = np.random.default_rng(seed)
    height, width = [(2, 3), (3, 3), (1, 5), (3, 4), (2, 2), (4, 1)][seed]
    shapes = ((height, width), (height, width), (height, width - 1), (height - 1, width))
    costs = [rng.integers(0, 20, shape) / 10 for shape in shapes]
    every = itertools.product([False, True], repeat=height * width)
    best = min(cost_of(np.array(labels).reshape(height, width), *costs) for labels in every)
    mask, flow = graphcut.minimum_cut(*costs)
    assert flow == pytest.approx(best, abs=1e-9)
    assert cost_of(mask, *costs) == pytest.approx(best, abs=1e-9)


def test_segment_finds_a_red_rectangle_on_blue_from_a_hint():
    wanted = np.zeros((24, 30), dtype=bool)
    wanted[6:18, 8:22] = True
    image = np.where(wanted, np.array([0.9, 0.2, 0.1])[:, None, None], np.array([0.1, 0.3, 0.8])[:, None, None])
    image += 0.03 * np.random.default_rng(0).standard_normal(image.shape)
    hint = np.zeros((24, 30))
    hint[10:14, 12:18] = 1.0
    hint[wanted & (hint == 0)] = 0.2
    assert graphcut.intersection_over_union(graphcut.segment(image, hint), wanted) == 1


def test_largest_piece_and_overlap():
    mask = np.array([[1, 1, 0, 0, 1], [1, 0, 0, 0, 1]], dtype=bool)
    piece = np.array([[1, 1, 0, 0, 0], [1, 0, 0, 0, 0]], dtype=bool)
    assert np.array_equal(graphcut.largest_piece(mask), piece)
    assert not graphcut.largest_piece(np.zeros((2, 3), dtype=bool)).any()
    assert graphcut.intersection_over_union(mask, piece) == 3 / 5
    assert graphcut.intersection_over_union(mask, ~mask) == 0


# What the prose says


def test_graph_cut_finds_the_object_and_a_blob_is_a_fair_hint_too(answers):
    book, scenes = load_model("picturebook", device="cpu"), picture_book(20, seed=7)
    maps = answers["compute_saliency_maps"](scenes.images, scenes.labels, book)
    places = torch.linspace(-1, 1, 64) ** 2
    blob = torch.exp(-2 * (places[:, None] + places))

    def mean(hints):
        found = [graphcut.segment(image, hint) for image, hint in zip(scenes.images, hints, strict=True)]
        return np.mean([graphcut.intersection_over_union(*pair) for pair in zip(found, scenes.masks, strict=True)])

    from_map, from_blob = mean(maps), mean([blob] * 20)
    assert from_map > 0.8
    assert 0.6 < from_blob < from_map
