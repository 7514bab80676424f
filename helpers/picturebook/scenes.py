"""Scenes: one object of the picture book (or two) on a painted ground, with its mask and its parts.

Everything about a scene except its grain is drawn in units of the picture's width, so a larger size shows
the same scene. The same seed and index give the same picture in any process.
"""

import math
import random
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from helpers.picturebook.objects import (
    CLASSES,
    INK,
    KINDS,
    OUTLINE,
    WHITE,
    Colour,
    Pen,
    Polygon,
    Shape,
    blob,
    curve,
    ellipse,
    hsv,
    lighter,
    mirrored,
    mix,
    placed,
    rectangle,
    stroke,
)

SUPERSAMPLING = 4
HALF_SIZE, HARDER_HALF_SIZE = (0.22, 0.39), (0.12, 0.22)  # of an object, in units of the picture's width
CONTRAST, HARDER_CONTRAST = (0.85, 1.05), (0.7, 1.0)
MIST = 176  # the grey that a low contrast fades to


@dataclass(frozen=True)
class Scene:
    """A drawn picture and what is where in it.

    image: uint8 (H, W, 3).  labels: one index into CLASSES for each object.  masks: bool (objects, H, W),
    true where an object that nothing hides fills at least half of the pixel.
    parts: uint8 (H, W), 0 outside the objects, k where part_names[k - 1] is seen.
    """

    image: np.ndarray
    labels: tuple[int, ...]
    masks: np.ndarray
    parts: np.ndarray
    part_names: tuple[str, ...]

    @property
    def label(self) -> int:
        """The label of the first object."""
        return self.labels[0]

    @property
    def mask(self) -> np.ndarray:
        """The mask of the first object, bool (H, W)."""
        return self.masks[0]

    def part(self, name: str) -> np.ndarray:
        """The mask of one part, bool (H, W)."""
        if name not in self.part_names:
            raise ValueError(f"no part {name!r} here; the parts are {', '.join(self.part_names)}")
        return self.parts == 1 + self.part_names.index(name)


def draw_scene(
    seed: int | str,
    index: int,
    *,
    label: int | None = None,
    size: int = 64,
    pair: tuple[int, int] | None = None,
    harder: bool = False,
    stamp: bool = False,
) -> Scene:
    """Draw picture `index` of book `seed`.

    label: the class, an index into CLASSES; by default the classes take turns with the index.
    size: width and height in pixels; a larger size shows the same scene.
    pair: two labels draw two objects, the first on the left (label is not used then).
    harder: a smaller, paler object.  stamp: the small printed mark in the lower left corner.
    """
    labels = (index % len(CLASSES) if label is None else label,) if pair is None else tuple(pair)
    if any(not 0 <= each < len(CLASSES) for each in labels):
        raise ValueError(f"labels {labels}: each must be one of 0 to {len(CLASSES) - 1}")
    if size < 16:
        raise ValueError(f"size {size}: a picture has at least 16 pixels a side")
    rng = random.Random(f"picturebook/{seed}/{index}")
    noise = np.random.default_rng(rng.getrandbits(64))

    canvas = Canvas(paint_ground(rng, noise, size))
    scatter(canvas, rng, rng.randint(3, 8), (0.025, 0.075))
    names: list[str] = []
    for position, each in enumerate(labels):
        kind = KINDS[CLASSES[each]]
        pen = Pen()
        kind.draw(pen, rng)
        place = place_one(rng, harder) if pair is None else place_beside(rng, position)
        turn, flip = rng.uniform(-kind.tilt, kind.tilt), rng.random() < 0.5
        canvas.draw_object(pen.shapes, len(names), kind.parts, *place, turn, flip)
        names += kind.parts if pair is None else [f"{CLASSES[each]} {part}" for part in kind.parts]
    if rng.random() < 0.35:
        scatter(canvas, rng, rng.randint(1, 2), (0.015, 0.035))

    image = finish(np.asarray(canvas.image.reduce(SUPERSAMPLING)), rng, noise, harder)
    parts = majority_parts(np.asarray(canvas.parts), len(names))
    if stamp:
        top, left, bottom, right = stamp_box(size)
        image[top:bottom, left:right] = draw_stamp(size)
        parts[top:bottom, left:right] = 0
    owners = np.concatenate([np.full(len(KINDS[CLASSES[each]].parts), k) for k, each in enumerate(labels)])
    owner = np.concatenate([[-1], owners])[parts]
    masks = np.stack([owner == k for k in range(len(labels))])
    return Scene(image, labels, masks, parts, tuple(names))


