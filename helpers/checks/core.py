"""What a check is, how it fails, and what every answer owes.

A check never holds the answer. It asks what the definition asks, of a network so small (see `networks`) that the
definition can be computed by brute force (see `measure`).
"""

import math
from collections import Counter
from contextlib import contextmanager
from functools import wraps

import torch

from helpers.checks import networks, state
from helpers.checks.measure import same


class Questions(tuple):
    """What to ask where nothing was measured that shows the cause: the guesses, put as questions."""

    __slots__ = ()

    def __new__(cls, *questions):
        """Take two or three questions, or one where there is but one thing to look at."""
        return super().__new__(cls, questions)

    def __str__(self):
        """Return the questions in a row."""
        return " ".join(self)


Cause = str | Questions  # a sentence that something shows, or questions where nothing does


class CheckFailed(AssertionError):
    """A check that does not hold: what was found, what was wanted, and the cause, or questions that lead to it."""

    def __init__(self, found, wanted, cause, title=""):
        """Keep the three parts, and the name of the check as `title`.

        Args:
            found: what the answer gave; wanted: what the definition gives.
            cause: a sentence where the values, or a second probe, show that it is this one; Questions otherwise.
            title: the name of the check.
        """
        super().__init__(found, wanted, cause, title)
        self.found, self.wanted, self.cause, self.title = found, wanted, cause, title

    def __str__(self):
        """Return the message, a line for each part."""
        lines = [self.title] if self.title else []
        last = "questions:  " if isinstance(self.cause, Questions) else "usual cause:"
        lines += [f"  found:        {self.found}", f"  wanted:       {self.wanted}", f"  {last}  {self.cause}"]
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
        """Raise CheckFailed, named after its part, at the first that does not hold; count them when all hold.

        An answer that is a stub still raises what stubs raise, shown in one line.
        """
        with torch.random.fork_rng(devices=[]):  # each part draws a seed; the page goes on as without its check
            for number, claim in enumerate(self.parts, start=1):
                self._put(claim, number, function)
        print(f"{self.name}: {len(self.parts)} checks passed")

    def _put(self, claim, number, function):
        try:
            with torch_left_as_found():
                claim(_with_structure_kept(function))
        except CheckFailed as failure:
            sentence = claim.__doc__.strip().rstrip(".")
            title = f"{self.name}, check {number} of {len(self.parts)}: {sentence}."
            raise CheckFailed(failure.found, failure.wanted, failure.cause, title) from None
        except NotImplementedError as error:
            stub, _, rest = str(error).partition(": ")
            if rest == "replace this line":
                line = f"Not yet started: write {stub} in its cell, run the cell, then this one again."
                error._render_traceback_ = [line].copy  # type: ignore[attr-defined]
            raise


def _with_structure_kept(function):
    """Return `function`, which fails a check as soon as it leaves a model with other modules: no call could follow."""

    @wraps(function)
    def kept(*arguments, **options):
        with state.structure_put_back(arguments) as changed:
            result = function(*arguments, **options)
        expect(
            not changed,
            found="the model's structure changed",
            wanted="the model as it was before the call",
            cause=_CAUSES["structure"],
        )
        return result

    return kept


def first_match(found, candidates, fits=same):
    """Return words for a result that is a usual mistake: what was found, and its cause. None for any other result.

    Args:
        found: the result.
        candidates: the usual mistakes, (values, words for them, cause) each, the likeliest first.
        fits: tells whether `found` is what it would be with such values.
    """
    if not found.any():
        return "zeros everywhere", Questions(
            "Is anything computed from the images?",
            "Does a step of it give zero: a clamp, a max, a difference of equal things?",
        )
    return next(((words, cause) for values, words, cause in candidates if fits(found, values)), None)


def off_by(found, wanted):
    """Return words for how far `found` is from `wanted`, which was measured."""
    return f"{(found - wanted).norm() / wanted.norm():.2g} of its length away from what was measured"


