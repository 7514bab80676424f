"""A small network of the student's own, trained on pictures in the notebook: stopped and resumed as you like.

The architecture and the training are those of the picture book's networks.
"""

import time
import zlib
from dataclasses import asdict
from pathlib import Path

import torch

from helpers.models import Classifier
from helpers.picturebook import networks
from helpers.picturebook.training import Recipe, fit, fold_batch_norm
from helpers.pictures import Pictures

FOLDER = "my_networks"  # the folder beside a notebook for checkpoints


def train_classifier(
    pictures: Pictures,
    name: str,
    *,
    epochs: int = 5,
    attack_radius: float = 0.0,
    mirrored: bool = True,
    learning_rate: float = 4e-3,
    seed: int = 0,
    folder: str | Path = FOLDER,
) -> Classifier:
    """Return a small convolutional network trained to tell the classes of these pictures apart, frozen, in eval mode.

    A bar tells how far it has got. Interrupt it (the stop button) and you get the network as it is then, with a printed
    line; call it again with the same arguments, and it goes on after the last finished epoch.

    Args:
        pictures: a batch with `classes`, 64 of them or more, of 8 x 8 pixels or more.
        name: of the network, and of its checkpoint, a file in `folder`.
        epochs: how often it sees each picture.
        attack_radius: 0 for ordinary training; else each batch is attacked before each update, as in assignment 3, here
            by projected gradient ascent of two steps in a ball of this L2 radius (pixel units), which grows over the
            first third of the epochs (Madry et al. 2018).
        mirrored: whether a picture may be shown mirrored; say False for digits and letters.
        learning_rate: the largest one: it rises over the first quarter of the training, then falls to 0.
        seed: of the first weights.
        folder: where the checkpoint is kept.

    Raises ValueError for pictures without classes, for too few, and for a checkpoint of that name made of others.
    """
    if not pictures.classes or pictures.labels.dim() != 1:
        raise ValueError(
            "train_classifier: found pictures that do not tell all their classes, wanted those of `benchmark` or of "
            "`picture_book`, or Pictures(..., classes=(...))."
        )
    batch = 64
    if len(pictures) < batch:
        raise ValueError(f"train_classifier: found {len(pictures)} pictures, wanted a batch of {batch} or more.")
    recipe = Recipe(
        len(pictures),
        epochs,
        learning_rate,
        noise=0.0 if attack_radius else 0.1,
        smoothing=0.0 if attack_radius else 0.05,
        attack_radius=attack_radius,
        warm_up=epochs // 3 if attack_radius else 0,
        seed=seed,
        mirrored=mirrored,
    )
    levels = (pictures.images.cpu() * 255).round().to(torch.uint8)
    labels = pictures.labels.cpu()
    digest = zlib.crc32(levels.numpy().tobytes(), zlib.crc32(labels.numpy().tobytes()))
    path = Path(folder) / f"{name}.pt"
    with torch.random.fork_rng(devices=[]):  # the page's own chance goes on as without a training
        torch.manual_seed(seed)
        network = networks.SmallCNN(batch_norm=True, classes=len(pictures.classes))
        began = time.monotonic()
        try:
            fit(network, recipe, lambda: (levels, labels), path, name, asdict(recipe) | {"pictures": digest})
            print(f"{name}: {epochs} epochs done, {time.monotonic() - began:.0f} seconds.")
        except KeyboardInterrupt:
            done = torch.load(path, weights_only=True)["epochs"] if path.exists() else 0
            print(
                f"{name}: stopped after {done} of {epochs} whole epochs; you have the network as it is now. Run the "
                f"cell again to go on after epoch {done}."
            )
        trained = fold_batch_norm(network)
    return Classifier(
        trained,
        pictures.classes,
        mean=(networks.MEAN,) * 3,
        std=(networks.STD,) * 3,
        input_size=pictures.images.shape[-1],
        cam_layer="features",
        name=name,
    ).to(pictures.images.device)