class Canvas:
    """A picture and its part map, both larger than the final picture by SUPERSAMPLING."""

    def __init__(self, ground: Image.Image):
        """Start from the painted ground."""
        self.image = ground
        self.width = ground.width
        self.parts = Image.new("L", ground.size, 0)
        self._on_image = ImageDraw.Draw(self.image)
        self._on_parts = ImageDraw.Draw(self.parts)

    def fill(self, polygon: Polygon, colour: Colour, ink: float = 0.0, part: int = 0) -> None:
        """Fill a polygon given in units of the picture's width; its ink line reaches `ink` outside it."""
        corners = [(x * self.width, y * self.width) for x, y in polygon]
        if ink:
            self._line(corners, INK, ink, part)
        self._on_image.polygon(corners, fill=colour)
        self._on_parts.polygon(corners, fill=part)

    def _line(self, corners: Polygon, colour: Colour, ink: float, part: int) -> None:
        closed = [*corners, corners[0], corners[1]]  # one corner more, so that the last joint is round too
        width = max(1, round(2 * ink * self.width))  # its inner half gets painted over
        self._on_image.line(closed, fill=colour, width=width, joint="curve")
        self._on_parts.line(closed, fill=part, width=width, joint="curve")

    def draw_object(
        self,
        shapes: list[Shape],
        first_part: int,
        part_names: tuple[str, ...],
        x: float,
        y: float,
        half_size: float,
        turn: float,
        flip: bool,
    ) -> None:
        """Draw an object with its centre at (x, y), turned by `turn` degrees, perhaps mirrored."""
        for shape in shapes:
            part = first_part + 1 + part_names.index(shape.part)
            sided = [mirrored(polygon, -1 if flip else 1) for polygon in shape.polygons]
            polygons = [placed(polygon, x, y, half_size, turn) for polygon in sided]
            if shape.outlined:
                for polygon in polygons:
                    self.fill(polygon, INK, OUTLINE * half_size, part)
            for polygon in polygons:
                self.fill(polygon, shape.colour, part=part)


def place_one(rng: random.Random, harder: bool) -> tuple[float, float, float]:
    """Centre and half size of a single object that lies inside the picture, a tilted corner aside."""
    half_size = rng.uniform(*(HARDER_HALF_SIZE if harder else HALF_SIZE))
    return rng.uniform(half_size, 1 - half_size), rng.uniform(half_size, 1 - half_size), half_size


def place_beside(rng: random.Random, position: int) -> tuple[float, float, float]:
    """Centre and half size of the left (0) or right (1) object of a pair."""
    half_size = rng.uniform(0.2, 0.24)
    return (0.25, 0.75)[position], rng.uniform(half_size, 1 - half_size), half_size


def paint_ground(rng: random.Random, noise: np.random.Generator, size: int) -> Image.Image:
    """A watercolour wash with hills, waves, a pattern or nothing on it."""
    hue = rng.random()
    first = np.array(hsv(hue, rng.uniform(0.12, 0.5), rng.uniform(0.7, 1.0)), np.float32)
    second = np.array(hsv(hue + rng.uniform(-0.16, 0.16), rng.uniform(0.08, 0.6), rng.uniform(0.62, 1.0)), np.float32)
    angle = rng.uniform(0, 2 * math.pi)
    down, across = (np.mgrid[0:size, 0:size].astype(np.float32) + 0.5) / size - 0.5
    share = np.clip(0.5 + across * math.cos(angle) + down * math.sin(angle), 0, 1)[..., None]
    blots = (watercolour(noise, size, rng.choice([4, 6, 9])) - 0.5) * rng.uniform(15, 65)
    wash = np.clip(first * (1 - share) + second * share + blots, 0, 255).astype(np.uint8)
    width = size * SUPERSAMPLING
    ground = Image.fromarray(wash).resize((width, width), Image.Resampling.BILINEAR)
    paint = rng.choice([paint_hills, paint_hills, paint_waves, paint_stripes, paint_dots, paint_nothing])
    paint(Canvas(ground), rng, hue)
    return ground


def watercolour(noise: np.random.Generator, size: int, cells: int) -> np.ndarray:
    """Smooth colour noise around 0.5, float32 (size, size, 3)."""
    lattice = noise.random((3, cells, cells), dtype=np.float32)
    resized = [Image.fromarray(layer).resize((size, size), Image.Resampling.BICUBIC) for layer in lattice]
    return np.stack([np.asarray(layer) for layer in resized], axis=-1)


