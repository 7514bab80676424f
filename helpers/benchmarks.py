"""Public data sets by their names in torchvision, as the same pictures that the other helpers give.

torchvision takes a second to import, and is imported where a data set is asked for.
"""

import difflib
import os
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any

import numpy as np
import torch

from helpers import assets
from helpers.pictures import Pictures, centre_square, pixels_of
from helpers.progress import progress

LARGE = 224  # the size of pictures that have none in common
MANY = 2000  # reading so many takes a second or more


@dataclass(frozen=True)
class Benchmark:
    """What torchvision wants to be told of a data set, and what it does not tell.

    files: what it downloads, below the data set's folder. option: the argument that chooses between training and test
    pictures, with its value for "train" and for "test"; None where the data set is one heap. classes: their names,
    where torchvision has none.
    """

    files: tuple[str, ...]
    option: tuple[str, Any, Any] | None = ("split", "train", "test")
    classes: tuple[str, ...] = ()


TRAIN = ("train", True, False)
DIGITS = tuple("0123456789")
IDX = tuple(f"{part}-{kind}-ubyte.gz" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1"))
BENCHMARKS = {
    "CIFAR10": Benchmark(("cifar-10-python.tar.gz",), TRAIN),
    "CIFAR100": Benchmark(("cifar-100-python.tar.gz",), TRAIN),
    "MNIST": Benchmark(tuple(f"MNIST/raw/{file}" for file in IDX), TRAIN),
    "FashionMNIST": Benchmark(tuple(f"FashionMNIST/raw/{file}" for file in IDX), TRAIN),
    "KMNIST": Benchmark(tuple(f"KMNIST/raw/{file}" for file in IDX), TRAIN),
    "USPS": Benchmark(("usps.bz2", "usps.t.bz2"), TRAIN, DIGITS),
    "SVHN": Benchmark(("train_32x32.mat", "test_32x32.mat"), classes=DIGITS),
    "EuroSAT": Benchmark(("eurosat/EuroSAT.zip",), None),
    "STL10": Benchmark(("stl10_binary.tar.gz",)),
    "Flowers102": Benchmark(
        tuple(f"flowers-102/{file}" for file in ("102flowers.tgz", "imagelabels.mat", "setid.mat"))
    ),
    "OxfordIIITPet": Benchmark(
        ("oxford-iiit-pet/images.tar.gz", "oxford-iiit-pet/annotations.tar.gz"), ("split", "trainval", "test")
    ),
    "DTD": Benchmark(("dtd/dtd-r1.0.1.tar.gz",)),
    "Food101": Benchmark(("food-101.tar.gz",)),
    "FGVCAircraft": Benchmark(("fgvc-aircraft-2013b.tar.gz",), ("split", "trainval", "test")),
    "Country211": Benchmark(("country211.tgz",)),
    "Imagenette": Benchmark(("imagenette2.tgz",), ("split", "train", "val")),
}


def benchmark(
    name: str,
    count: int,
    split: str = "test",
    *,
    size: int | None = None,
    seed: int = 0,
    folder: str | Path | None = None,
) -> Pictures:
    """Return `count` pictures of a public data set, chosen by chance with this seed.

    `images` (count, 3, H, W) in [0, 1], a grey picture in three equal channels; `labels`, `names` and `classes` as the
    data set has them, `masks` None. The same seed gives the same pictures.

    Args:
        name: one of BENCHMARKS, such as "CIFAR10" or "cifar-10".
        count: how many; they are all read into memory.
        split: "train" or "test". A data set that is one heap (EuroSAT) is divided here: every fifth picture is a test.
        size: height and width in pixels. Without it, pictures keep their own size where they all have the same, and are
            cut to squares of LARGE pixels where they have not.
        seed: of the choice.
        folder: the data set's own folder, where its files are or are to be put. Without it, that is
            COURSE_ASSETS/benchmarks/NAME where there is one, else a cache; torchvision downloads what is missing.

    Raises ValueError for a name, split or count that cannot be had, helpers.assets.UnreachableError for files that are
    not here and cannot be downloaded, and helpers.assets.AssetError for files that cannot be read.
    """
    name = _known(name)
    if split not in ("train", "test"):
        raise ValueError(f'benchmark: found split={split!r}, wanted "train" or "test".')
    root = Path(folder) if folder else _folder(name)
    data = _data_set(name, split, root)
    try:
        places: Sequence[int] = range(len(data))
        if BENCHMARKS[name].option is None:
            places = [place for place in places if (place % 5 == 4) == (split == "test")]
        if not 1 <= count <= len(places):
            raise ValueError(
                f"benchmark: found count={count}, wanted 1 to {len(places)}: {name} has no more for {split}."
            )
        chosen = random.Random(f"{name}/{seed}").sample(places, count)
        bar = progress(chosen, f"reading {name}", "picture") if count > MANY else iter(chosen)
        read = [(np.array(picture.convert("RGB")), int(label)) for picture, label in (data[place] for place in bar)]
    except (OSError, EOFError, IndexError, SyntaxError) as error:
        raise assets.AssetError(_damaged(name, root, error)) from error
    labels = torch.tensor([label for _, label in read])
    names = BENCHMARKS[name].classes or data.classes
    classes = tuple(each if isinstance(each, str) else each[0] for each in names)  # Imagenette's have several names
    levels = [each for each, _ in read]
    if size is None and len({each.shape for each in levels}) > 1:
        size = LARGE
    if size is None:
        images = pixels_of(np.stack(levels))
    else:
        images = torch.cat([centre_square(pixels_of(each[None]), size) for each in levels])
    return Pictures(images, labels, tuple(classes[label] for label in labels.tolist()), classes=classes)


def _known(name: str) -> str:
    """Return the name as torchvision spells it."""
    names = {re.sub(r"[^a-z0-9]", "", each.lower()): each for each in BENCHMARKS}
    asked = re.sub(r"[^a-z0-9]", "", name.lower())
    if asked not in names:
        close = difflib.get_close_matches(asked, names, n=2, cutoff=0.6)
        hint = f"did you mean {' or '.join(names[each] for each in close)}?" if close else ""
        raise ValueError(f"benchmark: there is no data set {name!r} here: {hint or 'wanted ' + ', '.join(BENCHMARKS)}")
    return names[asked]


def _folder(name: str) -> Path:
    """Return the folder in which the files of a data set are, or to which they are to be downloaded."""
    given = os.environ.get("COURSE_ASSETS")
    shared = Path(given) / "benchmarks" / name if given else None
    return shared if shared and shared.is_dir() else assets.cache_folder() / "benchmarks" / name


def _data_set(name: str, split: str, root: Path) -> Any:
    """Return torchvision's data set, its files downloaded where they are missing."""
    from torchvision import datasets

    options = {}
    if option := BENCHMARKS[name].option:
        argument, train, test = option
        options = {argument: train if split == "train" else test}
    try:
        root.mkdir(parents=True, exist_ok=True)
        with assets.no_longer_silence_than(assets.TIMEOUT):
            return getattr(datasets, name)(root, download=True, **options)
    # RuntimeError: what came, or what lay there, is not what torchvision knows, or each of several hosts was silent.
    except (OSError, HTTPException, RuntimeError) as error:
        files = BENCHMARKS[name].files
        raise assets.UnreachableError(
            f"{name} is not in {root}, or not whole, and cannot be downloaded ({_short(error)}): connect to the "
            f"internet, or put {' and '.join(files)} there as torchvision knows {'it' if len(files) == 1 else 'them'}."
        ) from error
    # The files have the right names, and something else in them: each format has errors of its own.
    except Exception as error:
        raise assets.AssetError(_damaged(name, root, error)) from error


def _damaged(name: str, root: Path, error: Exception) -> str:
    return (
        f"the files of {name} in {root} cannot be read ({_short(error)}): delete that folder, so that they are "
        "downloaded anew."
    )


def _short(error: Exception) -> str:
    """Return an error in a line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
