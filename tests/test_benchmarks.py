"""Public data sets, read from small files in their own formats; nothing is downloaded."""

import gzip
import hashlib
import pickle
import struct

import numpy as np
import pytest
import scipy.io
import torch
import torchvision.datasets
from PIL import Image

from helpers import assets
from helpers.benchmarks import BENCHMARKS, LARGE, benchmark
from helpers.pictures import picture_book

RNG = np.random.default_rng(0)


def levels(*shape):
    return RNG.integers(0, 256, shape, dtype=np.uint8)


@pytest.fixture
def offline(offline):
    """The folder of benchmarks in the empty cache."""
    return offline / "benchmarks"


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return hashlib.md5(content).hexdigest()


def write_cifar10(root, monkeypatch, count=4):
    """Write the six pickled batches and the names, and tell torchvision, which knows the real ones, their digests."""
    data = {name: levels(count, 3072) for name in (*(f"data_batch_{k}" for k in range(1, 6)), "test_batch")}
    labels = {name: [(7 * k) % 10 for k in range(count)] for name in data}
    base = root / "cifar-10-batches-py"
    digests = {name: write(base / name, pickle.dumps({"data": data[name], "labels": labels[name]})) for name in data}
    names = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    meta = write(base / "batches.meta", pickle.dumps({"label_names": names}))
    cifar = torchvision.datasets.CIFAR10
    monkeypatch.setattr(cifar, "train_list", [[name, digests[name]] for name in data if name != "test_batch"])
    monkeypatch.setattr(cifar, "test_list", [["test_batch", digests["test_batch"]]])
    monkeypatch.setattr(cifar, "meta", cifar.meta | {"md5": meta})
    return data, labels, names


def found_among(image, wanted):
    """The place of the image among the pictures (N, 3, H, W) of levels; None where it is none of them."""
    places = [k for k, each in enumerate(wanted) if torch.equal(image, torch.from_numpy(each.copy()).float() / 255)]
    return places[0] if places else None


def test_cifar_10_from_its_pickled_batches(offline, monkeypatch):
    data, labels, names = write_cifar10(offline / "CIFAR10", monkeypatch)
    pictures = benchmark("cifar-10", 3)
    assert pictures.images.shape == (3, 3, 32, 32) and pictures.images.dtype == torch.float32
    for image, label, name in zip(pictures.images, pictures.labels.tolist(), pictures.names, strict=True):
        place = found_among(image, data["test_batch"].reshape(-1, 3, 32, 32))
        assert labels["test_batch"][place] == label and names[label] == name
    assert (pictures.classes, pictures[1:].classes, pictures.masks) == (tuple(names), tuple(names), None)
    lessons = benchmark("CIFAR10", 20, "train")
    pool = np.concatenate([data[f"data_batch_{k}"] for k in range(1, 6)]).reshape(-1, 3, 32, 32)
    assert sorted(found_among(image, pool) for image in lessons.images) == list(range(20))


def test_the_seed_chooses(offline, monkeypatch):
    write_cifar10(offline / "CIFAR10", monkeypatch)
    one, again, other = (benchmark("CIFAR10", 8, "train", seed=seed).images for seed in (0, 0, 1))
    assert torch.equal(one, again) and not torch.equal(one, other)


def idx(array):
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    return header + array.tobytes()


@pytest.mark.parametrize("name", ["MNIST", "FashionMNIST", "KMNIST"])
def test_idx_files_of_grey_pictures(offline, name):
    data, labels = levels(6, 28, 28), np.arange(6, dtype=np.uint8)
    for part in ("train", "t10k"):
        write(offline / name / name / "raw" / f"{part}-images-idx3-ubyte", idx(data))
        write(offline / name / name / "raw" / f"{part}-labels-idx1-ubyte", idx(labels))
    pictures = benchmark(name, 6)
    assert pictures.images.shape == (6, 3, 28, 28) and len(pictures.classes) == 10
    assert torch.equal(pictures.images[:, 0], pictures.images[:, 1])
    for image, label in zip(pictures.images, pictures.labels.tolist(), strict=True):
        assert torch.equal(image[2], torch.from_numpy(data[label]).float() / 255)
    assert pictures.names == tuple(pictures.classes[label] for label in pictures.labels.tolist())


def test_svhn_from_a_matlab_file(offline, monkeypatch):
    data, labels = levels(32, 32, 3, 5), np.array([[1], [2], [10], [9], [5]], dtype=np.uint8)
    path = offline / "SVHN" / "test_32x32.mat"
    path.parent.mkdir(parents=True)
    scipy.io.savemat(path, {"X": data, "y": labels})
    split = torchvision.datasets.SVHN.split_list
    digest = hashlib.md5(path.read_bytes()).hexdigest()
    monkeypatch.setattr(torchvision.datasets.SVHN, "split_list", split | {"test": [*split["test"][:2], digest]})
    pictures = benchmark("svhn", 5)
    for image, label in zip(pictures.images, pictures.labels.tolist(), strict=True):
        place = found_among(image, data.transpose(3, 2, 0, 1))
        assert labels[place, 0] % 10 == label
    assert pictures.classes == tuple("0123456789")


