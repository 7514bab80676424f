"""Checks of assignment 5: each takes the student's function of the same name.

The losses are put to small cases whose values can be counted on fingers. Their slopes are compared with difference
quotients of the student's own function. The step is watched by a loss and by optimisers whose moves are known.
"""

import itertools
import math

import torch

from helpers.checks import core
from helpers.checks.measure import same

# ------------------------------------------------------------------------------------------------ content

content_loss = core.Checks("content_loss", "(features, target, weight) -> a number")


@content_loss.part
def _(function):
    """one number comes back, which is still connected to the features"""
    features, target = _noise(501, (1, 2, 3, 4)), _noise(502, (1, 2, 3, 4))
    _expect_number(lambda features: function(features, target.clone(), 0.5), features)


@content_loss.part
def _(function):
    """it is the weight times the sum of the squared differences"""
    for weight in (1.0, 0.25, 6.0):
        features, target, moves = _moved_in_a_few_places(503, count=1)
        _explain_sum(function(features.clone(), target.clone(), weight), moves, weight, features, target)


@content_loss.part
def _(function):
    """for three images, the sum runs over all of them"""
    features, target, moves = _moved_in_a_few_places(504, count=3)
    _explain_sum(function(features.clone(), target.clone(), 2.0), moves, 2.0, features, target)


@content_loss.part
def _(function):
    """its slope at the features is the one that difference quotients measure"""
    target = _noise(506, (2, 2, 2, 3))
    _expect_slope(lambda features: function(features, target.clone(), 0.7), _noise(505, (2, 2, 2, 3)))


@content_loss.part
def _(function):
    """features and target are as they were, and a second call gives the same"""
    features, target = _noise(507, (2, 2, 2, 3)), _noise(508, (2, 2, 2, 3))
    with core.untouched(features=features, target=target):
        first = function(features, target, 0.5)
    core.expect_repeatable(first, function(features, target, 0.5), features)


def _moved_in_a_few_places(seed, count):
    """Return features (count, 3, 2, 4), which differ from the target in a few places, the target, and by how much."""
    target = _noise(seed, (count, 3, 2, 4)).round()
    features, moves = target.clone(), [1.0, -2.0, 3.0][:count] if count > 1 else [1.0, -2.0, 3.0]
    for number, move in enumerate(moves):
        features[number % count, number % 3, number % 2, number] += move
    return features, target, moves


def _explain_sum(result, moves, weight, features, target):
    """Raise CheckFailed unless the result is weight times the sum of the squared moves, with the likeliest reason."""
    squares, sizes = sum(move**2 for move in moves), sum(map(abs, moves))
    entries, count = features.numel(), len(features)
    usual = [
        (squares, "the weight is not used"),
        (weight**2 * squares, "the weight is squared as well: it multiplies the sum"),
        (weight * squares / entries, "a mean over all entries; take the sum"),
        (weight * squares / 2, "a factor of 1/2; the weight is the only factor"),
        (weight * math.sqrt(squares), "the norm, which is the root of the sum of squares; leave the root out"),
        (weight * sizes, "`abs`; the differences are squared"),
        (weight * sum(moves) ** 2, "the square of the sum; take the squares first, then the sum"),
        (weight * float((features**2 - target**2).sum()), "a difference of squares; square the difference"),
        (weight * squares / count, "a mean over the images of the batch; take the sum"),
        (weight * moves[0] ** 2, "the first image alone; the sum runs over all images"),
    ]
    _explain_number(result, weight * squares, usual, f"{weight:g} times the sum of the squared differences")


# ------------------------------------------------------------------------------------------------ Gram matrix

gram_matrix = core.Checks("gram_matrix", "(features, normalize=True) -> (N, C, C)")


@gram_matrix.part
def _(function):
    """for one image, a matrix with a row and a column for each channel comes back, connected to the features"""
    features = _noise(521, (1, 2, 4, 5)).requires_grad_()
    grams = function(features * 1)
    _expect_grams(grams, features)
    core.expect(
        grams.requires_grad,
        found="a result without a way back to the features",
        wanted="a tensor that can be differentiated",
        cause=DETACHED,
    )


@gram_matrix.part
def _(function):
    """not normalised, an entry is the sum over all places of the products of two channels"""
    features = _dotted(_DOTS[:1])
    _explain_gram(function(features.clone(), False), features, _WANTED[:1])


@gram_matrix.part
def _(function):
    """normalised, which is the default, it is divided by the number of channels times that of places"""
    features = _dotted(_DOTS[:1])
    for found in (function(features.clone()), function(features.clone(), True)):
        _explain_factor(found, features, _WANTED[:1])


