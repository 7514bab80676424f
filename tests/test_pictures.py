"""Pictures, photographs and picture-book batches; the ImageNet part runs where COURSE_ASSETS is set."""

import hashlib
import os
import urllib.error
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from torch import nn

from helpers import assets, pictures
from helpers.models import Classifier, load_model
from helpers.picturebook import CLASSES, draw_scene
from helpers.pictures import (
    CLASSIC,
    Pictures,
    example_pictures,
    mistakes,
    photo_list,
    photographs,
    picture_book,
    picture_pairs,
    read_photograph,
)

IMAGENET = torchvision.models.get_model_weights("squeezenet1_1").DEFAULT.meta["categories"]

DOWNLOAD = torch.hub.download_url_to_file
needs_assets = pytest.mark.skipif("COURSE_ASSETS" not in os.environ, reason="COURSE_ASSETS is not set")


def some_pictures(with_masks=True):
    images = torch.rand(4, 3, 5, 6)
    masks = torch.rand(4, 5, 6) > 0.5 if with_masks else None
    return Pictures(images, torch.tensor([7, 8, 9, 8]), ("a", "b", "c", "b"), masks)


# Pictures


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        (slice(1, 3), [1, 2]),
        (slice(None, None, 2), [0, 2]),
        ([2, 0], [2, 0]),
        ([], []),
        (torch.tensor([3, 3]), [3, 3]),
        (torch.tensor([False, True, False, True]), [1, 3]),
        ([True, False, False, False], [0]),
        (np.array([1, 2]), [1, 2]),
        (2, [2]),
        (-1, [3]),
    ],
)
@pytest.mark.parametrize("with_masks", [True, False])
def test_index(index, expected, with_masks):
    batch = some_pictures(with_masks)
    part = batch[index]
    assert isinstance(part, Pictures) and len(part) == len(expected)
    assert torch.equal(part.images, batch.images[expected])
    assert torch.equal(part.labels, batch.labels[expected])
    assert part.names == tuple(batch.names[i] for i in expected)
    assert torch.equal(part.masks, batch.masks[expected]) if with_masks else part.masks is None


def test_chosen_pictures_have_memory_of_their_own():
    batch = some_pictures()
    before = batch.images.clone()
    batch[:2].images.zero_()
    assert torch.equal(batch.images, before)


def test_iteration_gives_batches_of_one_and_ends():
    batch = some_pictures()
    assert [each.names for each in batch] == [("a",), ("b",), ("c",), ("b",)]
    with pytest.raises(IndexError):
        _ = batch[4]


@pytest.mark.parametrize("with_masks", [True, False])
def test_to_moves_every_tensor(with_masks):
    moved = some_pictures(with_masks).to("meta")
    assert moved.images.device.type == moved.labels.device.type == "meta"
    assert moved.masks.device.type == "meta" if with_masks else moved.masks is None
    assert moved.names == ("a", "b", "c", "b")


# Picture book


def test_picture_book_is_what_draw_scene_draws():
    batch = picture_book(4, seed=5, harder=True, stamp=True, labels=[3, 3, 0, 9])
    for i, label in enumerate([3, 3, 0, 9]):
        scene = draw_scene(5, i, label=label, harder=True, stamp=True)
        assert np.array_equal((batch.images[i] * 255).round().byte().permute(1, 2, 0).numpy(), scene.image)
        assert np.array_equal(batch.masks[i].numpy(), scene.mask)
        assert batch.names[i] == CLASSES[label]
    assert batch.labels.tolist() == [3, 3, 0, 9]
    assert (batch.images.dtype, batch.labels.dtype, batch.masks.dtype) == (
        torch.float32,
        torch.int64,
        torch.bool,
    )
    assert batch.images.min() >= 0 and batch.images.max() <= 1


def test_picture_book_sizes_and_seeds():
    assert picture_book(2, size=96).images.shape == (2, 3, 96, 96)
    assert torch.equal(picture_book(2, seed=1).images, picture_book(3, seed=1)[:2].images)
    assert not torch.equal(picture_book(2, seed=1).images, picture_book(2, seed=2).images)


def test_picture_book_wants_a_label_for_each_picture():
    with pytest.raises(ValueError, match="found 2 labels, wanted one for each of the 3 pictures"):
        picture_book(3, labels=[1, 2])


