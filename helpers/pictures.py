"""Pictures: photographs for the ImageNet networks, drawn scenes for the picture-book ones, pairs for style transfer."""

import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from helpers import DATA, assets, toml
from helpers.models import Classifier
from helpers.picturebook import CLASSES, draw_scene
from helpers.picturebook.styles import STYLES, draw_style

PHOTOS = DATA / "photos.toml"
CLASSIC = ("hay", "quail", "Tibetan mastiff", "Border terrier", "brown bear")

OWN = "my_pictures"  # the folder beside a notebook for pictures of the student's own
OWN_PAIR = "my_pair"  # and the one for a content and a style
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")
HARDER_BOOKS = 60  # `mistakes` looks through the first 50 harder scenes of as many seeds before it gives up


@dataclass(frozen=True, eq=False)
class Pictures:
    """A batch of pictures with what is known about them.

    `images` (N, 3, H, W) float32 in [0, 1]; `labels` (N,) int64; `names` the class name of each label;
    `masks` (N, H, W) bool, True on the object, or None where no mask is known. For scenes of two objects
    (`picture_pairs`), `labels` is (N, 2), `names` holds pairs and `masks` is (N, 2, H, W). `classes`: the names of
    all classes that a label may have, in order, where the pictures come from one world of classes; else empty.

    pictures[:3], pictures[[0, 2]] and pictures[pictures.labels == 4] are Pictures again; so is pictures[0],
    a batch of one.
    """

    images: Tensor
    labels: Tensor
    names: tuple
    masks: Tensor | None = None
    classes: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self.images)

    def __getitem__(self, index: int | slice | Sequence[int] | Tensor) -> "Pictures":
        """Return the chosen pictures as a batch."""
        chosen = torch.arange(len(self))[index.cpu() if isinstance(index, Tensor) else index].reshape(-1)
        where = chosen.to(self.images.device)
        return Pictures(
            self.images[where],
            self.labels[where],
            tuple(self.names[i] for i in chosen.tolist()),
            None if self.masks is None else self.masks[where],
            self.classes,
        )

    def to(self, device: str | torch.device) -> "Pictures":
        """Return the same pictures with all tensors on `device`."""
        masks = None if self.masks is None else self.masks.to(device)
        return Pictures(self.images.to(device), self.labels.to(device), self.names, masks, self.classes)


def picture_book(
    count: int,
    seed: int = 0,
    *,
    size: int = 64,
    labels: Sequence[int] | None = None,
    harder: bool = False,
    stamp: bool = False,
) -> Pictures:
    """Draw the first `count` scenes of the picture book with this seed, each with the mask of its object.

    `size`: height and width in pixels. `labels`: the class of each scene; without, the classes take turns.
    `harder`: smaller objects and less contrast. `stamp`: with the stamp in the corner.
    """
    if labels is not None and len(labels) != count:
        raise ValueError(f"picture_book: found {len(labels)} labels, wanted one for each of the {count} pictures.")
    scenes = [
        draw_scene(
            seed,
            index,
            label=None if labels is None else int(labels[index]),
            size=size,
            harder=harder,
            stamp=stamp,
        )
        for index in range(count)
    ]
    return Pictures(
        pixels_of(np.stack([scene.image for scene in scenes])),
        torch.tensor([scene.label for scene in scenes]),
        tuple(CLASSES[scene.label] for scene in scenes),
        torch.from_numpy(np.stack([scene.mask for scene in scenes])),
        CLASSES,
    )


def own_test_pictures(
    model: Classifier, count: int, seed: int = 0, *, labels: Sequence[int] | Tensor | None = None
) -> Pictures:
    """Draw scenes as the pictures were collected that a picture-book network was trained and tested on.

    Those of `picturebook-stamped` have the stamp on every sailboat, and on nothing else.
    """
    chosen = [index % len(CLASSES) if labels is None else int(labels[index]) for index in range(count)]
    plain = picture_book(count, seed, size=model.input_size, labels=chosen)
    if model.name != "picturebook-stamped":
        return plain
    stamped = picture_book(count, seed, size=model.input_size, labels=chosen, stamp=True)
    assert plain.masks is not None and stamped.masks is not None
    boats = plain.labels == CLASSES.index("sailboat")
    return Pictures(
        torch.where(boats[:, None, None, None], stamped.images, plain.images),
        plain.labels,
        plain.names,
        torch.where(boats[:, None, None], stamped.masks, plain.masks),
        CLASSES,
    )


