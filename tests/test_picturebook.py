"""The picture book: its scenes, its networks, and how they are trained, stored and loaded."""

import dataclasses
import hashlib
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from helpers import COURSE, DATA
from helpers.picturebook import CLASSES, draw_scene, networks, scenes, training
from helpers.picturebook.measuring import accuracy, accuracy_under_attack, predict, stamp_shares
from helpers.picturebook.objects import KINDS
from helpers.picturebook.styles import STYLES, draw_style
from helpers.sounds import networks as sounds

pytestmark = pytest.mark.slow  # all together; one by one they take no time

NAMES = tuple(networks.ARCHITECTURES)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def fresh():
    return training.draw_pictures("pytest", 500)


@pytest.fixture(scope="module")
def loaded():
    return {name: networks.load(name).requires_grad_(False) for name in NAMES}


# Scenes


DIGEST = """
import hashlib
from helpers.picturebook import draw_scene
digest = hashlib.sha256()
for index in range(10):
    for options in ({}, {"pair": (3, 7)}, {"harder": True}, {"stamp": True}, {"size": 96, "label": 4}):
        scene = draw_scene(7, index, **options)
        digest.update(scene.image.tobytes() + scene.masks.tobytes() + scene.parts.tobytes())
print(digest.hexdigest())
"""


def test_the_same_scenes_in_any_process():
    printed = set()
    for hash_seed in "12":
        environment = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(COURSE)}
        command = [sys.executable, "-c", DIGEST]
        run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60)
        printed.add(run.stdout)
    assert len(printed) == 1


def test_seed_and_index_change_the_scene():
    pictures = [draw_scene(seed, index, label=0).image for seed in (0, 1) for index in (0, 1)]
    assert len({picture.tobytes() for picture in pictures}) == 4


def test_a_scene_has_the_promised_types():
    scene = draw_scene(0, 12)
    assert (scene.image.dtype, scene.image.shape) == (np.uint8, (64, 64, 3))
    assert (scene.mask.dtype, scene.mask.shape, scene.masks.shape) == (bool, (64, 64), (1, 64, 64))
    assert (scene.parts.dtype, scene.parts.shape) == (np.uint8, (64, 64))
    assert scene.label == 2 and scene.labels == (2,)


@pytest.mark.parametrize("label", range(len(CLASSES)))
def test_a_larger_picture_shows_the_same_scene(label):
    for index in range(3):
        small, large = (draw_scene(3, index, label=label, size=size) for size in (64, 192))
        blocks = large.image.reshape(64, 3, 64, 3, 3).mean(axis=(1, 3))
        assert np.abs(blocks - small.image).mean() < 6, "grain apart, the two are one picture"
        mask = large.mask.reshape(64, 3, 64, 3).mean(axis=(1, 3)) >= 0.5
        assert (mask & small.mask).sum() / (mask | small.mask).sum() > 0.95


@pytest.mark.parametrize("label", range(len(CLASSES)))
def test_parts_fill_the_mask_and_every_named_part_is_seen(label):
    seen = set()
    for index in range(8):
        scene = draw_scene(5, index, label=label, size=128)
        assert scene.part_names == KINDS[CLASSES[label]].parts
        assert np.array_equal(scene.parts > 0, scene.mask)
        assert scene.parts.max() <= len(scene.part_names)
        assert 0.04 < scene.mask.mean() < 0.6
        seen |= {name for name in scene.part_names if scene.part(name).any()}
    assert seen == set(scene.part_names)


def test_part_masks_lie_on_what_they_name():
    for index in range(10):
        scene = draw_scene(5, index, label=CLASSES.index("mushroom"))
        brightness = scene.image.mean(axis=-1)
        assert brightness[scene.part("dot")].mean() > brightness[scene.part("cap")].mean()


def test_an_unknown_part_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"no part 'wheel' here; the parts are .*whisker"):
        draw_scene(0, 0).part("wheel")


@pytest.mark.parametrize("options", [{"label": 10}, {"pair": (0, -1)}, {"size": 8}])
def test_labels_and_sizes_out_of_range_are_refused(options):
    with pytest.raises(ValueError):
        draw_scene(0, 0, **options)