def scaled(found, wanted, count, samples=None):
    """Return words and cause for a result that is right up to a factor, for all images together or for each, or None.

    Args:
        found, wanted: results, (N, ...).
        count: the number of images; samples: the number of samples over which a mean is taken, if one is.
    """
    factors = [(row * goal).sum() / (goal * goal).sum() for row, goal in zip(found, wanted, strict=True)]
    rescaled = torch.stack([factor * goal for factor, goal in zip(factors, wanted, strict=True)])
    if not same(found, rescaled) or min(factors) <= 0:
        return None
    if max(factors) - min(factors) > 1e-4 * max(factors):
        sizes = [(float(row.abs().max()), float(row.norm())) for row in found]
        ends_at_one = any(
            all(math.isclose(size, 1, rel_tol=1e-4) for size in kind) for kind in zip(*sizes, strict=True)
        )
        return "each result rescaled by a factor of its own", (
            "a normalisation; return the values as they are"
            if ends_at_one
            else Questions("Is each result divided by a size of its own?", "Does a factor differ from image to image?")
        )
    factor = float(factors[0])
    usual = [(1 / count, f"a mean over the batch of {count} images; add their scores up instead")] if count > 1 else []
    if samples is not None and samples > 1:
        usual = [
            (samples, "the sum over the samples is not divided by their number"),
            (samples / (samples - 1), f"divided by {samples - 1}, one less than the number of samples"),
            (samples / (samples + 1), f"divided by {samples + 1}, one more than the number of samples"),
            (samples / count, f"divided by the {count} images, not by the {samples} samples"),
            *usual,
        ]
    asked = Questions("Which factor is too many, or missing?", "Is there a mean where a sum is wanted?")
    cause = next((words for value, words in usual if math.isclose(factor, value, rel_tol=1e-4)), asked)
    return f"{factor:.3g} times what is wanted", cause


def at_normalised(slopes, model):
    """Return the slopes at the normalised images, from the `slopes` (N, 3, H, W) at the pixels."""
    return slopes * model.normalise.std


AT_NORMALISED = (
    "the slope at the normalised image, which is the slope at the pixels times `std`",
    "the gradient is taken at `model.normalise(...)`, or at what `model.network` gets; take it at the pixels, and "
    "let `model` normalise them",
)


def stretched(found, wanted, tolerance=1e-4):
    """Return words and cause for a result that is right up to a shift and a scaling, or None."""
    for what, rows, goals in (
        ("each result", found, wanted),
        ("the results of the whole batch", found[None], wanted[None]),
    ):
        factors = [row.std() / goal.std() for row, goal in zip(rows, goals, strict=True)]
        moved = [
            row.mean() + factor * (goal - goal.mean()) for row, goal, factor in zip(rows, goals, factors, strict=True)
        ]
        # A result that is one number everywhere is no scaled one.
        if min(factors) > tolerance and same(rows, torch.stack(moved), tolerance):
            low, high = float(found.min()), float(found.max())
            cause: Cause = Questions("Are the values scaled at the end?", "Is a number added to them, or taken away?")
            if math.isclose(high, 1, abs_tol=1e-4) and min(abs(low), abs(low + 1)) < 1e-4:
                cause = f"a normalisation to [{low:.0f}, 1]; return the values as they are"
            return f"{what} shifted and scaled, to values from {low:.3g} to {high:.3g}", cause
    return None


def check_tensor(result, shape, images, what):
    """Raise CheckFailed unless `result` is a detached tensor of `shape`, of the dtype and on the device of `images`."""
    expect(
        isinstance(result, torch.Tensor),
        found=type_of(result),
        wanted=f"a torch tensor of shape {tuple(shape)}",
        cause=_type_cause(result),
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
        cause="the result carries the graph it was computed in, by `create_graph=True` or because "
        "nothing was detached; "
        "return `.detach()`",
    )
    expect(
        result.dtype == images.dtype and result.device == images.device,
        found=f"a {result.dtype} tensor on {result.device}",
        wanted=f"{images.dtype} on {images.device}, as the images",
        cause="a conversion, such as `.float()`, or a new tensor without `dtype=images.dtype`; the "
        "result is of the kind "
        "of the images",
    )


def type_of(value):
    """Return words for the type of a value that is no tensor."""
    kind = type(value)
    if kind.__module__ == "torch.return_types":
        return f"the pair (values, indices) that `{kind.__name__}` gives"
    length = f" of {len(value)}" if isinstance(value, tuple | list) else ""
    return "None" if value is None else f"a value of type {kind.__name__}{length}"


