"""The network that knows the drawn sounds: how it is trained, and how often it is right.

    python -m helpers.sounds.training    # train it where it is missing in data/models (make models)
    python -m helpers.sounds.training --measure    # print what data/README.md says of it

It is the picture book's small network, narrower, and is trained in the same way.
"""

import argparse
import functools
from dataclasses import asdict

import torch
from torch import Tensor, nn
from tqdm import tqdm

from helpers.picturebook.training import CHECKPOINTS, Recipe, fit, make, normalise
from helpers.sounds.drawing import CLASSES, draw_sounds
from helpers.sounds.networks import NAME, build, load
from helpers.sounds.spectrogram import SIDE
from helpers.spread import bootstrap

# A mirrored sound runs backwards, and a bell is no bell then.
RECIPE = Recipe(pictures=4000, epochs=3, learning_rate=4e-3, noise=0.1, mirrored=False)
FRESH = 3000
PART = 60  # sounds that are drawn at once


def draw_pictures(seed: int | str, count: int) -> tuple[Tensor, Tensor]:
    """Spectrograms of `count` sounds as uint8 (count, 3, SIDE, SIDE), and their labels, int64 (count,)."""
    images = torch.empty(count, 1, SIDE, SIDE, dtype=torch.uint8)
    labels = torch.empty(count, dtype=torch.int64)
    for first in tqdm(range(0, count, PART), f"drawing {seed} sounds", leave=False):
        sounds = draw_sounds(min(PART, count - first), seed, first=first)
        images[first : first + PART] = (255 * sounds.images[:, :1]).round().to(torch.uint8)
        labels[first : first + PART] = sounds.labels
    return images.expand(-1, 3, -1, -1), labels  # the three channels share memory


def train() -> nn.Module:
    """The trained network, from its last checkpoint onwards where there is one."""
    torch.manual_seed(RECIPE.seed)
    network = build(batch_norm=True)
    lessons = functools.partial(draw_pictures, "training", RECIPE.pictures)
    fit(network, RECIPE, lessons, CHECKPOINTS / f"{NAME}.pt", NAME, asdict(RECIPE))
    return network


def right_names(network: nn.Module, count: int, seed: int | str) -> Tensor:
    """Whether the network names each of `count` sounds of a book right, bool (count,)."""
    images, labels = draw_pictures(seed, count)
    with torch.no_grad():
        predictions = [network(normalise(batch / 255)).argmax(1) for batch in images.split(PART)]
    return torch.cat(predictions) == labels


def measured() -> str:
    """What data/README.md says: accuracy on fresh sounds, with its 95 % bootstrap interval, and class by class."""
    right = right_names(load(), FRESH, "test")
    low, high = bootstrap(right)
    classes = [f"{name} {100 * right[k :: len(CLASSES)].float().mean():.1f}" for k, name in enumerate(CLASSES)]
    total = f"{100 * right.float().mean():.1f} % of {FRESH} fresh sounds ({100 * low:.1f} to {100 * high:.1f})"
    return f"{total}; {', '.join(classes)}"


def main() -> None:
    """Train what is missing, or measure what is there."""
    parser = argparse.ArgumentParser(description="Train the network of the drawn sounds where it is missing.")
    parser.add_argument("--measure", action="store_true", help="print its accuracy instead")
    if parser.parse_args().measure:
        print(measured())
    else:
        make(NAME, train)


if __name__ == "__main__":
    main()