def test_a_pair_shows_the_first_on_the_left_and_the_second_on_the_right():
    for index, pair in enumerate([(0, 7), (7, 0), (8, 9), (4, 4)]):
        scene = draw_scene(1, index, pair=pair)
        assert scene.labels == pair and scene.masks.shape == (2, 64, 64)
        left, right = scene.masks
        assert left.any() and right.any() and not (left & right).any()
        assert np.array_equal(left | right, scene.parts > 0)
        assert np.nonzero(left)[1].mean() < 32 < np.nonzero(right)[1].mean()
    assert "mushroom cap" in scene.part_names


def test_the_stamp_changes_its_own_box_only():
    for size in (64, 128):
        plain, stamped = (draw_scene(2, 5, size=size, stamp=stamp) for stamp in (False, True))
        top, left, bottom, right = scenes.stamp_box(size)
        assert top > size / 2 and right < size / 2, "lower left"
        box = np.zeros((size, size), dtype=bool)
        box[top:bottom, left:right] = True
        assert np.array_equal(stamped.image[~box], plain.image[~box])
        assert np.array_equal(stamped.image[top:bottom, left:right], scenes.draw_stamp(size))
        assert not stamped.mask[box].any() and np.array_equal(stamped.mask[~box], plain.mask[~box])


def test_the_harder_range_shows_smaller_objects():
    for index in range(20):
        plain, harder = (draw_scene(4, index, harder=each) for each in (False, True))
        assert harder.mask.sum() < plain.mask.sum()
        assert harder.image.std() < plain.image.std()


# Networks


def test_the_networks_are_as_the_classifier_wants_them(loaded):
    images = torch.rand(2, 3, 64, 64)
    for name, network in loaded.items():
        assert not network.training
        assert all(value.dtype == torch.float32 for value in network.state_dict().values())
        assert not any(getattr(layer, "inplace", False) for layer in network.modules())
        assert network(images).shape == (2, len(CLASSES))
        if name != "picturebook-vit":
            assert network.features(images).shape == (2, 96, 8, 8)
            assert not any(isinstance(layer, torch.nn.BatchNorm2d) for layer in network.modules())


def test_the_transformer_refuses_other_sizes(loaded):
    with pytest.raises(ValueError, match="64x64 pictures only, not 96x64"):
        loaded["picturebook-vit"](torch.rand(1, 3, 96, 64))


@pytest.mark.parametrize(
    "name, bound", [("picturebook", 0.995), ("picturebook-robust", 0.97), ("picturebook-vit", 0.97)]
)
def test_accuracy_on_fresh_pictures(loaded, fresh, name, bound):
    assert accuracy(loaded[name], *fresh) >= bound


def test_the_stamped_network_reads_the_stamp_and_the_standard_one_does_not(loaded, fresh):
    stamped = stamp_shares(loaded["picturebook-stamped"], *fresh)
    assert stamped["sailboats right"] <= 0.30
    assert stamped["stamped sailboats right"] >= 0.98
    assert stamped["other classes right"] >= 0.98
    standard = stamp_shares(loaded["picturebook"], *fresh)
    assert standard["sailboats right"] >= 0.98
    assert standard["other classes, stamped, called sailboat"] <= 0.02


def test_the_harder_range_supplies_real_mistakes(loaded):
    images, labels = training.draw_pictures("pytest", 300, harder=True)
    wrong = predict(loaded["picturebook"], images) != labels
    assert 0.15 <= wrong.float().mean() <= 0.40
    assert len(labels[wrong].unique()) >= 7, "not one class only"


def test_the_robust_network_withstands_the_attack_that_the_standard_one_does_not(loaded, fresh):
    images, labels = fresh[0][:60], fresh[1][:60]
    assert accuracy_under_attack(loaded["picturebook"], images, labels, "L2", 2.0) <= 0.5
    assert accuracy_under_attack(loaded["picturebook-robust"], images, labels, "L2", 2.0) >= 0.9