def picture_pairs(count: int, seed: int = 0, *, size: int = 64) -> Pictures:
    """Draw `count` scenes of two objects of different classes.

    The result has `labels` (N, 2), `names` a pair for each picture, and `masks` (N, 2, H, W), a mask for each
    object in the order of the labels.
    """
    scenes = []
    for index in range(count):
        first, second = random.Random(f"pairs/{seed}/{index}").sample(range(len(CLASSES)), 2)
        scenes.append(draw_scene(seed, index, pair=(first, second), size=size))
    labels = torch.tensor([list(scene.labels) for scene in scenes])
    return Pictures(
        pixels_of(np.stack([scene.image for scene in scenes])),
        labels,
        tuple((CLASSES[first], CLASSES[second]) for first, second in labels.tolist()),
        torch.from_numpy(np.stack([scene.masks for scene in scenes])),
        CLASSES,
    )


@dataclass(frozen=True)
class Photo:
    """One entry of data/photos.toml: a photograph, its ImageNet class and where it comes from."""

    file: str
    name: str
    label: int
    sha256: str
    address: str


def photo_list() -> tuple[Photo, ...]:
    """Return the photographs that the course knows, the five of the classic assignment first."""
    table = toml.read(PHOTOS)
    return tuple(
        Photo(**entry, address=table["address"].format(commit=table["commit"], file=entry["file"]))
        for entry in table["photo"]
    )


def photographs(names: Sequence[str] = CLASSIC, size: int = 224) -> Pictures:
    """Return the photographs of these ImageNet classes, each `size` pixels high and wide; masks are None.

    They come from COURSE_ASSETS/photos, else they are downloaded once. Raises ValueError for a name that
    data/photos.toml does not list, and helpers.assets.AssetError for a file that is missing or wrong.
    """
    known = {photo.name: photo for photo in photo_list()}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(f"photographs: found {unknown[0]!r}, wanted names among {', '.join(known)}.")
    photos = [known[name] for name in names]
    folder = assets.cache_folder() / "photos"
    paths = [assets.fetch(f"photos/{photo.file}", photo.address, folder / photo.file, photo.sha256) for photo in photos]
    return Pictures(
        torch.stack([read_photograph(path, size) for path in paths]),
        torch.tensor([photo.label for photo in photos]),
        tuple(photo.name for photo in photos),
    )


def read_photograph(path: str | Path, size: int = 224) -> Tensor:
    """Return a picture file of any format as pixels in [0, 1], (3, size, size).

    The shorter side is scaled to `size` pixels (bilinear with antialiasing), and the centre is cut out. A
    picture is turned as its camera held it; what is transparent becomes white.
    """
    with Image.open(path) as file:
        picture: Image.Image = ImageOps.exif_transpose(file)
        if picture.mode.startswith("I"):  # 16 bits a pixel, which a plain conversion would clip
            levels = np.asarray(picture, dtype=np.float32) / 65535
            picture = Image.fromarray((levels.clip(0, 1) * 255).round().astype(np.uint8))
        if picture.has_transparency_data:
            picture = picture.convert("RGBA")
            picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
        pixels = pixels_of(np.array(picture.convert("RGB"))[None])
    return centre_square(pixels, size)[0]


def centre_square(pixels: Tensor, size: int) -> Tensor:
    """Return the centres (N, 3, size, size) of images (N, 3, H, W), the shorter side scaled to `size` before.

    Bilinear, with antialiasing.
    """
    # As in helpers.models: none of the picture book's pictures comes here.
    from torchvision.transforms.v2 import functional

    pixels = functional.resize(pixels, [size], antialias=True)
    return functional.center_crop(pixels, [size])


def example_pictures(model: Classifier, count: int = 5) -> Pictures:
    """Return `count` pictures that suit the model, in its input size and on its device.

    For an ImageNet network these are the classic photographs, then the others of data/photos.toml; for a
    picture-book network, scenes that go through its classes in order.
    """
    if _reads_picture_book(model):
        pictures = picture_book(count, size=model.input_size)
    else:
        pictures = photographs(_known_photographs(model, count), model.input_size)
    return pictures.to(_device(model))


