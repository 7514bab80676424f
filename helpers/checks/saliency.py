"""Checks of assignment 1: each function here takes the student's function of the same name.

Derivatives are measured by finite differences on a tiny network (see `core`), so nothing in here is an answer.
"""

import math

import torch

from helpers.checks.core import (
    SMALL,
    CheckFailed,
    check_tensor,
    expect,
    expect_alone_as_among_others,
    expect_eval_mode,
    expect_left_alone,
    expect_repeatable,
    finite_difference,
    first_match,
    log_probabilities_of,
    off_by,
    probabilities_of,
    run_checks,
    same,
    scaled,
    scores_of,
    small_problem,
    tiny_batch,
    tiny_network,
    untouched,
)

QUANTITIES = {"score": scores_of, "probability": probabilities_of, "log_probability": log_probabilities_of}
SHARES = [(36, 0.042), (36, 0.0365), (39, 0.1284)]  # of 63 pixels: 2.6, 2.3 and 8.1, where one pixel more moves a side
PAIRING = (
    "images, labels or samples are paired wrongly. In one batch of S x N images, labels are repeated with "
    "`labels.repeat(S)`, and the result is viewed as (S, N, 3, H, W) before the mean over S"
)


def compute_saliency_maps(function):
    """Check compute_saliency_maps(images, labels, model) -> (N, H, W)."""

    def one_map_per_image(function):
        """three images give three maps"""
        model, images, labels = small_problem(seed=1, count=3)
        check_tensor(function(images, labels, model), (3, *SMALL), images, "one map for each image")

    def largest_slope(function):
        """a map holds the steepest slope of the score among the three channels of each pixel"""
        model, images, labels = small_problem(seed=2, count=3)
        maps = function(images.clone(), labels.clone(), model).detach()
        _explain_maps(maps, images, labels, model)

    def one_image(function):
        """a single image gives one map, with its batch axis, and as it does among others"""
        model, images, labels = small_problem(seed=4, count=3)
        maps = function(images.clone(), labels.clone(), model).detach()
        alone = function(images[:1].clone(), labels[:1].clone(), model)
        check_tensor(alone, (1, *SMALL), images[:1], "a batch of one is still a batch")
        expect_alone_as_among_others(alone, maps[:1])

    def any_network_any_time(function):
        """a second call, and another network of another size in float32, change nothing"""
        model, images, labels = small_problem(seed=5, count=2)
        first = function(images, labels, model).detach().clone()
        expect_repeatable(first, function(images, labels, model).detach())
        other = tiny_network(6, size=(7, 5), classes=4, dtype=torch.float32)
        images, labels = tiny_batch(other, 2, seed=6, size=(7, 5))
        check_tensor(function(images, labels, other), (2, 7, 5), images, "the size of the images just given")

    def nothing_changed(function):
        """images, labels and a network in training use are as they were"""
        model, images, labels = small_problem(seed=7, count=2, trainable=True)
        expect_left_alone(lambda: function(images, labels, model), model, images=images, labels=labels)

    run_checks(
        "compute_saliency_maps",
        function,
        [one_map_per_image, largest_slope, one_image, any_network_any_time, nothing_changed],
    )


