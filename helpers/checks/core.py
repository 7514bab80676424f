"""What all checks share: a way to fail that helps, tiny networks, finite differences, and "left as found".

A check never holds the answer. It asks what the definition asks, of a network so small that the definition can be
computed by brute force: a derivative is a difference quotient, measured pixel by pixel in double precision.
"""

from contextlib import contextmanager

import torch
from torch import nn

from helpers.models import Classifier


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
                module.running_mean.normal_(0, 0.2)
                module.running_var.uniform_(0.5, 2)
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.normal_(module.bias, 0, 0.2)
        with torch.no_grad():
            network.head[-3].weight *= 3  # scores far enough apart that a softmax changes the picture
            network.head[-1].weight *= 3
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