def test_pairs_have_two_labels_and_two_separate_masks():
    batch = picture_pairs(6, seed=2)
    assert batch.images.shape == (6, 3, 64, 64)
    assert batch.labels.shape == (6, 2) and batch.masks.shape == (6, 2, 64, 64)
    assert (batch.labels[:, 0] != batch.labels[:, 1]).all()
    assert len({tuple(pair) for pair in batch.labels.tolist()}) > 1
    assert batch.names == tuple((CLASSES[a], CLASSES[b]) for a, b in batch.labels.tolist())
    assert batch.masks.flatten(2).any(dim=2).all()
    assert not (batch.masks[:, 0] & batch.masks[:, 1]).any()
    part = batch[[4, 1]].to("cpu")
    assert torch.equal(part.masks, batch.masks[[4, 1]]) and part.names == (batch.names[4], batch.names[1])
    assert torch.equal(picture_pairs(2, seed=2).images, batch.images[:2])


# Reading photographs


def gradient_picture(width=40, height=30):
    levels = np.zeros((height, width, 3), dtype=np.uint8)
    levels[..., 0] = np.linspace(0, 255, width)
    levels[..., 1] = np.linspace(0, 255, height)[:, None]
    return Image.fromarray(levels)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
def test_pictures_of_every_mode_are_read_as_grey_or_colour(mode, tmp_path):
    if mode == "I;16":
        picture = Image.fromarray(np.full((30, 40), 65535 * 3 // 5, dtype=np.uint16))
    else:
        picture = Image.new("RGB", (40, 30), (153, 153, 153)).convert(mode)
    path = tmp_path / ("picture.tiff" if mode == "CMYK" else "picture.png")
    picture.save(path)
    with Image.open(path) as saved:
        assert saved.mode == mode or mode == "I;16"
    pixels = read_photograph(path, 20)
    assert pixels.shape == (3, 20, 20) and pixels.dtype == torch.float32
    tolerance = 0.5 if mode == "1" else 0.01  # one bit a pixel shows grey by dots
    assert (pixels - 0.6).abs().max() <= tolerance
    assert abs(pixels.mean() - 0.6) <= 0.05


@pytest.mark.parametrize("mode", ["LA", "RGBA", "P"])
def test_transparency_becomes_white(mode, tmp_path):
    picture = Image.new("RGBA", (8, 8), (0, 0, 0, 0)).convert(mode)
    if mode == "P":
        picture.info["transparency"] = 0
        picture.putdata([0] * 64)
    picture.save(tmp_path / "picture.png")
    assert (read_photograph(tmp_path / "picture.png", 8) == 1).all()


@pytest.mark.parametrize(("width", "height"), [(40, 30), (30, 40), (7, 100), (20, 20)])
def test_any_shape_is_scaled_and_cut_to_a_square(width, height, tmp_path):
    gradient_picture(width, height).save(tmp_path / "picture.png")
    pixels = read_photograph(tmp_path / "picture.png", 16)
    assert pixels.shape == (3, 16, 16)
    assert pixels.min() >= 0 and pixels.max() <= 1
    # The centre of a horizontal and a vertical ramp stays at one half, up to half a pixel of the result.
    assert abs(pixels[0].mean() - 0.5) < 0.5 / 16 and abs(pixels[1].mean() - 0.5) < 0.5 / 16
    # The shorter side is kept whole: its ramp still spans nearly everything.
    shorter = pixels[0].mean(dim=0) if width <= height else pixels[1].mean(dim=1)
    assert shorter[-1] - shorter[0] > 0.8


def test_photograph_without_scaling_keeps_its_pixels(tmp_path):
    picture = gradient_picture(24, 16)
    picture.save(tmp_path / "picture.png")
    expected = torch.from_numpy(np.array(picture)[:, 4:20]).permute(2, 0, 1) / 255
    assert torch.equal(read_photograph(tmp_path / "picture.png", 16), expected)


def test_photograph_is_turned_as_the_camera_held_it(tmp_path):
    picture = gradient_picture(16, 16)
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by a quarter, clockwise, to look at it
    picture.save(tmp_path / "picture.png", exif=exif)
    picture.rotate(-90).save(tmp_path / "upright.png")
    assert torch.equal(read_photograph(tmp_path / "picture.png", 16), read_photograph(tmp_path / "upright.png", 16))


def test_file_that_is_no_picture_is_refused(tmp_path):
    (tmp_path / "picture.png").write_text("no picture")
    with pytest.raises(Image.UnidentifiedImageError):
        read_photograph(tmp_path / "picture.png")


# The list of photographs, and getting them


def test_photo_list():
    photos = photo_list()
    assert tuple(photo.name for photo in photos[:5]) == CLASSIC
    assert len(photos) == len({photo.name for photo in photos}) == len({photo.sha256 for photo in photos}) == 16
    for photo in photos:
        assert IMAGENET[photo.label] == photo.name
        assert photo.file.split("_", 1)[1] == photo.name.replace(" ", "_") + ".JPEG"
        assert len(bytes.fromhex(photo.sha256)) == 32
        assert photo.address.endswith(f"/bc69043e2862758a1906c6a24a792bb28c6bb2ff/{photo.file}")


def test_unknown_photograph_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"found 'hey', wanted names among hay, quail, Tibetan mastiff"):
        photographs(["hay", "hey"])


def test_photograph_without_network_is_one_sentence(offline):
    with pytest.raises(assets.UnreachableError, match=r"n07802026_hay\.JPEG is not on this machine") as caught:
        photographs()
    assert "connect to the internet, or set COURSE_ASSETS to a folder that holds photos/n07802026" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.fixture
def own_photos(offline, monkeypatch, tmp_path):
    """Two photographs and their list in place of the real ones, at an address on this machine."""
    source = tmp_path / "source"
    source.mkdir()
    lines = ['commit = "main"', f'address = "{source.as_uri()}/{{commit}}/{{file}}"']
    (source / "main").mkdir()
    for label, name in enumerate(["red", "blue"]):
        path = source / "main" / f"{name}.png"
        Image.new("RGB", (30, 20), name).save(path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        lines += ["[[photo]]", f'file = "{path.name}"', f'name = "{name}"', f"label = {label}"]
        lines += [f'sha256 = "{digest}"']
    (tmp_path / "photos.toml").write_text("\n".join(lines))
    monkeypatch.setattr(pictures, "PHOTOS", tmp_path / "photos.toml")
    return source


def test_photographs_are_downloaded_once_in_the_order_asked(own_photos, monkeypatch, tmp_path):
    with monkeypatch.context() as online:
        online.setattr(torch.hub, "download_url_to_file", DOWNLOAD)
        batch = photographs(["blue", "red", "blue"], size=16)
    assert batch.names == ("blue", "red", "blue") and batch.labels.tolist() == [1, 0, 1]
    assert batch.masks is None
    assert batch.images.shape == (3, 3, 16, 16) and batch.images.dtype == torch.float32
    assert torch.equal(batch.images[1].amax(dim=(1, 2)), torch.tensor([1.0, 0.0, 0.0]))
    cache = assets.cache_folder() / "photos"
    assert sorted(path.name for path in cache.iterdir()) == ["blue.png", "red.png"]
    assert torch.equal(photographs(["red"], size=16).images, batch[1].images)  # offline again


def test_photographs_of_the_assets_folder_come_first(own_photos, monkeypatch, tmp_path):
    (own_photos / "main").rename(own_photos / "photos")
    monkeypatch.setenv("COURSE_ASSETS", str(own_photos))
    assert photographs(["red"]).names == ("red",)
    assert not assets.cache_folder().exists()


def test_photograph_with_a_wrong_hash_is_not_used(own_photos, monkeypatch):
    (own_photos / "main").rename(own_photos / "photos")
    Image.new("RGB", (30, 20), "green").save(own_photos / "photos" / "red.png")
    monkeypatch.setenv("COURSE_ASSETS", str(own_photos))
    with pytest.raises(assets.AssetError, match=r"red\.png is not the file the course knows .*delete it") as caught:
        photographs(["red"])
    assert "\n" not in str(caught.value)


# Pictures that suit a model


class Answering(nn.Module):
    """A network that always gives class `answer` the highest score."""

    def __init__(self, answer, classes):
        super().__init__()
        self.scores = nn.Parameter(torch.eye(classes)[answer])

    def forward(self, images):
        return self.scores.expand(len(images), -1) + 0 * images.mean()


def answering(answer, classes):
    network = Answering(answer, len(classes))
    return Classifier(network, classes, mean=[0.5] * 3, std=[0.25] * 3, input_size=64, name="answering")


def test_examples_for_a_picture_book_model_go_through_its_classes():
    batch = example_pictures(answering(0, CLASSES), 12)
    assert batch.labels.tolist() == [*range(10), 0, 1]
    assert batch.images.shape == (12, 3, 64, 64) and batch.masks.shape == (12, 64, 64)


def test_mistakes_are_harder_scenes_that_the_model_gets_wrong():
    batch = mistakes(answering(3, CLASSES), 7)
    assert len(batch) == 7 and 3 not in batch.labels
    assert torch.equal(batch.images[0], picture_book(1, harder=True).images[0])
    assert torch.equal(batch.images, mistakes(answering(3, CLASSES), 7).images)


def test_no_mistakes_is_an_error(monkeypatch):
    monkeypatch.setattr(pictures, "HARDER_BOOKS", 2)
    monkeypatch.setattr(pictures, "draw_scene", lambda *args, label, **options: draw_scene(*args, label=4, **options))
    with pytest.raises(ValueError, match="answering names every picture tried by its right class"):
        mistakes(answering(4, CLASSES))


def test_model_of_other_classes_is_refused():
    for make in (example_pictures, mistakes):
        with pytest.raises(ValueError, match="neither the classes of ImageNet nor of the picture book"):
            make(answering(0, ("left", "right")))


def test_more_examples_than_photographs_are_refused():
    with pytest.raises(ValueError, match="found count=17, wanted at most 16"):
        example_pictures(answering(0, IMAGENET), 17)


@pytest.mark.parametrize("name", ["picturebook", "picturebook-robust"])
def test_picture_book_models_know_their_examples_and_make_mistakes(name):
    model = load_model(name, "cpu")
    examples = example_pictures(model, 20)
    assert (model(examples.images).argmax(dim=1) == examples.labels).float().mean() >= 0.95
    batch = mistakes(model, 5)
    assert len(batch) == 5
    assert (model(batch.images).argmax(dim=1) != batch.labels).all()


# A real network and real photographs


@needs_assets
def test_imagenet_network_on_the_classic_photographs():
    model = load_model("squeezenet1_1", "cpu")
    batch = example_pictures(model)
    assert batch.names == CLASSIC and batch.images.shape == (5, 3, 224, 224)
    predicted = [model.classes[i] for i in model(batch.images).argmax(dim=1).tolist()]
    assert predicted == ["hay", "hyena", "Tibetan mastiff", "Border terrier", "brown bear"]


@needs_assets
def test_imagenet_network_agrees_with_torchvisions_own_pipeline():
    model = load_model("squeezenet1_1", "cpu")
    folder = assets.asset("photos/n07802026_hay.JPEG").parent
    original = torchvision.models.squeezenet1_1()
    original.load_state_dict(torch.load(assets.asset("weights/squeezenet1_1.pth"), weights_only=True))
    original.eval()
    preset = torchvision.models.SqueezeNet1_1_Weights.DEFAULT.transforms(crop_size=224, resize_size=224)
    for photo in photo_list()[:5]:
        pixels = read_photograph(folder / photo.file)
        with Image.open(folder / photo.file) as picture, torch.no_grad():
            levels = torchvision.transforms.functional.pil_to_tensor(picture.convert("RGB"))
            expected = original(preset(levels / 255)[None])
            scores = model(pixels[None])
        assert (scores - expected).norm() <= 1e-5 * expected.norm()


@needs_assets
def test_quail_is_the_first_mistake_of_the_imagenet_network():
    model = load_model("squeezenet1_1", "cpu")
    batch = mistakes(model, 3)
    assert batch.names[0] == "quail" and len(batch) == 3
    assert (model(batch.images).argmax(dim=1) != batch.labels).all()


@needs_assets
def test_every_listed_photograph_is_there_and_right():
    batch = photographs([photo.name for photo in photo_list()], size=32)
    assert batch.images.shape == (16, 3, 32, 32)
    assert len({tuple(image.flatten().tolist()) for image in batch.images}) == 16


@needs_assets
def test_default_model_is_squeezenet_where_the_assets_serve_it(monkeypatch, capsys):
    monkeypatch.delenv("COURSE_MODEL", raising=False)
    assert load_model(device="cpu").name == "squeezenet1_1"
    assert capsys.readouterr().out == ""


# Pictures of the student's own


def test_own_pictures_are_read_in_order_and_labelled_by_the_model(tmp_path, capsys):
    model = load_model("picturebook", device="cpu")
    for index in (3, 1, 2):
        Image.fromarray(draw_scene(0, index, size=96).image).save(tmp_path / f"scene {index}.png")
    (tmp_path / "notes.txt").write_text("no picture")
    own = pictures.own_pictures(model, 2, tmp_path)
    assert own.names == ("scene 1", "scene 2")
    assert own.images.shape == (2, 3, 64, 64)
    assert own.labels.equal(model(own.images).argmax(dim=1))
    assert capsys.readouterr().out == f"3 pictures in {tmp_path}: the first 2 by name are taken.\n"


@pytest.mark.parametrize("exists", [True, False])
def test_without_pictures_of_ones_own_there_is_a_clear_message_and_an_empty_batch(tmp_path, capsys, exists):
    folder = tmp_path if exists else tmp_path / "nowhere"
    own = pictures.own_pictures(load_model("picturebook", device="cpu"), 10, folder)
    assert not own and own.images.shape == (0, 3, 64, 64)
    assert f"No pictures yet. Put 10 (JPEG or PNG) into the folder {folder}" in capsys.readouterr().out
    assert folder.exists() == exists, "nothing is made"


def test_a_file_that_is_no_picture_is_named_and_the_others_are_taken(tmp_path, capsys):
    (tmp_path / "a.jpg").write_bytes(b"no picture")
    Image.fromarray(draw_scene(0, 1).image).save(tmp_path / "b.png")
    own = pictures.own_pictures(load_model("picturebook", device="cpu"), 10, tmp_path)
    assert own.names == ("b",)
    assert "a.jpg cannot be read as a picture" in capsys.readouterr().out


def test_own_pictures_come_in_the_size_that_is_asked_for(tmp_path):
    Image.fromarray(draw_scene(0, 1, size=96).image).save(tmp_path / "scene.png")
    assert pictures.own_pictures(load_model("picturebook", device="cpu"), 1, tmp_path, size=40).images.shape[2:] == (
        40,
        40,
    )


# Pairs for style transfer


def same_pairs(left, right):
    return all(
        torch.equal(a.content, b.content) and torch.equal(a.style, b.style) for a, b in zip(left, right, strict=True)
    )


def test_pairs_of_the_picture_book_are_three_scenes_and_three_styles():
    pairs = pictures.style_pairs(answering(0, CLASSES), 48)
    assert [pair.names[1] for pair in pairs] == ["brush strokes", "mosaic", "starry sky"]
    assert len({pair.names[0] for pair in pairs}) == 3
    assert all(pair.content.shape == pair.style.shape == (1, 3, 48, 48) for pair in pairs)
    assert torch.equal(pairs[1].style, pictures.style_picture("mosaic", 48))
    assert same_pairs(pairs, pictures.style_pairs(answering(0, CLASSES), 48))


@pytest.fixture
def classics(offline, monkeypatch, tmp_path):
    """The classic pairs, with pictures on this machine in place of the real ones."""
    source = tmp_path / "source"
    source.mkdir()
    lines = []
    for name in ("white", "red", "green", "blue"):
        Image.new("RGB", (30, 20), name).save(source / f"{name}.png")
        lines += ["[[classic]]", f'file = "{name}.png"', f'title = "{name}"', 'sha256 = ""']
        lines += [f'address = "{(source / name).as_uri()}.png"']
    (tmp_path / "photos.toml").write_text("\n".join(lines))
    monkeypatch.setattr(pictures, "PHOTOS", tmp_path / "photos.toml")
    return source


def test_classic_pairs_are_one_photograph_with_three_paintings_and_are_fetched_once(classics, monkeypatch, capsys):
    model = answering(0, IMAGENET)
    with monkeypatch.context() as online:
        online.setattr(torch.hub, "download_url_to_file", DOWNLOAD)
        pairs = pictures.style_pairs(model, 16)
    assert [pair.names for pair in pairs] == [("white", "red"), ("white", "green"), ("white", "blue")]
    assert all(pair.content.min() > 0.999 and pair.style.shape == (1, 3, 16, 16) for pair in pairs)
    assert same_pairs(pairs, pictures.style_pairs(model, 16)), "offline again"
    assert capsys.readouterr().out == ""


def test_what_the_first_download_brought_is_wanted_from_then_on(classics, monkeypatch):
    monkeypatch.setattr(torch.hub, "download_url_to_file", DOWNLOAD)
    pictures.style_pairs(answering(0, IMAGENET), 16)
    folder = assets.cache_folder() / "classics"
    assert (folder / "red.png.sha256").read_text().strip() == hashlib.sha256(
        (folder / "red.png").read_bytes()
    ).hexdigest()
    (folder / "blue.png").replace(folder / "red.png")
    with pytest.raises(assets.AssetError, match=r"red\.png is not the file the course knows"):
        pictures._classics(16)


@needs_assets
@pytest.mark.parametrize("broken", [False, True])
def test_without_the_classic_pictures_one_sentence_says_so_and_drawn_styles_take_their_place(
    broken, monkeypatch, tmp_path, capsys
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def bring(url, path, **_):
        if not broken:
            raise urllib.error.URLError("Name or service not known")
        Path(path).write_text("<html>no picture</html>")

    monkeypatch.setattr(torch.hub, "download_url_to_file", bring)
    pairs = pictures.style_pairs(answering(0, IMAGENET), 32)
    assert [pair.names for pair in pairs] == [
        ("castle", "brush strokes"),
        ("brown bear", "mosaic"),
        ("goldfish", "starry sky"),
    ]
    said = capsys.readouterr().out
    assert said.startswith("The classic paintings are not here, and drawn styles take their place: ")
    assert said.count("\n") == 1 and "tubingen.jpg" in said


def test_the_list_of_the_classic_pairs_names_sources_and_licences():
    entries = pictures.toml.read(pictures.PHOTOS)["classic"]
    assert [entry["title"] for entry in entries[1:]] == ["Composition VII", "The Scream", "The Starry Night"]
    for entry in entries:
        assert entry["licence"] and entry["by"]
        assert len(bytes.fromhex(entry["address"].split("/")[5])) == 20, "a commit"
        assert entry["address"].endswith(f"/{entry['file']}")


def test_own_pair_goes_by_name_and_says_which_is_which(tmp_path, capsys):
    model = load_model("picturebook", device="cpu")
    Image.new("RGB", (30, 30), "red").save(tmp_path / "style.png")
    Image.new("RGB", (30, 30), "white").save(tmp_path / "content.jpg")
    pair = pictures.own_pair(model, 24, tmp_path)
    assert pair.names == ("content", "style") and pair.content.shape == (1, 3, 24, 24)
    assert pair.content.mean() > 0.99 and pair.style[:, 1:].max() < 0.01
    assert "Content: content. Style: style." in capsys.readouterr().out


@pytest.mark.parametrize(("count", "words"), [(0, "No pictures yet. Put 2"), (1, "put a second one there")])
def test_without_two_pictures_there_is_no_pair_and_a_line_says_what_to_do(count, words, tmp_path, capsys):
    for number in range(count):
        Image.new("RGB", (30, 30)).save(tmp_path / f"{number}.png")
    assert pictures.own_pair(load_model("picturebook", device="cpu"), 24, tmp_path) is None
    assert words in capsys.readouterr().out


def test_a_pair_can_be_drawn_by_a_seed(capsys):
    model = load_model("picturebook", device="cpu")
    pair, other = (pictures.own_pair(model, 24, seed=seed) for seed in (6, 7))
    assert pair.names == ("house", "hatching") and pair.content.shape == pair.style.shape == (1, 3, 24, 24)
    assert same_pairs([pair], [pictures.own_pair(model, 24, seed=6)]) and not same_pairs([pair], [other])
    assert capsys.readouterr().out == ""