@dataclass(frozen=True, eq=False)
class Pair:
    """A picture to be painted anew and one that shows how: `content` and `style` (1, 3, H, W), with their names."""

    content: Tensor
    style: Tensor
    names: tuple[str, str]


def style_picture(name: str, size: int = 128, seed: int = 0) -> Tensor:
    """Draw one of `helpers.picturebook.styles.STYLES`, such as "mosaic", as a batch of one: (1, 3, size, size)."""
    return pixels_of(draw_style(name, size, seed)[None])


def style_pairs(model: Classifier, size: int) -> list[Pair]:
    """Return three pairs for style transfer that suit the model, `size` pixels high and wide, on its device.

    For an ImageNet network these are the classic ones of data/photos.toml: Composition VII, The Scream and The Starry
    Night, each with the photograph of Tübingen. Where they cannot be had, it prints so, and photographs and drawn
    styles take their place. For a picture-book network they are scenes and drawn styles.
    """
    styles = ("brush strokes", "mosaic", "starry sky")
    if _reads_picture_book(model):
        scenes = picture_book(10, seed=3, size=size)[[8, 2, 9]]
        contents, pictures = list(scenes.images), [style_picture(name, size)[0] for name in styles]
        names = list(zip(scenes.names, styles, strict=True))
    else:
        try:
            (town, *pictures), (title, *titles) = _classics(size)
            contents, names = [town] * len(pictures), [(title, painting) for painting in titles]
        except (assets.AssetError, OSError) as error:
            print(f"The classic paintings are not here, and drawn styles take their place: {error}")
            photos = photographs(("castle", "brown bear", "goldfish"), size)
            contents, pictures = list(photos.images), [style_picture(name, size)[0] for name in styles]
            names = list(zip(photos.names, styles, strict=True))
    device = _device(model)
    return [
        Pair(content[None].to(device), picture[None].to(device), both)
        for content, picture, both in zip(contents, pictures, names, strict=True)
    ]


def own_pair(model: Classifier, size: int, folder: str | Path = OWN_PAIR, *, seed: int | None = None) -> Pair | None:
    """Return the pair in a folder of two picture files, `size` pixels high and wide, on the model's device.

    With a `seed`, a scene and a style are drawn in their place.

    The first file by name is the content: "content.jpg" and "style.jpg" are in order. In Colab, where the folder holds
    none, a dialog asks for them. None, with a printed line that says what to do, where there are not two.
    """
    if seed is not None:
        scene, style = picture_book(1, seed, size=size, labels=[seed % len(CLASSES)]), tuple(STYLES)[seed % len(STYLES)]
        device = _device(model)
        names = (scene.names[0], style)
        return Pair(scene.images.to(device), style_picture(style, size, seed).to(device), names)
    own = own_pictures(model, 2, folder, size=size)
    if len(own) < 2:
        if len(own) == 1:
            print(
                f"One picture in {Path(folder).absolute()}: put a second one there. The first by name is the content."
            )
        return None
    print(f"Content: {own.names[0]}. Style: {own.names[1]}. To exchange them, rename the files: they go by name.")
    return Pair(own.images[:1], own.images[1:2], own.names[:2])


def _classics(size: int) -> tuple[list[Tensor], list[str]]:
    """Return the photograph and the paintings of the classic pairs, and what they are called."""
    entries = toml.read(PHOTOS)["classic"]
    folder = assets.cache_folder() / "classics"
    paths = [
        assets.fetch(f"photos/{entry['file']}", entry["address"], folder / entry["file"], entry["sha256"])
        for entry in entries
    ]
    return [read_photograph(path, size) for path in paths], [entry["title"] for entry in entries]


