"""What the visible checks of assignment 2 say to wrong answers that people write: what is true of them, and no more.

Those of the page's own bank are in `tests/test_checks.py`.
"""

import numpy as np
import pytest
import torch

from helpers.checks import core, networks
from helpers.checks.problems import small_problem
from helpers.course.pages import registry
from helpers.course.pages.cells import without_markers
from tests.test_checks import names, told

PAGE = registry.page_of("02_gradcam")


def edited(f, *pairs):
    """The answer to exercise `f` with other text in some places."""
    source = without_markers(PAGE.exercises[f].source)
    for old, new in pairs:
        assert source.count(old) == 1, old
        source = source.replace(old, new)
    namespace = {**names(PAGE), "np": np}
    exec(source, namespace)
    return namespace[f]


POINT = "score_gradient(baseline + (k + 0.5) / steps * way, labels, model)"
GAUSS = (
    ("for k in range(steps):", "for t, share in zip(*np.polynomial.legendre.leggauss(steps)):"),
    (POINT, "share / 2 * steps * score_gradient(baseline + (t + 1) / 2 * way, labels, model)"),
)
START = "way = images - baseline"
COVERED = "covered[:, :, top : top + patch, left : left + patch] = fill"
MAPS = "return torch.stack(rows, dim=1)"
DROP = "row.append(whole - model(covered).gather(1, labels[:, None]))"
WHOLE = "whole = model(images).gather(1, labels[:, None])"

# The exercise, what is edited, what must be said, and what must not.
CASES = {
    "Gauss-Legendre": ("integrated_gradients", GAUSS, "another rule", "rescaled"),
    "fifty steps": ("integrated_gradients", [(START, f"steps = 50; {START}")], "more points than `steps`", "rescaled"),
    "a baseline of one number": (
        "integrated_gradients",
        [(START, "baseline = baseline.flatten()[0]; " + START)],
        "the first value of the baseline",
        "softmax",
    ),
    "the size of the way": (
        "integrated_gradients",
        [("return way *", "return way.abs() *")],
        "`abs` on image - baseline",
        "softmax",
    ),
    "random points": (
        "integrated_gradients",
        [("(k + 0.5)", "(k + torch.rand(()).item())")],
        "drawn by chance",
        "`scores[:, labels]`",
    ),
    "what enters the layer": (
        "grad_cam",
        [
            ("outputs.append(output.detach().requires_grad_())", "outputs.append(inputs[0].detach().requires_grad_())"),
            ("return outputs[-1].clone()", "return torch.nn.functional.conv2d(outputs[-1], module.weight, module.bias, "
             "module.stride, module.padding)"),
        ],
        "the hook keeps `inputs`",
        "F.interpolate",
    ),
    "the gradient scaled by its own size": (
        "grad_cam",
        [("weights = gradient.mean(", "weights = (gradient / gradient.pow(2).mean().sqrt()).mean(")],
        "times what is wanted",
        "min-max",
    ),
    "a fill that is no fill": ("occlusion_map", [(COVERED, COVERED.replace("fill", "images.mean()"))], "?", "scaling"),
    "the first image alone": ("occlusion_map", [(COVERED, COVERED.replace("[:, :", "[0, :"))], "?", "normalisation"),
    "a scaled map": (
        "occlusion_map",
        [(MAPS, "maps = torch.stack(rows, dim=1); return (maps - maps.min()) / (maps.max() - maps.min())")],
        "a normalisation to [0, 1]",
        "pile up",
    ),
    "the lead over the mean": (
        "occlusion_map",
        [(WHOLE, WHOLE + " - model(images).mean(1, True)"), (DROP, DROP[:-1] + " + model(covered).mean(1, True))")],
        "0.5 times what is wanted",
        "normalisation",
    ),
    "another network": (
        "guided_backprop",
        [("return score_gradient(images, labels, model)", "return score_gradient(images, labels, GLOBAL)")],
        "a global network is asked",
        "label",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_cause_that_is_said_is_the_one_there_is(case):
    f, edits, words, false = CASES[case]
    answer = edited(f, *edits)
    answer.__globals__["GLOBAL"] = networks.tiny_network(1, size=networks.SMALL)
    message = told(PAGE, f, answer)
    assert words in message
    assert false not in message.partition("found:")[2]


def test_a_result_that_is_one_number_everywhere_is_not_called_kept():
    images, _, model = small_problem(seed=3, count=2)
    for number in (0.0, 1.0):
        core.expect_nothing_kept(lambda at, _, number=number: torch.full_like(at, number), images, model, seed=3)


def test_the_label_of_the_first_image_is_told_from_no_label_at_all():
    labels = torch.tensor([0, 1, 2])
    with pytest.raises(core.CheckFailed, match="first image is used for all"):
        core.expect_own_label(lambda asked: asked[:1].expand(3).double()[:, None], labels)
    with pytest.raises(core.CheckFailed, match="the label is not used"):
        core.expect_own_label(lambda asked: torch.arange(3.0)[:, None], labels)


def test_a_normalisation_is_named_only_where_values_end_at_one():
    wanted = torch.rand(2, 3, 4, generator=torch.Generator().manual_seed(0)).double()
    ends = wanted.amin(dim=(1, 2), keepdim=True), wanted.amax(dim=(1, 2), keepdim=True)
    assert "to [0, 1]" in core.stretched((wanted - ends[0]) / (ends[1] - ends[0]), wanted)[1]
    assert "to [-1, 1]" in core.stretched(2 * (wanted - ends[0]) / (ends[1] - ends[0]) - 1, wanted)[1]
    assert isinstance(core.stretched(wanted + 3, wanted)[1], core.Questions)
    assert core.stretched(torch.zeros_like(wanted), wanted) is None
