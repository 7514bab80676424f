"""Checks of assignment 1: each takes the student's function of the same name.

Derivatives are measured by finite differences on a tiny network, so nothing in here is an answer.
"""

import math
import operator

import torch

from helpers.checks import core, networks
from helpers.checks.measure import finite_difference, log_probabilities_of, probabilities_of, same, scores_of
from helpers.checks.problems import SMALL, small_problem, tiny_batch

QUANTITIES = {"score": scores_of, "probability": probabilities_of, "log_probability": log_probabilities_of}
SHARES = [(36, 0.042), (36, 0.0365), (39, 0.1284)]  # of 63 pixels: 2.6, 2.3 and 8.1, where one pixel more moves a side

# ------------------------------------------------------------------------------------------------ saliency maps

compute_saliency_maps = core.Checks("compute_saliency_maps", "(images, labels, model) -> (N, H, W)")


@compute_saliency_maps.part
def _(function):
    """three images give three maps"""
    images, labels, model = small_problem(seed=1, count=3)
    core.check_tensor(function(images, labels, model), (3, *SMALL), images, "one map for each image")


@compute_saliency_maps.part
def _(function):
    """a map holds the steepest slope of the score among the three channels of each pixel"""
    images, labels, model = small_problem(seed=2, count=3)
    maps = function(images.clone(), labels.clone(), model).detach()
    _explain_maps(maps, images, labels, model)


@compute_saliency_maps.part
def _(function):
    """so it does for a network whose slopes are steep"""
    images, labels, model = small_problem(seed=3, count=2, gain=30)
    _explain_maps(function(images.clone(), labels.clone(), model).detach(), images, labels, model)


@compute_saliency_maps.part
def _(function):
    """a single image gives one map, with its batch axis, and as it does among others"""
    images, labels, model = small_problem(seed=4, count=3)
    maps = function(images.clone(), labels.clone(), model).detach()
    alone = function(images[:1].clone(), labels[:1].clone(), model)
    core.check_tensor(alone, (1, *SMALL), images[:1], "a batch of one is still a batch")
    core.expect_alone_as_among_others(alone, maps[:1])


@compute_saliency_maps.part
def _(function):
    """a second call, and another network of another size in float32, change nothing"""
    images, labels, model = small_problem(seed=5, count=2)
    first = function(images, labels, model).detach().clone()
    core.expect_repeatable(first, function(images, labels, model).detach(), images)
    core.expect_nothing_kept(lambda images, model: function(images, labels, model), images, model, seed=5)
    other = networks.tiny_network(6, size=(7, 5), classes=4, dtype=torch.float32)
    images, labels = tiny_batch(other, 2, seed=6, size=(7, 5))
    core.check_tensor(function(images, labels, other), (2, 7, 5), images, "the size of the images just given")


@compute_saliency_maps.part
def _(function):
    """images, labels and a network in training use are as they were"""
    images, labels, model = small_problem(seed=7, count=2, trainable=True)
    core.expect_left_alone(lambda: function(images, labels, model), model, images=images, labels=labels)


def _steepest(slopes):
    red, green, blue = slopes.abs().unbind(dim=1)
    return torch.maximum(red, torch.maximum(green, blue))


def _explain_maps(maps, images, labels, model):
    """Raise CheckFailed unless `maps` are those of the score, with the likeliest reason among the usual ones."""
    slopes = finite_difference(scores_of(model), images, labels)
    wanted = _steepest(slopes)
    if same(maps, wanted):
        return
    core.expect_eval_mode(model)
    usual = _usual_maps(slopes, images, labels, model)
    match = core.first_match(maps, usual) or core.scaled(maps, wanted, len(images)) or core.stretched(maps, wanted)
    if match is None and (maps < 0).any():
        match = "negative values", "the sign is kept; take absolute values of the gradient first"
    found, cause = match or (
        f"maps {core.off_by(maps, wanted)}",
        core.Questions(
            "Which number of each image is differentiated, and at which pixels?",
            "What becomes of the three slopes of a pixel?",
            "Is anything kept from an earlier call?",
        ),
    )
    raise core.CheckFailed(
        found, "max over channels of |d s_y / d pixel|, s_y the raw score of the image's label", cause
    )