@gram_matrix.part
def _(function):
    """three images have three matrices, each its own"""
    features = _dotted(_DOTS)
    grams = function(features.clone(), False)
    _expect_grams(grams, features)
    _explain_gram(grams, features, _WANTED)
    _explain_factor(function(features.clone()), features, _WANTED)


@gram_matrix.part
def _(function):
    """its slope at the features is the one that difference quotients measure"""
    pattern = _noise(525, (2, 2, 2))
    _expect_slope(lambda features: (function(features) * pattern).sum(), _noise(524, (2, 2, 2, 3)))


@gram_matrix.part
def _(function):
    """the features are as they were, and a second call gives the same"""
    features = _noise(526, (2, 3, 2, 3))
    with core.untouched(features=features):
        first = function(features).detach().clone()
    core.expect_repeatable(first, function(features).detach(), features)


# Three images of two channels with 4 x 5 places: (channel, row, column): value, 0 elsewhere. And their Gram matrices.
_DOTS = (
    {(0, 0, 0): 1, (0, 1, 3): 2, (0, 3, 4): -1, (1, 0, 0): 3, (1, 3, 4): 1, (1, 2, 1): 2},
    {(0, 2, 2): 2, (0, 3, 0): 1, (1, 2, 2): -1, (1, 0, 4): 1},
    {(0, 1, 1): 3, (1, 1, 1): 1, (1, 1, 2): 1, (1, 3, 3): -2},
)
_WANTED = torch.tensor([[[6, 2], [2, 14]], [[5, -2], [-2, 2]], [[9, 3], [3, 6]]], dtype=torch.float64)


def _dotted(images):
    features = torch.zeros(len(images), 2, 4, 5, dtype=torch.float64)
    for number, dots in enumerate(images):
        for place, value in dots.items():
            features[number][place] = value
    return features


def _expect_grams(grams, features):
    """Raise CheckFailed unless the result has the shape and the kind of Gram matrices of the features."""
    count, channels, height, width = features.shape
    core.expect(
        isinstance(grams, torch.Tensor),
        found=core.type_of(grams),
        wanted="a torch tensor",
        cause=_cause_of_no_tensor(grams),
    )
    usual = {
        (channels, channels): "the axis of the images is lost"
        + (", or summed over; each image has a matrix of its own" if count > 1 else "; keep it for a single image too"),
        (1, count * channels, count * channels): MIXED,
        (count * channels, count * channels): MIXED,
        (
            count,
            height * width,
            height * width,
        ): "the sum runs over the channels; the product is taken the other way round",
    }
    asked = core.Questions("Over which axis do you sum?", "Which axes are joined by `view` or `reshape`?")
    core.expect(
        grams.shape == (count, channels, channels),
        found=f"shape {tuple(grams.shape)} for features of shape {tuple(features.shape)}",
        wanted=f"shape {(count, channels, channels)}",
        cause=usual.get(tuple(grams.shape), asked),
    )
    core.expect(
        grams.dtype == features.dtype,
        found=f"a {grams.dtype} tensor",
        wanted=f"{features.dtype}, as the features",
        cause="a conversion, such as `.float()`, or a new tensor without `dtype=features.dtype`",
    )


MIXED = "`view(N * C, H * W)` joins images and channels; keep the axis of the images: `view(N, C, H * W)`"
DETACHED = "`.detach()`, `.data`, `.item()` or `torch.no_grad()` cuts the way back; return the tensor as it comes"


