"""What a check is, how it fails, and what every answer owes.

A check never holds the answer. It asks what the definition asks, of a network so small (see `networks`) that the
definition can be computed by brute force (see `measure`).
"""

import math
from contextlib import contextmanager

import torch

from helpers.checks.measure import same


class CheckFailed(AssertionError):
    """A check that does not hold: what was found, what was wanted, and what usually causes the difference."""

    def __init__(self, found, wanted, cause, title=""):
        """Keep the three parts, and the name of the check as `title`."""
        super().__init__(found, wanted, cause, title)
        self.found, self.wanted, self.cause, self.title = found, wanted, cause, title

    def __str__(self):
        """Return the message, a line for each part."""
        lines = [self.title] if self.title else []
        lines += [f"  found:        {self.found}", f"  wanted:       {self.wanted}", f"  usual cause:  {self.cause}"]
        return "\n".join(lines)

    def _render_traceback_(self):
        """Return what a notebook shows in place of a traceback, which would only lead into this file."""
        return ["Not yet. " + str(self).lstrip()]


def expect(condition, *, found, wanted, cause):
    """Raise CheckFailed unless `condition` holds."""
    if not condition:
        raise CheckFailed(found, wanted, cause)


class Checks:
    """The visible check of one exercise, in parts: called with the student's function, it puts it to each in turn."""

    def __init__(self, name, signature):
        """Take the exercise's name, and what its function takes and returns: "(images, labels) -> (N, H, W)"."""
        self.name, self.parts = name, []
        self.__doc__ = f"Check {name}{signature}."

    def part(self, claim):
        """Add, as a decorator, a function of the student's function.

        Its docstring says in a sentence what holds. A part is known by that sentence and its number, and needs no name.
        """
        self.parts.append(claim)
        return claim

    def __call__(self, function):
        """Raise CheckFailed, named after its part, at the first that does not hold; count them when all hold."""
        for number, claim in enumerate(self.parts, start=1):
            try:
                claim(function)
            except CheckFailed as failure:
                sentence = claim.__doc__.strip().rstrip(".")
                title = f"{self.name}, check {number} of {len(self.parts)}: {sentence}."
                raise CheckFailed(failure.found, failure.wanted, failure.cause, title) from None
        print(f"{self.name}: {len(self.parts)} checks passed")


def first_match(found, candidates, fits=same):
    """Return words for a result that is a usual mistake: what was found, and its cause. None for any other result.

    Args:
        found: the result.
        candidates: the usual mistakes, (values, words for them, cause) each, the likeliest first.
        fits: tells whether `found` is what it would be with such values.
    """
    return next(((words, cause) for values, words, cause in candidates if fits(found, values)), None)


def off_by(found, wanted):
    """Return words for how far `found` is from `wanted`, which was measured."""
    return f"{(found - wanted).norm() / wanted.norm():.2g} of its length away from what was measured"


def scaled(found, wanted, count, samples=None):
    """Return words for a result that is right up to a factor, for all images together or for each one, or None."""
    factors = [(row * goal).sum() / (goal * goal).sum() for row, goal in zip(found, wanted, strict=True)]
    rescaled = torch.stack([factor * goal for factor, goal in zip(factors, wanted, strict=True)])
    if not same(found, rescaled) or min(factors) <= 0:
        return None
    if max(factors) - min(factors) > 1e-4 * max(factors):
        return "each result rescaled by a factor of its own", "a normalisation; return the values as they are"
    factor = float(factors[0])
    if samples is not None and math.isclose(factor, samples, rel_tol=1e-4):
        return f"{factor:.3g} times what is wanted", "the sum over the samples is not divided by their number"
    if samples is not None and math.isclose(factor, samples / count, rel_tol=1e-4):
        return f"{factor:.3g} times what is wanted", f"divided by the {count} images, not by the {samples} samples"
    if math.isclose(factor, 1 / count, rel_tol=1e-4):
        return f"1/{count} of what is wanted", f"a mean over the batch of {count} images; add their scores up instead"
    return f"{factor:.3g} times what is wanted", "a factor too many, or a mean where a sum is wanted"


def check_tensor(result, shape, images, what):
    """Raise CheckFailed unless `result` is a detached tensor of `shape`, of the dtype and on the device of `images`."""
    expect(
        isinstance(result, torch.Tensor),
        found=f"a value of type {type(result).__name__}",
        wanted=f"a torch tensor of shape {tuple(shape)}",
        cause="the function has no `return`" if result is None else "a conversion to NumPy or to a list",
    )
    expect(
        result.shape == torch.Size(shape),
        found=f"shape {tuple(result.shape)} for images of shape {tuple(images.shape)}",
        wanted=f"shape {tuple(shape)}: {what}",
        cause=_shape_cause(result.shape, shape),
    )
    expect(
        not result.requires_grad,
        found="a tensor that still requires a gradient",
        wanted="a detached tensor, so that nobody drags your computation graph along",
        cause="`create_graph=True`, or a result computed from scores that were never detached; return `.detach()`",
    )
    expect(
        result.dtype == images.dtype and result.device == images.device,
        found=f"a {result.dtype} tensor on {result.device}",
        wanted=f"{images.dtype} on {images.device}, as the images",
        cause="a call of `.float()`, `.cpu()` or `torch.zeros(...)` without `dtype=images.dtype`",
    )


def _shape_cause(found, wanted):
    if len(wanted) and wanted[0] == 1 and len(found) < len(wanted):
        return "`.squeeze()` without `dim`, which drops the batch axis of a single image"
    if len(found) == len(wanted) + 1:
        return "one axis too many: a reduction over channels or samples is missing"
    if len(found) == len(wanted) - 1:
        return "one axis too few: a reduction too many, or over the wrong axis"
    return "a reduction over the wrong axis"