def _usual_maps(slopes, images, labels, model):
    """Yield what the usual mistakes give, with what is found and its cause: (maps, found, cause)."""

    def steepest(quantity, asked=labels):
        return _steepest(finite_difference(quantity, images, asked))

    yield slopes.amax(dim=1), "the largest signed slope", "the sign is kept; take absolute values first, then max"
    yield slopes.amax(dim=1).abs(), "the size of the largest signed slope", "absolute value after max, not before"
    yield slopes.abs().mean(dim=1), "the mean over the channels", "`mean` where the channel maximum is wanted"
    yield slopes.abs().sum(dim=1), "the sum over the channels", "`sum` where the channel maximum is wanted"
    yield slopes.norm(dim=1), "the Euclidean norm over the channels", "`norm` where the channel maximum is wanted"
    yield slopes.abs().amin(dim=1), "the smallest slope of the three channels", "`min` where max is wanted"
    yield slopes.abs().median(dim=1).values, "the middle one of the three slopes", "`median` where max is wanted"
    yield slopes.sum(dim=1).abs(), "the size of the sum over the channels", "slopes are added up; take abs, then max"
    yield slopes.mean(dim=1).abs(), "the size of the mean over the channels", "a mean of slopes; take abs, then max"
    yield _steepest(slopes) ** 2, "the square of the steepest slope", "a square; take absolute values"
    yield (slopes**2).sum(dim=1), "the sum of the squared slopes", "squares; take absolute values, then max"
    yield _steepest(slopes).clamp(max=1), "the map, cut off at 1", "`clamp(0, 1)`; slopes may be steeper, keep them"
    yield _steepest(core.at_normalised(slopes, model)), *core.AT_NORMALISED
    yield _steepest(slopes * images), "gradient times image", "a product with the image; take the gradient alone"
    yield (
        steepest(probabilities_of(model)),
        "the slope of the softmax probability",
        "a softmax before the gradient; differentiate the raw score",
    )
    of_loss = steepest(log_probabilities_of(model))
    yield of_loss, "the slope of the log-probability", "the cross-entropy was differentiated; take the raw score"
    yield (
        of_loss / len(images),
        "the slope of the mean cross-entropy",
        "a loss averaged over the batch; take the sum of the raw scores",
    )
    yield (
        steepest(scores_of(model), model(images).argmax(dim=1)),
        "the maps of the predicted classes",
        "`scores.max` or `argmax`: the labels are not used",
    )
    yield (
        steepest(scores_of(model), labels[:1].expand_as(labels)),
        "the maps of the first image's label, for all images",
        "the label of image 0 is taken for all; pair image i with label i",
    )
    yield (
        slopes.clamp(min=0).amax(dim=1),
        "the steepest slope upwards",
        "negative slopes are set to 0; take absolute values",
    )
    yield (
        steepest(lambda x, _: model(x).sum(dim=1)),
        "the slope of the sum of all scores",
        "`scores.sum()`: pick each image's own score first",
    )
    yield (
        steepest(lambda x, _: model(x)[:, labels].sum(dim=1)),
        "the slope of the scores of all labels of the batch",
        "`scores[:, labels]`; pair i with y_i: `gather`",
    )


# ------------------------------------------------------------------------------------------------ score_gradient

score_gradient = core.Checks("score_gradient", '(images, labels, model, of="score") -> (N, 3, H, W)')


@score_gradient.part
def _(function):
    """three images give three gradients with three channels"""
    images, labels, model = small_problem(seed=11, count=3)
    result = function(images, labels, model)
    core.check_tensor(result, images.shape, images, "a slope for each channel of each pixel")


@score_gradient.part
def _(function):
    """without `of`, and with of="score", the slope of the score"""
    images, labels, model = small_problem(seed=12, count=3)
    _explain_gradient(function(images.clone(), labels, model), "score", images, labels, model)
    _explain_gradient(function(images.clone(), labels, model, "score"), "score", images, labels, model)


