"""The checks students run: they accept every right answer, and name the mistake of every wrong one."""

import math
import time

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from helpers import COURSE
from helpers.checks import core, saliency
from helpers.course import source

PAGE = source.read(COURSE / "solutions" / "01_saliency.py")

# For each mutant, by the first words of what the grader says: a word that the check's message must hold.
NAMED = {
    "compute_saliency_maps": {
        "Your map is the largest signed slope": "sign is kept",
        "You take the maximum over the channels first": "absolute value after max",
        "You differentiate the cross-entropy loss. It": "cross-entropy",
        "You differentiate the cross-entropy loss averaged": "averaged over the batch",
        "You differentiate the softmax probability": "softmax",
        "You average over the three channels": "`mean`",
        "You add the three channels up": "`sum`",
        "You take the Euclidean norm": "`norm`",
        "Your maps are divided by the number of images": "mean over the batch of 3",
        "scores[:, labels] pairs every image": "`scores[:, labels]`",
        "You differentiate the sum of all scores": "`scores.sum()`",
        "You explain the class with the largest score": "labels are not used",
        "You switch the caller's images": "pile up",
        "You put the model into training mode": "`model.train()`",
        "Your maps are right, but .backward()": "inputs=[pixels]",
        "Your maps are right, but model.zero_grad()": "`zero_grad()`",
        "Your maps are right, but you froze": "requires_grad",
        "A squeeze without dim": "`.squeeze()`",
        "You scaled each map": "normalisation",
        "You multiplied the gradient by the image": "gradient times image",
        "You return three channels": "one axis too many",
        "Your maps are right, but they still require": "`create_graph=True`",
        "Your maps are right, but they are a NumPy array": "NumPy",
    },
    "score_gradient": {
        "You return absolute values": "`abs`",
        "The word in `of` makes no difference": "`of` is not told apart",
        "For the log-probability you differentiate": "opposite sign",
        "Your softmax runs over the images": "dim=0",
        "You multiply the gradient of the score by p_y": "denominator",
        "A word you do not know": "ValueError",
        "You explain the class with the largest score": "labels are not used",
        "Your gradients are divided by the number": "mean over the batch of 3",
        "You return one value for each pixel": "one axis too few",
        "Your gradients are right, but .backward()": "inputs=[pixels]",
        "You return images.grad of the caller's": "pile up",
    },
    "smooth_grad": {
        "You average absolute gradients": "`abs`",
        "You average the squares": "square",
        "You average the noisy images": "mean is taken before the gradient",
        "You clamp the noisy images": "`clamp`",
        "You add the gradients up": "not divided by their number",
        "You return inside the loop": "`return` inside the loop",
        "You divide by the number of images": "not by the 3 samples",
        "You draw noise of your own": "`torch.randn`",
        "The noise is never added": "never added",
        "Your noise piles up": "piled up",
        "images += sample changes": "piled up",
        "In your batch of S x N images": "labels.repeat(S)",
        "You return one value for each pixel": "one axis too few",
    },
    "saliency_box": {
        "Rows and columns are swapped": "rows and columns are swapped",
        "Your box ends on the last row": "the end is included",
        "You return width and height": "width and height",
        "Your threshold is a share of the largest": "share of the maximum",
        "You drop the pixels that are equal": "`>` in place of `>=`",
        "You round the number of pixels down": "rounded down",
        "You round the number of pixels to the nearest": "to the nearest",
        "A quantile interpolates": "quantile",
        "You drop a share of `fraction`": "share to drop",
        "You count from the darkest": "nearly all pixels are kept",
        "topk gives exactly k pixels": "`topk`",
    },
}


@pytest.fixture(scope="module")
def names():
    namespace = {"math": math, "torch": torch, "nn": nn, "F": F}
    for cell in PAGE.exercises.values():
        exec(cell.source, namespace)
    return namespace


def answer(names, cell):
    """The function that a mutant or variant cell defines, with the reference's other functions around it."""
    namespace = dict(names)
    exec(cell.source, namespace)
    return namespace[cell.name]


def test_there_is_a_check_for_each_exercise_and_a_word_for_each_mutant():
    for f in PAGE.exercises:
        assert callable(getattr(saliency, f))
        for mutant in PAGE.mutants(f):
            assert sum(mutant.says.startswith(start) for start in NAMED[f]) == 1, mutant.says
        assert len(NAMED[f]) == len(PAGE.mutants(f))


@pytest.mark.parametrize("f", PAGE.exercises)
def test_check_passes_the_answer_and_says_how_many_checks(names, f, capsys):
    getattr(saliency, f)(names[f])
    assert capsys.readouterr().out.startswith(f"{f}: ")


@pytest.mark.parametrize("f", PAGE.exercises)
def test_check_passes_every_variant(names, f):
    for variant in PAGE.variants(f):
        getattr(saliency, f)(answer(names, variant))


MUTANTS = [pytest.param(cell, id=cell.says[:50]) for f in PAGE.exercises for cell in PAGE.mutants(f)]


@pytest.mark.parametrize("mutant", MUTANTS)
def test_check_fails_every_mutant_and_names_its_cause(names, mutant):
    word = next(word for start, word in NAMED[mutant.name].items() if mutant.says.startswith(start))
    with pytest.raises(core.CheckFailed) as failure:
        getattr(saliency, mutant.name)(answer(names, mutant))
    assert word in str(failure.value)


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_failing_check_takes_under_a_second_of_work(names, mutant):
    begun = time.process_time()
    with pytest.raises(core.CheckFailed):
        getattr(saliency, mutant.name)(answer(names, mutant))
    assert time.process_time() - begun < 1