def score_gradient(function):
    """Check score_gradient(images, labels, model, of="score") -> (N, 3, H, W)."""

    def one_gradient_per_image(function):
        """three images give three gradients with three channels"""
        model, images, labels = small_problem(seed=11, count=3)
        result = function(images, labels, model)
        check_tensor(result, images.shape, images, "a slope for each channel of each pixel")

    def of_score(function):
        """without `of`, and with of="score", the slope of the score"""
        model, images, labels = small_problem(seed=12, count=3)
        _explain_gradient(function(images.clone(), labels, model), "score", images, labels, model)
        _explain_gradient(function(images.clone(), labels, model, "score"), "score", images, labels, model)

    def one_image_twice(function):
        """a single image, asked for twice, gives the gradient it has among others"""
        model, images, labels = small_problem(seed=16, count=3)
        for of in QUANTITIES:
            among = function(images.clone(), labels, model, of).detach()[:1]
            image = images[:1].clone()
            alone = function(image, labels[:1], model, of)
            check_tensor(alone, image.shape, image, "a batch of one is still a batch")
            kept = alone.detach().clone()
            expect_alone_as_among_others(kept, among)
            again = function(image, labels[:1], model, of).detach()
            expect_repeatable(kept, again)
            expect(
                same(alone.detach(), kept),
                found="the first result changed when the function was called again",
                wanted="a new tensor from every call",
                cause="`images.grad` of the caller's tensor is returned; work on `images.detach().clone()`",
            )

    def of_probability(function):
        """of="probability" gives the slope of the softmax probability"""
        model, images, labels = small_problem(seed=13, count=3)
        found = function(images.clone(), labels, model, "probability")
        _explain_gradient(found, "probability", images, labels, model)

    def of_log_probability(function):
        """of="log_probability" gives the slope of the logarithm of the probability"""
        model, images, labels = small_problem(seed=14, count=3)
        found = function(images.clone(), labels, model, "log_probability")
        _explain_gradient(found, "log_probability", images, labels, model)

    def unknown_quantity(function):
        """any other `of` raises ValueError"""
        model, images, labels = small_problem(seed=15, count=1)
        try:
            function(images, labels, model, "logit")
        except ValueError:
            return
        except NotImplementedError:
            raise
        except Exception as error:
            found = f'{type(error).__name__} for of="logit"'
        else:
            found = 'a result for of="logit"'
        raise CheckFailed(
            found,
            "ValueError, so that a typing error never passes for a score",
            "a final `else` that takes every other word; test for the three words and raise ValueError otherwise",
        )

    def nothing_changed(function):
        """images, labels and a network in training use are as they were"""
        model, images, labels = small_problem(seed=7, count=2, trainable=True)
        for of in QUANTITIES:
            expect_left_alone(lambda of=of: function(images, labels, model, of), model, images=images, labels=labels)

    run_checks(
        "score_gradient",
        function,
        [
            one_gradient_per_image,
            of_score,
            one_image_twice,
            of_probability,
            of_log_probability,
            unknown_quantity,
            nothing_changed,
        ],
    )


def smooth_grad(function):
    """Check smooth_grad(images, labels, model, noise) -> (N, 3, H, W)."""

    def one_gradient_per_image(function):
        """four samples of noise for three images give three gradients"""
        model, images, labels, noise = _noisy_problem(seed=21, samples=4, count=3)
        result = function(images, labels, model, noise)
        check_tensor(result, images.shape, images, "the mean runs over the samples, the first axis of `noise`")

    def no_noise(function):
        """noise of zeros gives the gradient of the score"""
        model, images, labels, noise = _noisy_problem(seed=22, samples=3, count=2)
        found = function(images.clone(), labels, model, torch.zeros_like(noise))
        _explain_gradient(found, "score", images, labels, model, samples=3)

    def mean_of_slopes(function):
        """the result is the mean, over the samples, of the slope at image + noise"""
        model, images, labels, noise = _noisy_problem(seed=23, samples=4, count=3)
        found = function(images.clone(), labels.clone(), model, noise.clone()).detach()
        _explain_smooth(function, found, images, labels, model, noise)

    def one_sample(function):
        """one sample, one image: the slope at the noisy image"""
        model, images, labels, noise = _noisy_problem(seed=24, samples=1, count=1)
        found = function(images.clone(), labels.clone(), model, noise.clone())
        check_tensor(found, images.shape, images, "a batch of one is still a batch")
        _explain_smooth(function, found, images, labels, model, noise)

    def nothing_changed(function):
        """images, labels, noise and a network in training use are as they were"""
        model, images, labels, noise = _noisy_problem(seed=25, samples=3, count=2, trainable=True)
        given = {"images": images, "labels": labels, "noise": noise}
        expect_left_alone(lambda: function(images, labels, model, noise), model, **given)

    run_checks("smooth_grad", function, [one_gradient_per_image, no_noise, mean_of_slopes, one_sample, nothing_changed])