def _type_cause(value):
    if value is None:
        return "the function has no `return`, or a `return` without a value"
    if type(value).__module__ == "torch.return_types":
        name = type(value).__name__
        return f"`{name}` with a `dim` gives values and indices; take `.values`" + ", or `amax`" * (name == "max")
    if type(value).__module__ == "numpy":
        return "a conversion to NumPy; return a torch tensor"
    if isinstance(value, tuple | list):
        return f"several values are returned, or a {type(value).__name__} of tensors; return one tensor"
    return "the function returns something other than the result; return the tensor"


def _shape_cause(found, wanted):
    if len(wanted) and wanted[0] == 1 and len(found) < len(wanted):
        return "`.squeeze()` without `dim`, which drops the batch axis of a single image"
    if len(found) == len(wanted) + 1:
        return "one axis too many: a reduction, or an index, is missing"
    if len(found) == len(wanted) - 1:
        return "one axis too few: there is a reduction, or an index, too many"
    return Questions(
        "Which axis is which, line by line?", "Over which one is reduced?", "Does a new tensor get this shape?"
    )


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
    count=3,
    ask="Is one image's label, noise or baseline used for all?",
):
    """Raise CheckFailed unless one image's result is the same `alone` and `among` others, both of one image.

    Args:
        alone, among: the result of the image, (1, ...), in a batch of one and in one of `count`.
        tolerance: by how much they may differ, as a share of their length.
        count: the size of the larger batch.
        ask: a question about what this exercise pairs with the images.
    """
    alone = alone.detach()
    cause: Cause = Questions(
        "Is there a mean, a maximum or a softmax over the batch (`dim=0`)?",
        ask,
        "Is the model in training mode?",
    )
    if same(among * count, alone, tolerance):
        cause = f"a mean over the batch of {count} images; add their scores up instead"
    expect(
        same(alone, among, tolerance),
        found="an image alone and the same image in a batch of three give different results",
        wanted="the same values, whatever else is in the batch",
        cause=cause,
    )


def expect_repeatable(first, second, *given):
    """Raise CheckFailed unless two calls with the same input, the tensors `given`, gave the same values."""
    cause: Cause
    if any(tensor.grad is not None for tensor in given):
        cause = (
            "gradients pile up in the input's `.grad` from call to call; work on a copy, "
            "`.detach().clone().requires_grad_()`"
        )
    else:
        cause = Questions(
            "Is something drawn by chance?",
            "Is something kept from call to call, or the input changed?",
            "Is the model in training mode?",
        )
    expect(
        same(second, first),
        found="a second call with the same input gives other values",
        wanted="the same values from every call",
        cause=cause,
    )


def expect_nothing_kept(call, images, model, seed):
    """Raise CheckFailed if a call gives what an earlier one gave, for other images or for another network.

    A result that is the same number everywhere shows nothing, and is left to other parts.

    Args:
        call: (images, model) -> results.
        images, model: as in the earlier call; the network is a tiny one.
        seed: of that network; another is made beside it, of the same type and size.
    """
    other = networks.tiny_network(seed + 50, size=tuple(images.shape[2:]))
    first = call(images.clone(), model).detach().clone()
    if same(first, first.mean().expand_as(first)):
        return
    of_other_network = same(call(images.clone(), other).detach(), first)
    of_other_images = same(call(images.flip(-1).clone(), model).detach(), first)
    if not of_other_network and not of_other_images:
        return
    if of_other_network and of_other_images:
        what, cause = "another network and for other images", "a result is kept from call to call (a global, a cache)"
    elif of_other_network:
        what, cause = "another network", "a global network is asked, or something of an earlier call is kept"
    else:
        what, cause = "other images", "images of an earlier call are kept, or something that was computed from them"
    raise CheckFailed(
        f"for {what} of the same size, the result of an earlier call",
        "a result that is computed anew in every call, from what is passed in",
        f"{cause}; keep nothing, and use the arguments alone",
    )