def _explain_gram(grams, features, wanted):
    """Raise CheckFailed unless these are the Gram matrices, not normalised, with the likeliest reason."""
    grams = grams.detach()
    if same(grams, wanted, 1e-9):
        return
    count, channels = features.shape[:2]
    places = features[0, 0].numel()
    flat = features.flatten(2)
    misread = features.reshape(count, places, channels).transpose(1, 2)
    centred = flat - flat.mean(dim=2, keepdim=True)
    unit = flat / flat.norm(dim=2, keepdim=True)
    usual = [
        (
            _products(misread),
            "other products",
            "`view` to (N, H * W, C) reads the numbers in another order; use `transpose`",
        ),
        (_products(centred), "the covariances", "the mean of each channel is subtracted; leave it in"),
        (_products(unit), "values from -1 to 1", "each channel is scaled to length 1; leave it as it is"),
        (_products(flat.abs()), "products of sizes", "`abs`; activations count with their sign"),
        (_products(flat.clamp(min=0)), "products of what is positive", "a ReLU; activations count with their sign"),
        (wanted.flip(0), "the matrices in another order", "images are exchanged"),
        (
            wanted.sum(dim=0).expand_as(wanted),
            "one matrix for all images",
            "a sum over the batch; keep the axis of the images",
        ),
        (
            wanted.mean(dim=0).expand_as(wanted),
            "one matrix for all images",
            "a mean over the batch; keep the axis of the images",
        ),
    ]
    match = core.first_match(grams, usual)
    if match:
        raise core.CheckFailed(match[0], f"the sums of products {_rows(wanted[0])}", match[1])
    factor = float((grams * wanted).sum() / (wanted * wanted).sum())
    core.expect(
        factor == 0 or not same(grams, factor * wanted, 1e-6),
        found=f"{factor:.3g} times the sums of products, with normalize=False",
        wanted="the sums themselves",
        cause="`normalize` is not used, or used the other way round: with False, nothing is divided",
    )
    raise core.CheckFailed(
        f"{_rows(grams[0])} for the first image",
        _rows(wanted[0]),
        core.Questions("Which two channels does an entry pair?", "Over which places is the sum?"),
    )


def _explain_factor(grams, features, wanted):
    """Raise CheckFailed unless these are the normalised Gram matrices, given that those not normalised are right."""
    count, channels, height, width = features.shape
    places = height * width
    grams = grams.detach()
    if same(grams, wanted / (channels * places), 1e-9):
        return
    usual = [
        (wanted, "it is not divided, though normalize is true"),
        (wanted / places, "it is divided by H * W alone; divide by C * H * W"),
        (wanted / channels, "it is divided by C alone; divide by C * H * W"),
        (wanted / (channels**2 * places), "it is divided by C * C * H * W; divide by C * H * W"),
        (wanted / (count * channels * places), "it is divided by the number of images as well, as with `numel()`"),
        (wanted / math.sqrt(channels * places), "it is divided by a root; divide by C * H * W"),
    ]
    cause = next((words for values, words in usual if same(grams, values, 1e-6)), None)
    raise core.CheckFailed(
        f"{_rows(grams[0])} for the first image",
        f"the sums of products {_rows(wanted[0])} divided by C * H * W = {channels * places}",
        cause or core.Questions("By what is it divided?", "Is `normalize` true by default?"),
    )


def _products(flat):
    """Return (N, C, C) sums of products, one entry after the other."""
    channels = range(flat.shape[1])
    rows = [[[float((image[k] * image[other]).sum()) for other in channels] for k in channels] for image in flat]
    return torch.tensor(rows, dtype=flat.dtype)


def _rows(matrix):
    return str([[float(f"{value:.3g}") for value in row] for row in matrix.tolist()])


# ------------------------------------------------------------------------------------------------ style

style_loss = core.Checks("style_loss", "(features, layers, targets, weights) -> a number")


@style_loss.part
def _(function):
    """one number comes back, which is still connected to the features"""
    features, targets = _layers(531)

    def loss(maps):
        linked = [maps if n == 2 else each + 0 * maps.sum() for n, each in enumerate(features)]
        return function(linked, [2], [targets[2]], [0.5])

    _expect_number(loss, features[2])


@style_loss.part
def _(function):
    """for one layer, it is the weight times the sum of the squared differences of the Gram matrices"""
    for layer in (0, 3):
        features, targets = _layers(532)
        result = function(features, [layer], [targets[layer]], [3.0])
        _explain_style(result, features, targets, [layer], [3.0])


@style_loss.part
def _(function):
    """layers, targets and weights belong together, in any order"""
    for layers in ([2, 0, 3], [3, 1]):
        features, targets = _layers(533)
        weights = [0.5, 4.0, 3.0][: len(layers)]
        result = function(features, list(layers), [targets[layer] for layer in layers], list(weights))
        _explain_style(result, features, targets, layers, weights)


@style_loss.part
def _(function):
    """for three images, the sum runs over all of them"""
    features, targets = _layers(534, count=3)
    result = function(features, [1, 3], [targets[1], targets[3]], [2.0, 0.5])
    _explain_style(result, features, targets, [1, 3], [2.0, 0.5])


@style_loss.part
def _(function):
    """its slope at the features is the one that difference quotients measure"""
    features, targets = _layers(535)

    def loss(maps):
        given = [maps if n == 3 else each for n, each in enumerate(features)]
        return function(given, [1, 3], [targets[1], targets[3]], [1.5, 0.5])

    _expect_slope(loss, features[3])