def expect_eval_mode(model):
    """Raise CheckFailed if the model was left in training mode, which explains any wrong value before other causes."""
    expect(
        not model.training,
        found="the model in training mode after your call",
        wanted="the model in eval mode, as it came",
        cause="`model.train()`: Dropout then mixes chance into every result, and BatchNorm the other images of a batch",
    )


def expect_alone_as_among_others(
    alone,
    among,
    tolerance=1e-4,
    cause="a mean over the batch, a softmax over the batch (`dim=0`), or a model in training mode",
):
    """Raise CheckFailed unless one image's result is the same `alone` and `among` others, both of one image."""
    expect(
        same(alone.detach(), among, tolerance),
        found="an image alone and the same image in a batch of three give different results",
        wanted="the same values, whatever else is in the batch",
        cause=cause,
    )


def expect_repeatable(first, second):
    """Raise CheckFailed unless two calls with the same image or images gave the same values."""
    expect(
        same(second, first),
        found="a second call with the same input gives other values",
        wanted="the same values from every call",
        cause="gradients pile up in the input's `.grad`, or the first call changed its pixels; work on a copy, "
        "`.detach().clone().requires_grad_()`",
    )


def expect_own_label(
    call,
    labels,
    cause="`scores[:, labels]`, which pairs every image with every label; pair them with `gather`",
):
    """Raise CheckFailed unless another label of image 1 changes the result of image 1 alone.

    Args:
        call: labels (3,) -> results for three images, always the same.
        labels: the labels to start from, of five classes.
        cause: what usually mixes the images up.
    """
    results = call(labels.clone())
    others = labels.clone()
    others[1] = (others[1] + 1) % 5
    changed = call(others)
    expect(
        not same(changed[1], results[1]),
        found="the same result for two different labels of one image",
        wanted="the result for the label that was asked for",
        cause="the label is not used: the largest score, or the sum of all scores, was differentiated",
    )
    expect(
        same(changed[0], results[0]) and same(changed[2], results[2]),
        found="the results of images 0 and 2 changed when the label of image 1 did",
        wanted="score i taken from row i of the scores alone, and nothing mixed over the batch",
        cause=cause,
    )


def expect_left_alone(call, model, **arguments):
    """Raise CheckFailed if a call changes the model or its arguments, or if its result carries a graph.

    Args:
        call: a function without arguments, which calls the student's and returns its tensor.
        model: a trainable network, so that everything that can be forgotten leaves a trace.
        arguments: the tensors that the student's function is given, by name.
    """
    with untouched(**arguments):
        with left_as_found(model):
            result = call()
        expect(
            not result.requires_grad,
            found="a result that still requires a gradient, for a network whose parameters require one",
            wanted="a detached tensor",
            cause="`create_graph=True`, or a result computed from the scores, or from pixels that require a gradient; "
            "return `.detach()`",
        )


@contextmanager
def untouched(**arguments):
    """Raise CheckFailed if the body changes one of these tensors, or makes it require a gradient."""
    kept = {name: tensor.clone() for name, tensor in arguments.items()}
    yield
    for name, tensor in arguments.items():
        expect(
            not tensor.requires_grad and tensor.grad is None,
            found=f"`{name}` requires a gradient after the call",
            wanted=f"the caller's `{name}` untouched",
            cause=f"`{name}.requires_grad_()`; work on `{name}.detach().clone().requires_grad_()`",
        )
        expect(
            torch.equal(tensor, kept[name]),
            found=f"other values in `{name}` after the call",
            wanted=f"the caller's `{name}` untouched",
            cause=f"an operation in place, such as `{name} += ...`, `{name}[...] = ...` or `{name}.clamp_()`; "
            f"give the result a tensor of its own, as `{name} + ...` does",
        )


@contextmanager
def left_as_found(model):
    """Raise CheckFailed if the body changes anything about `model`: the caller may need it as it was."""
    before = _description(model)
    yield
    after = _description(model)
    for what, cause in _CAUSES.items():
        expect(
            before[what] == after[what],
            found=f"the model's {what} changed",
            wanted="the model as it was before the call",
            cause=cause,
        )


_CAUSES = {
    "structure": "a module was replaced; work on a copy, or put the original back",
    "mode": "`model.train()`; this exercise needs no change of mode",
    "hooks": "a hook was registered and never removed; call `handle.remove()` in a `finally` clause",
    "forward": "`forward` was replaced on a module and never put back",
    "requires_grad": "`parameter.requires_grad_(...)` was called; the gradient at the pixels needs no such change",
    "parameters or buffers": "an optimiser step, or BatchNorm running in training mode",
    "parameters' .grad": "`.backward()` writes into every parameter, and `zero_grad()` wipes them; ask for the pixels "
    "only: `torch.autograd.grad(total, pixels)`, or `total.backward(inputs=[pixels])`",
}


def _description(model):
    modules = dict(model.named_modules())
    tensors = [*model.named_parameters(), *model.named_buffers()]
    return {
        "mode": {path: module.training for path, module in modules.items()},
        "structure": {path: id(module) for path, module in modules.items()},
        "hooks": {path: _hooks(module) for path, module in modules.items()},
        "forward": {path: id(vars(module).get("forward")) for path, module in modules.items()},
        "requires_grad": {path: tensor.requires_grad for path, tensor in tensors},
        "parameters or buffers": {path: tensor.tolist() for path, tensor in tensors},
        "parameters' .grad": {path: None if tensor.grad is None else tensor.grad.tolist() for path, tensor in tensors},
    }


def _hooks(module):
    return sum(len(value) for key, value in vars(module).items() if key.endswith("_hooks"))
