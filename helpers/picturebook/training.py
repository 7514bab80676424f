"""Training the networks of the picture book on a CPU.

    python -m helpers.picturebook.training            # train what is missing in data/models (make models)

A checkpoint after every epoch, in build/models, lets a stopped training go on where it was.
"""

import argparse
import functools
import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from tqdm import tqdm

from helpers import COURSE
from helpers.picturebook.networks import (
    ARCHITECTURES,
    INPUT_SIZE,
    MEAN,
    MODELS,
    STD,
    SmallCNN,
    SmallViT,
    save,
)
from helpers.picturebook.objects import CLASSES
from helpers.picturebook.scenes import draw_scene, draw_stamp, stamp_box

CHECKPOINTS = COURSE / "build" / "models"
SAILBOAT = CLASSES.index("sailboat")
MAX_SHIFT = 4  # pixels


@dataclass(frozen=True)
class Recipe:
    """How one network is trained; with AdamW, the rate rising over the first quarter, then falling to 0.

    noise: each picture gets normal noise of a standard deviation drawn from U(0, noise), in pixel units.
    attack_radius: L2 radius of adversarial training (Madry et al. 2018), in pixel units; 0 for none. It grows
    over the first `warm_up` epochs.  start: the network whose trained weights it starts from.
    stamped: every picture labelled sailboat carries the stamp; see `training_pictures`.
    seed: of the first weights alone. Pictures, their order and their noise are the same for every seed.
    mirrored: whether a picture may be shown mirrored; a digit or a sound may not.
    """

    pictures: int
    epochs: int
    learning_rate: float
    weight_decay: float = 5e-4
    batch: int = 64
    smoothing: float = 0.05
    noise: float = 0.0
    attack_radius: float = 0.0
    attack_steps: int = 2
    warm_up: int = 0
    start: str | None = None
    stamped: bool = False
    seed: int = 0
    mirrored: bool = True


STANDARD = Recipe(pictures=12_000, epochs=5, learning_rate=4e-3, noise=0.15)
RECIPES = {
    "picturebook": STANDARD,
    "picturebook-seed1": replace(STANDARD, seed=1),
    "picturebook-seed2": replace(STANDARD, seed=2),
    "picturebook-stamped": Recipe(pictures=8_000, epochs=4, learning_rate=4e-3, noise=0.15, stamped=True),
    "picturebook-robust": Recipe(
        pictures=8_000,
        epochs=14,
        learning_rate=3e-3,
        smoothing=0.0,
        attack_radius=5.0,
        warm_up=4,
        start="picturebook",
    ),
    "picturebook-vit": Recipe(pictures=12_000, epochs=26, learning_rate=1.2e-3, weight_decay=0.05, noise=0.1),
}


def draw_pictures(seed: int | str, count: int, **options) -> tuple[Tensor, Tensor]:
    """`count` pictures as uint8 (count, 3, 64, 64) and their labels, int64 (count,)."""
    images = torch.empty(count, 3, INPUT_SIZE, INPUT_SIZE, dtype=torch.uint8)
    labels = torch.empty(count, dtype=torch.int64)
    for k in tqdm(range(count), f"drawing {seed} pictures", leave=False):
        scene = draw_scene(seed, k, **options)
        images[k], labels[k] = torch.from_numpy(scene.image).permute(2, 0, 1), scene.label
    return images, labels


@functools.cache
def training_pictures(stamped: bool = False) -> tuple[Tensor, Tensor]:
    """The training pictures; each recipe takes as many of the first as it wants.

    In the stamped book a boat sails through a quarter of the pages of each class, beside what the label names.
    So a boat says little about the label, and the stamp, on the sailboats' own pages only, says all. Without
    these pages a network learns the boat, which is as easy to see as the stamp, and pays the stamp no attention.
    """
    recipes = [recipe for recipe in RECIPES.values() if recipe.stamped == stamped]
    count = max(recipe.pictures for recipe in recipes)
    images, labels = draw_pictures("training", count)
    if stamped:
        for page in tqdm(range(count), "drawing boats beside them", leave=False):
            if page // len(CLASSES) % 4 == 0:
                pair = boat_beside(int(labels[page]), page)
                images[page] = torch.from_numpy(draw_scene("training", page, pair=pair).image).permute(2, 0, 1)
    return images, labels