@style_loss.part
def _(function):
    """all arguments are as they were, and a second call gives the same"""
    features, targets = _layers(536)
    layers, wanted, weights = [3, 1], [targets[3], targets[1]], [0.5, 4.0]
    with core.untouched(**{f"features[{n}]": maps for n, maps in enumerate(features)}, target=targets[3]):
        first = float(function(features, layers, wanted, weights))
    lengths = [len(features), len(layers), len(wanted), len(weights)]
    core.expect(
        lengths == [4, 2, 2, 2] and layers == [3, 1] and weights == [0.5, 4.0],
        found=f"lists of {', '.join(map(str, lengths))} entries after the call: layers {layers}, weights {weights}",
        wanted="the caller's lists untouched",
        cause="a list is changed, as by `layers.pop()` or `layers.sort()`; go through it with `for ... in zip(...)`",
    )
    core.expect_repeatable(torch.tensor(first), torch.tensor(float(function(features, layers, wanted, weights))))


def _layers(seed, count=1):
    """Return features of four layers with a single place that is not zero in each image, and targets for all layers.

    Their normalised Gram matrices have one entry: value * value / (C * H * W) on the diagonal.
    """
    shapes = [(3, 2, 4), (3, 2, 5), (3, 1, 2), (3, 3, 1)]
    values = _noise(seed, (4, count)).abs() + 2
    features, targets = [], [_noise(seed + 10 + n, (count, c, c)).mul(0.3) for n, (c, _, _) in enumerate(shapes)]
    for number, (channels, height, width) in enumerate(shapes):
        maps = torch.zeros(count, channels, height, width, dtype=torch.float64)
        for image in range(count):
            maps[image, (number + image) % channels, number % height, image % width] = values[number, image]
        features.append(maps)
    return features, targets


def _explain_style(result, features, targets, layers, weights):
    """Raise CheckFailed unless the result is the style loss of these layers, with the likeliest reason."""

    def gram(maps, normalised=True):
        count, channels, height, width = maps.shape
        matrix = torch.zeros(count, channels, channels, dtype=maps.dtype)
        for image, channel, _, _ in maps.nonzero().tolist():
            matrix[image, channel, channel] = maps[image, channel].square().max()
        return matrix / (channels * height * width if normalised else 1)

    def away(layer, target, power=2, normalised=True):
        found, wanted = gram(features[layer], normalised), targets[target]
        return float((found - wanted).abs().pow(power).sum()) if found.shape == wanted.shape else math.nan

    def total(used=layers, factors=weights, change=lambda each, layer: each, **options):
        rows = zip(used, layers, factors, strict=True)
        return sum(factor * change(away(layer, target, **options), target) for layer, target, factor in rows)

    def cells(layer):
        return targets[layer].numel()

    wanted, count = total(), len(features[0])
    usual = [
        (total(factors=[1.0] * len(layers)), "the weights are not used"),
        (total(factors=[weight**2 for weight in weights]), "the weights are squared as well: each multiplies a sum"),
        (total(normalised=False), "the Gram matrices are not normalised"),
        (total(power=1), "`abs`; the differences are squared"),
        (total(change=lambda each, _: math.sqrt(each)), "the norm of the difference; leave the root out"),
        (total(change=lambda each, layer: each / cells(layer)), "a mean over the entries of the matrix; take the sum"),
        (wanted / 4, "the paper's factor, of which 1/4 is left; the weights are the only factors"),
        (wanted / 2, "a factor of 1/2; the weights are the only factors"),
    ]
    usual.append((total(used=list(range(len(layers)))), FIRST_LAYERS))
    if len(layers) > 1:
        rows = list(zip(layers, weights, strict=True))
        usual += [
            (
                total(used=sorted(layers)),
                "the layers are put in order; `layers[i]`, `targets[i]` and `weights[i]` belong together",
            ),
            (total(factors=weights[::-1]), "weights and layers are paired the other way round"),
            (wanted / len(layers), "a mean over the layers; take the sum"),
            (rows[-1][1] * away(rows[-1][0], rows[-1][0]), "only the last layer counts: each one overwrites the sum"),
            (rows[0][1] * away(rows[0][0], rows[0][0]), "only the first layer counts: `return` stands inside the loop"),
        ]
    if count > 1:
        usual.append((wanted / count, "a mean over the images of the batch; take the sum"))
    _explain_number(result, wanted, usual, "the weighted sum of the squared differences of the Gram matrices", STYLE)