@score_gradient.part
def _(function):
    """a single image, asked for twice, gives the gradient it has among others, and another model another one"""
    images, labels, model = small_problem(seed=16, count=3)
    for of in QUANTITIES:
        among = function(images.clone(), labels, model, of).detach()[:1]
        image = images[:1].clone()
        alone = function(image, labels[:1], model, of)
        core.check_tensor(alone, image.shape, image, "a batch of one is still a batch")
        kept = alone.detach().clone()
        core.expect_alone_as_among_others(kept, among)
        again = function(image, labels[:1], model, of).detach()
        core.expect_repeatable(kept, again, image)
        core.expect_nothing_kept(lambda at, other, of=of: function(at, labels, other, of), images, model, seed=16)
        core.expect(
            same(alone.detach(), kept),
            found="the first result changed when the function was called again",
            wanted="a new tensor from every call",
            cause="`images.grad` of the caller's tensor is returned; work on `images.detach().clone()`",
        )


@score_gradient.part
def _(function):
    """of="probability" gives the slope of the softmax probability"""
    images, labels, model = small_problem(seed=13, count=3)
    found = function(images.clone(), labels, model, "probability")
    _explain_gradient(found, "probability", images, labels, model)


@score_gradient.part
def _(function):
    """of="log_probability" gives the slope of the logarithm of the probability"""
    images, labels, model = small_problem(seed=14, count=3)
    found = function(images.clone(), labels, model, "log_probability")
    _explain_gradient(found, "log_probability", images, labels, model)


@score_gradient.part
def _(function):
    """all three hold for a network that is sure, of other classes than those asked about"""
    images, labels, model = small_problem(seed=18, count=2, gain=30)
    for of in QUANTITIES:
        _explain_gradient(function(images.clone(), labels, model, of), of, images, labels, model)


@score_gradient.part
def _(function):
    """any other `of` raises ValueError"""
    images, labels, model = small_problem(seed=15, count=1)
    cause: core.Cause
    try:
        result = function(images, labels, model, "logit")
    except ValueError:
        return
    except NotImplementedError:
        raise
    except Exception as error:
        found = f'{type(error).__name__} for of="logit"'
        cause = core.Questions("Which line meets a word it does not know?", "Is that before you `raise ValueError`?")
        if isinstance(error, AssertionError):
            cause = "an `assert`, which raises AssertionError; write `raise ValueError(...)`"
    else:
        found = f'{"None" if result is None else "a result"} for of="logit"'
        of = [word for word in QUANTITIES if result is not None and same(result, function(images, labels, model, word))]
        cause = core.Questions("What becomes of a word that is none of the three?", "Which line raises ValueError?")
        if of:
            cause = f"every other word passes for {of[0]}; test for the three words and raise ValueError otherwise"
    raise core.CheckFailed(found, "ValueError, so that a typing error never passes for a score", cause)


@score_gradient.part
def _(function):
    """images, labels and a network in training use are as they were"""
    images, labels, model = small_problem(seed=7, count=2, trainable=True)
    for of in QUANTITIES:
        core.expect_left_alone(lambda of=of: function(images, labels, model, of), model, images=images, labels=labels)


def _explain_gradient(result, of, images, labels, model):
    """Raise CheckFailed unless `result` is the slope of the quantity `of`, with the likeliest reason."""
    wanted = finite_difference(QUANTITIES[of](model), images, labels)
    found = result.detach()
    if same(found, wanted):
        return
    core.expect_eval_mode(model)
    core.expect(
        of == "score" or all(row.norm() > 1e-2 * goal.norm() for row, goal in zip(found, wanted, strict=True)),
        found="slopes near 0 for an image whose label is improbable",
        wanted=f"the slope of the {of} of each image's own label",
        cause=core.Questions(
            "Is the probability kept above a bound, by `clamp` or an added epsilon?",
            "Is `log_softmax` used for the logarithm?",
        ),
    )
    usual = _usual_gradients(wanted, of, images, labels, model)
    found, cause = (
        core.first_match(found, usual)
        or core.scaled(found, wanted, len(images))
        or core.stretched(found, wanted)
        or (
            f"a gradient {core.off_by(found, wanted)}",
            core.Questions("Which number of each image is differentiated?", "At which pixels?"),
        )
    )
    raise core.CheckFailed(found, f"the slope of the {of} of each image's own label", cause)


