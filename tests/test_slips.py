"""Slips that any exercise knows, put to both halves of its check: what an answer returns, keeps, or leaves changed.

Each is the right answer with one thing wrong. It must be refused where students see it, and cost marks.
"""

import copy
import random
from functools import cache

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from helpers.checks import core, state
from helpers.course.marks import compare, reference
from helpers.course.pages import registry
from tests.answering import parts_of
from tests.test_checks import names, told

pytestmark = pytest.mark.slow  # all together; one by one they take no time

PAGES = [page for page in registry.pages().values() if page.exercises]
NETWORK = {"randomise_layers"}  # what they return
NUMBERS = {"saliency_box", "adversarial_training_step", "style_transfer_step"}
ONE_NUMBER = {"content_loss", "style_loss", "total_variation_loss", "right_reasons_loss"}  # as a tensor, with its graph
EXERCISES = [pytest.param(page, f, id=f) for page in PAGES for f in page.exercises]
each_exercise = pytest.mark.parametrize(("page", "f"), EXERCISES)


@cache
def said_by_reference(page, f):
    return parts_of(page, f, names(page))


def verdict(page, f, answer):
    parts, right = parts_of(page, f, names(page) | {f: answer}), said_by_reference(page, f)
    return compare.grade(f"test_{f}", 4, parts, right, [], judge=reference.judge_of(page, f))


def lost(page, f, answer):
    """The names of the parts that an answer loses."""
    right = said_by_reference(page, f)
    passed = compare.passed(parts_of(page, f, names(page) | {f: answer}), right, reference.judge_of(page, f))
    return [part.name for part, passes in zip(right, passed, strict=True) if not passes]


def after(right, meddle):
    """The right answer, which changes something around it at its end."""

    def answer(*given, **options):
        try:
            return right(*given, **options)
        finally:
            meddle()

    return answer


def patch():
    F.relu = lambda x, *_, **__: x.clamp(min=0)


LEFT = {
    "torch's grad mode": lambda: torch.set_grad_enabled(False),
    "torch's default dtype": lambda: torch.set_default_dtype(torch.float64),
    "torch's seed": lambda: torch.manual_seed(0),
    "torch's functions": patch,
    "torch's global hooks": lambda: nn.modules.module.register_module_forward_hook(lambda *_: None),
    "NumPy's random numbers": lambda: np.random.seed(7),  # noqa: NPY002
    "Python's random numbers": lambda: random.seed(7),
}


def test_all_that_may_be_left_is_tried():
    assert (*LEFT, state.STRUCTURE) == tuple(state.Watched(None).left_torch)


@each_exercise
@pytest.mark.parametrize("what", LEFT)
def test_what_is_left_changed_outside_is_named_by_both_halves_and_costs_one_part(page, f, what):
    answer = after(names(page)[f], LEFT[what])
    torch.manual_seed(0)  # as the set-up of a page does
    assert f"{what} changed" in told(page, f, answer)
    with state.torch_put_back():
        found = verdict(page, f, answer)
    (sentence,) = found.message.splitlines()[1:]
    assert "left as found" in sentence and sentence.endswith(f"not as it must be: {what}")


@each_exercise
def test_float32_for_float64_costs_a_part_of_its_own(page, f):
    if f in NUMBERS | NETWORK:
        pytest.skip("it returns no tensor whose dtype is agreed")
    right = names(page)[f]

    def answer(*given, **more):
        return right(*given, **more).float()

    assert "found:        a torch.float32 tensor" in told(page, f, answer)
    (part,) = lost(page, f, answer)
    assert part.endswith("dtype")
    assert verdict(page, f, answer).message.endswith("not as it must be: the result's dtype")


def kind_of(value):
    return getattr(value, "shape", None) or (value if isinstance(value, int | float | str) else type(value))


@each_exercise
def test_a_result_that_is_kept_by_kinds_and_shapes_is_found_out_by_both_halves(page, f):
    right, kept = names(page)[f], {}

    def answer(*given, **more):
        place = tuple(map(kind_of, (*given, *more.values())))
        if place not in kept:
            kept[place] = right(*given, **more)
        carries_a_graph = getattr(kept[place], "requires_grad", False)
        return kept[place] if carries_a_graph else copy.deepcopy(kept[place])

    told(page, f, answer)
    kept.clear()
    assert lost(page, f, answer)


