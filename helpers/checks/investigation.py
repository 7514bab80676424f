"""Checks of assignment 8: of each study, what can be asked of any honest answer. A person reads the rest.

The measures that the hidden halves are judged by stand here, too: they are given pictures and maps alone.
"""

import functools

import torch

from helpers.checks import core
from helpers.checks.measure import same
from helpers.checks.networks import tiny_network
from helpers.checks.problems import small_problem
from helpers.models import load_model
from helpers.pictures import picture_book, picture_pairs
from helpers.synthesis import cloud

OTHER_SEEDS = ("picturebook-seed1", "picturebook-seed2")
SIDE = 48  # of the pictures that the networks of the picture book are asked about, for speed
STEPS = 40  # enough for a drawing that other networks name
FEW = 15  # enough for a higher score

# ------------------------------------------------------------------------------------------------ a class


@functools.cache
def book(name="picturebook-robust"):
    """Return a network of the picture book on the CPU."""
    return load_model(name, "cpu")


def start_of(seed, size=(12, 16), dtype=torch.float64):
    """Return an image (1, 3, *size) of values around mid grey, from which every pixel can go both ways."""
    generator = torch.Generator().manual_seed(seed)
    return (0.35 + 0.3 * torch.rand(1, 3, *size, generator=generator, dtype=torch.float64)).to(dtype)


def sure_network(seed, size=(12, 16), **options):
    """Return a tiny network whose scores have slopes as steep as those of a real one."""
    return tiny_network(seed, size, gain=30, **options)


def is_picture(image):
    """Tell whether all values are finite and in [0, 1], but for rounding."""
    return bool(torch.isfinite(image).all() and image.min() >= -1e-6 and image.max() <= 1 + 1e-6)


def rise(before, after, target, model):
    """Return by how much the score of a class is higher for the second image (1, 3, H, W)."""
    with torch.no_grad():
        return float((model(after.to(before)) - model(before))[0, target])


def told_by_others(images, targets):
    """Return of how many images (N, 3, H, W) a network of other first weights names the target as the class."""
    with torch.no_grad():
        named = [book(name)(images.float()).argmax(dim=1) for name in OTHER_SEEDS]
    return int(sum((each == torch.as_tensor(targets)).int() for each in named).clamp(max=1).sum())


def is_ascent_of_assignment_4(start, first, second, target, model):
    """Tell whether two steps are those of assignment 4: along the score's gradient, jittered or not, and towards grey.

    Each step must be a * gradient + b * (image - 0.5), and a, or the length of a * gradient, must be the same in both.
    That is measured for all places to which an image can be shifted before its step.

    Args:
        start, first, second: the image (1, 3, H, W) before, and after one and two steps; no value is at 0 or 1.
        target: the class.
        model: a tiny network of these images.
    """
    found = []
    for before, after in ((start, first), (first, second)):
        fits = _fits(before, (after - before).to(before), target, model)
        if not fits:
            return False
        found.append(fits)
    matches = [pair for one in found[0] for two in found[1] for pair in zip(one, two, strict=True)]
    return any(abs(x - y) <= 0.02 * abs(x) for x, y in matches)


def _fits(image, move, target, model):
    """Return (a, length of a * gradient) for each shift by which the move is a * gradient + b * (image - 0.5)."""
    height, width = image.shape[2:]
    shifts = [(down, right) for down in range(height) for right in range(width)]
    moved = torch.cat([image.roll(shift, (2, 3)) for shift in shifts]).detach().requires_grad_()
    slopes = torch.autograd.grad(model(moved)[:, target].sum(), moved)[0]
    flat, pull = move.flatten().double(), (image - 0.5).flatten().double()
    found = []
    for slope, (down, right) in zip(slopes, shifts, strict=True):
        back = slope.roll((-down, -right), (1, 2)).flatten().double()
        basis = torch.stack([back, pull], dim=1)
        weights = torch.linalg.lstsq(basis, flat[:, None]).solution[:, 0]
        if float(weights[0]) > 0 and same(basis @ weights, flat, 1e-3):
            found.append((float(weights[0]), float(weights[0] * back.norm())))
    return found


my_visualisation = core.Checks("my_visualisation", "(target, model, start, steps) -> (1, 3, H, W)")


@my_visualisation.part
def _(function):
    """a picture comes back: of the start's shape, detached, with finite values in [0, 1]"""
    for seed, size in ((801, (12, 16)), (802, (9, 11))):
        start, model = start_of(seed, size), sure_network(seed, size)
        _expect_picture(function(2, model, start.clone(), 12), start)