def _usual_gradients(wanted, of, images, labels, model):
    """Yield what the usual mistakes give: (gradient, what it is, cause)."""

    def slope(quantity, asked=labels):
        return finite_difference(QUANTITIES[quantity](model), images, asked)

    for other in QUANTITIES:
        if other != of:
            yield slope(other), f"the slope of the {other}", f"`of` is not told apart: {other} where {of} is wanted"
    yield -wanted, "the slope with the opposite sign", "a loss, which falls where the probability rises"
    yield -slope("log_probability"), "the slope of the cross-entropy", "a loss where a score is wanted"
    yield wanted.abs(), "absolute values", "`abs`; this function keeps the sign"
    yield wanted**2, "squared slopes", "a square; this function keeps slopes and their sign"
    yield (
        probabilities_of(model)(images, labels)[:, None, None, None] * slope("score"),
        "p_y times the slope of the score",
        "the probability was taken for a fixed factor; the softmax of the scores must be differentiated, with its "
        "denominator",
    )
    yield (
        slope(of, model(images).argmax(dim=1)),
        "the slope for the predicted classes",
        "`max` or `argmax`: the labels are not used",
    )
    yield (
        sum(slope(of, label.expand(len(labels))) for label in labels),
        f"the slope of each image's {of} of all labels of the batch",
        "`scores[:, labels]`; pair i with y_i: `gather`",
    )
    yield (
        sum(slope(of, torch.full_like(labels, number)) for number in range(model(images).shape[1])),
        "the slope of the sum over all classes",
        "the sum of all values; pick each image's own first",
    )
    yield core.at_normalised(wanted, model), *core.AT_NORMALISED
    if of != "score":
        own = scores_of(model)(images, labels)[:, None, None, None]
        factor = own.sigmoid() * (1 - own.sigmoid()) if of == "probability" else 1 - own.sigmoid()
        yield factor * slope("score"), "the slope of a sigmoid", "`sigmoid` of one score; take the softmax of all"
    yield wanted * images, "gradient times image", "a product with the image; take the gradient alone"
    yield wanted.clamp(-1, 1), "the slopes, cut off at -1 and 1", "`clamp`; slopes may be steeper, keep them"


# ------------------------------------------------------------------------------------------------ smooth_grad

smooth_grad = core.Checks("smooth_grad", "(images, labels, model, noise) -> (N, 3, H, W)")


@smooth_grad.part
def _(function):
    """five samples of noise for three images give three gradients"""
    images, labels, model, noise = _noisy_problem(seed=21, samples=5, count=3)
    result = function(images, labels, model, noise)
    core.check_tensor(result, images.shape, images, "the mean runs over the samples, the first axis of `noise`")


@smooth_grad.part
def _(function):
    """the result is the mean, over the samples, of the slope at image + noise"""
    images, labels, model, noise = _noisy_problem(seed=23, samples=5, count=3)
    found = function(images.clone(), labels.clone(), model, noise.clone()).detach()
    _explain_smooth(function, found, images, labels, model, noise)


@smooth_grad.part
def _(function):
    """one sample, one image: the slope at the noisy image"""
    images, labels, model, noise = _noisy_problem(seed=24, samples=1, count=1)
    found = function(images.clone(), labels.clone(), model, noise.clone())
    core.check_tensor(found, images.shape, images, "a batch of one is still a batch")
    _explain_smooth(function, found, images, labels, model, noise)


@smooth_grad.part
def _(function):
    """a second call changes nothing, and other noise, another image or another network does"""
    images, labels, model, noise = _noisy_problem(seed=26, samples=2, count=1)
    first = function(images, labels, model, noise).detach().clone()
    core.expect_repeatable(first, function(images, labels, model, noise).detach(), images, noise)
    core.expect_nothing_kept(lambda at, other: function(at, labels, other, noise), images, model, seed=26)
    core.expect(
        not same(function(images, labels, model, -noise).detach(), first),
        found="for other noise, the result of an earlier call",
        wanted="a result that is computed anew in every call",
        cause="a result is kept from call to call (a global, a cache); keep nothing",
    )


@smooth_grad.part
def _(function):
    """images, labels, noise and a network in training use are as they were"""
    images, labels, model, noise = _noisy_problem(seed=25, samples=3, count=2, trainable=True)
    given = {"images": images, "labels": labels, "noise": noise}
    core.expect_left_alone(lambda: function(images, labels, model, noise), model, **given)


def _noisy_problem(seed, samples, count, **options):
    generator = torch.Generator().manual_seed(seed)
    images, labels, model = small_problem(seed, count, **options)
    return images, labels, model, 0.3 * torch.randn(samples, *images.shape, generator=generator).double()