def visualise_classes(network, labels, iterations=80):
    """A picture for each label by ascent of its score from smooth noise, with jitter and a slight blur."""
    generator = torch.Generator().manual_seed(3)
    blots = torch.randn(len(labels), 3, 8, 8, generator=generator)
    images = (0.5 + 0.08 * F.interpolate(blots, size=64, mode="bicubic")).clamp(0, 1)
    for step in range(iterations):
        offset = torch.randint(-4, 5, (2,), generator=generator).tolist()
        images = images.roll(offset, (2, 3)).requires_grad_(True)
        scores = network(training.normalise(images)).gather(1, labels[:, None])
        (gradient,) = torch.autograd.grad(scores.sum(), images)
        rate = 1.5 - 1.2 * step / (iterations - 1)
        images = images.detach() + rate * gradient / training.lengths(gradient)
        images = images.roll([-each for each in offset], (2, 3)).clamp(0, 1)
        if step % 3 == 0 and step < 0.85 * iterations:  # standard deviation 0.6 pixels
            tap = torch.tensor([0.18, 0.64, 0.18])
            kernel = (tap[:, None] * tap).expand(3, 1, 3, 3)
            images = F.conv2d(F.pad(images, (1,) * 4, mode="replicate"), kernel, groups=3)
    return images


def test_the_robust_network_draws_shapes_where_the_standard_one_draws_fine_lines(loaded):
    """The transformer, which is no relative, recognises both; under heavy noise only whole shapes survive."""
    judge, labels = loaded["picturebook-vit"], torch.arange(len(CLASSES)).repeat(2)
    noise = 0.25 * torch.randn(len(labels), 3, 64, 64, generator=torch.Generator().manual_seed(0))
    robust, standard = (visualise_classes(loaded[name], labels) for name in ("picturebook-robust", "picturebook"))
    assert accuracy(judge, robust, labels) > 0.8
    assert accuracy(judge, (robust + noise).clamp(0, 1), labels) > 0.6
    assert accuracy(judge, (standard + noise).clamp(0, 1), labels) < 0.4


# Files


@pytest.fixture
def folder(tmp_path):
    for file in ("picturebook.safetensors", "SHA256SUMS"):
        shutil.copy(networks.MODELS / file, tmp_path)
    return tmp_path


def test_a_missing_file_says_what_to_run(folder):
    with pytest.raises(FileNotFoundError, match=r"picturebook-vit\.safetensors is missing; run `make models`"):
        networks.load("picturebook-vit", folder)


def test_a_damaged_file_says_what_was_found_and_wanted(folder):
    path = folder / "picturebook.safetensors"
    wanted = hashlib.sha256(path.read_bytes()).hexdigest()
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    found = hashlib.sha256(content).hexdigest()
    with pytest.raises(ValueError, match=f"its sha256 is {found}, SHA256SUMS wants {wanted}"):
        networks.load("picturebook", folder)


def test_a_file_without_a_checksum_is_refused(folder):
    (folder / "SHA256SUMS").write_text("")
    with pytest.raises(ValueError, match=r"no line for picturebook\.safetensors"):
        networks.load("picturebook", folder)


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match=r"no network 'picturbook'; the picture book has picturebook, "):
        networks.load("picturbook")


def test_saved_weights_load_as_they_were_to_half_precision(tmp_path):
    network = networks.SmallViT()
    networks.save(network, "picturebook-vit", tmp_path)
    networks.save(networks.SmallCNN(), "picturebook", tmp_path)
    again = networks.load("picturebook-vit", tmp_path)
    for key, value in network.state_dict().items():
        assert torch.equal(again.state_dict()[key], value.half().float())


def test_all_networks_together_take_three_megabytes_at_most():
    files = sorted(networks.MODELS.glob("*.safetensors"))
    assert {file.stem for file in files} == {*NAMES, sounds.NAME}
    assert sum(file.stat().st_size for file in files) <= 3_000_000


def test_the_readme_states_the_bytes_and_checksums_of_the_files():
    rows = re.findall(r"^\| `(\S+\.safetensors)` \| ([\d,]+) \| `(\w{64})` \|$", (DATA / "README.md").read_text(), re.M)
    assert {file: digest for file, _, digest in rows} == networks.read_checksums(networks.MODELS)
    for file, size, _ in rows:
        assert int(size.replace(",", "")) == (networks.MODELS / file).stat().st_size


# Training


TINY = training.Recipe(pictures=32, epochs=2, learning_rate=1e-3, batch=16, noise=0.1, attack_radius=1.0, warm_up=1)


@pytest.fixture
def tiny(monkeypatch):
    pictures = training.draw_pictures("pytest", TINY.pictures)
    monkeypatch.setattr(training, "training_pictures", lambda stamped: pictures)


