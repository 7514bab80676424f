"""Styles: pictures of a way to paint and of nothing else, drawn like the scenes of the picture book.

brush strokes   short strokes of oil paint that follow two whirls
mosaic          small uneven stones in warm colours, with dark joints
hatching        pen and ink on paper: lines in four directions
starry sky      a night in long strokes, turning round stars and a moon
"""

import math
import random
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image, ImageDraw

from helpers.picturebook.objects import Colour, Point, Polygon, hsv, mix

SUPERSAMPLING = 4
Flow = Callable[[float, float], float]  # a point in units of the picture's width -> the direction of a stroke there

SUNSET = ((96, 30, 36), (30, 70, 92), (62, 112, 110), (216, 84, 40), (240, 150, 60), (246, 214, 140))
STONES = ((164, 32, 36), (206, 74, 44), (232, 146, 52), (244, 208, 128), (240, 230, 206), (28, 92, 104))
NIGHT = ((12, 22, 66), (22, 44, 108), (36, 72, 146), (64, 112, 184), (120, 164, 206))
PAPER, PEN, JOINT = (242, 234, 214), (38, 32, 40), (44, 36, 38)


def draw_style(name: str, size: int = 128, seed: int = 0) -> np.ndarray:
    """Return the style picture of that name, uint8 (size, size, 3).

    name: one of STYLES.  size: width and height in pixels; a larger size shows the same picture.
    seed: another one gives other strokes in the same manner.
    """
    if name not in STYLES:
        raise ValueError(f"there is no style {name!r}; there are {', '.join(STYLES)}")
    sheet = Sheet(size * SUPERSAMPLING)
    STYLES[name](sheet, random.Random(f"style/{name}/{seed}"))
    return np.array(sheet.image.reduce(SUPERSAMPLING))


class Sheet:
    """What is painted on, in units of the picture's width."""

    def __init__(self, width: int):
        """Start with an empty sheet, `width` pixels wide and high."""
        self.image = Image.new("RGB", (width, width), PAPER)
        self.width = width
        self._pen = ImageDraw.Draw(self.image)

    def fill(self, colour: Colour, corners: Sequence[Point] = ((0, 0), (1, 0), (1, 1), (0, 1))) -> None:
        """Fill a polygon; without one, the whole sheet."""
        self._pen.polygon([(x * self.width, y * self.width) for x, y in corners], fill=colour)

    def disc(self, x: float, y: float, radius: float, colour: Colour) -> None:
        """Fill a disc."""
        box = [x - radius, y - radius, x + radius, y + radius]
        self._pen.ellipse([side * self.width for side in box], fill=colour)

    def stroke(self, points: Polygon, thickness: float, colour: Colour) -> None:
        """Draw a line through points, with round ends."""
        corners = [(x * self.width, y * self.width) for x, y in points]
        self._pen.line(corners, fill=colour, width=max(1, round(thickness * self.width)), joint="curve")
        for x, y in (points[0], points[-1]):
            self.disc(x, y, thickness / 2, colour)

    def strokes(
        self,
        rng: random.Random,
        flow: Flow,
        count: int,
        size: tuple[float, float],
        colour_at: Callable[[float, float], Colour],
    ) -> None:
        """Draw `count` strokes at random places along a flow; `size` is their length and thickness."""
        length, thickness = size
        for _ in range(count):
            x, y = rng.uniform(-0.05, 1.05), rng.uniform(-0.05, 1.05)
            colour, points = colour_at(x, y), [(x, y)]
            for _ in range(4):
                angle = flow(*points[-1])
                points.append(
                    (points[-1][0] + length / 4 * math.cos(angle), points[-1][1] + length / 4 * math.sin(angle))
                )
            self.stroke(points, thickness * rng.uniform(0.7, 1.2), colour)


def round_whirls(whirls: list[tuple[float, float, float]], drift: float = 0.0) -> Flow:
    """Return a flow in the direction `drift` that turns round whirls (x, y, radius)."""

    def flow(x: float, y: float) -> float:
        across, down = math.cos(drift), math.sin(drift)
        for centre_x, centre_y, radius in whirls:
            dx, dy = x - centre_x, y - centre_y
            near = 4 * math.exp(-(dx * dx + dy * dy) / radius**2)
            far = math.hypot(dx, dy) + 1e-9
            across, down = across - near * dy / far, down + near * dx / far
        return math.atan2(down, across)

    return flow