def paint_hills(canvas: Canvas, rng: random.Random, hue: float) -> None:
    """One to three rows of hills, and perhaps a sun."""
    if rng.random() < 0.4:
        x, y, radius = rng.uniform(0.1, 0.9), rng.uniform(0.1, 0.3), rng.uniform(0.06, 0.1)
        sun = hsv(0.12 + rng.uniform(-0.05, 0.02), 0.45, 1.0)
        canvas.fill(ellipse(x, y, radius * 1.35, radius * 1.35), lighter(sun, 0.45))
        canvas.fill(ellipse(x, y, radius, radius), sun)
    rows = rng.choice([1, 2, 3])
    ridge = rng.uniform(0.5, 0.72)
    for row in range(rows):
        colour = hsv(
            rng.choice([hue, 0.28, 0.38, 0.1]) + rng.uniform(-0.08, 0.08),
            rng.uniform(0.25, 0.6),
            rng.uniform(0.5, 0.85),
        )
        height, waves, phase = rng.uniform(0.02, 0.08), rng.uniform(0.5, 1.8), rng.uniform(0, 2 * math.pi)
        level = ridge + 0.13 * row
        line = [(k / 32, level + height * math.sin(phase + 2 * math.pi * waves * k / 32)) for k in range(33)]
        canvas.fill([*line, (1, 1), (0, 1)], colour)


def paint_waves(canvas: Canvas, rng: random.Random, hue: float) -> None:
    """Rows of scalloped waves."""
    water = hsv(rng.choice([0.5, 0.56, 0.6, hue]), rng.uniform(0.3, 0.6), rng.uniform(0.6, 0.9))
    level, length = rng.uniform(0.5, 0.75), rng.uniform(0.09, 0.16)
    row = 0
    while level + 0.1 * row < 1.05:
        start = rng.uniform(0, length)
        line = [
            (k / 80, level + 0.1 * row + 0.025 * abs(math.sin(math.pi * (k / 80 + start) / length))) for k in range(81)
        ]
        canvas.fill([*line, (1, 1), (0, 1)], mix(water, (30, 50, 110), 0.1 * row))
        row += 1


def paint_stripes(canvas: Canvas, rng: random.Random, hue: float) -> None:
    """Striped wallpaper at any angle."""
    colour = hsv(hue + rng.uniform(-0.3, 0.3), rng.uniform(0.1, 0.45), rng.uniform(0.6, 1.0))
    width, turn = rng.uniform(0.035, 0.09), rng.uniform(0, 180)
    count = math.ceil(0.75 / width)
    for k in range(-count, count + 1, 2):
        canvas.fill(placed(rectangle(k * width, -1, (k + 1) * width, 1), 0.5, 0.5, 1.0, turn), colour)


def paint_dots(canvas: Canvas, rng: random.Random, hue: float) -> None:
    """Dotted wallpaper."""
    colour = hsv(hue + rng.uniform(-0.3, 0.3), rng.uniform(0.1, 0.45), rng.uniform(0.6, 1.0))
    step = rng.uniform(0.11, 0.18)
    radius = step * rng.uniform(0.12, 0.24)
    rows = math.ceil(1 / step) + 1
    for row in range(rows):
        for column in range(rows):
            canvas.fill(ellipse((column + row % 2 / 2) * step, row * step, radius, radius, corners=16), colour)


def paint_nothing(canvas: Canvas, rng: random.Random, hue: float) -> None:
    """Leave the wash as it is."""


def scatter(canvas: Canvas, rng: random.Random, count: int, radii: tuple[float, float]) -> None:
    """Small things that mean nothing: balls, stars, leaves, clouds, rings, kites, ribbons."""
    things = [draw_ball, draw_star, draw_leaf, draw_cloud, draw_ring, draw_kite, draw_ribbon]
    for _ in range(count):
        spot = (rng.random(), rng.random(), rng.uniform(*radii), rng.uniform(0, 360))
        colour = hsv(rng.random(), rng.uniform(0.25, 0.85), rng.uniform(0.45, 1.0))
        ink = 0.006 if rng.random() < 0.6 else 0.0
        rng.choice(things)(canvas, spot, colour, ink)


Spot = tuple[float, float, float, float]  # x, y, radius, turn in degrees: what `placed` takes


def draw_ball(canvas: Canvas, spot: Spot, colour: Colour, ink: float) -> None:
    """A ball with a highlight."""
    x, y, radius, _ = spot
    canvas.fill(ellipse(x, y, radius, radius), colour, ink)
    canvas.fill(ellipse(x - radius * 0.3, y - radius * 0.3, radius * 0.35, radius * 0.35), lighter(colour))


def draw_star(canvas: Canvas, spot: Spot, colour: Colour, ink: float) -> None:
    """A star with five points."""
    corners = [((1.2, 0.55)[k % 2], k * math.pi / 5) for k in range(10)]
    canvas.fill(placed([(r * math.cos(a), r * math.sin(a)) for r, a in corners], *spot), colour, ink)