def _explain_smooth(function, result, images, labels, model, noise):
    """Raise CheckFailed unless `result` is the mean slope at the noisy images, with the likeliest reason."""
    found = result.detach()
    each = torch.stack([finite_difference(scores_of(model), images + sample, labels) for sample in noise])
    wanted = each.mean(dim=0)
    if same(found, wanted):
        return
    core.expect_eval_mode(model)
    again = function(images.clone(), labels.clone(), model, noise.clone()).detach()
    core.expect(
        same(again, found),
        found="another result on a second call with the same noise",
        wanted="the noise that is passed in, so that the result can be repeated",
        cause="chance inside the function, such as `torch.randn`; use the samples of `noise`",
    )
    questions = [
        "What becomes of the slopes at the samples, other than their mean?" if len(noise) > 1 else "At which pixels?",
        "Does score_gradient, if you call it, pass its own check?",
    ]
    if len(noise) > 1 and len(images) > 1:
        questions.append("Are images, labels and samples repeated in one order?")
    words, cause = (
        core.first_match(found, _usual_smooth(each, images, labels, model, noise))
        or core.scaled(found, wanted, len(images), len(noise))
        or core.stretched(found, wanted)
        or (f"a gradient {core.off_by(found, wanted)}", core.Questions(*questions))
    )
    raise core.CheckFailed(words, "the mean over the samples of d s_y / dx at image + noise", cause)


def _usual_smooth(each, images, labels, model, noise):
    """Yield what the usual mistakes give, from the slopes at `each` sample: (gradient, what it is, cause)."""

    def slopes_at(noisy, asked=labels, quantity=scores_of):
        return finite_difference(quantity(model), noisy, asked)

    def mean_at(samples, **options):
        return torch.stack([slopes_at(images + sample, **options) for sample in samples]).mean(dim=0)

    count, samples = len(images), len(noise)
    yield each.abs().mean(dim=0), "the mean of absolute slopes", "`abs` before the mean; the samples keep their sign"
    yield each.mean(dim=0).abs(), "the size of the mean slope", "`abs`; this function keeps the sign"
    yield (each**2).mean(dim=0), "the mean of squared slopes", "a square; that is another method, SmoothGrad-squared"
    yield each[0], "the slope at the first sample alone", "`return` inside the loop"
    yield each[-1], "the slope at the last sample alone", "the sum is overwritten in the loop: `=` in place of `+=`"
    yield slopes_at(images), "the slope at the clean image", "the noise is never added"
    yield (
        mean_at(torch.cat([noise, -noise])),
        "the mean slope at image + noise and image - noise",
        "each sample is used twice, with both signs; add it once",
    )
    yield mean_at(-noise), "the mean slope at image - noise", "the noise is subtracted; add it"
    yield (
        (samples * each.mean(dim=0) + slopes_at(images)) / (samples + 1),
        "a mean that takes in the slope at the clean image",
        "the image itself is one of the samples; the mean runs over the samples of `noise` alone",
    )
    yield (
        each.mean(dim=0) + slopes_at(images) / samples,
        "a sum that takes in the slope at the clean image",
        "the sum begins with the gradient at the image itself; begin with zeros",
    )
    yield each.median(dim=0).values, "the median of the slopes", "`median` where the mean is wanted"
    if samples > 1:
        yield each.var(dim=0), "the variance of the slopes", "that is VarGrad, another method; take the mean"
    ranges = images.amax(dim=(1, 2, 3), keepdim=True) - images.amin(dim=(1, 2, 3), keepdim=True)
    yield (
        mean_at(noise * ranges),
        "the mean slope at image + noise times the image's range",
        "`noise` is in pixel units already: add it as it is",
    )
    yield (
        torch.stack([each[:, i].mean(dim=0) / each[:, i].mean(dim=0).abs().max() for i in range(count)]),
        "each result scaled to end at 1",
        "a normalisation; return the values as they are",
    )
    yield (
        mean_at(noise, quantity=probabilities_of),
        "the mean slope of the softmax probability",
        "a softmax before the gradient; differentiate the raw score",
    )
    yield (
        mean_at(noise, quantity=log_probabilities_of),
        "the mean slope of the log-probability",
        "a log-softmax before the gradient; differentiate the raw score",
    )
    yield (
        -mean_at(noise, quantity=log_probabilities_of),
        "the mean slope of the cross-entropy",
        "a loss before the gradient; differentiate the raw score",
    )
    yield (
        torch.stack([slopes_at(at, model(at).argmax(dim=1)) for at in images + noise]).mean(dim=0),
        "the mean slope for the predicted classes",
        "`max` or `argmax`: the labels are not used",
    )
    yield core.at_normalised(each.mean(dim=0), model), *core.AT_NORMALISED
    if samples > 1 and count > 1:
        asked = labels.repeat_interleave(samples)
        mixed = slopes_at((images + noise).flatten(0, 1), asked).view_as(noise)
        yield (
            mixed.mean(dim=0),
            "slopes of labels in another order than the images",
            "in one batch of S x N images that come sample by sample, labels are repeated with `labels.repeat(S)`",
        )
        interleaved = slopes_at((images.repeat_interleave(samples, 0) + noise.flatten(0, 1)), asked)
        for order in (
            interleaved.view(count, samples, *images.shape[1:]).mean(dim=1),
            interleaved.view_as(noise).mean(dim=0),
        ):
            yield (
                order,
                "slopes at images with the noise of others",
                "images are repeated in another order than the samples of `noise`: its first axis is S",
            )
    yield (
        slopes_at(images + noise.mean(dim=0)),
        "the slope at the mean of the noisy images",
        "the mean is taken before the gradient, not after",
    )
    yield (
        torch.stack([slopes_at((images + sample).clamp(0, 1)) for sample in noise]).mean(dim=0),
        "the slope at clamped images",
        "`clamp`; the noisy images may leave [0, 1] here",
    )
    yield (
        torch.stack([slopes_at(images + sum_) for sum_ in noise.cumsum(dim=0)]).mean(dim=0),
        "the slope where the noise has piled up",
        "`images = images + sample`: each sample starts afresh",
    )