def paint_brush_strokes(sheet: Sheet, rng: random.Random) -> None:
    """Strokes of oil paint, the dark ones in one whirl and the light ones in another."""
    flow = round_whirls([(0.3, 0.35, 0.35), (0.75, 0.7, 0.3)], drift=0.5)

    def colour_at(x: float, y: float) -> Colour:
        wave = math.sin(7 * x + 4 * y) + rng.gauss(0, 0.8)
        return mix(SUNSET[rng.randrange(3) if wave < 0.3 else rng.randrange(3, 6)], PEN, rng.uniform(0, 0.15))

    sheet.fill(SUNSET[1])
    sheet.strokes(rng, flow, 900, (0.13, 0.034), colour_at)
    sheet.strokes(rng, flow, 500, (0.1, 0.02), colour_at)


def paint_mosaic(sheet: Sheet, rng: random.Random) -> None:
    """Uneven stones in rows, bands of one colour with strays in them."""
    sheet.fill(JOINT)
    count = 18
    side, gap = 1 / count, 0.0055

    def corner(row: int, column: int) -> tuple[float, float]:
        chance = random.Random(f"{row}/{column}/{rows_seed}")
        bend = 0.03 * math.sin(2 * math.pi * column / count)
        return (column + chance.uniform(-0.13, 0.13)) * side, (row + chance.uniform(-0.13, 0.13)) * side + bend

    rows_seed = rng.random()
    for row in range(-1, count + 1):
        for column in range(-1, count + 1):
            corners = [corner(row + down, column + right) for down, right in ((0, 0), (0, 1), (1, 1), (1, 0))]
            x, y = (sum(values) / 4 for values in zip(*corners, strict=True))
            inside = [(cx + math.copysign(gap, x - cx), cy + math.copysign(gap, y - cy)) for cx, cy in corners]
            band = int(6 * (math.sin(5 * x + 2) * math.cos(4 * y) + 1) / 2.001)
            stone = STONES[band if rng.random() < 0.6 else rng.randrange(len(STONES))]
            sheet.fill(mix(stone, PAPER, rng.uniform(0, 0.25)), inside)


def paint_hatching(sheet: Sheet, rng: random.Random) -> None:
    """Pen lines in four directions, each where the picture is dark enough for it."""
    directions = (math.pi / 4, -math.pi / 4, 0.1, math.pi / 2 - 0.1)
    for layer, angle in enumerate(directions):
        across, down = math.cos(angle), math.sin(angle)
        for number in range(-32, 33):
            offset = number * 0.03 + rng.uniform(-0.003, 0.003)
            place = -0.8
            while place < 0.8:
                length = rng.uniform(0.08, 0.2)
                middle = place + length / 2
                x, y = 0.5 + middle * across - offset * down, 0.5 + middle * down + offset * across
                dark = 2.2 + 1.8 * math.sin(6 * x + 1) * math.cos(5 * y - 1)
                if dark > layer + 0.2:
                    ends = [
                        (x - length / 2 * across, y - length / 2 * down),
                        (x + length / 2 * across, y + length / 2 * down),
                    ]
                    sheet.stroke(ends, rng.uniform(0.007, 0.011), PEN)
                place += length * 1.05


def paint_starry_sky(sheet: Sheet, rng: random.Random) -> None:
    """A night sky that turns round its stars and a moon."""
    stars = [(0.18, 0.2, 0.1), (0.46, 0.13, 0.08), (0.62, 0.42, 0.16), (0.3, 0.52, 0.13), (0.9, 0.52, 0.09)]
    moon = (0.84, 0.17, 0.15)
    flow = round_whirls([*stars, moon], drift=0.15)

    def colour_at(x: float, y: float) -> Colour:
        for star_x, star_y, radius in (moon, *stars):
            away = math.hypot(x - star_x, y - star_y) / radius
            if away < 1.0:
                light = hsv(0.13 + rng.uniform(-0.02, 0.02), 0.35 + 0.4 * min(away, 1), 1.0)
                return mix(light, NIGHT[3], 0.7 * away * rng.random())
        shade = 2 + 1.6 * math.sin(9 * y + 3 * math.sin(4 * x)) + rng.gauss(0, 0.9)
        return NIGHT[min(max(round(shade), 0), 4)]

    sheet.fill(NIGHT[1])
    sheet.strokes(rng, flow, 1500, (0.09, 0.022), colour_at)
    sheet.strokes(rng, flow, 700, (0.07, 0.013), colour_at)
    for x, y, radius in (moon, *stars):
        sheet.disc(x, y, 0.22 * radius, (255, 250, 214))


STYLES: dict[str, Callable[[Sheet, random.Random], None]] = {
    "brush strokes": paint_brush_strokes,
    "mosaic": paint_mosaic,
    "hatching": paint_hatching,
    "starry sky": paint_starry_sky,
}
