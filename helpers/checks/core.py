"""What all checks share: a way to fail that helps, tiny networks, finite differences, and what every answer owes.

A check never holds the answer. It asks what the definition asks, of a network so small that the definition can be
computed by brute force: a derivative is a difference quotient, measured pixel by pixel in double precision.
"""

import math
from contextlib import contextmanager

import torch
from torch import nn

from helpers.models import Classifier

SMALL = (6, 9)  # (H, W) of the images in most checks: oblong, and quick to measure pixel by pixel


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


def run_checks(name, function, checks):
    """Put `function` to each check in turn; stop at the first that fails, and count them when all hold.

    Args:
        name: the exercise.
        function: the student's function.
        checks: functions of one argument whose docstring says in a sentence what holds.
    """
    for number, check in enumerate(checks, start=1):
        try:
            check(function)
        except CheckFailed as failure:
            sentence = check.__doc__.strip().rstrip(".")
            title = f"{name}, check {number} of {len(checks)}: {sentence}."
            raise CheckFailed(failure.found, failure.wanted, failure.cause, title) from None
    print(f"{name}: {len(checks)} checks passed")


class Residual(nn.Module):
    """x -> ReLU(x + convolution(ReLU(BatchNorm(convolution(x))))): a nested module that uses one ReLU twice."""

    def __init__(self, channels):
        """Keep the number of channels from input to output."""
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm = nn.BatchNorm2d(channels)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        self.relu = nn.ReLU()

    def forward(self, x):
        """Return a tensor of the shape of x, (N, channels, H, W)."""
        return self.relu(x + self.second(self.relu(self.norm(self.first(x)))))


class TinyNetwork(nn.Module):
    """All that makes real networks awkward, small: nested blocks, BatchNorm, Dropout, a fully connected head.

    Takes images (N, 3, *size), gives scores (N, classes).
    """

    def __init__(self, size, classes, channels=4):
        """Take images of `size` (H, W); `channels` is the width of every layer before the head."""
        super().__init__()
        height, width = size
        self.stem = nn.Sequential(nn.Conv2d(3, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU())
        self.body = nn.Sequential(Residual(channels), nn.Conv2d(channels, channels, 3, padding=1))
        self.head = nn.Sequential(
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Dropout(0.5),
            nn.Linear(channels * (height // 2) * (width // 2), 8),
            nn.ReLU(),
            nn.Linear(8, classes),
        )

    def forward(self, x):
        """Return the scores (N, classes) of images (N, 3, *size)."""
        return self.head(self.body(self.stem(x)))


def tiny_network(seed, size=(9, 13), classes=5, *, dtype=torch.float64, trainable=False):
    """Return a tiny Classifier with seeded random weights, in eval mode.

    Args:
        seed: an integer; the same seed gives the same network.
        size: (H, W) of the images it takes.
        classes: how many classes it scores.
        dtype: torch.float64 or torch.float32.
        trainable: leave the parameters as a training step leaves them, requiring gradients and with `.grad` filled.
            The default is how load_model returns a network: frozen, without `.grad`.

    Returns:
        A Classifier; `cam_layer` is the last convolution, whose output has both signs.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = TinyNetwork(size, classes)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.get_buffer("running_mean").normal_(0, 0.2)
                module.get_buffer("running_var").uniform_(0.5, 2)
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.normal_(module.bias, 0, 0.2)
        with torch.no_grad():
            for weights in ("head.4.weight", "head.6.weight"):
                network.get_parameter(weights).mul_(3)  # scores far enough apart that a softmax changes the picture
        model = Classifier(
            network,
            [f"class {number}" for number in range(classes)],
            mean=[0.45, 0.5, 0.55],
            std=[0.2, 0.25, 0.3],
            input_size=size[0],
            cam_layer="body.1",
            name="tiny",
        ).to(dtype)
        if trainable:
            for parameter in model.parameters():
                parameter.requires_grad_(True)
                parameter.grad = torch.randn_like(parameter)
    return model


def tiny_batch(model, count, seed, size=(9, 13)):
    """Return images (count, 3, *size) for a tiny network, and labels (count,) none of which is its prediction."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(count, 3, *size, generator=generator, dtype=torch.float64)
    images = images.to(next(model.parameters()).dtype)
    with torch.no_grad():
        scores = model(images)
    shift = 1 + torch.arange(count) % (scores.shape[1] - 1)
    return images, (scores.argmax(dim=1) + shift) % scores.shape[1]


def small_problem(seed, count, **options):
    """Return a tiny network for images of SMALL, made with `options`, and `count` images with labels for it."""
    model = tiny_network(seed, size=SMALL, **options)
    return model, *tiny_batch(model, count, seed, size=SMALL)


def scores_of(model):
    """Return the function (images, labels) -> (N,) unnormalised scores, each of the image's own label."""
    return lambda images, labels: model(images)[torch.arange(len(labels)), labels]


def probabilities_of(model):
    """Return the function (images, labels) -> (N,) softmax probabilities, each of the image's own label."""
    return lambda images, labels: scores_of(model)(images, labels).sub(model(images).logsumexp(dim=1)).exp()


def log_probabilities_of(model):
    """Return the function (images, labels) -> (N,) logarithms of the softmax probabilities."""
    return lambda images, labels: scores_of(model)(images, labels) - model(images).logsumexp(dim=1)


def finite_difference(function, images, labels, step=1e-6):
    """Measure how much `function` changes with each pixel, one pixel at a time.

    Args:
        function: (images (M, 3, H, W), labels (M,)) -> (M,) numbers, each from its own image and label alone.
        images: (N, 3, H, W) in float64; labels: (N,).
        step: by how much a pixel is moved each way.

    Returns:
        (N, 3, H, W): (f(pixel + step) - f(pixel - step)) / (2 step).
    """
    pixels = images[0].numel()
    moves = step * torch.eye(pixels, dtype=images.dtype).view(pixels, *images.shape[1:])
    slopes = []
    with torch.no_grad():
        for image, label in zip(images, labels, strict=True):
            repeated = label.expand(pixels)
            change = function(image + moves, repeated) - function(image - moves, repeated)
            slopes.append((change / (2 * step)).view_as(image))
    return torch.stack(slopes)


def same(found, wanted, tolerance=1e-4):
    """Tell whether two tensors have one shape and differ by at most `tolerance` times the length of the second."""
    if found.shape != wanted.shape:
        return False
    return bool((found - wanted).norm() <= tolerance * wanted.norm() + 1e-12)


def first_match(found, candidates):
    """Return the words that go with the first of the `candidates`, (values, words), equal to `found`, or None."""
    return next((words for values, words in candidates if same(found, values)), None)


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