@my_visualisation.part
def _(function):
    """with no steps, the picture is where it starts"""
    start, model = start_of(803), sure_network(803)
    result, later = (_with_seed(3, lambda n=n: function(1, model, start.clone(), n)) for n in (0, 5))
    _expect_picture(result, start)
    away = float((result - start).abs().max())
    core.expect(
        away <= 0.05,
        found=f"for 0 steps, a pixel that is {away:.2f} away from the start",
        wanted="the start itself, up to 0.05 for squashing and back",
        cause="`steps` is not used: 0 and 5 steps give the same picture"
        if same(result, later, 1e-6)
        else core.Questions("Does the picture begin at `start`?", "Is it stretched or blurred after the last step?"),
    )


@my_visualisation.part
def _(function):
    """the score of the class rises, on each network that is passed in"""
    start, results = cloud(SIDE, seed=4), []
    for name, target in (("picturebook-robust", 3), ("picturebook", 3), ("picturebook", 8)):
        result = function(target, book(name), start.clone(), FEW).detach()
        results.append(result)
        core.expect(
            not same(result, start, 1e-4),
            found=f"the start, unchanged by {FEW} steps",
            wanted="a picture with a higher score of its class",
            cause=core.Questions("Does the optimiser hold what the picture is made of?", "Does it step?"),
        )
        higher = rise(start, result, target, book(name))
        downhill = higher < 0 and all(rise(start, result, other, book(name)) >= higher for other in range(10))
        core.expect(
            higher > 0,
            found=f"score {target} is {-higher:.3g} lower after {FEW} steps",
            wanted="a higher score",
            cause="of all scores it falls most: an optimiser goes downhill, so give it minus the score"
            if downhill
            else core.Questions("Is it the score of `target` that is raised?", "Is `model` asked, or another network?"),
        )
    core.expect(
        not same(results[0], results[1], 1e-6),
        found="for another network, the picture of an earlier call",
        wanted="a picture that is made anew in every call, from what is passed in",
        cause="a result is kept from call to call, or another network than `model` is asked",
    )


@my_visualisation.part
def _(function):
    """it is another optimisation than that of assignment 4"""
    start, model = start_of(807), sure_network(807)
    first, second = (_with_seed(7, lambda n=n: function(2, model, start.clone(), n)).detach() for n in (1, 2))
    core.expect(
        not is_ascent_of_assignment_4(start, first, second, 2, model),
        found="two steps along the gradient of the score, with or without a pull to grey",
        wanted="another optimisation than the steps of assignment 4",
        cause="the steps are those of `class_visualization_step`: take another optimiser, objective, or kind of image",
    )


@my_visualisation.part
def _(function):
    """two classes of the picture book give two pictures, and a network of other first weights names one or both"""
    targets, start = (0, 7), cloud(SIDE, seed=8)  # none of which is seen in the clouds
    images = [function(target, book(), start.clone(), STEPS).detach() for target in targets]
    core.expect(
        not same(images[0], images[1], 1e-4),
        found="the same picture for two classes",
        wanted="a picture for each class",
        cause="`target` is not used, or a result is kept from call to call",
    )
    hits = told_by_others(torch.cat(images), targets)
    core.expect(
        hits > 0,
        found=f"after {STEPS} steps, neither of two drawings is named right by networks of other first weights",
        wanted="a drawing that another network of the same ten classes names as well",
        cause=core.Questions("Are the steps long enough for 40 of them?", "Does grain hide the drawing: blur, jitter?"),
    )


@my_visualisation.part
def _(function):
    """a start in float32 gives a picture in float32, and one in float64 one in float64"""
    for dtype in (torch.float64, torch.float32):
        start, model = start_of(808, dtype=dtype), sure_network(808, dtype=dtype)
        _expect_picture(function(0, model, start.clone(), 2), start)


@my_visualisation.part
def _(function):
    """the start and a network in training use are as they were, hooks included"""
    start, model = start_of(809), sure_network(809, trainable=True)
    core.expect_left_alone(lambda: function(3, model, start, 3), model, start=start)
    core.expect_eval_mode(model)


def _expect_picture(result, start):
    core.check_tensor(result, start.shape, start, "one image in, one image out")
    core.expect(
        bool(torch.isfinite(result).all()),
        found="values that are NaN or infinite",
        wanted="finite values",
        cause=core.Questions("Is something divided by a length that can be 0?", "Is the learning rate far too large?"),
    )
    low, high = float(result.min()), float(result.max())
    core.expect(
        is_picture(result),
        found=f"values from {low:.3g} to {high:.3g}",
        wanted="values in [0, 1]",
        cause="nothing keeps the pixels in [0, 1]: clamp after each step, or let a sigmoid make them",
    )