# ------------------------------------------------------------------------------------------------ saliency_box

saliency_box = core.Checks("saliency_box", "(saliency_map, fraction) -> (x0, y0, x1, y1)")


@saliency_box.part
def _(function):
    """a bright rectangle on a dark ground is its own box"""
    saliency_map = torch.rand(12, 20, generator=torch.Generator().manual_seed(31)).double()
    saliency_map[2:5, 9:16] += 5
    _expect_box(function, saliency_map, 21 / 240, (9, 2, 16, 5))


@saliency_box.part
def _(function):
    """a fraction of 1 keeps the whole map"""
    saliency_map = torch.rand(5, 8, generator=torch.Generator().manual_seed(33)).double()
    below = (
        "x1 and y1 are kept below W and H, as indices must be; they are one past the last column and row, and may "
        "be W and H"
    )
    _expect_box(function, saliency_map, 1.0, (0, 0, 8, 5), {(0, 0, 7, 4): below})


@saliency_box.part
def _(function):
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


@saliency_box.part
def _(function):
    """pixels equal to the threshold are kept, all of them, also below a brighter one"""
    dropped = (
        "pixels that tie with the threshold are dropped: `topk` picks some of them at random, `>` drops them; compare "
        "with `>=`"
    )
    saliency_map = torch.zeros(8, 11, dtype=torch.float64)
    saliency_map[1, 2] = saliency_map[6, 9] = saliency_map[3, 4] = 1
    some = dict.fromkeys([(0, 0, 0, 0), (2, 1, 3, 2), (9, 6, 10, 7), (4, 3, 5, 4)], dropped)
    _expect_box(function, saliency_map, 0.01, (2, 1, 10, 7), some)
    saliency_map[0, 0] = 2
    some = dict.fromkeys([(0, 0, 1, 1), (0, 0, 3, 2), (0, 0, 5, 4)], dropped)
    _expect_box(function, saliency_map, 2 / 88, (0, 0, 10, 7), some)