@each_exercise
def test_hooks_of_the_caller_that_are_cleared_are_missed_by_both_halves(page, f):
    if not any(word in page.exercises[f].source for word in ("(model", " model,")):
        pytest.skip("it is given no model")
    right = names(page)[f]

    def answer(*given):
        result = right(*given)
        for model in given:
            for module in model.modules() if isinstance(model, nn.Module) else ():
                module._forward_hooks.clear()
        return result

    assert "hooks of the caller's were removed" in told(page, f, answer)
    found = verdict(page, f, answer)
    assert found.score < 4 and found.message.endswith("not as it must be: the model's hooks")


@each_exercise
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda result: None, "found a value of type NoneType; {wanted}"),
        (lambda result: "maps", "found a value of type str; {wanted}"),
        (lambda result: {"result": result}, "found a value of type dict; {wanted}"),
        (lambda result: (each for each in [result]), "found a value of type generator; {wanted}"),
        (lambda result: nn.Sequential(), "found a value of type Sequential; {wanted}"),
    ],
    ids=["None", "str", "dict", "generator", "module"],
)
def test_a_result_of_the_wrong_type_is_said_in_words(page, f, change, words):
    if f in ("adversarial_training_step", "style_transfer_step"):
        pytest.skip("what it leaves is right, whatever it returns")
    if f in NETWORK and isinstance(change(0), nn.Module):
        pytest.skip("it returns one")
    right = names(page)[f]
    found = verdict(page, f, lambda *given, **more: change(right(*given, **more)))
    kinds = {"a network was wanted": NETWORK, "numbers were wanted": NUMBERS | ONE_NUMBER}
    wanted = next((words for words, which in kinds.items() if f in which), "a tensor was wanted")
    assert found.score == 0
    assert words.format(wanted=wanted) in found.message
    assert "Error in the hidden test" not in found.message


@each_exercise
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda result: (result, result), "found a tuple of 2; one tensor was wanted"),
        (lambda result: [result] * 3, "found a list of 3; one tensor was wanted"),
        (lambda result: result.max(dim=-1), "found the pair (values, indices) that `max` gives; a tensor was wanted"),
    ],
    ids=["tuple", "list", "max"],
)
def test_several_values_in_the_place_of_a_tensor_are_said_in_words(page, f, change, words):
    if f in NUMBERS | NETWORK:
        pytest.skip("it returns no tensor")
    right = names(page)[f]
    found = verdict(page, f, lambda *given, **more: change(right(*given, **more)))
    assert found.score == 0 and words in found.message
    assert "Error in the hidden test" not in found.message


def test_an_answer_with_a_missing_argument_is_told_so():
    page = PAGES[0]

    def answer(images, labels):
        return images

    found = verdict(page, "compute_saliency_maps", answer)
    assert found.message.endswith("TypeError: the function takes 2 positional arguments but 3 were given")


def test_the_gradients_that_pile_up_in_the_callers_images_are_explained():
    page = PAGES[0]
    known = [
        (mutant.says, parts_of(page, mutant.name, executed_answer(page, mutant)))
        for mutant in page.mutants("compute_saliency_maps")
        if "pile up" in mutant.says or ".backward() also" in mutant.says
    ]

    def answer(images, labels, model):
        images.requires_grad_()
        model(images).gather(1, labels[:, None]).sum().backward()
        return images.grad.abs().max(dim=1).values

    parts = parts_of(page, "compute_saliency_maps", names(page) | {"compute_saliency_maps": answer})
    found = compare.grade("f", 4, parts, said_by_reference(page, "compute_saliency_maps"), known)
    sentences = found.message.splitlines()[1:]
    assert sorted(sentences) == sorted(says for says, _ in known) and len(sentences) == 2


def executed_answer(page, cell):
    namespace = dict(names(page))
    exec(cell.source, namespace)
    return namespace


class Function(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx, gradient):
        return gradient


def test_a_function_in_the_place_of_a_relu_is_named_by_both_halves():
    page, f = PAGES[0], "compute_saliency_maps"
    right = names(page)[f]

    def answer(images, labels, model):
        result = right(images, labels, model)
        for parent in list(model.modules()):
            for name, child in list(parent._modules.items()):
                if isinstance(child, nn.ReLU):
                    parent._modules[name] = Function.apply
        return result

    assert "the model's structure changed" in told(page, f, answer)
    (sentence,) = verdict(page, f, answer).message.splitlines()[1:]
    assert sentence.endswith("not as it must be: the structure of the model")


def test_a_check_that_fails_says_so_for_what_shows_tensors_only_as_before():
    """Packages that show tensors more nicely put a function of their own in the place of `__repr__`."""
    original = torch.Tensor.__repr__
    torch.Tensor.__repr__ = lambda self: "nicely"
    try:
        with core.torch_left_as_found():
            pass
    finally:
        torch.Tensor.__repr__ = original
