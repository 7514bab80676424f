"""The ten things of the picture book, one short function each.

An object is a list of shapes in unit coordinates: x to the right, y down, everything within about -1 to 1.
Each function takes a `Pen`, which collects the shapes, and a `random.Random`, from which it takes its
colours and its small differences. Later shapes lie over earlier ones; every shape belongs to a named part.
"""

import colorsys
import itertools
import math
import random
from collections.abc import Callable
from typing import NamedTuple

Point = tuple[float, float]
Polygon = list[Point]
Colour = tuple[int, int, int]

INK: Colour = (44, 34, 48)
WHITE: Colour = (255, 253, 246)
CREAM: Colour = (250, 238, 214)
WOOD: Colour = (134, 90, 54)
BLUSH: Colour = (244, 152, 156)
OUTLINE = 0.0375  # how far the ink reaches outside a shape, in units of the object's half size


def hsv(hue: float, saturation: float, value: float) -> Colour:
    """The 8-bit colour of a hue (turns, any real number), a saturation and a value (both 0 to 1)."""
    red, green, blue = colorsys.hsv_to_rgb(hue % 1.0, min(max(saturation, 0.0), 1.0), min(max(value, 0.0), 1.0))
    return round(255 * red), round(255 * green), round(255 * blue)


def mix(colour: Colour, other: Colour, share: float) -> Colour:
    """`colour` with a share (0 to 1) of `other` in it."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(colour, other, strict=True))
    return red, green, blue


def lighter(colour: Colour, share: float = 0.5) -> Colour:
    """`colour` mixed with white."""
    return mix(colour, (255, 255, 255), share)


def darker(colour: Colour, share: float = 0.3) -> Colour:
    """`colour` mixed with black."""
    return mix(colour, (0, 0, 0), share)


def paint(rng: random.Random, hues: list[float], saturation=(0.62, 0.88), value=(0.78, 0.98)) -> Colour:
    """A colour near one of the hues."""
    return hsv(rng.choice(hues) + rng.uniform(-0.02, 0.02), rng.uniform(*saturation), rng.uniform(*value))


def placed(polygon: Polygon, x: float, y: float, scale: float, turn: float) -> Polygon:
    """The polygon enlarged by `scale`, turned by `turn` degrees, and moved to (x, y)."""
    cos, sin = math.cos(math.radians(turn)), math.sin(math.radians(turn))
    return [(x + scale * (u * cos - v * sin), y + scale * (u * sin + v * cos)) for u, v in polygon]


def ellipse(x: float, y: float, rx: float, ry: float, turn=0.0, start=0.0, end=360.0, corners=36) -> Polygon:
    """An ellipse, or its arc from `start` to `end`, turned about its centre; all angles in degrees."""
    angles = [math.radians(start + (end - start) * k / corners) for k in range(corners + 1)]
    return placed([(rx * math.cos(a), ry * math.sin(a)) for a in angles], x, y, 1.0, turn)


def rectangle(left: float, top: float, right: float, bottom: float) -> Polygon:
    """An upright rectangle."""
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def between(before: Point, start: Point, end: Point, after: Point, steps: int) -> Polygon:
    """A smooth curve from `start` towards `end` (Catmull-Rom spline), its last point left out."""
    drawn = []
    for t in (step / steps for step in range(steps)):
        weights = (
            (-t + 2 * t**2 - t**3) / 2,
            (2 - 5 * t**2 + 3 * t**3) / 2,
            (t + 4 * t**2 - 3 * t**3) / 2,
            (-(t**2) + t**3) / 2,
        )
        corners = (before, start, end, after)
        x, y = (sum(w * corner[axis] for w, corner in zip(weights, corners, strict=True)) for axis in (0, 1))
        drawn.append((x, y))
    return drawn


def pieces(points: list[Point], steps: int) -> list[Polygon]:
    """The curves between all points but the first and the last, which only bend their neighbours."""
    fours = zip(points, points[1:], points[2:], points[3:], strict=False)
    return [between(*four, steps) for four in fours]


def curve(points: list[Point], steps: int = 7) -> Polygon:
    """A smooth line through the points."""
    ends = [points[0], *points, points[-1]]
    return [*itertools.chain(*pieces(ends, steps)), points[-1]]


def blob(points: list[Point], steps: int = 7) -> Polygon:
    """A smooth closed outline through the points."""
    ring = [points[-1], *points, *points[:2]]
    return [*itertools.chain(*pieces(ring, steps))]


def stroke(points: list[Point], width: float) -> list[Polygon]:
    """A thick line along the points: a quadrilateral for each piece, a disc at each corner."""
    pieces = [ellipse(x, y, width / 2, width / 2, corners=12) for x, y in points]
    for (x0, y0), (x1, y1) in itertools.pairwise(points):
        length = math.hypot(x1 - x0, y1 - y0)
        if length > 0:
            dx, dy = -(y1 - y0) / length * width / 2, (x1 - x0) / length * width / 2
            pieces.append([(x0 + dx, y0 + dy), (x1 + dx, y1 + dy), (x1 - dx, y1 - dy), (x0 - dx, y0 - dy)])
    return pieces


def mirrored(polygon: Polygon, side: int) -> Polygon:
    """The polygon, or for side -1 its mirror image in the line x = 0."""
    return [(side * x, y) for x, y in polygon]


class Shape(NamedTuple):
    """Polygons of one colour that belong to one part; their outline goes around all of them together."""

    part: str
    polygons: list[Polygon]
    colour: Colour
    outlined: bool


class Pen:
    """Collects the shapes of one object, in drawing order."""

    def __init__(self):
        """Start with nothing drawn."""
        self.shapes: list[Shape] = []

    def fill(self, part: str, polygon: Polygon, colour: Colour) -> None:
        """Fill a polygon; its ink outline lies outside the edge."""
        self.shapes.append(Shape(part, [polygon], colour, True))

    def fill_all(self, part: str, polygons: list[Polygon], colour: Colour) -> None:
        """Fill polygons with one outline around all of them together."""
        self.shapes.append(Shape(part, polygons, colour, True))

    def dab(self, part: str, polygon: Polygon, colour: Colour) -> None:
        """Fill a polygon without an outline."""
        self.shapes.append(Shape(part, [polygon], colour, False))

    def line(self, part: str, points: list[Point], width: float, colour: Colour = INK) -> None:
        """Draw a thick line along the points."""
        self.shapes.append(Shape(part, stroke(points, width), colour, False))

    def tube(self, part: str, points: list[Point], width: float, colour: Colour) -> None:
        """Draw a thick line with an ink outline."""
        self.line(part, points, width + 2 * OUTLINE)
        self.line(part, points, width, colour)


def draw_cat(pen: Pen, rng: random.Random) -> None:
    """A sitting cat that looks at you."""
    coat = rng.choice([(240, 158, 66), (158, 158, 170), (92, 86, 102), (178, 122, 78), (246, 222, 180)])
    coat = hsv(*(c + rng.uniform(-0.02, 0.02) for c in colorsys.rgb_to_hsv(*(c / 255 for c in coat))))
    pale, stripe = lighter(coat, 0.62), darker(coat, 0.32)
    iris = rng.choice([(150, 214, 72), (252, 214, 66), (110, 206, 232)])
    tip = rng.uniform(-0.1, 0.12)
    tail = curve([(0.2, 0.86), (0.66, 0.9), (0.88, 0.62), (0.8, 0.34 + tip)])
    pen.tube("tail", tail, 0.2, coat)
    pen.line("tail", tail[-6:], 0.2, pale)
    back = [(-0.3, 0.3), (0.3, 0.3), (0.47, 0.72), (0.36, 0.98), (-0.36, 0.98), (-0.47, 0.72)]
    pen.fill("body", blob(back), coat)
    pen.dab("body", ellipse(0, 0.62, 0.2, 0.26), pale)
    for side in (-1, 1):
        pen.fill("paw", ellipse(side * 0.19, 0.93, 0.16, 0.11), pale)
    for side in (-1, 1):
        ear = [(0.1, -0.56), (0.34, -0.82), (0.62, -1.0), (0.74, -0.62), (0.72, -0.16)]
        pen.fill("ear", mirrored(ear, side), coat)
        pen.dab("ear", mirrored([(0.32, -0.6), (0.57, -0.84), (0.62, -0.42)], side), BLUSH)
    right = [(0, -0.66), (0.42, -0.6), (0.74, -0.28), (0.8, 0.12), (0.5, 0.36), (0, 0.44)]
    pen.fill("head", blob(right + [(-x, y) for x, y in right[-2:0:-1]]), coat)
    for x in (-0.17, 0, 0.17):
        pen.line("head", [(x, -0.6), (x * 0.8, -0.43)], 0.085, stripe)
    pen.dab("muzzle", ellipse(0, 0.2, 0.34, 0.2), pale)
    for side in (-1, 1):
        pen.fill("eye", ellipse(side * 0.34, -0.12, 0.19, 0.2), iris)
        pen.dab("eye", ellipse(side * 0.34, -0.12, 0.085, 0.17), INK)
        pen.dab("eye", ellipse(side * 0.34 + 0.06, -0.2, 0.05, 0.05), WHITE)
        pen.line("muzzle", curve([(0, 0.16), (side * 0.06, 0.29), (side * 0.19, 0.26)]), 0.045)
        for rise in (-0.06, 0.05):
            pen.line("whisker", [(side * 0.44, 0.18 + rise / 2), (side * 0.9, 0.15 + rise * 2)], 0.03)
    pen.fill("nose", [(-0.1, 0.04), (0.1, 0.04), (0, 0.16)], (236, 108, 128))


def draw_fish(pen: Pen, rng: random.Random) -> None:
    """A banded fish, swimming to the left."""
    scales = paint(rng, [0.0, 0.04, 0.07, 0.12, 0.5, 0.56, 0.62, 0.8])
    fins = rng.choice([lighter(scales, 0.45), paint(rng, [0.04, 0.13, 0.55, 0.9])])
    upper = [(0.5, -0.05), (0.72, -0.34), (1.0, -0.6), (0.92, -0.2), (0.84, 0.02)]
    lower = [(0.94, 0.24), (1.0, 0.62), (0.7, 0.36), (0.5, 0.08)]
    pen.fill("tail", blob(upper + lower), fins)
    pen.fill("fin", blob([(-0.42, -0.4), (-0.12, -0.82), (0.3, -0.74), (0.36, -0.24), (0, -0.3)]), fins)
    pen.fill("fin", blob([(-0.22, 0.4), (0.0, 0.78), (0.22, 0.76), (0.26, 0.28)]), fins)
    back = [(-0.96, 0.06), (-0.74, -0.34), (-0.26, -0.54), (0.24, -0.4), (0.6, -0.08)]
    belly = [(0.6, 0.1), (0.24, 0.42), (-0.26, 0.54), (-0.74, 0.36)]
    pen.fill("body", blob(back + belly), scales)
    for x, height in ((-0.24, 0.53), (0.2, 0.41)):
        edge = curve([(x - 0.07, -height), (x + 0.12, 0), (x - 0.07, height)])
        pen.dab("band", edge + [(px + 0.17, py * 0.95) for px, py in reversed(edge)], WHITE)
    pen.fill("fin", blob([(-0.1, 0.1), (0.14, -0.02), (0.2, 0.16), (0.06, 0.32)]), fins)
    pen.fill("eye", ellipse(-0.58, -0.1, 0.19, 0.19), WHITE)
    pen.dab("eye", ellipse(-0.61, -0.09, 0.1, 0.11), INK)
    pen.dab("eye", ellipse(-0.645, -0.135, 0.035, 0.035), WHITE)
    pen.line("mouth", curve([(-0.92, 0.16), (-0.78, 0.25), (-0.66, 0.2)]), 0.055)


def draw_butterfly(pen: Pen, rng: random.Random) -> None:
    """A butterfly with open wings; tips, veins and spots all point to the body."""
    wing = paint(rng, [0.02, 0.07, 0.12, 0.57, 0.63, 0.78, 0.9])
    under = rng.choice([darker(wing, 0.22), lighter(wing, 0.3), paint(rng, [0.04, 0.12, 0.55, 0.85])])
    spot = rng.choice([lighter(wing, 0.72), paint(rng, [0.13, 0.52, 0.92], (0.35, 0.7), (0.9, 1.0))])
    dark, brown = mix(darker(wing, 0.5), INK, 0.5), (84, 60, 54)
    low = [(0.04, 0.02), (0.46, 0.06), (0.74, 0.3), (0.66, 0.66), (0.42, 0.9), (0.2, 0.64), (0.04, 0.3)]
    high = [(0.04, -0.24), (0.3, -0.68), (0.7, -0.92), (1.0, -0.86), (0.92, -0.34), (0.58, 0.04), (0.06, 0.06)]
    tip = [(0.62, -0.88), (0.84, -0.92), (0.98, -0.84), (0.94, -0.56), (0.86, -0.3), (0.8, -0.6)]
    for side in (-1, 1):
        pen.fill("wing", mirrored(blob(low), side), under)
        pen.fill("wing", mirrored(blob(high), side), wing)
        pen.dab("tip", mirrored(blob(tip), side), dark)
        for x, y in ((0.66, -0.76), (0.82, -0.34), (0.62, 0.3), (0.4, 0.76)):
            pen.line("vein", [(side * 0.08, math.copysign(0.1, y)), (side * x, y)], 0.035, dark)
        pen.dab("spot", ellipse(side * 0.6, -0.42, 0.17, 0.075, -40 * side), spot)
        pen.dab("spot", ellipse(side * 0.42, 0.46, 0.14, 0.065, 52 * side), spot)
        pen.line("antenna", curve([(0, -0.5), (side * 0.1, -0.8), (side * 0.32, -0.96)]), 0.05)
        pen.dab("antenna", ellipse(side * 0.32, -0.95, 0.07, 0.07, corners=12), INK)
    pen.fill("body", ellipse(0, 0.12, 0.13, 0.56), brown)
    for y in (-0.06, 0.14, 0.34, 0.52):
        half = 0.1 if y < 0.4 else 0.06
        pen.line("body", [(-half, y), (half, y)], 0.06, (240, 196, 112))
    pen.fill("head", ellipse(0, -0.46, 0.16, 0.15), brown)


def draw_flower(pen: Pen, rng: random.Random) -> None:
    """A flower with one ring of petals."""
    petal = paint(rng, [0.0, 0.04, 0.13, 0.6, 0.76, 0.84, 0.93])
    green = hsv(0.31 + rng.uniform(-0.03, 0.06), rng.uniform(0.55, 0.75), rng.uniform(0.5, 0.74))
    middle = rng.choice([(250, 204, 60), (128, 78, 48), (255, 232, 140)])
    count, turn = rng.choice([6, 7, 8]), rng.uniform(0, 60)
    pen.tube("stem", curve([(0, -0.1), (0.06, 0.4), (0.02, 0.98)]), 0.12, green)
    for side in (-1, 1):
        low = 0.08 * side
        leaf = [(0.04, 0.82), (0.16, 0.56), (0.5, 0.42), (0.56, 0.5), (0.42, 0.74)]
        pen.fill("leaf", mirrored(blob([(x, y + low) for x, y in leaf]), side), green)
        pen.line("leaf", mirrored([(0.12, 0.75 + low), (0.4, 0.57 + low)], side), 0.035, lighter(green, 0.4))
    for k in range(count):
        angle = turn + 360 * k / count
        x, y = math.cos(math.radians(angle)), math.sin(math.radians(angle))
        width = 1.5 / count
        pen.fill("petal", ellipse(0.46 * x, -0.32 + 0.46 * y, 0.29, width, angle), petal)
        pen.dab("petal", ellipse(0.53 * x, -0.32 + 0.53 * y, 0.15, width * 0.5, angle), lighter(petal, 0.35))
    pen.fill("centre", ellipse(0, -0.32, 0.28, 0.28), middle)
    pen.dab("centre", ellipse(-0.04, -0.36, 0.18, 0.17), lighter(middle, 0.3))
    for k in range(5):
        angle = math.radians(turn + 72 * k)
        x, y = 0.16 * math.cos(angle), -0.32 + 0.16 * math.sin(angle)
        pen.dab("centre", ellipse(x, y, 0.035, 0.035, corners=8), darker(middle, 0.4))


def draw_mushroom(pen: Pen, rng: random.Random) -> None:
    """A toadstool with pale dots."""
    cap = paint(rng, [0.0, 0.98, 0.03, 0.07, 0.1, 0.6, 0.77], (0.65, 0.9), (0.7, 0.95))
    stem = rng.choice([(248, 238, 218), (238, 222, 192), (252, 250, 244)])
    right = [(0.2, -0.02), (0.21, 0.4), (0.3, 0.74), (0.34, 0.92), (0.14, 0.98)]
    pen.fill("stem", blob([(-x, y) for x, y in right] + right[::-1]), stem)
    shade = [(0.08, 0.1), (0.1, 0.5), (0.2, 0.88), (0.29, 0.84), (0.2, 0.5), (0.19, 0.1)]
    pen.dab("stem", blob(shade), darker(stem, 0.12))
    hem = [(0.34, 0.32), (0.2, 0.27), (0.1, 0.36), (0, 0.28), (-0.1, 0.36), (-0.2, 0.27), (-0.34, 0.32)]
    pen.fill("skirt", [(-0.22, 0.14), (0.22, 0.14), *hem], lighter(stem, 0.5))
    dome = ellipse(0, 0.02, 0.92, 0.94, start=180, end=360) + ellipse(0, 0.02, 0.92, 0.16, start=0, end=180)
    pen.fill("cap", dome, cap)
    pen.dab("cap", blob([(-0.74, -0.18), (-0.6, -0.52), (-0.26, -0.78), (-0.46, -0.44)]), lighter(cap, 0.3))
    pen.dab("gills", ellipse(0, 0.06, 0.66, 0.085), darker(stem, 0.22))
    large = [(-0.5, -0.26, 0.14), (0.03, -0.6, 0.17), (0.5, -0.3, 0.15)]
    small = [(0.0, -0.19, 0.11), (-0.3, -0.6, 0.08), (0.38, -0.66, 0.08)]
    for x, y, radius in large + small:
        pen.dab("dot", ellipse(x, y, radius, radius * 0.92), WHITE)


def draw_tree(pen: Pen, rng: random.Random) -> None:
    """An apple tree, green or in autumn."""
    green = hsv(0.3 + rng.uniform(-0.05, 0.06), 0.66, rng.uniform(0.5, 0.74))
    autumn = hsv(0.08 + rng.uniform(-0.03, 0.04), 0.76, 0.88)
    leaves = rng.choice([green, green, green, autumn])
    apple = rng.choice([(222, 52, 48), (250, 206, 66), (244, 138, 160)])
    right = [(0.11, 0.0), (0.13, 0.5), (0.18, 0.82), (0.36, 1.0)]
    pen.fill("trunk", right + [(-x, y) for x, y in right[::-1]], WOOD)
    pen.tube("trunk", [(0.02, 0.42), (0.3, 0.1)], 0.11, WOOD)
    pen.tube("trunk", [(-0.02, 0.5), (-0.28, 0.16)], 0.09, WOOD)
    pen.line("trunk", [(-0.02, 0.5), (-0.02, 0.78)], 0.045, darker(WOOD, 0.3))
    outer = [(-0.5, -0.06, 0.34), (0.5, -0.08, 0.34), (-0.36, -0.5, 0.36), (0.36, -0.52, 0.36), (0, -0.66, 0.34)]
    puffs = [*outer, (0, -0.14, 0.42)]
    pen.fill_all("crown", [ellipse(x, y, r, r) for x, y, r in puffs], darker(leaves, 0.16))
    for x, y, r in puffs:
        pen.dab("crown", ellipse(x - 0.03, y - 0.06, r * 0.86, r * 0.82), leaves)
    for x, y, r in outer:
        pen.dab("crown", ellipse(x - 0.06, y - 0.13, r * 0.45, r * 0.34), lighter(leaves, 0.24))
    low = [(-0.58, 0.08), (0.56, 0.02), (0.12, 0.06), (0.3, -0.2)]
    for x, y in [*low, (-0.22, -0.28), (0.26, -0.6), (-0.36, -0.64)]:
        pen.dab("fruit", ellipse(x, y, 0.09, 0.09, corners=16), apple)


def draw_house(pen: Pen, rng: random.Random) -> None:
    """A house with a chimney, a door and three windows."""
    wall = paint(rng, [0.1, 0.13, 0.0, 0.54, 0.6, 0.92, 0.3], (0.14, 0.46), (0.86, 1.0))
    roof = paint(rng, [0.0, 0.03, 0.6, 0.09, 0.76, 0.46], (0.55, 0.8), (0.6, 0.85))
    glass = rng.choice([(255, 236, 146), (168, 220, 248)])
    pen.fill("chimney", rectangle(0.34, -0.92, 0.56, -0.3), (186, 96, 74))
    pen.fill("chimney", rectangle(0.3, -1.0, 0.6, -0.88), (160, 80, 64))
    pen.fill("wall", rectangle(-0.74, -0.2, 0.74, 0.92), wall)
    pen.dab("wall", rectangle(-0.74, -0.2, 0.74, 0.0), darker(wall, 0.16))
    pen.fill("roof", [(-1.0, -0.1), (-0.08, -0.92), (0.08, -0.92), (1.0, -0.1)], roof)
    for y, half in ((-0.28, 0.7), (-0.5, 0.46)):
        pen.line("roof", [(-half, y), (half, y)], 0.04, darker(roof, 0.28))
    arch = ellipse(0, 0.46, 0.19, 0.19, start=180, end=360)
    pen.fill("door", [*arch, (0.19, 0.92), (-0.19, 0.92)], darker(roof, 0.1))
    pen.dab("door", ellipse(0.1, 0.64, 0.04, 0.04, corners=8), (252, 222, 96))
    for x in (-0.47, 0.47):
        pen.fill("window", rectangle(x - 0.17, 0.16, x + 0.17, 0.54), glass)
        pen.line("window", [(x, 0.16), (x, 0.54)], 0.05)
        pen.line("window", [(x - 0.17, 0.35), (x + 0.17, 0.35)], 0.05)
        pen.line("window", [(x - 0.2, 0.58), (x + 0.2, 0.58)], 0.07, WHITE)
    pen.fill("window", ellipse(0, -0.5, 0.15, 0.15), glass)


def draw_car(pen: Pen, rng: random.Random) -> None:
    """A round little car, driving to the right."""
    coat = paint(rng, [0.0, 0.03, 0.13, 0.35, 0.52, 0.6, 0.76, 0.93], (0.55, 0.85), (0.72, 0.98))
    glass = (194, 230, 248)
    pen.fill(
        "cabin", blob([(-0.66, 0.04), (-0.52, -0.4), (-0.24, -0.6), (0.16, -0.6), (0.42, -0.4), (0.64, 0.04)]), coat
    )
    rear = [(-0.46, -0.08), (-0.38, -0.34), (-0.22, -0.46), (-0.07, -0.47), (-0.06, -0.08)]
    front = [(0.06, -0.08), (0.06, -0.47), (0.16, -0.46), (0.32, -0.33), (0.44, -0.08)]
    pen.fill("window", curve(rear), glass)
    pen.fill("window", curve(front), glass)
    for x in (-0.34, 0.14):
        pen.line("window", [(x, -0.12), (x + 0.12, -0.34)], 0.05, WHITE)
    top = [(-0.98, 0.36), (-1.0, 0.12), (-0.86, -0.04), (-0.4, -0.06), (0.5, -0.05), (0.86, 0.06)]
    pen.fill("body", blob([*top, (1.0, 0.22), (0.98, 0.38), (0, 0.44)]), coat)
    pen.line("body", curve([(-0.86, 0.04), (-0.3, 0.01), (0.5, 0.03)]), 0.06, lighter(coat, 0.45))
    pen.line("bumper", [(-0.96, 0.36), (0.96, 0.36)], 0.09, darker(coat, 0.35))
    pen.line("body", [(0.08, 0.14), (0.22, 0.14)], 0.055)
    pen.fill("light", ellipse(0.88, 0.17, 0.09, 0.1), (255, 240, 150))
    pen.fill("light", ellipse(-0.93, 0.15, 0.06, 0.09), (228, 50, 48))
    for x in (-0.54, 0.54):
        pen.fill("wheel", ellipse(x, 0.42, 0.27, 0.27), (58, 52, 64))
        pen.dab("wheel", ellipse(x, 0.42, 0.15, 0.15), (216, 216, 222))
        pen.dab("wheel", ellipse(x, 0.42, 0.06, 0.06, corners=16), darker(coat, 0.2))


def draw_sailboat(pen: Pen, rng: random.Random) -> None:
    """A boat with two sails and a flag."""
    hull = paint(rng, [0.0, 0.05, 0.08, 0.46, 0.6, 0.76], (0.55, 0.82), (0.6, 0.88))
    main = rng.choice([WHITE, CREAM, paint(rng, [0.02, 0.1, 0.13, 0.55, 0.93], (0.3, 0.75))])
    jib = rng.choice([lighter(main, 0.4), paint(rng, [0.0, 0.1, 0.13, 0.55, 0.62, 0.9])])
    flag = [*curve([(0, -1.0), (-0.16, -0.96), (-0.32, -1.0)]), (-0.32, -0.84), (0, -0.84)]
    pen.tube("mast", [(0, 0.46), (0, -0.96)], 0.085, WOOD)
    pen.fill("flag", flag, paint(rng, [0.0, 0.13, 0.6]))
    pen.fill("sail", [*curve([(0.08, -0.86), (0.4, -0.4), (0.66, 0.0), (0.8, 0.3)]), (0.08, 0.3)], main)
    pen.dab("sail", [(0.08, -0.2), (0.54, -0.2), (0.66, 0.0), (0.08, 0.0)], jib)
    pen.fill("sail", [*curve([(-0.08, -0.72), (-0.36, -0.3), (-0.66, 0.3)]), (-0.08, 0.3)], jib)
    side = [(-0.98, 0.42), (0.98, 0.42), (0.86, 0.68), (0.62, 0.92), (-0.6, 0.92), (-0.84, 0.68)]
    pen.fill("hull", side, hull)
    pen.dab("hull", [(-0.94, 0.48), (0.94, 0.48), (0.9, 0.59), (-0.9, 0.59)], WHITE)
    pen.dab("hull", [(-0.7, 0.82), (0.72, 0.82), (0.62, 0.92), (-0.6, 0.92)], darker(hull, 0.3))
    for x in (-0.44, 0, 0.44):
        pen.dab("porthole", ellipse(x, 0.71, 0.08, 0.08, corners=16), lighter(hull, 0.65))


def draw_umbrella(pen: Pen, rng: random.Random) -> None:
    """An open umbrella with five panels."""
    cloth = paint(rng, [0.0, 0.13, 0.4, 0.54, 0.6, 0.76, 0.85, 0.94])
    other = rng.choice([lighter(cloth, 0.75), WHITE, paint(rng, [0.02, 0.13, 0.55, 0.9])])
    pen.tube("handle", curve([(0, -0.9), (0, 0.1), (0, 0.74)]), 0.075, WOOD)
    hook = curve([(0, 0.74), (0.04, 0.9), (0.17, 0.97), (0.31, 0.9), (0.33, 0.76)])
    pen.tube("handle", hook, 0.115, darker(WOOD, 0.15))

    def seam(x: float) -> Polygon:
        outer, inner = [(0.97, -0.3), (0.72, -0.63), (0.36, -0.81)], [(1.0, -0.28), (0.86, -0.54), (0.5, -0.76)]
        bulge = outer if abs(x) > 0.9 else inner
        return curve([(x, 0.06), *((x * share, y) for share, y in bulge), (0.0, -0.86)])

    rim, panels = [-0.96, -0.58, -0.2, 0.2, 0.58, 0.96], []
    for left, right in itertools.pairwise(rim):
        scallop = curve([(right, 0.06), ((left + right) / 2, -0.06), (left, 0.06)])
        panels.append(seam(left) + seam(right)[::-1] + scallop)
    pen.fill_all("canopy", panels, cloth)
    for panel, colour in zip(panels, [cloth, other, cloth, other, cloth], strict=True):
        pen.dab("canopy", panel, colour)
    for x in rim[1:-1]:
        pen.line("canopy", seam(x), 0.035)
    pen.line("tip", [(0, -0.88), (0, -0.98)], 0.08)


class Kind(NamedTuple):
    """How a class is drawn: its function, how far it may tilt (degrees either way), its parts."""

    draw: Callable[[Pen, random.Random], None]
    tilt: float
    parts: tuple[str, ...]


KINDS = {
    "cat": Kind(draw_cat, 14, ("tail", "body", "paw", "ear", "head", "muzzle", "eye", "whisker", "nose")),
    "fish": Kind(draw_fish, 28, ("tail", "fin", "body", "band", "eye", "mouth")),
    "butterfly": Kind(draw_butterfly, 38, ("wing", "tip", "vein", "spot", "antenna", "body", "head")),
    "flower": Kind(draw_flower, 18, ("stem", "leaf", "petal", "centre")),
    "mushroom": Kind(draw_mushroom, 16, ("stem", "skirt", "cap", "gills", "dot")),
    "tree": Kind(draw_tree, 10, ("trunk", "crown", "fruit")),
    "house": Kind(draw_house, 10, ("chimney", "wall", "roof", "door", "window")),
    "car": Kind(draw_car, 14, ("cabin", "window", "body", "bumper", "light", "wheel")),
    "sailboat": Kind(draw_sailboat, 14, ("mast", "flag", "sail", "hull", "porthole")),
    "umbrella": Kind(draw_umbrella, 28, ("handle", "canopy", "tip")),
}
CLASSES = tuple(KINDS)