def saliency_box(function):
    """Check saliency_box(saliency_map, fraction) -> (x0, y0, x1, y1)."""

    def bright_rectangle(function):
        """a bright rectangle on a dark ground is its own box"""
        saliency_map = torch.rand(12, 20, generator=torch.Generator().manual_seed(31)).double()
        saliency_map[2:5, 9:16] += 5
        _expect_box(function, saliency_map, 21 / 240, (9, 2, 16, 5))

    def everything(function):
        """a fraction of 1 keeps the whole map"""
        saliency_map = torch.rand(5, 8, generator=torch.Generator().manual_seed(33)).double()
        cause = (
            "x1 and y1 are kept below W and H, as indices must be; they are one past the last column and row, and may "
            "be W and H"
        )
        _expect_box(function, saliency_map, 1.0, (0, 0, 8, 5), cause)

    def share_of_pixels(function):
        """the threshold is the ceil(fraction x pixels)-th largest value"""
        generator = torch.Generator().manual_seed(34)
        rows, columns = torch.arange(15.0)[:, None], torch.arange(22.0)
        for row, column, fraction in [(4, 15, 0.03125), (10, 6, 0.0625), (7, 12, 0.125), (3, 3, 0.015625)]:
            distance = (rows - row) ** 2 + (columns - column) ** 2
            saliency_map = torch.exp(-distance / 12) + 0.05 * torch.rand(15, 22, generator=generator)
            _expect_definition(function, saliency_map.double(), fraction)
        for seed, fraction in SHARES:
            generator = torch.Generator().manual_seed(seed)
            _expect_definition(function, torch.rand(7, 9, generator=generator, dtype=torch.float64), fraction)

    def ties(function):
        """pixels equal to the threshold are kept, all of them"""
        saliency_map = torch.zeros(8, 11, dtype=torch.float64)
        saliency_map[1, 2] = saliency_map[6, 9] = saliency_map[3, 4] = 1
        _expect_box(function, saliency_map, 0.01, (2, 1, 10, 7), "pixels that tie with the threshold are dropped: "
                    "`topk` picks some of them at random, `>` drops them; compare with `>=`")  # fmt: skip

    def map_unchanged(function):
        """the map is as it was"""
        saliency_map = torch.rand(6, 9, generator=torch.Generator().manual_seed(35)).double()
        with untouched(saliency_map=saliency_map):
            function(saliency_map, 0.25)

    run_checks(
        "saliency_box",
        function,
        [bright_rectangle, everything, share_of_pixels, ties, map_unchanged],
    )


def _noisy_problem(seed, samples, count, **options):
    model, images, labels = small_problem(seed, count, **options)
    generator = torch.Generator().manual_seed(seed)
    return model, images, labels, 0.3 * torch.randn(samples, *images.shape, generator=generator).double()


def _steepest(slopes):
    red, green, blue = slopes.abs().unbind(dim=1)
    return torch.maximum(red, torch.maximum(green, blue))


def _explain_maps(maps, images, labels, model):
    """Raise CheckFailed unless `maps` are those of the score, with the likeliest reason among the usual ones."""
    slopes = finite_difference(scores_of(model), images, labels)
    wanted = _steepest(slopes)
    if same(maps, wanted):
        return
    expect_eval_mode(model)
    predicted = model(images).argmax(dim=1)
    candidates = [
        (slopes.amax(dim=1), ("the largest signed slope", "the sign is kept; take absolute values first, then max")),
        (slopes.amax(dim=1).abs(), ("the size of the largest signed slope", "absolute value after max, not before")),
        (slopes.abs().mean(dim=1), ("the mean over the channels", "`mean` where the channel maximum is wanted")),
        (slopes.abs().sum(dim=1), ("the sum over the channels", "`sum` where the channel maximum is wanted")),
        (slopes.norm(dim=1), ("the Euclidean norm over the channels", "`norm` where the channel maximum is wanted")),
        (slopes.abs().amin(dim=1), ("the smallest slope of the three channels", "`min` where max is wanted")),
        (_steepest(slopes * images), ("gradient times image", "a product with the image; take the gradient alone")),
        (
            _steepest(finite_difference(probabilities_of(model), images, labels)),
            ("the slope of the softmax probability", "a softmax before the gradient; differentiate the raw score"),
        ),
        (
            _steepest(finite_difference(log_probabilities_of(model), images, labels)),
            ("the slope of the log-probability", "the cross-entropy was differentiated; take the raw score"),
        ),
        (
            _steepest(finite_difference(log_probabilities_of(model), images, labels)) / len(images),
            ("the slope of the mean cross-entropy", "a loss averaged over the batch; take the sum of the raw scores"),
        ),
        (
            _steepest(finite_difference(scores_of(model), images, predicted)),
            ("the maps of the predicted classes", "`scores.max` or `argmax`: the labels are not used"),
        ),
        (
            _steepest(finite_difference(lambda x, _: model(x).sum(dim=1), images, labels)),
            ("the slope of the sum of all scores", "`scores.sum()`: pick each image's own score first"),
        ),
        (
            _steepest(finite_difference(lambda x, _: model(x)[:, labels].sum(dim=1), images, labels)),
            ("the slope of the scores of all labels of the batch", "`scores[:, labels]`; pair i with y_i: `gather`"),
        ),
    ]
    match = first_match(maps, candidates) or scaled(maps, wanted, len(images))
    if match is None and (maps < 0).any():
        match = "negative values", "the sign is kept; take absolute values of the gradient first"
    found, cause = match or (
        f"maps {off_by(maps, wanted)}",
        "something other than the raw score was differentiated, or the pixels were changed on the way",
    )
    raise CheckFailed(found, "max over channels of |d s_y / d pixel|, s_y the raw score of the image's label", cause)