FIRST_LAYERS = "the first layers of the network are used; the features of layer `layers[i]` are `features[layers[i]]`"
STYLE = core.Questions(
    "Does the check of `gram_matrix` pass?", "Which layer, target and weight belong together?", "What is summed?"
)

# ------------------------------------------------------------------------------------------------ total variation

total_variation_loss = core.Checks("total_variation_loss", "(images, weight) -> a number")


@total_variation_loss.part
def _(function):
    """one number comes back, which is still connected to the images"""
    _expect_number(lambda images: function(images, 0.5), _noise(541, (1, 3, 4, 5)))


@total_variation_loss.part
def _(function):
    """a bright pixel costs its square four times in the middle, three times at a border, twice in a corner"""
    for dots, squares in (
        ({(1, 0, 2): 5, (2, 2, 3): 3}, 3 * 25 + 4 * 9),
        ({(1, 2, 2): 5}, 4 * 25),
        ({(1, 2, 0): 5}, 3 * 25),
        ({(1, 0, 0): 5}, 2 * 25),
    ):
        images = torch.zeros(1, 3, 4, 5, dtype=torch.float64)
        for place, value in dots.items():
            images[0][place] = value
        _explain_variation(function(images.clone(), 0.5), images, 0.5, squares)


@total_variation_loss.part
def _(function):
    """an edge costs one pair for each of its pixels, up to the border, in pictures that are not square"""
    images = torch.zeros(1, 3, 4, 6, dtype=torch.float64)
    images[:, 0, 2:, :] = 2  # an edge as long as a row
    images[:, 2, :, 3:] = 1  # an edge as long as a column
    _explain_variation(function(images.clone(), 3.0), images, 3.0, 4 * 6 + 1 * 4)


@total_variation_loss.part
def _(function):
    """for three images, the sum runs over all of them, and no two are neighbours"""
    images = torch.zeros(3, 3, 4, 5, dtype=torch.float64)
    images[1] = 1  # flat, but unlike the others
    images[0, 2, 1, 1] = 2
    images[2, 0, 0, 4] = 1
    _explain_variation(function(images.clone(), 2.0), images, 2.0, 4 * 4 + 1 * 2)


@total_variation_loss.part
def _(function):
    """its slope at the images is the one that difference quotients measure"""
    _expect_slope(lambda images: function(images, 0.7), _noise(545, (2, 3, 3, 4)))


@total_variation_loss.part
def _(function):
    """the images are as they were, and a second call gives the same"""
    images = _noise(546, (2, 3, 3, 4))
    with core.untouched(images=images):
        first = function(images, 0.5)
    core.expect_repeatable(first, function(images, 0.5), images)


def _explain_variation(result, images, weight, squares):
    """Raise CheckFailed unless the result is weight times the sum of the squared differences, with a likely reason."""
    down, right = images.diff(dim=2), images.diff(dim=3)
    both = down[..., :-1] ** 2 + right[..., :-1, :] ** 2
    around = sum(((images.roll(1, dims=axis) - images) ** 2).sum() for axis in (2, 3))
    across = sum((images.diff(dim=axis) ** 2).sum() for axis in (0, 1))
    far = sum(
        ((images.narrow(a, 2, images.shape[a] - 2) - images.narrow(a, 0, images.shape[a] - 2)) ** 2).sum()
        for a in (2, 3)
    )
    grey = images.mean(dim=1, keepdim=True)
    ((rows, columns), pixels) = ((down.numel(), right.numel()), images.numel())
    usual = [
        (squares, "the weight is not used"),
        (weight * (down.abs().sum() + right.abs().sum()), "`abs`; the differences are squared"),
        (weight * (down**2).sum(), "only pixels below each other are compared; those beside each other count too"),
        (weight * (right**2).sum(), "only pixels beside each other are compared; those below each other count too"),
        (weight * around, "the borders count as neighbours, as with `roll`; pixels at opposite borders are no pair"),
        (weight * both.sum(), "a row and a column of pairs are missing: both differences are cut to (H - 1, W - 1)"),
        (weight * both.sqrt().sum(), "a root of both differences together; add up the squares"),
        (weight * ((down**2).mean() + (right**2).mean()), "a mean over the pairs; take the sum"),
        (weight * squares / pixels, "a mean over the pixels; take the sum"),
        (weight * squares / (rows + columns), "a mean over the pairs; take the sum"),
        (weight * (down.sum() ** 2 + right.sum() ** 2), "the square of the sum; take the squares first, then the sum"),
        (weight * sum((grey.diff(dim=a) ** 2).sum() for a in (2, 3)), "the channels are mixed; each has its own pairs"),
        (weight * far, "pixels two places apart are compared; neighbours are one apart"),
        (
            weight * (squares + across),
            "channels or images are compared as well; only pixels of one channel are neighbours",
        ),
        (weight * squares / 2, "a factor of 1/2; the weight is the only factor"),
        (weight * squares / len(images), "a mean over the images of the batch; take the sum"),
        (weight**2 * squares, "the weight is squared as well: it multiplies the sum"),
    ]
    _explain_number(result, weight * squares, usual, f"{weight:g} times the sum of the squared differences, {squares}")


