"""A page's answers, run in this process: what its cells define, and what its hidden tests and judges say of them."""

from unittest import mock

import torch
from torch import nn

from helpers.course.marks import compare, reference
from helpers.inside import emit
from helpers.models import Classifier


def executed(namespace, *sources):
    """Run sources, or cells, in `namespace`; return it."""
    for source in sources:
        exec(compile(getattr(source, "source", source), "<page>", "exec"), namespace)
    return namespace


def cell_with(page, words):
    """Return the first cell of code with these words in it."""
    return next(cell for cell in page.cells if cell.kind in ("code", "example") and words in cell.source)


def is_quiz(page, f):
    """Tell whether exercise `f` is a quiz, whose check may not tell right from wrong."""
    return f".parts({f})" in page.checks[f].source


def parts_of(page, f, namespace):
    """Return the parts that the hidden tests of exercise `f` emit for the functions in `namespace`.

    They run among these names, as in a kernel, and the names are as before afterwards.
    """
    said, kept = [], dict(namespace)
    with mock.patch.object(emit, "publish_display_data", lambda data: said.append({"data": data})):
        hidden = page.checks[f].source.partition("### BEGIN HIDDEN TESTS")[2]
        try:
            exec(compile(hidden, emit.HIDDEN, "exec"), namespace)
        finally:
            namespace.clear()
            namespace.update(kept)
    return compare.captures(said)


def judged(page, f, got, want):
    """Return for each part whether the judge of exercise `f` takes what was got for what was wanted."""
    judge = reference.judge_of(page, f)
    return [
        not mine.error and judge(theirs.name, mine.arrays, theirs.arrays, {})
        for mine, theirs in zip(got, want, strict=True)
    ]


def relative(found, wanted):
    """Return the distance of two tensors as a share of the second's norm."""
    return float((found - wanted).norm() / wanted.norm())


def linear_scorer(classes=4, size=(4, 5)):
    """Return a model that scores images (N, 3, H, W) by W x + b in float64, and W as (classes, 3, H, W)."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layer = nn.Linear(3 * size[0] * size[1], classes)
    network = nn.Sequential(nn.Flatten(), layer)
    model = Classifier(network, "abcdefgh"[:classes], mean=[0] * 3, std=[1] * 3, input_size=size[0]).double()
    return model, layer.weight.detach().view(classes, 3, *size)