def _explain_gradient(result, of, images, labels, model, samples=None):
    """Raise CheckFailed unless `result` is the slope of the quantity `of`, with the likeliest reason."""
    wanted = finite_difference(QUANTITIES[of](model), images, labels)
    found = result.detach()
    if same(found, wanted):
        return
    expect_eval_mode(model)
    scores = model(images)
    slopes = {name: finite_difference(quantity(model), images, labels) for name, quantity in QUANTITIES.items()}
    probability = probabilities_of(model)(images, labels)[:, None, None, None]
    candidates = [
        *((slopes[name], (f"the slope of the {name}", f"`of` is not told apart: {name} where {of} is wanted"))
          for name in QUANTITIES if name != of),
        (-wanted, ("the slope with the opposite sign", "a loss, which falls where the probability rises")),
        (-slopes["log_probability"], ("the slope of the cross-entropy", "a loss where a score is wanted")),
        (wanted.abs(), ("absolute values", "`abs`; this function keeps the sign")),
        (wanted**2, ("squared slopes", "a square; this function keeps slopes and their sign")),
        (probability * slopes["score"], ("p_y times the slope of the score", "the probability was taken for a fixed "
         "factor; the softmax of the scores must be differentiated, with its denominator")),
        (
            finite_difference(QUANTITIES[of](model), images, scores.argmax(dim=1)),
            ("the slope for the predicted classes", "`max` or `argmax`: the labels are not used"),
        ),
    ]  # fmt: skip
    words = first_match(found, candidates) or scaled(found, wanted, len(images), samples)
    if words is None:
        cause = PAIRING if samples else "another quantity than the one asked for, or changed pixels"
        words = f"a gradient {off_by(found, wanted)}", cause
    if samples is not None:
        words = words[0], f"{words[1]}. If you call score_gradient, let it pass its own check first"
    raise CheckFailed(words[0], f"the slope of the {of} of each image's own label", words[1])


def _explain_smooth(function, result, images, labels, model, noise):
    """Raise CheckFailed unless `result` is the mean slope at the noisy images, with the likeliest reason."""

    def slopes_at(noisy):
        return finite_difference(scores_of(model), noisy, labels)

    found = result.detach()
    each = torch.stack([slopes_at(images + sample) for sample in noise])
    wanted = each.mean(dim=0)
    if same(found, wanted):
        return
    expect_eval_mode(model)
    again = function(images.clone(), labels.clone(), model, noise.clone()).detach()
    expect(
        same(again, found),
        found="another result on a second call with the same noise",
        wanted="the noise that is passed in, so that the result can be repeated",
        cause="`torch.randn` inside the function; use the samples of `noise`",
    )
    candidates = [
        (each.abs().mean(dim=0), ("the mean of absolute slopes", "`abs` before the mean; the samples keep their sign")),
        ((each**2).mean(dim=0), ("the mean of squared slopes", "a square; that is another method, SmoothGrad-squared")),
        (each[0], ("the slope at the first sample alone", "`return` inside the loop")),
        (each[-1], ("the slope at the last sample alone", "the sum is overwritten in the loop: `=` in place of `+=`")),
        (slopes_at(images), ("the slope at the clean image", "the noise is never added")),
        (
            slopes_at(images + noise.mean(dim=0)),
            ("the slope at the mean of the noisy images", "the mean is taken before the gradient, not after"),
        ),
        (
            torch.stack([slopes_at((images + sample).clamp(0, 1)) for sample in noise]).mean(dim=0),
            ("the slope at clamped images", "`clamp`; the noisy images may leave [0, 1] here"),
        ),
        (
            torch.stack([slopes_at(images + sum_) for sum_ in noise.cumsum(dim=0)]).mean(dim=0),
            ("the slope where the noise has piled up", "`images = images + sample`: each sample starts afresh"),
        ),
    ]
    words = (
        first_match(found, candidates)
        or scaled(found, wanted, len(images), len(noise))
        or (f"a gradient {off_by(found, wanted)}", PAIRING)
    )
    raise CheckFailed(words[0], "the mean over the samples of d s_y / dx at image + noise", words[1])