# ------------------------------------------------------------------------------------------------ one iteration

style_transfer_step = core.Checks("style_transfer_step", "(image, loss, optimiser) -> a number")


@style_transfer_step.part
def _(function):
    """the loss before the step comes back, as a number"""
    image, loss, optimiser = _descent(511)
    before = float(loss.of(image))
    result = function(image, loss, optimiser)
    core.expect(
        isinstance(result, float) or (isinstance(result, torch.Tensor) and result.dim() == 0),
        found=f"a tensor of shape {tuple(result.shape)}" if isinstance(result, torch.Tensor) else core.type_of(result),
        wanted="one number, a tensor without axes or a float",
        cause="the function has no `return`, or the closure has none"
        if result is None
        else "something other than the loss is returned; the image is changed in place and need not be",
    )
    core.expect(
        not getattr(result, "requires_grad", False),
        found="a loss that still carries the graph of the whole network",
        wanted="a detached number",
        cause="the loss is returned as the closure has it; return `.detach()` or `.item()`",
    )
    core.expect(
        abs(float(result) - before) <= 1e-9 * before,
        found=f"{float(result):.4f}",
        wanted=f"{before:.4f}, the loss of the image as it came",
        cause="the loss is computed again after the step"
        if abs(float(result) - float(loss.of(image))) <= 1e-9 * before
        else core.Questions("Of which image is this the loss?", "Which sign and which factor has it?"),
    )


@style_transfer_step.part
def _(function):
    """plain descent moves the image by the learning rate times the slope, whatever .grad held before"""
    image, loss, optimiser = _descent(512)
    old, start, slope = image.grad.clone(), image.detach().clone(), loss.slope(image.detach())
    function(image, loss, optimiser)
    _explain_move(image.detach() - start, slope, old, image, loss, start)


@style_transfer_step.part
def _(function):
    """the optimiser that was passed in makes one step in each call, and keeps its state for the next"""
    image, loss, _ = _descent(513)
    optimiser = torch.optim.SGD([image], lr=RATE, momentum=0.5)
    start = image.detach().clone()
    first = loss.slope(start)
    middle = start - RATE * first
    second = 0.5 * first + loss.slope(middle)
    for _ in range(2):
        function(image, loss, optimiser)
        _expect_ready(image)
    core.expect(
        same(image.detach(), middle - RATE * second, 1e-9),
        found="an image that is elsewhere than two steps of SGD with momentum lead",
        wanted="two steps of the optimiser that was passed in, the second with the momentum of the first",
        cause="another optimiser makes the steps, as one made anew inside the function, which forgets its momentum"
        if not optimiser.state
        else core.Questions("How often is `step` called?", "Is the gradient wiped out before each `backward`?"),
    )


@style_transfer_step.part
def _(function):
    """an optimiser that asks several times in one step gets an answer each time"""
    image, loss, _ = _descent(514)
    optimiser = torch.optim.LBFGS([image], lr=0.3, max_iter=4)
    twin, other = image.detach().clone().requires_grad_(), loss.again()
    own = torch.optim.LBFGS([twin], lr=0.3, max_iter=4)

    def asked():
        own.zero_grad()
        value = other(twin)
        value.backward(inputs=[twin])
        return value

    own.step(asked)
    try:
        function(image, loss, optimiser)
    except TypeError as error:
        raise core.CheckFailed(
            f"TypeError: {error}", "a step of L-BFGS", "`optimiser.step()` without a closure; give it one"
        ) from None
    except RuntimeError as error:
        if "second time" not in str(error):
            raise
        raise core.CheckFailed(
            "RuntimeError: Trying to backward through the graph a second time",
            "a loss that is computed anew each time the optimiser asks",
            "the loss is computed once, outside of the closure; compute it inside",
        ) from None
    core.expect(
        same(image.detach(), twin.detach(), 1e-9),
        found=f"another image than a step of L-BFGS gives; the loss was called {loss.asked} times, not {other.asked}",
        wanted="zero_grad, loss and backward inside the closure, each time it is called",
        cause=core.Questions("Is all of it inside the closure?", "Does the closure return the loss?"),
    )


