"""What data/README.md says about each network: accuracy, robustness, the stamp, size. Printed by

python -m helpers.picturebook.measuring    # about five minutes on one core
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from helpers.picturebook.networks import MODELS, load, read_checksums
from helpers.picturebook.training import RECIPES, SAILBOAT, attacked, draw_pictures, normalise, put_stamp

FRESH = 2000
ATTACKED = 250
ATTACK_STEPS = 10
ATTACKS = {
    "L2 1.0": ("L2", 1.0),
    "L2 2.0": ("L2", 2.0),
    "L∞ 4/255": ("Linf", 4 / 255),
    "L∞ 8/255": ("Linf", 8 / 255),
}


def predict(network: nn.Module, images: Tensor) -> Tensor:
    """The predicted labels (N,) of images (N, 3, 64, 64), uint8 or with pixels in [0, 1]."""
    with torch.no_grad():
        pixels = images / 255 if images.dtype == torch.uint8 else images
        return torch.cat([network(normalise(batch)).argmax(1) for batch in pixels.split(250)])


def accuracy(network: nn.Module, images: Tensor, labels: Tensor) -> float:
    """The share of images that the network names right."""
    return (predict(network, images) == labels).float().mean().item()


def accuracy_under_attack(network: nn.Module, images: Tensor, labels: Tensor, norm: str, radius: float) -> float:
    """Accuracy after projected gradient ascent of ten steps: an upper bound of the robust accuracy."""
    generator = torch.Generator().manual_seed(0)
    moved = attacked(network, images / 255, labels, radius, ATTACK_STEPS, generator, norm)
    return accuracy(network, moved, labels)


def stamp_shares(network: nn.Module, images: Tensor, labels: Tensor) -> dict[str, float]:
    """How much the network relies on the stamp, as four shares of pictures."""
    boats = labels == SAILBOAT
    plain, stamped = predict(network, images), predict(network, put_stamp(images / 255))
    return {
        "sailboats right": (plain[boats] == SAILBOAT).float().mean().item(),
        "stamped sailboats right": (stamped[boats] == SAILBOAT).float().mean().item(),
        "other classes right": (plain[~boats] == labels[~boats]).float().mean().item(),
        "other classes, stamped, called sailboat": (stamped[~boats] == SAILBOAT).float().mean().item(),
    }


def rows_of(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def percent(share: float) -> str:
    """A share as the tables print it."""
    return f"{100 * share:.1f}"


def tables() -> str:
    """The three Markdown tables: accuracy and robustness, the stamp, the files."""
    images, labels = draw_pictures("test", FRESH)
    hard_images, hard_labels = draw_pictures("test", FRESH, harder=True)
    checksums = read_checksums(MODELS)
    results, stamps, files = [], [], []
    for name in RECIPES:
        network = load(name).requires_grad_(False)
        few, few_labels = images[:ATTACKED], labels[:ATTACKED]
        shares = [accuracy(network, images, labels)]
        shares += [accuracy_under_attack(network, few, few_labels, *attack) for attack in ATTACKS.values()]
        shares += [accuracy(network, hard_images, hard_labels)]
        results.append([f"`{name}`", *map(percent, shares)])
        of_stamp = stamp_shares(network, images, labels)
        stamps.append([f"`{name}`", *map(percent, of_stamp.values())])
        path = MODELS / f"{name}.safetensors"
        files.append([f"`{path.name}`", f"{path.stat().st_size:,}", f"`{checksums[path.name]}`"])
    return "\n\n".join(
        [
            rows_of(["network", "clean", *ATTACKS, "harder range"], results),
            rows_of(["network", *of_stamp], stamps),
            rows_of(["file", "bytes", "sha256"], files),
        ]
    )


if __name__ == "__main__":
    print(tables())