@saliency_box.part
def _(function):
    """a map may hold any values: negative ones, and many that nearly tie"""
    signs = core.Questions(
        "Are absolute values taken, or negative ones set to 0?",
        "Is the map divided by its maximum, which may be negative?",
    )
    saliency_map = torch.tensor([[-9.0, -3, -3.5, -1], [-4, -5, -2, -6]], dtype=torch.float64)
    _expect_box(function, saliency_map, 0.25, (2, 0, 4, 2), {(0, 0, 4, 2): signs})
    saliency_map = torch.tensor([[-9.0, 0.5, -2, 1], [0.25, -8, -7, -6]], dtype=torch.float64)
    _expect_box(function, saliency_map, 0.25, (1, 0, 4, 1), {(0, 0, 2, 2): signs})
    tied = core.Questions(
        "Is the map rounded before values are compared, such as to 256 levels or to float32?",
        "Do pixels count as equal that differ a little, as with `isclose`?",
    )
    for step in (1e-6, 1e-10):
        saliency_map = 0.5 + step * torch.arange(60.0, dtype=torch.float64).view(6, 10)
        saliency_map[0, 0] = 1
        _expect_box(function, saliency_map, 2 / 60, (0, 0, 10, 6), {})
        saliency_map[5, 9] = 0.5
        _expect_box(function, saliency_map, 2 / 60, (0, 0, 9, 6), {(0, 0, 10, 6): tied})


@saliency_box.part
def _(function):
    """the map is as it was"""
    saliency_map = torch.rand(6, 9, generator=torch.Generator().manual_seed(35)).double()
    with core.untouched(saliency_map=saliency_map):
        function(saliency_map, 0.25)


def _expect_box(function, saliency_map, fraction, wanted, others=None):
    """Raise CheckFailed unless the box is the one wanted; `others`: the causes of other boxes, which tell best."""
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
    height, width = saliency_map.shape
    usual |= others or {}
    usual.setdefault(
        (0, 0, width, height),
        "nearly all pixels are kept: `fraction` counts the pixels to keep, the brightest; it is neither the share to "
        "drop nor a share of the maximum",
    )
    unknown = core.Questions(
        "Is the threshold the ceil(fraction x pixels)-th largest value?",
        "Is it compared with `>=`?",
        "Which of the corners is off, and by how much?",
    )
    raise core.CheckFailed(
        f"{found} for a map of {width} x {height} pixels and fraction {fraction:.3g}",
        str(wanted),
        usual.get(found, unknown),
    )


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
    core.expect(
        not whole or not outside.any() or one_less.any(),
        found=f"{found}, which leaves out the dimmest of the {keep} brightest pixels",
        wanted=f"all {keep}, since {fraction:.3g} of {width} x {height} pixels is {fraction * width * height:.2f}",
        cause=core.Questions(
            "Is the number of pixels rounded down, or to the nearest, and not up (`math.ceil`)?",
            "Does a quantile interpolate?",
            "Does `>` in place of `>=` drop the threshold's own pixel?",
        ),
    )
    core.expect(
        whole and not outside.any(),
        found=f"{found}, which leaves out {int(outside.sum())} of the {int(bright.sum())} brightest pixels",
        wanted=f"a box around every one of the {keep} brightest pixels of {width} x {height}, fraction {fraction:.3g}",
        cause=core.Questions(
            "Are rows and columns swapped?",
            "Is the end included?",
            "Is the threshold too high: is `fraction` taken for a share of the maximum?",
        ),
    )
    sides = [bright[y0, x0:x1], bright[y1 - 1, x0:x1], bright[y0:y1, x0], bright[y0:y1, x1 - 1]]
    core.expect(
        all(bool(side.any()) for side in sides),
        found=f"{found}, which has a side that touches no pixel at or above the threshold",
        wanted=f"the smallest box around the {keep} brightest pixels of {width} x {height}, fraction {fraction:.3g}",
        cause=core.Questions(
            "Is the threshold too low: another than the ceil(fraction x pixels)-th largest value?",
            "Is a pixel picked that does not belong to the brightest?",
        ),
    )


def _box(function, saliency_map, fraction):
    """Return the four corners of the student's box, whole numbers."""
    result = function(saliency_map.clone(), fraction)
    core.expect(
        isinstance(result, (tuple, list)) and len(result) == 4,
        found=core.type_of(result),
        wanted="four whole numbers (x0, y0, x1, y1)",
        cause="the function has no `return`" if result is None else "another form than the docstring asks for",
    )
    try:
        return tuple(operator.index(corner) for corner in result)
    except TypeError:
        raise core.CheckFailed(
            f"{tuple(result)}",
            "four whole numbers (x0, y0, x1, y1), with which a picture can be cut",
            "corners that are no whole numbers, such as floats, or tensors of floats; convert each with `int`",
        ) from None