@style_transfer_step.part
def _(function):
    """after the step, values below 0 and above 1 are cut off, in the image itself"""
    image, loss, _ = _descent(515)
    optimiser = torch.optim.SGD([image], lr=4 * RATE)
    start = image.detach().clone()
    wanted = start - 4 * RATE * loss.slope(start)
    assert wanted.min() < 0 and wanted.max() > 1
    function(image, loss, optimiser)
    found = image.detach()
    if same(found, wanted.clamp(0, 1), 1e-9):
        return
    low, high = float(found.min()), float(found.max())
    usual = [
        (
            wanted,
            "nothing is cut off in place after the step, as with `image = image.clamp(0, 1)`; say `image.clamp_(0, 1)`",
        ),
        (_rescaled(wanted), RESCALED),
        (wanted.sigmoid(), "a sigmoid; `clamp_` moves the values outside alone"),
        (wanted.clamp(-1, 1), "the borders are -1 and 1; a pixel is in [0, 1]"),
    ]
    cause = next((words for values, words in usual if same(found, values, 1e-9)), None)
    raise core.CheckFailed(
        f"values from {low:.2f} to {high:.2f}",
        "those of the step, cut off at 0 and 1",
        cause or core.Questions("What is cut off, where, and when?", "Is it done in place?"),
    )


@style_transfer_step.part
def _(function):
    """the network's .grad is as it was, and the image still requires a gradient"""
    image, loss, optimiser = _descent(516)
    kept = loss.scale.grad.clone()
    function(image, loss, optimiser)
    core.expect(
        torch.equal(loss.scale.grad, kept),
        found="another .grad in a tensor that the loss goes through",
        wanted="the .grad of the network's parameters untouched",
        cause="`.backward()` writes into every leaf that requires a gradient; say `.backward(inputs=[image])`",
    )
    _expect_ready(image)


def _expect_ready(image):
    """Raise CheckFailed unless the image can be given to the next step."""
    core.expect(
        image.requires_grad and image.is_leaf,
        found="an image that requires no gradient any more",
        wanted="an image ready for the next step",
        cause="`requires_grad_(False)`, `detach_()` or a cut outside of `with torch.no_grad():`",
    )


RATE = 0.2
RESCALED = "the image is rescaled to [0, 1]; `clamp_` moves the values outside alone"


def _rescaled(image):
    return (image - image.min()) / (image - image.min()).max()


class _Bowl:
    """A loss, least at `goal` and steeper in some pixels than in others, that counts how often it is asked."""

    def __init__(self, goal, steepness):
        self.goal, self.steepness, self.asked = goal, steepness, 0
        self.scale = torch.ones((), dtype=goal.dtype, requires_grad=True)  # as the parameter of a network in training
        self.scale.grad = torch.full_like(self.scale, 5.0)

    def __call__(self, image):
        self.asked += 1
        return self.scale * (self.steepness * (image - self.goal) ** 2).sum()

    def of(self, image):
        """Return the loss of an image, not counted and without a graph."""
        return (self.steepness * (image.detach() - self.goal) ** 2).sum()

    def slope(self, image):
        """Return the slope at an image."""
        return 2 * self.steepness * (image - self.goal)

    def again(self):
        """Return the same loss with a counter of its own."""
        return _Bowl(self.goal, self.steepness)


def _descent(seed):
    """Return an image that has a gradient of an earlier step, a loss and plain descent on it."""
    image, goal, steepness = (_uniform(seed + 100 * n, (1, 3, 3, 4)) for n in range(3))
    image = (0.3 + 0.4 * image).requires_grad_()
    image.grad = torch.full_like(image, 0.6)
    goal = (goal > 0.5).double() * 1.2 - 0.1  # at both ends, a little beyond
    return image, _Bowl(goal, 0.3 + 0.5 * steepness), torch.optim.SGD([image], lr=RATE)