def expect_own_label(call, labels):
    """Raise CheckFailed unless another label of image 1 changes the result of image 1 alone.

    Args:
        call: labels (3,) -> results for three images, always the same.
        labels: the labels to start from, of five classes.
    """
    results = call(labels.clone())
    expect_repeatable(results, call(labels.clone()))
    others = labels.clone()
    others[1] = (others[1] + 1) % 5
    changed = call(others)
    if same(changed[1], results[1]):
        others = labels.clone()
        others[0] = (others[0] + 1) % 5
        raise CheckFailed(
            "the same result for two different labels of one image",
            "the result for the label that was asked for",
            "the label is not used, as with the largest score or the sum of all; take score i at label i"
            if same(call(others)[1], results[1])
            else "the label of the first image is used for all, as in `labels[0]`; take score i at label i",
        )
    if same(changed[0], results[0]) and same(changed[2], results[2]):
        return
    turned = call(labels.roll(1))
    every = all(same(one, two) for one, two in zip(results, turned, strict=True))
    raise CheckFailed(
        "the results of images 0 and 2 changed when the label of image 1 did",
        "score i taken from row i of the scores alone, and nothing mixed over the batch",
        "every image is asked about the labels of all: `scores[:, labels]` pairs each with each; pair "
        "them with `gather`"
        if every
        else Questions(
            "Are labels repeated in the order in which the images are (`repeat`, `repeat_interleave`)?",
            "Is there a mean, a maximum or a scaling over the whole batch?",
        ),
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
            cause="the result carries the graph it was computed in, by `create_graph=True` or because "
            "nothing was detached; "
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
def left_as_found(model, parts=state.PARTS):
    """Raise CheckFailed if the body changes one of these `parts` of `model`: the caller may need it as it was."""
    before = state.description(model)
    yield
    after = state.description(model)
    for what, cause in ((what, _CAUSES[what]) for what in parts):
        expect(
            before[what] == after[what],
            found=f"the model's {what} changed",
            wanted="the model as it was before the call",
            cause=_missing_hook(before[what], after[what]) if what == "hooks" else cause,
        )


_CAUSES = {
    "structure": "a module was replaced; work on `copy.deepcopy(model)`, or with hooks, or put the original back",
    "mode": "`model.train()`; this exercise needs no change of mode",
    "hooks": "a hook was registered and never removed; call `handle.remove()` in a `finally` clause",
    "forward": "`forward` was replaced on a module and never put back",
    "requires_grad": "`parameter.requires_grad_(...)` was called; this exercise needs no such change",
    "parameters or buffers": "an optimiser step, or BatchNorm running in training mode",
    "parameters' .grad": "`.backward()` writes into every parameter, and `zero_grad()` wipes them; ask for the pixels "
    "only: `torch.autograd.grad(total, pixels)`, or `total.backward(inputs=[pixels])`",
}


def _missing_hook(before, after):
    now = dict(after)
    if any(Counter(hooks) - Counter(now.get(path, ())) for path, hooks in before):
        return (
            "hooks of the caller's were removed, such as by `_forward_hooks.clear()`; remove your own, by their handles"
        )
    return _CAUSES["hooks"]


@contextmanager
def torch_left_as_found():
    """Raise CheckFailed, whatever else goes wrong, if the body leaves torch in another state; put it back."""
    changed: dict[str, list[str]] = {}
    try:
        with state.torch_put_back() as changed:
            yield
    finally:
        for what, cause in _TORCH_CAUSES.items():
            if what in changed:
                names = f": {', '.join(changed[what][:3])}" if what == "torch's functions" else ""
                raise CheckFailed(
                    f"{what} changed{names}",
                    "everything as it was before the call, for all that runs after it",
                    cause,
                ) from None


_DRAWN = "a `seed(...)`, or numbers that are drawn; nothing is drawn by chance in here"
_TORCH_CAUSES = {
    "torch's grad mode": "`torch.set_grad_enabled(...)` without an end; write `with torch.no_grad():`",
    "torch's default dtype": "`torch.set_default_dtype(...)`; give `dtype=images.dtype` where a tensor is made",
    "torch's seed": "`torch.manual_seed(...)`, by which all that is drawn later is no longer random; draw nothing, or "
    "seed a `torch.Generator()` of your own",
    "torch's functions": "a function of torch was replaced and never put back; change none, or put it back in a "
    "`finally` clause",
    "torch's global hooks": "a hook on all modules was registered and never removed; call `handle.remove()` in "
    "`finally`",
    "NumPy's random numbers": _DRAWN,
    "Python's random numbers": _DRAWN,
}