def test_one_heap_of_folders_is_divided_and_no_picture_is_in_both_parts(offline):
    base = offline / "EuroSAT" / "eurosat" / "2750"
    data = {}
    for name in ("Forest", "River"):
        for k in range(5):
            (base / name).mkdir(parents=True, exist_ok=True)
            data[name, k] = levels(64, 64, 3)
            Image.fromarray(data[name, k]).save(base / name / f"{name}_{k}.png")
    lessons, tests = benchmark("EuroSAT", 8, "train"), benchmark("EuroSAT", 2)
    assert lessons.classes == ("Forest", "River") and sorted(tests.names) == ["Forest", "River"]
    pool = np.stack(list(data.values())).transpose(0, 3, 1, 2)
    both = [found_among(image, pool) for image in torch.cat([lessons.images, tests.images])]
    assert sorted(both) == list(range(10))
    with pytest.raises(ValueError, match=r"count=3, wanted 1 to 2: EuroSAT has no more for test"):
        benchmark("EuroSAT", 3)


def test_pictures_without_a_common_size_are_cut_to_squares(offline):
    base = offline / "EuroSAT" / "eurosat" / "2750" / "River"
    base.mkdir(parents=True)
    for k, side in enumerate((40, 50, 60, 70, 80)):
        Image.fromarray(levels(30, side, 3)).save(base / f"{k}.png")
    assert benchmark("EuroSAT", 4, "train").images.shape == (4, 3, LARGE, LARGE)
    assert benchmark("EuroSAT", 4, "train", size=48).images.shape == (4, 3, 48, 48)


def test_a_room_without_internet_keeps_benchmarks_among_its_assets(offline, monkeypatch, tmp_path):
    write_cifar10(tmp_path / "room" / "benchmarks" / "CIFAR10", monkeypatch)
    with pytest.raises(assets.UnreachableError):
        benchmark("CIFAR10", 1)
    monkeypatch.setenv("COURSE_ASSETS", str(tmp_path / "room"))
    assert len(benchmark("CIFAR10", 2)) == 2
    assert len(benchmark("CIFAR10", 2, folder=tmp_path / "room" / "benchmarks" / "CIFAR10")) == 2


@pytest.mark.parametrize("name", BENCHMARKS)
def test_what_is_missing_is_said_in_one_sentence_with_the_place_where_it_can_be_put(offline, name):
    with pytest.raises(assets.UnreachableError) as failure:
        benchmark(name, 1)
    text = str(failure.value)
    assert str(offline / name) in text and all(file in text for file in BENCHMARKS[name].files) and "\n" not in text
    assert "connect to the internet" in text


def test_a_damaged_archive_is_not_taken_for_the_data_set(offline):
    write(offline / "CIFAR10" / "cifar-10-python.tar.gz", b"half a download")
    with pytest.raises(assets.UnreachableError, match=r"CIFAR10 is not in \S+, or not whole"):
        benchmark("CIFAR10", 1)


def test_damaged_files_are_named(offline):
    raw = offline / "MNIST" / "MNIST" / "raw"
    for part in ("train", "t10k"):
        write(raw / f"{part}-images-idx3-ubyte", b"\0" * 40)
        write(raw / f"{part}-labels-idx1-ubyte", b"\0" * 40)
    with pytest.raises(assets.AssetError, match=r"the files of MNIST in \S+ cannot be read .* delete that folder"):
        benchmark("MNIST", 1)
    picture = offline / "EuroSAT" / "eurosat" / "2750" / "River" / "a.png"
    write(picture, b"no picture")
    with pytest.raises(assets.AssetError, match=r"the files of EuroSAT in \S+ cannot be read"):
        benchmark("EuroSAT", 1, "train")


def test_an_archive_that_was_put_there_is_unpacked_without_internet(offline, monkeypatch):
    raw = offline / "MNIST" / "MNIST" / "raw"
    data, labels, resources = levels(6, 28, 28), np.arange(6, dtype=np.uint8), []
    for part in ("train", "t10k"):
        for kind, array in (("images-idx3", data), ("labels-idx1", labels)):
            file = f"{part}-{kind}-ubyte.gz"
            resources.append((file, write(raw / file, gzip.compress(idx(array)))))
    monkeypatch.setattr(torchvision.datasets.MNIST, "resources", resources)
    assert len(benchmark("MNIST", 6)) == 6


def test_an_unknown_name_or_split_gets_a_sentence():
    with pytest.raises(ValueError, match="no data set 'cifar' here: did you mean CIFAR10"):
        benchmark("cifar", 1)
    with pytest.raises(ValueError, match="no data set 'x' here: wanted CIFAR10, CIFAR100, MNIST"):
        benchmark("x", 1)
    with pytest.raises(ValueError, match='split=\'val\', wanted "train" or "test"'):
        benchmark("CIFAR10", 1, "val")


def test_drawn_pictures_know_their_classes_too():
    assert picture_book(2)[:1].classes[:2] == ("cat", "fish")