@pytest.mark.parametrize("f", PAGE.exercises)
def test_a_passing_check_takes_under_a_second_of_work(names, f):
    begun = time.process_time()
    getattr(saliency, f)(names[f])
    assert time.process_time() - begun < 1


@pytest.mark.parametrize("f", PAGE.exercises)
def test_an_exercise_not_yet_answered_raises_not_implemented(f):
    def stub(*_):
        raise NotImplementedError(f"{f}: replace this line")

    with pytest.raises(NotImplementedError, match="replace this line"):
        getattr(saliency, f)(stub)


@pytest.mark.parametrize("f", PAGE.exercises)
def test_an_exercise_without_return_is_told_so(f):
    with pytest.raises(core.CheckFailed, match="no `return`"):
        getattr(saliency, f)(lambda *_: None)


# The parts that all checks share


def test_failure_shows_found_wanted_and_cause_and_no_traceback():
    def sky_is_green(function):
        """the sky is blue"""
        core.expect(function() == "blue", found="green", wanted="blue", cause="a filter")

    with pytest.raises(core.CheckFailed) as failure:
        core.run_checks("sky", lambda: "green", [sky_is_green])
    assert failure.value.__cause__ is None
    assert failure.value._render_traceback_() == [
        "Not yet. sky, check 1 of 1: the sky is blue.\n"
        "  found:        green\n"
        "  wanted:       blue\n"
        "  usual cause:  a filter"
    ]


def test_finite_difference_of_a_polynomial_is_its_derivative():
    images = torch.rand(2, 3, 3, 4, generator=torch.Generator().manual_seed(0)).double()
    labels = torch.tensor([2, 3])
    slopes = core.finite_difference(lambda x, y: (x ** y[:, None, None, None]).sum(dim=(1, 2, 3)), images, labels)
    assert core.same(slopes[0], 2 * images[0], tolerance=1e-7)
    assert core.same(slopes[1], 3 * images[1] ** 2, tolerance=1e-7)


def test_finite_difference_of_a_tiny_network_is_its_gradient():
    model = core.tiny_network(3)
    images, labels = core.tiny_batch(model, 2, seed=3)
    for quantity in (core.scores_of, core.probabilities_of, core.log_probabilities_of):
        pixels = images.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(quantity(model)(pixels, labels).sum(), pixels)
        assert core.same(core.finite_difference(quantity(model), images, labels), gradient, tolerance=1e-6)


def test_tiny_network_has_all_that_makes_networks_awkward():
    model = core.tiny_network(5)
    images, labels = core.tiny_batch(model, 4, seed=5)
    relus = [module for module in model.modules() if isinstance(module, nn.ReLU)]
    calls = []
    for relu in relus:
        relu.register_forward_hook(lambda module, *_: calls.append(module))
    scores = model(images)
    assert scores.dtype == torch.float64
    assert images.shape == (4, 3, 9, 13)
    assert len(calls) == len(relus) + 1
    assert (labels != scores.argmax(dim=1)).all()
    assert len(set(labels.tolist())) > 1
    for kind in (nn.Conv2d, nn.BatchNorm2d, nn.Dropout, nn.MaxPool2d, nn.Linear):
        assert any(isinstance(module, kind) for module in model.modules())
    assert not any(module.training for module in model.modules())
    assert torch.equal(core.tiny_network(5)(images), scores)
    features = []
    model.cam_layer.register_forward_hook(lambda module, inputs, output: features.append(output))
    model(images)
    assert features[0].min() < 0 < features[0].max()


def test_tiny_network_leaves_the_random_state_alone():
    torch.manual_seed(0)
    wanted = torch.rand(3)
    torch.manual_seed(0)
    core.tiny_network(1)
    assert torch.equal(torch.rand(3), wanted)


def test_trainable_network_is_the_frozen_one_in_training_use():
    frozen, trainable = core.tiny_network(4), core.tiny_network(4, trainable=True)
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in frozen.parameters())
    assert all(parameter.grad is not None and parameter.requires_grad for parameter in trainable.parameters())
    images, _ = core.tiny_batch(frozen, 2, seed=4)
    assert torch.equal(frozen(images), trainable(images))


def replace_a_module(model):
    model.network.stem[2] = nn.ReLU()


def hook(model):
    model.network.register_forward_hook(lambda *_: None)


def step(model):
    with torch.no_grad():
        next(model.parameters()).add_(1)


def replace_forward(model):
    model.network.forward = lambda x: x


@pytest.mark.parametrize(
    ("meddle", "what"),
    [
        (lambda model: model.train(), "mode"),
        (lambda model: model.network.head.train(), "mode"),
        (replace_a_module, "structure"),
        (hook, "hooks"),
        (replace_forward, "forward"),
        (lambda model: model.requires_grad_(False), "requires_grad"),
        (step, "parameters or buffers"),
        (lambda model: model.zero_grad(), "parameters' .grad"),
        (lambda model: model(torch.rand(1, 3, 9, 13).double()).sum().backward(), "parameters' .grad"),
    ],
)
def test_left_as_found_names_what_changed(meddle, what):
    model = core.tiny_network(6, trainable=True)
    with pytest.raises(core.CheckFailed, match=f"the model's {what} changed"), core.left_as_found(model):
        meddle(model)


def test_left_as_found_accepts_what_was_put_back():
    model = core.tiny_network(6, trainable=True)
    with core.left_as_found(model):
        handle = model.network.register_forward_hook(lambda *_: None)
        model(torch.rand(1, 3, 9, 13).double())
        handle.remove()
        model.note = "an attribute of the student's own"