def _with_seed(seed, call):
    """Return what a call gives whose random numbers are those of this seed; torch's own go on as before."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return call()


# ------------------------------------------------------------------------------------------------ a prediction


def ranks(maps):
    """Return the place of each pixel among those of its map (N, H, W), in [0, 1], 1 for the highest."""
    flat = maps.flatten(1).double()
    ordered = flat.sort(dim=1).values.contiguous()
    less, not_more = torch.searchsorted(ordered, flat), torch.searchsorted(ordered, flat, right=True)
    return ((less + not_more) / (2 * flat.shape[1])).view_as(maps)


def turned_to_the_object(maps, masks):
    """Return in how many cases a map ranks an object higher when it is asked about that object.

    Args:
        maps: (2, N, H, W): for the first label of each picture, and for the second.
        masks: (N, 2, H, W) bool: where the first object is, and where the second.

    Returns:
        A number from 0 to 2 N: in how many cases the pixels of an object have a higher mean rank in its own map.
    """
    hits = 0
    placed = ranks(maps.flatten(0, 1)).view_as(maps)
    for k, (first, second) in enumerate(masks):
        hits += int(placed[0, k][first].mean() > placed[1, k][first].mean())
        hits += int(placed[1, k][second].mean() > placed[0, k][second].mean())
    return hits


def distinct(things):
    """Return how many of N images or maps are constant nowhere and like no earlier one."""
    kept: list[torch.Tensor] = []
    for each in things:
        if each.max() > each.min() and not any(same(each, other, 1e-2) for other in kept):
            kept.append(each)
    return len(kept)


def ten_scenes(seed):
    """Return ten pictures, one of each class."""
    return picture_book(10, seed, size=SIDE)


def explained_problem(seed, count, size=(12, 16), **options):
    """Return images, labels that are not predicted, and a tiny network that is sure."""
    return small_problem(seed, count, size=size, gain=30, **options)


my_explanation = core.Checks("my_explanation", "(images, labels, model) -> (N, H, W)")


@my_explanation.part
def _(function):
    """a map for each image comes back: detached, with finite values, and not all of them constant"""
    for seed, count, size in ((811, 3, (12, 16)), (812, 1, (9, 11))):
        images, labels, model = explained_problem(seed, count, size)
        maps = function(images.clone(), labels.clone(), model)
        _expect_maps(maps, images)
    maps = function(*explained_problem(813, 3))
    core.expect(
        any(each.max() > each.min() for each in maps),
        found="maps that have one value everywhere",
        wanted="maps that tell the pixels apart",
        cause=core.Questions("Is anything computed from images and model?", "Does a ReLU or a clamp wipe all out?"),
    )


@my_explanation.part
def _(function):
    """each map is about its own image and label"""
    images, labels, model = explained_problem(814, 3)
    core.expect_own_label(lambda asked: _with_seed(4, lambda: function(images.clone(), asked, model)).detach(), labels)


@my_explanation.part
def _(function):
    """another network, or another picture, gets another map"""
    images, labels, model = explained_problem(815, 3)
    core.expect_nothing_kept(
        lambda given, network: _with_seed(5, lambda: function(given, labels.clone(), network)), images, model, seed=815
    )


@my_explanation.part
def _(function):
    """asked about one of two objects, a map turns to it"""
    pictures = picture_pairs(4, seed=82)
    maps = [
        _with_seed(6, lambda k=k: function(pictures.images.clone(), pictures.labels[:, k], book())).detach()
        for k in (0, 1)
    ]
    hits = turned_to_the_object(torch.stack(maps), pictures.masks)
    core.expect(
        hits >= 6,
        found=f"in {hits} of 8 cases, an object ranks higher in its own map than in that of the other object",
        wanted="6 or more",
        cause="high values stand for what speaks against the label; turn the sign"
        if hits <= 2 and not same(maps[0], maps[1], 1e-6)
        else core.Questions("Is it score y at label y that the map is about?", "Do high values mean: important?"),
    )


@my_explanation.part
def _(function):
    """a dark picture, and a black one, get maps without NaN"""
    images, labels, model = explained_problem(816, 2)
    for factor in (0.01, 0.0):
        _expect_maps(function(factor * images, labels.clone(), model), images)
    flat = tiny_network(816, (12, 16), gain=0)  # scores that depend on nothing
    _expect_maps(function(images.clone(), labels.clone(), flat), images)


@my_explanation.part
def _(function):
    """images in float32 give maps in float32, and those in float64 maps in float64"""
    for dtype in (torch.float64, torch.float32):
        images, labels, model = explained_problem(817, 2, dtype=dtype)
        _expect_maps(function(images.clone(), labels.clone(), model), images)


@my_explanation.part
def _(function):
    """the images and a network in training use are as they were, hooks included"""
    images, labels, model = explained_problem(818, 2, trainable=True)
    core.expect_left_alone(lambda: function(images, labels, model), model, images=images, labels=labels)


def _expect_maps(maps, images):
    shape = (len(images), *images.shape[2:])
    core.check_tensor(maps, shape, images, "a value for each pixel of each image")
    core.expect(
        bool(torch.isfinite(maps).all()),
        found="values that are NaN or infinite",
        wanted="finite values, for a dark picture and for a network without slopes, too",
        cause=core.Questions("Is something divided by a largest value, or a length, that can be 0?"),
    )