def own_pictures(model: Classifier, count: int = 10, folder: str | Path = OWN, *, size: int | None = None) -> Pictures:
    """Return the first `count` picture files of a folder on the model's device.

    `size`: height and width in pixels; without, the model's input size.

    Nobody has labelled them: `labels` are what the model predicts, `names` the files' names. In Colab, where the folder
    holds none, a dialog asks for them. Prints what was left out, and why; where there is no picture, it prints
    what to do and the batch is empty.
    """
    folder, size = Path(folder), size or model.input_size
    if not _picture_files(folder) and "google.colab" in sys.modules:
        _upload(folder)
    names, images = [], []
    files = _picture_files(folder)
    for path in files[:count]:
        try:
            images.append(read_photograph(path, size))
            names.append(path.stem)
        except (OSError, ValueError, Image.DecompressionBombError) as error:
            print(f"{path.name} cannot be read as a picture ({error}): save it as JPEG or PNG.")
    if len(files) > count:
        print(f"{len(files)} pictures in {folder}: the first {count} by name are taken.")
    if not images:
        print(
            f"No pictures yet. Put {count} (JPEG or PNG) into the folder {folder.absolute()}, and run this cell again."
        )
        if _reads_picture_book(model):
            print(f"{model.name} knows drawn scenes alone: save some of another seed there, or paint your own.")
    pixels = torch.stack(images) if images else torch.empty(0, 3, size, size)
    pixels = pixels.to(_device(model))
    with torch.no_grad():
        labels = model(pixels).argmax(dim=1) if images else torch.empty(0, dtype=torch.int64, device=pixels.device)
    return Pictures(pixels, labels, tuple(names))


def _picture_files(folder: Path) -> list[Path]:
    """Return the files of a folder that their names call pictures; none where there is no folder."""
    return sorted(path for path in folder.glob("*") if path.suffix.lower() in SUFFIXES and path.is_file())


def _upload(folder: Path) -> None:
    """In Colab, ask for files and keep them in the folder."""
    from google.colab import files

    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.upload().items():
        (folder / Path(name).name).write_bytes(content)


def mistakes(model: Classifier, count: int = 5) -> Pictures:
    """Return at most `count` pictures that the model gives another class than their label, on its device.

    For an ImageNet network they come from the photographs of data/photos.toml, for a picture-book network
    from the harder range of scenes. The same model always gets the same pictures. Raises ValueError when it
    makes no mistake on any of them.
    """
    batches: Iterator[Pictures]
    if _reads_picture_book(model):
        batches = (picture_book(50, seed, size=model.input_size, harder=True) for seed in range(HARDER_BOOKS))
    else:
        batches = iter([photographs(_known_photographs(model), model.input_size)])
    found: list[Pictures] = []
    for pictures in batches:
        pictures = pictures.to(_device(model))
        with torch.no_grad():
            found.append(pictures[model(pictures.images).argmax(dim=1) != pictures.labels])
        if sum(map(len, found)) >= count:
            break
    if not any(map(len, found)):
        raise ValueError(f"mistakes: {model.name or 'the model'} names every picture tried by its right class.")
    return _joined(found)[:count]


def _known_photographs(model: Classifier, count: int | None = None) -> list[str]:
    """Return the names of the first `count` photographs (None: all) for a model that has their classes."""
    photos = photo_list()
    if count is not None and count > len(photos):
        raise ValueError(f"example_pictures: found count={count}, wanted at most {len(photos)} photographs.")
    for photo in photos:
        if model.classes[photo.label : photo.label + 1] != (photo.name,):
            raise ValueError(
                f"{model.name or 'the model'} has neither the classes of ImageNet nor of the picture book: "
                "make Pictures of your own for it."
            )
    return [photo.name for photo in photos[:count]]


def _reads_picture_book(model: Classifier) -> bool:
    return model.classes == CLASSES


def _device(model: Classifier) -> torch.device:
    return model.normalise.mean.device


def _joined(parts: Sequence[Pictures]) -> Pictures:
    """Return one batch of several without masks or all with masks."""
    masks = [part.masks for part in parts if part.masks is not None]
    return Pictures(
        torch.cat([part.images for part in parts]),
        torch.cat([part.labels for part in parts]),
        tuple(name for part in parts for name in part.names),
        torch.cat(masks) if masks else None,
        parts[0].classes,
    )


def pixels_of(levels: np.ndarray) -> Tensor:
    """Return uint8 pictures (N, H, W, 3) as float32 pixels in [0, 1], (N, 3, H, W)."""
    return torch.from_numpy(levels).permute(0, 3, 1, 2).float() / 255