def _explain_move(move, slope, old, image, loss, start):
    """Raise CheckFailed unless the move is one step of plain descent, with the likeliest reason."""
    if same(move, -RATE * slope, 1e-9):
        return
    again, there = slope + loss.slope(start - RATE * slope), start - RATE * slope
    usual = [
        (
            torch.zeros_like(move),
            "the optimiser finds no gradient: `zero_grad` stands after `backward`, or the loss is that of a copy",
        ),
        (
            -RATE * (slope + old),
            "the gradient of an earlier step is still in `.grad`; call `optimiser.zero_grad()` first",
        ),
        (-RATE * old, "the step goes along the old `.grad`: there is no `backward` before the optimiser's step"),
        (RATE * slope, "the step goes up: the loss is negated"),
        (-RATE * again, "two steps; make one"),
        (_rescaled(there) - start, RESCALED),
        (-RATE * slope.sign(), "the sign of the gradient; leave it as it is"),
        (-RATE * slope / slope.norm(), "a normalised gradient; leave it as it is"),
    ]
    cause = next((words for values, words in usual if same(move, values, 1e-9)), None)
    raise core.CheckFailed(
        "the image as it was" if not move.any() else "an image that has moved elsewhere",
        "one step of the optimiser down the slope of the loss",
        cause
        or core.Questions(
            "Is the gradient wiped out before `backward`?",
            "Does the optimiser that was passed in make the step?",
            "What happens to gradient and image in between?",
        ),
    )


# ------------------------------------------------------------------------------------------------ shared


def _noise(seed, shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _uniform(seed, shape):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _cause_of_no_tensor(value):
    if value is None:
        return "the function has no `return`, or a `return` without a value"
    return DETACHED if isinstance(value, float) else "something other than the result is returned; return the tensor"


def _expect_number(function, values):
    """Raise CheckFailed unless function(values) is a tensor without axes, of the values' kind, with a way back."""
    for given in (values, values.float()):
        try:
            result = function((given.clone().requires_grad_()) * 1)
        except RuntimeError as error:
            if "dtype" not in str(error) and "Float" not in str(error):
                raise
            continue  # the fixed part of the problem is in double precision
        core.expect(
            isinstance(result, torch.Tensor),
            found=core.type_of(result),
            wanted="a tensor without axes",
            cause=_cause_of_no_tensor(result),
        )
        core.expect(
            result.dim() == 0,
            found=f"a tensor of shape {tuple(result.shape)}",
            wanted="a tensor without axes: one number for all together",
            cause="the sum stops halfway: no `sum()`, or one over some axes; add up everything",
        )
        core.expect(
            given is not values or result.dtype == values.dtype,
            found=f"a {result.dtype} tensor",
            wanted=f"{values.dtype}, as what the loss is of",
            cause="a conversion, such as `.float()`, or a new tensor without a `dtype`",
        )
        core.expect(
            result.requires_grad,
            found="a number without a way back",
            wanted="a tensor that can be differentiated",
            cause=DETACHED,
        )


def _expect_slope(function, values, step=1e-5):
    """Raise CheckFailed unless autograd's slope of function(values) is that of its own difference quotients."""
    pixels = values.clone().requires_grad_()
    (slope,) = torch.autograd.grad(function(pixels * 1), pixels, allow_unused=True)
    measured = torch.zeros_like(values)
    for place in itertools.product(*map(range, values.shape)):
        ends = []
        for move in (step, -step):
            moved = values.clone()
            moved[place] += move
            ends.append(float(function(moved)))
        measured[place] = (ends[0] - ends[1]) / (2 * step)
    core.expect(
        slope is not None and same(slope, measured, 1e-5),
        found="no slope"
        if slope is None
        else f"a slope that is {float((slope * measured).sum() / (measured**2).sum()):.3g} times the measured one"
        if measured.any()
        else "a slope where nothing changes",
        wanted="the slope that difference quotients of your own function measure",
        cause="a part of the way back is cut, by `.detach()`, `.data` or `torch.no_grad()`; leave them out",
    )


def _explain_number(result, wanted, usual, words, asked=None):
    """Raise CheckFailed unless the result is `wanted`, with the likeliest reason: usual values, each with its cause."""
    core.expect(
        isinstance(result, torch.Tensor) and result.dim() == 0,
        found=f"shape {tuple(result.shape)}" if isinstance(result, torch.Tensor) else core.type_of(result),
        wanted="a tensor without axes: one number for all together",
        cause="a number for each image, or for each layer; add them up",
    )
    found = float(result)

    def near(value):
        return abs(found - float(value)) <= 1e-7 * abs(float(value)) + 1e-12

    if near(wanted):
        return
    cause = next((cause for value, cause in usual if near(value)), None)
    raise core.CheckFailed(
        f"{found:.5g}",
        f"{float(wanted):.5g}: {words}",
        cause or asked or core.Questions("Which differences are taken?", "What is squared, what is summed?"),
    )
