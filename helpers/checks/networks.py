"""The small networks that checks put to an answer, with seeded weights and in double precision.

One has all that makes real networks awkward. The others show a single rule alone.
"""

import copy

import torch
from torch import nn

from helpers.models import Classifier

SMALL = (6, 9)  # (H, W) of the images in most visible checks: oblong, and quick to measure pixel by pixel


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


def tiny_network(seed, size=(9, 13), classes=5, *, dtype=torch.float64, trainable=False, gain=1):
    """Return a tiny Classifier with seeded random weights, in eval mode.

    Args:
        seed: an integer; the same seed gives the same network.
        size: (H, W) of the images it takes.
        classes: how many classes it scores.
        dtype: torch.float64 or torch.float32.
        trainable: leave the network as it is in somebody's use: its parameters require gradients and have `.grad`
            filled, and every module has a forward hook. The default is how load_model returns a network: frozen,
            without `.grad` and without hooks.
        gain: what the scores are multiplied with. With 30 the network is sure: probabilities go down to 1e-10, and
            slopes of scores exceed 1.

    Returns:
        A Classifier; `cam_layer` is the last convolution, whose output has both signs.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = TinyNetwork(size, classes)
        _pretend_training(network)
        names = [f"class {number}" for number in range(classes)]
        scale = {"mean": [0.45, 0.5, 0.55], "std": [0.2, 0.25, 0.3], "input_size": size[0]}
        model = Classifier(network, names, **scale, cam_layer="body.1", name="tiny").to(dtype)
        with torch.no_grad():
            for parameter in network.head[-1].parameters():
                parameter.mul_(gain)
        if trainable:
            for parameter in model.parameters():
                parameter.requires_grad_(True)
                parameter.grad = torch.randn_like(parameter)
            with_forward_hooks(model)
    return model


def look_on(*_):
    """Serve as a hook that its owner wants to find again, and that changes nothing."""


def with_forward_hooks(model):
    """Return `model` with a forward hook on each module, as its owner may have set them."""
    for module in model.modules():
        module.register_forward_hook(look_on)
    return model


def with_backward_hooks(model):
    """Return `model` with a backward hook on each ReLU and on the layer to look at, as its owner may have set them."""
    for module in model.modules():
        if isinstance(module, nn.ReLU) or module is model.cam_layer:
            module.register_full_backward_hook(look_on)
    return model


def _pretend_training(network):
    """Give BatchNorm statistics that matter, and scores far enough apart that a softmax changes the picture."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.get_buffer("running_mean").normal_(0, 0.2)
            module.get_buffer("running_var").uniform_(0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.2)
    with torch.no_grad():
        for weights in ("head.4.weight", "head.6.weight"):
            network.get_parameter(weights).mul_(3)


def plain_network(seed, size=(5, 7), classes=3, gain=1):
    """Return a small network in float64, in somebody's use: with gradients of an earlier step, a hook on each module.

    A convolution, BatchNorm, ReLU and a linear head, in training mode: images (N, 3, *size) -> scores (N, classes),
    times `gain`.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = nn.Sequential(
            nn.Conv2d(3, 3, 3),
            nn.BatchNorm2d(3),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(3 * (size[0] - 2) * (size[1] - 2), classes),
        ).double()
        nn.init.normal_(network.get_buffer("1.running_mean"), 0, 0.3)
        nn.init.uniform_(network.get_buffer("1.running_var"), 0.5, 2)
        nn.init.normal_(network.get_parameter("1.bias"), 0, 0.3)
        with torch.no_grad():
            network.get_parameter("4.weight").mul_(3 * gain)
        for parameter in network.parameters():
            parameter.grad = torch.randn_like(parameter)
    return with_forward_hooks(network)


def classifier(network, cam_layer=None, std=None):
    """Return a Classifier in float64: without `std`, pixels reach the network as they are; with it, 0.5 becomes 0.

    `std` is that of the second channel; the first one has less, the third one more.
    """
    scale = {"mean": [0.0] * 3, "std": [1.0] * 3}
    if std is not None:
        scale = {"mean": [0.5] * 3, "std": [0.8 * std, std, 1.2 * std]}
    model = Classifier(network, "abcde", mean=scale["mean"], std=scale["std"], input_size=SMALL[0], cam_layer=cam_layer)
    return model.double()


def smooth_network(seed):
    """Return a Classifier of SMALL images with fully connected layers at its end, and not a single ReLU."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        body = [nn.Conv2d(3, 4, 3, padding=1), nn.Tanh(), nn.MaxPool2d(2), nn.Flatten()]
        return classifier(nn.Sequential(*body, nn.Linear(48, 8), nn.Tanh(), nn.Linear(8, 5)), std=0.4)


def two_part_network(seed):
    """Return a Classifier of SMALL images in two parts.

    `front`, the layer to look at, gives (N, 4, 3, 5), both signs; `back` is smooth.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = nn.Sequential()
        network.add_module("front", nn.Conv2d(3, 4, 3, stride=2, padding=1))
        network.add_module("back", nn.Sequential(nn.Flatten(), nn.Linear(60, 8), nn.Tanh(), nn.Linear(8, 5)))
        network.get_parameter("back.3.weight").data.mul_(3)
        return classifier(network, cam_layer="front", std=0.3)


def three_forms(seed):
    """Return three Classifiers of the same layers: in a row, nested, and with one ReLU called in all places."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        first, second, third = (nn.Conv2d(channels, 4, 3, padding=1) for channels in (3, 4, 4))
        head = nn.Sequential(nn.Flatten(), nn.Linear(4 * 6 * 9, 5))
    forms = [
        nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), third, nn.ReLU(), head),
        nn.Sequential(first, nn.Sequential(nn.ReLU(), nn.Sequential(second, nn.ReLU()), third), nn.ReLU(), head),
        OneReLU(first, second, third, head),
    ]
    return [classifier(copy.deepcopy(form), std=0.3) for form in forms]


class OneReLU(nn.Module):
    """Three layers, each followed by one and the same ReLU module, and a head."""

    def __init__(self, first, second, third, head):
        """Take the layers."""
        super().__init__()
        self.first, self.second, self.third, self.head = first, second, third, head
        self.relu = nn.ReLU()

    def forward(self, x):  # noqa: D102
        return self.head(self.relu(self.third(self.relu(self.second(self.relu(self.first(x)))))))


class Powers(nn.Module):
    """Images (N, 3, H, W) -> the powers 1, 2 and 3 of the sum of weight x pixel, (N, 3)."""

    def __init__(self, weight):
        """Take the weights (3, H, W)."""
        super().__init__()
        self.register_buffer("weight", weight)

    def forward(self, images):  # noqa: D102
        total = (images * self.weight).sum(dim=(1, 2, 3))
        return torch.stack([total, total**2, total**3], dim=1)