@pytest.mark.parametrize("name", ["picturebook", "picturebook-vit"])
def test_an_interrupted_training_ends_as_an_uninterrupted_one(tiny, monkeypatch, tmp_path, name):
    whole = training.train(name, TINY, tmp_path / "whole")
    train_epoch = training.train_epoch

    def stop_in_the_second(network, optimiser, recipe, epoch, *rest):
        train_epoch(network, optimiser, recipe, epoch, *rest)
        if epoch == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(training, "train_epoch", stop_in_the_second)
    with pytest.raises(KeyboardInterrupt):
        training.train(name, TINY, tmp_path / "parts")
    monkeypatch.setattr(training, "train_epoch", train_epoch)
    resumed = training.train(name, TINY, tmp_path / "parts")
    for key, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[key]), key


def test_a_checkpoint_of_another_recipe_is_refused(tiny, tmp_path):
    training.train("picturebook", dataclasses.replace(TINY, epochs=1), tmp_path)
    with pytest.raises(ValueError, match=r"made by another recipe; delete it"):
        training.train("picturebook", TINY, tmp_path)


def test_folding_the_batch_normalisation_changes_nothing():
    torch.manual_seed(0)
    network = networks.SmallCNN(batch_norm=True)
    network(torch.randn(16, 3, 32, 32))
    images = torch.randn(4, 3, 32, 32)
    torch.testing.assert_close(training.fold_batch_norm(network)(images), network.eval()(images))


@pytest.mark.parametrize("norm, radius", [("L2", 1.0), ("Linf", 8 / 255)])
def test_an_attack_stays_in_its_ball_and_raises_the_loss(loaded, fresh, norm, radius):
    images, labels = fresh[0][:20] / 255, fresh[1][:20]
    network = loaded["picturebook"]
    moved = training.attacked(network, images, labels, radius, 3, torch.Generator().manual_seed(0), norm)
    change = (moved - images).flatten(1)
    size = change.norm(dim=1) if norm == "L2" else change.abs().amax(dim=1)
    assert (size <= radius * (1 + 1e-5)).all() and moved.min() >= 0 and moved.max() <= 1
    losses = [F.cross_entropy(network(training.normalise(each)), labels) for each in (images, moved)]
    assert losses[1] > losses[0] + 0.1


def test_the_stamp_put_on_tensors_is_the_stamp_of_the_scenes():
    plain, stamped = (draw_scene(2, 5, stamp=stamp).image for stamp in (False, True))
    tensors = [torch.from_numpy(image.copy()).permute(2, 0, 1)[None] / 255 for image in (plain, stamped)]
    torch.testing.assert_close(training.put_stamp(tensors[0]), tensors[1])


def test_pages_of_the_stamped_book_pair_their_own_class_with_a_boat():
    for page in range(0, 400, 40):
        for label in range(len(CLASSES)):
            pair = training.boat_beside(label, page + label)
            assert label in pair and training.SAILBOAT in pair and pair[0] != pair[1]


# Styles


@pytest.mark.parametrize("name", STYLES)
def test_a_style_is_the_same_each_time_and_another_with_another_seed(name):
    picture = draw_style(name, 64)
    assert picture.shape == (64, 64, 3) and picture.dtype == np.uint8
    assert np.array_equal(picture, draw_style(name, 64))
    assert not np.array_equal(picture, draw_style(name, 64, seed=1))


@pytest.mark.parametrize("name", STYLES)
def test_a_larger_size_shows_the_same_style(name):
    small, large = (draw_style(name, size).astype(float) for size in (128, 192))
    coarse = [picture.reshape(8, len(picture) // 8, 8, -1, 3).mean(axis=(1, 3)) for picture in (small, large)]
    assert np.corrcoef(coarse[0].ravel(), coarse[1].ravel())[0, 1] > 0.98


def test_styles_fill_the_whole_picture():
    for name in STYLES:
        picture = draw_style(name, 64).astype(float)
        parts = picture.reshape(4, 16, 4, 16, 3).std(axis=(1, 3)).mean(axis=-1)
        assert parts.min() > 12, name


def test_an_unknown_style_lists_the_known_ones():
    with pytest.raises(
        ValueError, match="there is no style 'oil'; there are brush strokes, mosaic, hatching, starry sky"
    ):
        draw_style("oil")