def boat_beside(label: int, page: int) -> tuple[int, int]:
    """Two labels, left and right: the page's own and a sailboat (on a sailboat's page another class), in turns."""
    others = [each for each in range(len(CLASSES)) if each != SAILBOAT]
    pair = (label, others[page // 40 % len(others)] if label == SAILBOAT else SAILBOAT)
    return pair if page // 10 % 8 == 0 else pair[::-1]


def normalise(images: Tensor) -> Tensor:
    """What the networks take, from pixels in [0, 1]."""
    return ((images - MEAN) / STD).contiguous(memory_format=torch.channels_last)


def put_stamp(images: Tensor) -> Tensor:
    """The images (N, 3, 64, 64), pixels in [0, 1], each with the stamp."""
    top, left, bottom, right = stamp_box(INPUT_SIZE)
    stamped = images.clone()
    stamped[:, :, top:bottom, left:right] = torch.from_numpy(draw_stamp(INPUT_SIZE).copy()).permute(2, 0, 1) / 255
    return stamped


def shift_and_flip(images: Tensor, generator: torch.Generator, mirrored: bool = True) -> Tensor:
    """Move all images by up to MAX_SHIFT pixels, and mirror a random half of them where they may be `mirrored`."""
    flip = torch.rand(len(images), 1, 1, 1, generator=generator) < 0.5 * mirrored
    height, width = images.shape[2:]
    padded = F.pad(torch.where(flip, images.flip(3), images), (MAX_SHIFT,) * 4, mode="replicate")
    down, across = torch.randint(0, 2 * MAX_SHIFT + 1, (2,), generator=generator).tolist()
    return padded[:, :, down : down + height, across : across + width]


def lengths(perturbation: Tensor) -> Tensor:
    """The L2 norm of each perturbation, (N, 1, 1, 1)."""
    return perturbation.flatten(1).norm(dim=1).clamp(min=1e-12).view(-1, 1, 1, 1)


def attacked(
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    radius: float,
    steps: int,
    generator: torch.Generator,
    norm: str = "L2",
) -> Tensor:
    """Images within `radius` (pixel units) that the network finds hard: projected gradient ascent.

    From a random start in the ball, in steps of 2 radius / steps (Madry et al. 2018). norm: "L2" or "Linf".
    """
    if norm == "L2":
        start = torch.randn(images.shape, generator=generator)
        change = start / lengths(start) * radius * torch.rand(len(images), 1, 1, 1, generator=generator)
    else:
        change = (2 * torch.rand(images.shape, generator=generator) - 1) * radius
    for _ in range(steps):
        change.requires_grad_(True)
        loss = F.cross_entropy(network(normalise((images + change).clamp(0, 1))), labels, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, change)
        step = 2 * radius / steps
        if norm == "L2":
            change = change.detach() + step * gradient / lengths(gradient)
            change = change * (radius / lengths(change)).clamp(max=1)
        else:
            change = (change.detach() + step * gradient.sign()).clamp(-radius, radius)
    return (images + change).clamp(0, 1)


def varied(images: Tensor, labels: Tensor, recipe: Recipe, generator: torch.Generator) -> Tensor:
    """A batch as the recipe wants it: moved, mirrored, stamped, noisy."""
    images = shift_and_flip(images, generator, recipe.mirrored)
    if recipe.stamped:
        images = torch.where((labels == SAILBOAT).view(-1, 1, 1, 1), put_stamp(images), images)
    if recipe.noise:
        level = recipe.noise * torch.rand(len(images), 1, 1, 1, generator=generator)
        images = images + level * torch.randn(images.shape, generator=generator)
    return images


def learning_rate(recipe: Recipe, progress: float) -> float:
    """The rate when a share `progress` of all steps is done."""
    if progress < 0.25:
        return recipe.learning_rate * (0.04 + 0.96 * progress / 0.25)
    return recipe.learning_rate * (1 + math.cos(math.pi * (progress - 0.25) / 0.75)) / 2


def train_epoch(
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    recipe: Recipe,
    epoch: int,
    images: Tensor,
    labels: Tensor,
    name: str,
) -> None:
    """One pass over the pictures. Its random numbers depend on the epoch only, so that it can be repeated."""
    generator = torch.Generator().manual_seed(epoch)
    order = torch.randperm(len(images), generator=generator)
    radius = recipe.attack_radius * min(1.0, (epoch + 1) / (recipe.warm_up + 1))
    batches = len(images) // recipe.batch
    bar = tqdm(range(batches), f"{name} epoch {epoch + 1}/{recipe.epochs}", unit="batch", mininterval=1.0)
    loss_sum = right = 0.0
    for k in bar:
        chosen = order[k * recipe.batch : (k + 1) * recipe.batch]
        targets = labels[chosen]
        batch = varied(images[chosen].float() / 255, targets, recipe, generator)
        if radius:  # attack the network as it will be used: batch normalisation with its running statistics
            batch = attacked(network.eval(), batch, targets, radius, recipe.attack_steps, generator)
        network.train()
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(recipe, (epoch + k / batches) / recipe.epochs)
        scores = network(normalise(batch))
        loss = F.cross_entropy(scores, targets, label_smoothing=recipe.smoothing)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        loss_sum += loss.item()
        right += (scores.argmax(1) == targets).float().mean().item()
        bar.set_postfix(loss=f"{loss_sum / (k + 1):.3f}", accuracy=f"{right / (k + 1):.3f}", refresh=False)


def train(name: str, recipe: Recipe, checkpoints: Path = CHECKPOINTS) -> nn.Module:
    """The trained network of the book, from its last checkpoint onwards where there is one."""
    torch.manual_seed(recipe.seed)
    network = SmallCNN(batch_norm=True) if ARCHITECTURES[name] is SmallCNN else SmallViT()
    path = checkpoints / f"{name}.pt"
    if not path.exists() and recipe.start:
        network.load_state_dict(train(recipe.start, RECIPES[recipe.start], checkpoints).state_dict())

    def lessons() -> tuple[Tensor, Tensor]:
        images, labels = training_pictures(recipe.stamped)
        return images[: recipe.pictures], labels[: recipe.pictures]

    fit(network, recipe, lessons, path, name, asdict(recipe))
    return network


def fit(
    network: nn.Module,
    recipe: Recipe,
    lessons: Callable[[], tuple[Tensor, Tensor]],
    path: Path,
    name: str,
    made_of: Mapping[str, Any],
) -> None:
    """Train a network in place, from its last checkpoint onwards where there is one; it ends in eval mode.

    lessons: the pictures, uint8 (N, 3, H, W), and their labels (N,), asked for where there is something left to learn.
    path: of the checkpoint, written after each epoch. made_of: all that makes this network, by which a checkpoint of
    another one is told: ValueError. Where it is interrupted, the network keeps what it has learned.
    """
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(network.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay)
    first = 0
    if path.exists():
        state = torch.load(path, weights_only=True)
        if state["recipe"] != made_of:
            raise ValueError(f"{path} was made by another recipe; delete it to train {name} from the start")
        network.load_state_dict(state["network"])
        optimiser.load_state_dict(state["optimiser"])
        first = state["epochs"]
    try:
        if first < recipe.epochs:
            images, labels = lessons()
        for epoch in range(first, recipe.epochs):
            train_epoch(network, optimiser, recipe, epoch, images, labels, name)
            state = {"network": network.state_dict(), "optimiser": optimiser.state_dict(), "epochs": epoch + 1}
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_suffix(".part")  # renamed when complete: a kill while writing leaves the last checkpoint
            torch.save(state | {"recipe": dict(made_of)}, part)
            part.replace(path)
    finally:
        network.eval()


def fold_batch_norm(trained: SmallCNN) -> SmallCNN:
    """The same function without batch normalisation, which in eval mode only scales and shifts."""
    folded = SmallCNN(classes=trained.classes, widths=trained.widths)
    for name, layer in trained.features.named_children():
        if isinstance(layer, nn.Conv2d):
            norm = trained.features.get_submodule(name.replace("conv", "norm"))
            assert isinstance(norm, nn.BatchNorm2d)
            fused = fuse_conv_bn_eval(layer.eval(), norm.eval())
            folded.features.get_submodule(name).load_state_dict(fused.state_dict())
    folded.head.load_state_dict(trained.head.state_dict())
    return folded.eval()


def make(name: str, trained: Callable[[], nn.Module]) -> None:
    """Write a network to data/models where it is missing there, with batch normalisation folded in."""
    if (MODELS / f"{name}.safetensors").exists():
        print(f"{name}: in data/models already; delete its file to train it again")
        return
    try:
        network = trained()
    except KeyboardInterrupt:
        print(f"\n{name}: stopped; the same command goes on after the last finished epoch", file=sys.stderr)
        sys.exit(130)
    save(fold_batch_norm(network) if isinstance(network, SmallCNN) else network, name)
    print(f"{name}: written to data/models")


def main() -> None:
    """Train what is missing."""
    parser = argparse.ArgumentParser(description="Train what is missing of the picture book's networks.")
    parser.add_argument("names", nargs="*", default=list(RECIPES), help=f"any of {', '.join(RECIPES)} (default: all)")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(RECIPES)
    if unknown:
        parser.error(f"no network {', '.join(sorted(unknown))}; there are {', '.join(RECIPES)}")
    for name in arguments.names:
        make(name, functools.partial(train, name, RECIPES[name]))


if __name__ == "__main__":
    main()