def _expect_box(function, saliency_map, fraction, wanted, cause=None):
    found = _box(function, saliency_map, fraction)
    if found == wanted:
        return
    x0, y0, x1, y1 = wanted
    usual = {
        (y0, x0, y1, x1): "rows and columns are swapped: x counts columns, y counts rows",
        (x0, y0, x1 - 1, y1 - 1): "the end is included; x1 and y1 are one past the last column and row kept",
        (x0, y0, x1 - x0, y1 - y0): "width and height are returned in place of the far corner",
        (y0, x0, y1 - 1, x1 - 1): "rows and columns are swapped, and the end is included: x1 is one past the last",
    }
    words = cause or usual.get(found)
    height, width = saliency_map.shape
    if words is None and found == (0, 0, width, height):
        words = (
            "nearly all pixels are kept: `fraction` counts the pixels to keep, the brightest; it is neither the share "
        )
        words += "to drop nor a share of the maximum"
    words = words or "another threshold than the ceil(fraction x pixels)-th largest value, compared with `>=`"
    raise CheckFailed(f"{found} for a map of {width} x {height} pixels and fraction {fraction:.3g}", str(wanted), words)


def _expect_definition(function, saliency_map, fraction):
    """Raise CheckFailed unless the box holds all pixels at or above the threshold and each side touches one."""
    x0, y0, x1, y1 = found = _box(function, saliency_map, fraction)
    height, width = saliency_map.shape
    keep = math.ceil(fraction * height * width)
    values = sorted(saliency_map.flatten().tolist(), reverse=True)
    bright = saliency_map >= values[keep - 1]
    outside = bright.clone()
    outside[y0:y1, x0:x1] = False
    whole = 0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height
    one_less = saliency_map >= values[max(keep - 2, 0)]
    one_less[y0:y1, x0:x1] = False
    expect(
        not whole or not outside.any() or one_less.any(),
        found=f"{found}, which leaves out the dimmest of the {keep} brightest pixels",
        wanted=f"all {keep}, since {fraction:.3g} of {width} x {height} pixels is {fraction * width * height:.2f}",
        cause="the number was rounded down or to the nearest (round up with `math.ceil`), a quantile interpolated, or "
        "the threshold's own pixel was dropped (`>` in place of `>=`)",
    )
    expect(
        whole and not outside.any(),
        found=f"{found}, which leaves out {int(outside.sum())} of the {int(bright.sum())} brightest pixels",
        wanted=f"a box around every one of the {keep} brightest pixels of {width} x {height}, fraction {fraction:.3g}",
        cause="rows and columns swapped, the end included, or a threshold too high: `fraction` counts pixels, and is "
        "no share of the maximum",
    )
    sides = [bright[y0, x0:x1], bright[y1 - 1, x0:x1], bright[y0:y1, x0], bright[y0:y1, x1 - 1]]
    expect(
        all(bool(side.any()) for side in sides),
        found=f"{found}, which has a side that touches no pixel at or above the threshold",
        wanted=f"the smallest box around the {keep} brightest pixels of {width} x {height}, fraction {fraction:.3g}",
        cause="a threshold too low: the ceil(fraction x pixels)-th largest value, no quantile, no share of the maximum",
    )


def _box(function, saliency_map, fraction):
    result = function(saliency_map.clone(), fraction)
    expect(
        isinstance(result, (tuple, list)) and len(result) == 4,
        found=f"a {type(result).__name__}" + (f" of length {len(result)}" if isinstance(result, (tuple, list)) else ""),
        wanted="four whole numbers (x0, y0, x1, y1)",
        cause="the function has no `return`" if result is None else "another form than the docstring asks for",
    )
    whole = all(float(corner) == int(corner) for corner in result)
    expect(
        whole and not any(isinstance(corner, float) for corner in result),
        found=f"{tuple(result)}",
        wanted="four whole numbers (x0, y0, x1, y1)",
        cause="corners left as floats; convert each with `int`",
    )
    return tuple(int(corner) for corner in result)