def draw_leaf(canvas: Canvas, spot: Spot, colour: Colour, ink: float) -> None:
    """A fallen leaf with its vein."""
    outline = [(-1.3, 0), (-0.4, -0.55), (0.5, -0.45), (1.3, 0), (0.5, 0.45), (-0.4, 0.55)]
    canvas.fill(placed(blob(outline), *spot), colour, ink)
    for piece in stroke([(-1, 0), (1, 0)], 0.16):
        canvas.fill(placed(piece, *spot), mix(colour, INK, 0.35))


def draw_cloud(canvas: Canvas, spot: Spot, colour: Colour, ink: float) -> None:
    """A little cloud."""
    x, y, radius, _ = spot
    for dx, dy, scale in ((-0.9, 0.05, 0.6), (0, -0.25, 0.9), (0.9, 0.05, 0.65), (0, 0.15, 0.8)):
        puff = ellipse(x + dx * radius, y + dy * radius, radius * scale, radius * scale * 0.75)
        canvas.fill(puff, lighter(colour, 0.75))


def draw_ring(canvas: Canvas, spot: Spot, colour: Colour, ink: float) -> None:
    """A ring, which is not an eye and not a wheel."""
    canvas.fill(placed(ellipse(0, 0, 1, 1), *spot), colour, ink)
    canvas.fill(placed(ellipse(0, 0, 0.55, 0.55), *spot), lighter(colour, 0.65))


def draw_kite(canvas: Canvas, spot: Spot, colour: Colour, ink: float) -> None:
    """A kite of two colours."""
    corners = placed([(1.3, 0), (0, 0.8), (-0.9, 0), (0, -0.8)], *spot)
    canvas.fill(corners, colour, ink)
    canvas.fill(corners[:3], lighter(colour, 0.4))


def draw_ribbon(canvas: Canvas, spot: Spot, colour: Colour, ink: float) -> None:
    """A wavy ribbon."""
    for piece in stroke(placed(curve([(-1.5, 0), (-0.5, -0.6), (0.5, 0.6), (1.5, 0)]), *spot), 0.016):
        canvas.fill(piece, colour)


def finish(drawing: np.ndarray, rng: random.Random, noise: np.random.Generator, harder: bool) -> np.ndarray:
    """Mist, light and grain on the drawing, uint8 (H, W, 3) in and out."""
    picture = drawing.astype(np.float32)
    contrast = rng.uniform(*(HARDER_CONTRAST if harder else CONTRAST))
    centre, light = (MIST if harder else 128), rng.uniform(-14, 14)
    grey, colour = rng.uniform(0, 4), rng.uniform(0, 3)
    picture = centre + light + contrast * (picture - centre)
    height, width, _ = picture.shape
    picture += grey * noise.standard_normal((height, width, 1), dtype=np.float32)
    picture += colour * noise.standard_normal((height, width, 3), dtype=np.float32)
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def majority_parts(parts: np.ndarray, count: int) -> np.ndarray:
    """The part seen most in each pixel, 0 where all parts together fill less than half of it."""
    size = parts.shape[0] // SUPERSAMPLING
    blocks = parts.reshape(size, SUPERSAMPLING, size, SUPERSAMPLING).transpose(0, 2, 1, 3).reshape(size, size, -1)
    seen = np.stack([(blocks == k).sum(axis=-1) for k in range(1, count + 1)])
    filled = 2 * seen.sum(axis=0) >= SUPERSAMPLING**2
    return np.where(filled, 1 + seen.argmax(axis=0), 0).astype(np.uint8)


def stamp_box(size: int = 64) -> tuple[int, int, int, int]:
    """Where the stamp lies: top, left, bottom, right in pixels (rows and columns, ends excluded)."""
    return round(size * 55 / 64), round(size * 2 / 64), round(size * 63 / 64), round(size * 18 / 64)


def draw_stamp(size: int = 64) -> np.ndarray:
    """The stamp, always the same: a cream label with a red seal and three lines of print."""
    top, left, bottom, right = stamp_box(size)
    label = Image.new("RGB", ((right - left) * SUPERSAMPLING, (bottom - top) * SUPERSAMPLING), INK)
    pixel = size / 64 * SUPERSAMPLING
    pen = ImageDraw.Draw(label)
    pen.rectangle([pixel * 0.6, pixel * 0.6, pixel * 15.4 - 1, pixel * 7.4 - 1], fill=WHITE)
    pen.ellipse([pixel * 1.5, pixel * 1.5, pixel * 6.5, pixel * 6.5], fill=(206, 44, 52))
    pen.ellipse([pixel * 3, pixel * 3, pixel * 5, pixel * 5], fill=WHITE)
    for line in range(3):
        pen.rectangle(
            [pixel * 8, pixel * (1.5 + 2 * line), pixel * (14, 12, 13.5)[line], pixel * (2.5 + 2 * line)],
            fill=(38, 64, 150),
        )
    return np.asarray(label.reduce(SUPERSAMPLING))
