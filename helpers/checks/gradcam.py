"""Checks of assignment 2: each takes the student's function of the same name.

Guided backprop is the gradient of no function, so no difference quotient can define it. Its checks are a network whose
numbers are worked out by hand, and pairs of networks that must give the same result. Everything else is measured by
finite differences on a tiny network, or known by hand as well. Nothing in here is an answer.
"""

import itertools

import torch
from torch import nn
from torch.nn.functional import logsigmoid

from helpers.checks import core, networks
from helpers.checks.measure import finite_difference, log_probabilities_of, losses_of, probabilities_of, same, scores_of
from helpers.checks.problems import SMALL, small_problem, tiny_batch

# ------------------------------------------------------------------------------------------------ guided_backprop

# A network for one pixel: three channels, four neurons, three neurons, two scores; label 1 is asked about.
PIXEL = [1.0, 0.5, 0.0]
FIRST = [[2.0, -1, 1], [-1, 3, 1], [1, -4, 2], [0, 2, -2]]  # gives 1.5, 0.5, -1 and 1 before the first ReLU
SECOND = [[1.0, -2, 3, 1], [2, 1, -1, -5], [-1, 2, 1, 1]]  # gives 1.5, -1.5 and 0.5 before the second ReLU
HEAD = [[1.0, 1, 1], [2, 3, -1]]

GUIDED = (4.0, 2.0, -2.0)
NOT_GUIDED = {
    (12.0, -19.0, -5.0): (
        "the plain gradient",
        "the rule has reached no ReLU: `model.children()` gives the top level alone, `model.modules()` the whole tree; "
        "or each ReLU masks by its input alone, as autograd does",
    ),
    (19.0, -20.0, 14.0): (
        "the deconvnet's result",
        "the mask by the input is missing: clamp `grad_input`, which has it already, and not `grad_output`",
    ),
    (12.0, 0.0, 0.0): (
        "the positive part of the plain gradient",
        "`clamp` or `relu` on the gradient at the pixels; the rule belongs at every ReLU on the way back",
    ),
    (4.0, 2.0, 0.0): (
        "guided backprop without its negative values",
        "negative values are cut off where there is no ReLU, at the pixels; keep the sign of the result",
    ),
    (4.0, 1.0, 0.0): ("guided backprop times the image", "a product with the image; return the values alone"),
    (1.0, 2 / 3, 0.0): (
        "guided backprop scaled to [0, 1], from its smallest to its largest value",
        "a normalisation; return the values as they are",
    ),
    (1.0, 0.5, -0.5): ("guided backprop scaled to end at 1", "a normalisation; return the values as they are"),
    (1.0, 1.0, -1.0): ("the signs of the result", "`clamp(-1, 1)`, or `sign()`; return the values as they are"),
    (4 / 3, 4 / 3, 4 / 3): ("the mean of the three channels", "a mean over `dim=1`; keep the channels as they are"),
    (4.0, 4.0, 4.0): ("the largest channel for all three", "a maximum over `dim=1`; keep the channels as they are"),
    (16.0, 4.0, 4.0): ("squares", "a square; return the values as they are"),
    (4.0, 2.0, 2.0): ("absolute values", "`abs`; keep the sign"),
    (8.0, -10.0, -6.0): ("the rule at the last ReLU alone", "some ReLUs are left out; walk `model.modules()`"),
    (6.0, -1.0, 1.0): ("the rule at the first ReLU alone", "some ReLUs are left out; walk `model.modules()`"),
    (0.0, 11.0, -3.0): ("absolute values passed on", "`abs` in place of `clamp(min=0)`: negative signals are dropped"),
    (2.0, -8.0, 0.0): ("the negative signals passed on", "`clamp(max=0)` in place of `clamp(min=0)`"),
}

guided_backprop = core.Checks("guided_backprop", "(images, labels, model) -> (N, 3, H, W)")


@guided_backprop.part
def _(function):
    """three images give three results with three channels"""
    images, labels, model = small_problem(seed=51, count=3)
    with core.left_as_found(model, ["structure"]):  # what is left in there may fail in a second call
        result = function(images, labels, model)
    core.check_tensor(result, images.shape, images, "a value for each channel of each pixel")


@guided_backprop.part
def _(function):
    """the result of an image depends on that image, its label and the network alone"""
    images, labels, model = small_problem(seed=54, count=3)
    core.expect_nothing_kept(lambda at, other: function(at, labels, other), images, model, seed=54)
    images, labels, model = _smooth_problem(seed=52, count=3)
    core.expect_own_label(lambda asked: function(images.clone(), asked, model).detach(), labels)


@guided_backprop.part
def _(function):
    """on a network without a ReLU, the result is the slope of the score"""
    images, labels, model = _smooth_problem(seed=53, count=3)
    found = function(images.clone(), labels.clone(), model).detach()
    _explain_slope(found, images, labels, model)


@guided_backprop.part
def _(function):
    """on a network of two ReLU layers, the result is what you get by hand"""
    _expect_by_hand(lambda image, model: function(image, torch.tensor([1]), model), GUIDED, NOT_GUIDED)


@guided_backprop.part
def _(function):
    """the same layers give the same result, nested in one another or in a row"""
    in_a_row, nested, _ = networks.three_forms(seed=56)
    cause = "nested ReLUs are not reached: `model.modules()` walks the whole tree"
    _expect_same_result(function, in_a_row, nested, cause)


@guided_backprop.part
def _(function):
    """the same layers give the same result when one ReLU module serves in several places"""
    in_a_row, _, shared = networks.three_forms(seed=57)
    cause = (
        "the input of the ReLU is stored on the module, and its next use overwrites it; let autograd keep it, by "
        "`ctx.save_for_backward` or by a hook that clamps `grad_input`"
    )
    _expect_same_result(function, in_a_row, shared, cause)


@guided_backprop.part
def _(function):
    """a single image gives the result it has among others, at every call, for any network"""
    images, labels, model = small_problem(seed=54, count=3)
    among = function(images.clone(), labels.clone(), model).detach()[1:2].clone()
    image, label = images[1:2].clone(), labels[1:2]
    alone = function(image, label, model)
    core.check_tensor(alone, image.shape, image, "a batch of one is still a batch")
    kept = alone.detach().clone()
    core.expect_alone_as_among_others(kept, among)
    core.expect_repeatable(kept, function(image, label, model).detach(), image)
    other = networks.tiny_network(55, size=(7, 5), classes=4, dtype=torch.float32)
    images, labels = tiny_batch(other, 2, seed=55, size=(7, 5))
    core.check_tensor(function(images, labels, other), images.shape, images, "the size of the images just given")


@guided_backprop.part
def _(function):
    """images, labels and a network, frozen or in training use, are as they were"""
    _expect_left_alone(lambda images, labels, model: function(images, labels, model))


def _expect_same_result(function, plain, other, cause):
    """Raise CheckFailed unless two forms of one network give the same result; what sets them apart is the cause."""
    images, labels = tiny_batch(plain, 2, seed=58, size=SMALL)
    one, two, again = (function(images.clone(), labels.clone(), model).detach() for model in (plain, other, other))
    core.expect_repeatable(two, again)
    if same(one, two):
        return
    gradient = finite_difference(scores_of(other), images, labels)
    apart = core.off_by(two, one).replace("what was measured", "each other")
    found = "the plain gradient for one form" if same(two, gradient) else f"results {apart}"
    raise core.CheckFailed(f"{found} of the same layers", "the same result for both forms of the network", cause)


def _explain_slope(found, images, labels, model):
    """Raise CheckFailed unless `found` is the slope of the score, with the likeliest reason."""
    slopes = finite_difference(scores_of(model), images, labels)
    if same(found, slopes):
        return
    core.expect_eval_mode(model)
    of_probability = finite_difference(probabilities_of(model), images, labels)
    of_logarithm = finite_difference(log_probabilities_of(model), images, labels)
    usual = [
        (of_probability, "the slope of the softmax probability", "a softmax before the gradient; take the raw score"),
        (of_logarithm, "the slope of the log-probability", "a log-softmax before the gradient; take the raw score"),
        (-of_logarithm, "the slope of the cross-entropy", "a loss, which falls where the score rises; take the score"),
        (slopes.abs(), "absolute values", "`abs`; keep the sign"),
        (slopes.clamp(min=0), "the positive part of the slope", "the rule is applied where there is no ReLU, at the "
         "pixels: test `isinstance(module, nn.ReLU)`"),
        (slopes * images, "the slope times the image", "a product with the image; return the values alone"),
        (core.at_normalised(slopes, model), *core.AT_NORMALISED),
    ]  # fmt: skip
    match = core.first_match(found, usual) or core.scaled(found, slopes, len(images)) or core.stretched(found, slopes)
    if match is None and not bool((found < 0).any()):
        match = (
            "not a single negative value, on a network without a ReLU",
            core.Questions(
                "Is the rule applied where there is no ReLU: at the pixels, or at every layer "
                "(test `isinstance(module, nn.ReLU)`)?",
                "What becomes of the sign at the end?",
            ),
        )
    words, cause = match or (
        f"values {core.off_by(found, slopes)}",
        core.Questions(
            "Which number of each image is differentiated?", "At which pixels?", "Is the rule applied here?"
        ),
    )
    raise core.CheckFailed(words, "the slope of the raw score of each image's own label", cause)


# ------------------------------------------------------------------------------------------------ grad_cam

grad_cam = core.Checks("grad_cam", "(images, labels, model, layer) -> (N, h, w)")


@grad_cam.part
def _(function):
    """three images give three maps in the size of the layer's output"""
    images, labels, model = _two_part_problem(seed=61, count=3)
    try:
        maps = function(images, labels, model, model.cam_layer)
    except RuntimeError as error:
        core.expect(
            "does not require grad" not in str(error),
            found=f"an error: {error}",
            wanted="maps, for a frozen network too",
            cause="nothing requires a gradient; give the model `images.detach().clone().requires_grad_()`",
        )
        raise
    core.expect(
        getattr(maps, "shape", None) != (3, *SMALL),
        found=f"maps of {SMALL} places, the size of the images",
        wanted="maps of (3, 5) places, the size of the layer's output",
        cause=_cause_of_size(maps, images, labels, model),
    )
    core.check_tensor(maps, (3, 3, 5), images, "one map for each image, in the size of the layer's output")


@grad_cam.part
def _(function):
    """no value is negative"""
    images, labels, model = _two_part_problem(seed=62, count=3)
    maps = function(images.clone(), labels.clone(), model, model.cam_layer).detach()
    core.expect(
        bool((maps >= 0).all()),
        found=f"values down to {maps.min():.2g}" if not maps.isnan().any() else "values that are NaN",
        wanted="0 wherever the sum over the channels is negative",
        cause="the ReLU after the sum over the channels is missing",
    )


@grad_cam.part
def _(function):
    """another layer, another network and other images give another map"""
    images, labels, model = small_problem(seed=66, count=3)
    core.expect_nothing_kept(lambda at, other: function(at, labels, other, other.cam_layer), images, model, seed=66)
    images, labels, model = small_problem(seed=64, count=2)
    maps = function(images, labels, model, model.network.head[1])
    core.expect(
        maps.shape != (2, *SMALL),
        found=f"maps of {SMALL} places, the size of model.cam_layer",
        wanted="maps of (3, 4) places, the size of the layer that was passed in, a pooling in the head",
        cause="`model.cam_layer` in place of the argument `layer`",
    )
    core.check_tensor(maps, (2, 3, 4), images, "the size of the layer that was passed in")


@grad_cam.part
def _(function):
    """the map is the positive part of the channels, each weighed by how much the score gains when it grows"""
    images, labels, model = _two_part_problem(seed=62, count=3)
    maps = function(images.clone(), labels.clone(), model, model.cam_layer).detach()
    _explain_grad_cam(maps, images, labels, model)


@grad_cam.part
def _(function):
    """where every channel speaks against the label, the map is zero"""
    images, labels, model = _two_part_problem(seed=65, count=2)
    layer, back = model.cam_layer, model.network.back
    layer.bias.data.fill_(20)  # every channel is positive, and lowers every score
    back[1].weight.data.copy_(-0.02 * back[1].weight.data.abs())
    back[3].weight.data.abs_()
    maps = function(images, labels, model, layer).detach()
    core.expect(
        bool((maps == 0).all()),
        found=f"values up to {maps.max():.2g}" if not maps.isnan().any() else "values that are NaN",
        wanted="a map of zeros: nothing at this layer speaks for the label",
        cause="a number is added, or there is a floor under the map, such as `clamp(min=1e-8)`; return the zeros"
        if bool((maps == maps.max()).all())
        else core.Questions("Is the ReLU the last step?", "Is a map divided by its largest value, which is 0 here?"),
    )


@grad_cam.part
def _(function):
    """large values, small ones, and a map without a zero are as they are"""
    for gain in (1e4, 1e-4, 1):
        images, labels, model = _two_part_problem(seed=62, count=3)
        layer, back = model.cam_layer, model.network.back
        back[3].weight.data.mul_(gain)
        if gain == 1:
            layer.bias.data.fill_(20)  # every channel is positive, and raises every score
            back[1].weight.data.abs_().mul_(0.02)
            back[3].weight.data.abs_()
        _explain_grad_cam(function(images.clone(), labels.clone(), model, layer).detach(), images, labels, model)


@grad_cam.part
def _(function):
    """a single image gives the map it has among others, at every call"""
    images, labels, model = _two_part_problem(seed=66, count=3)
    among = function(images.clone(), labels.clone(), model, model.cam_layer).detach()[1:2].clone()
    image, label = images[1:2].clone(), labels[1:2]
    alone = function(image, label, model, model.cam_layer)
    core.check_tensor(alone, (1, 3, 5), image, "a batch of one is still a batch")
    kept = alone.detach().clone()
    core.expect_alone_as_among_others(kept, among)
    core.expect_repeatable(kept, function(image, label, model, model.cam_layer).detach(), image)


@grad_cam.part
def _(function):
    """images, labels and a network, frozen or in training use, are as they were"""
    _expect_left_alone(lambda images, labels, model: function(images, labels, model, model.cam_layer))


def _cause_of_size(maps, images, labels, model):
    """Return why maps have the size of the images, which is that of what enters the layer, too."""
    entering = model.normalise(images)

    def score(inside, asked):
        return scores_of(model.network)(inside, asked)

    slopes = finite_difference(score, entering, labels)
    if isinstance(maps, torch.Tensor) and same(maps.detach(), _cut(_mean_over_places(slopes) * entering)):
        return "the hook keeps `inputs`; keep `output`"
    return core.Questions(
        "Is the map enlarged (`F.interpolate`)? That is a step of its own.",
        "Does the hook keep the layer's `output`, or what enters it?",
    )


def _two_part_problem(seed, count):
    """Return images, labels and a network whose layer to look at gives (N, 4, 3, 5), both signs."""
    model = networks.two_part_network(seed)
    return *tiny_batch(model, count, seed, size=SMALL), model


def _explain_grad_cam(maps, images, labels, model):
    """Raise CheckFailed unless `maps` are Grad-CAM at model.cam_layer, with the likeliest reason."""
    core.expect_eval_mode(model)
    back = model.network.back
    with torch.no_grad():
        outputs = model.cam_layer(model.normalise(images))
        weights = _gains(back, outputs, labels) / outputs[0, 0].numel()
        signed = torch.einsum("nk,nkhw->nhw", weights, outputs)
    wanted = signed.clamp(min=0)
    if same(maps, wanted):
        return
    slopes = finite_difference(scores_of(back), outputs, labels)
    usual = itertools.chain(
        _usual_sums(signed, outputs, slopes), _usual_scales(signed), _usual_quantities(back, outputs, labels)
    )
    found, cause = (
        core.first_match(maps, usual)
        or core.first_match(maps, [_without_normalising(images, labels, model)])
        or core.scaled(maps, wanted, len(images))
        or core.stretched(maps, wanted)
        or (
            f"maps {core.off_by(maps, wanted)}",
            core.Questions(
                "Which number is differentiated, with respect to what?",
                "Is it the mean over the places, the product, the sum over the channels, and the ReLU?",
                "Are small or large values cut off?",
            ),
        )
    )
    raise core.CheckFailed(
        found, "max(0, sum over k of alpha_k A_k), alpha_k the mean of d s_y / d A_k over the places", cause
    )


def _without_normalising(images, labels, model):
    """Return the maps of images that no layer has normalised, with words and cause."""
    with torch.no_grad():
        outputs = model.cam_layer(images)
        weights = _gains(model.network.back, outputs, labels) / outputs[0, 0].numel()
    maps = _cut(weights[:, :, None, None] * outputs)
    return maps, "the maps of pixels that were not normalised", "`model.network` is called in place of `model`"


def _gains(back, outputs, labels, step=1e-4):
    """Return by how much the score grows with each channel, raised by 1 at all places: (N, K)."""
    gains = []
    for channel in torch.eye(outputs.shape[1], dtype=outputs.dtype):
        raised = step * channel.view(1, -1, 1, 1)
        change = scores_of(back)(outputs + raised, labels) - scores_of(back)(outputs - raised, labels)
        gains.append(change / (2 * step))
    return torch.stack(gains, dim=1)


def _mean_over_places(slopes):
    return slopes.mean(dim=(2, 3), keepdim=True)


def _cut(contributions):
    """Return the positive part of the sum over the channels: (N, K, h, w) -> (N, h, w)."""
    return contributions.sum(dim=1).clamp(min=0)


def _usual_sums(signed, outputs, slopes):
    """Yield the maps of other weights, and of a ReLU in another place: (maps, what they are, cause)."""
    weights = _mean_over_places(slopes)
    yield signed.abs(), "absolute values", "`abs` in place of the ReLU: what speaks against the label must be 0"
    yield (weights * outputs).clamp(min=0).sum(dim=1), "each channel cut at 0 before the sum", "ReLU before the sum"
    yield _cut(weights.clamp(min=0) * outputs), "the channels with positive weight alone", "a ReLU on the weights"
    yield (
        _cut(_mean_over_places(slopes.clamp(min=0)) * outputs),
        "weights from the positive slopes alone",
        "a ReLU on the gradient, before its mean",
    )
    yield _cut(weights * outputs.clamp(min=0)), "the positive outputs alone", "a ReLU on the layer's output"
    yield _cut(slopes * outputs), "gradient times output, place by place", "the mean of the gradient is missing"
    yield (
        _cut(slopes.mean(dim=(0, 2, 3), keepdim=True) * outputs),
        "one set of weights for the whole batch",
        "a mean over `dim=(0, 2, 3)`; each image has its own weights",
    )
    yield _cut(slopes.amax(dim=(2, 3), keepdim=True) * outputs), "weights from the largest slope", "`amax` for `mean`"
    for abs_weights in (weights.abs(), _mean_over_places(slopes.abs())):
        yield _cut(abs_weights * outputs), "the channels by the size of their weights", "`abs`; weights keep their sign"
    yield _cut(weights[:1] * outputs), "the weights of the first image for all", "each image has its own weights"
    for dim, axis in ((2, "columns"), (3, "rows")):
        yield (
            _cut(slopes.mean(dim=dim, keepdim=True) * outputs),
            f"weights of single {axis}",
            f"a mean over `dim={dim}` alone; a channel has one weight, the mean over `dim=(2, 3)`",
        )
    yield (
        _cut(slopes.mean(dim=1, keepdim=True) * outputs),
        "weights of single places",
        "a mean over the channels, `dim=1`; average over the places, `dim=(2, 3)`",
    )
    yield _cut(weights), "the weights alone", "the weights are not multiplied with the layer's output"
    yield signed.clamp(min=0) ** 2, "the squares of the map", "a square; return the values as they are"
    yield (
        _cut(_mean_over_places(outputs) * slopes),
        "the gradient, weighed by the mean outputs",
        "outputs and gradients are exchanged",
    )


def _usual_scales(signed):
    """Yield what a factor, a number added or a normalisation makes of the maps: (maps, what they are, cause)."""
    wanted, places = signed.clamp(min=0), signed[0].numel()
    yield places * wanted, f"{places} times what is wanted", "`sum` over the places in place of `mean`"
    yield wanted / 4, "1/4 of what is wanted", "`mean` over the four channels in place of `sum`"
    yield wanted / len(wanted), "1/3 of what is wanted", "a mean over the batch of 3 images; add their scores up"
    yield (1 + signed).clamp(min=0), "a map that is 1 too high", "the sum starts from `torch.ones`; start from zeros"
    yield signed.clamp(0, 1), "values cut off at 1", "`clamp(0, 1)`; the map has no upper limit, `clamp(min=0)`"
    yield (
        wanted - wanted.amin(dim=(1, 2), keepdim=True),
        "maps whose smallest value was taken away",
        "a shift; return the values as they are",
    )
    yield (
        wanted / wanted.amax(dim=(1, 2), keepdim=True),
        "maps scaled to end at 1",
        "a normalisation; return the values as they are",
    )
    yield (
        (wanted - wanted.min()) / (wanted.max() - wanted.min()),
        "maps scaled by the values of the whole batch",
        "a normalisation; return the values as they are",
    )


def _usual_quantities(back, outputs, labels):
    """Yield the maps of other quantities than the score of the label: (maps, what they are, cause)."""

    def cam(quantity, asked=labels):
        return _cut(_mean_over_places(finite_difference(quantity, outputs, asked)) * outputs)

    yield (
        cam(probabilities_of(back)),
        "the map of the softmax probability",
        "a softmax before the gradient; differentiate the raw score",
    )
    yield (
        cam(log_probabilities_of(back)),
        "the map of the log-probability",
        "a log-softmax before the gradient; differentiate the raw score",
    )
    yield cam(scores_of(back), labels[:1].expand(len(labels))), "the map of the first label for all", "`labels[0]`"
    yield (
        cam(losses_of(back)),
        "the map of the cross-entropy",
        "a loss, which falls where the score rises; differentiate the raw score",
    )
    yield (
        cam(scores_of(back), back(outputs).argmax(dim=1)),
        "the map of the predicted class",
        "`max` or `argmax`: the labels are not used",
    )
    yield (
        cam(lambda x, _: back(x).sum(dim=1)),
        "the map of the sum of all scores",
        "`scores.sum()`: pick each image's own score first",
    )
    yield (
        cam(lambda x, _: back(x)[:, labels].sum(dim=1)),
        "the map of the labels of the whole batch",
        "`scores[:, labels]`; pair i with y_i: `gather`",
    )


# ------------------------------------------------------------------------------------------------ guided_grad_cam

# At the first ReLU of the network for one pixel, outputs are 1.5, 0.5, 0, 1 and gradients 3, -6, 5, 1: Grad-CAM is 2.5.
PRODUCT = (10.0, 5.0, -5.0)
NOT_THE_PRODUCT = {
    (30.0, -47.5, -12.5): ("the plain gradient times Grad-CAM", "the gradient in place of guided backprop"),
    (4.0, 2.0, -2.0): (
        "guided backprop times a Grad-CAM of 1, where it is 2.5",
        "a normalisation, which makes the one value of the map 1, a `clamp` to [0, 1], or no product at all; take "
        "Grad-CAM as it is",
    ),
    (0.0, 0.0, 0.0): (
        "zeros",
        "a scaling of the map that makes its smallest value 0, or a mask of what is above its mean: the map has one "
        "value here; take Grad-CAM as it is",
    ),
    (25.0, 12.5, -12.5): ("guided backprop times the square of Grad-CAM", "a factor too many; one map, one product"),
    (40.0, 10.0, -10.0): ("guided backprop twice, times Grad-CAM", "a factor too many; one map, one product"),
    (10.0, 2.5, 0.0): ("the product times the image", "a factor too many; return the product of the two alone"),
    (1.0, 1.0, -1.0): ("the signs of the product", "`clamp(-1, 1)`, or `sign()`; return the values as they are"),
    (10 / 3, 10 / 3, 10 / 3): ("the mean of the three channels", "a mean over `dim=1`; keep the channels as they are"),
    (1.0, 2 / 3, 0.0): (
        "the product scaled to [0, 1], from its smallest to its largest value",
        "a normalisation; return the values as they are",
    ),
    (1.0, 0.5, -0.5): ("the product scaled to end at 1", "a normalisation; return the values as they are"),
    (12.0, 6.0, -6.0): (
        "guided backprop times a Grad-CAM of 3, where it is 2.5",
        "the guided rule is still in the model while Grad-CAM takes its gradient; put the model in order first",
    ),
    (40.0, -42.5, -17.5): (
        "the sum of the gradient and guided backprop, times Grad-CAM",
        "gradients pile up in `images.grad`; let each function work on fresh pixels",
    ),
    (6.5, 4.5, 0.5): ("guided backprop plus Grad-CAM", "`+` in place of `*`"),
    (10.0, 5.0, 0.0): (
        "the product without its negative values",
        "`clamp` or `relu` on guided backprop; keep the sign",
    ),
    (10.0, 5.0, 5.0): ("absolute values", "`abs`; the product keeps the sign"),
}

# The other label, which is not the prediction: guided backprop is (0, 4, -4), Grad-CAM 2.
OTHER_PRODUCT = (0.0, 8.0, -8.0)
NOT_OTHER_PRODUCT = {
    (10.0, 5.0, -5.0): ("the result for the predicted class", "`max` or `argmax`: the labels are not used"),
    (8.0, 4.0, -4.0): (
        "guided backprop of the predicted class, times Grad-CAM of the label",
        "guided backprop is asked about `argmax`; give both functions the labels",
    ),
    (0.0, 10.0, -10.0): (
        "guided backprop of the label, times Grad-CAM of the predicted class",
        "Grad-CAM is asked about `argmax`; give both functions the labels",
    ),
}

guided_grad_cam = core.Checks("guided_grad_cam", "(images, labels, model, layer) -> (N, 3, H, W)")


@guided_grad_cam.part
def _(function):
    """three oblong images give three results with three channels"""
    images, labels, model = small_problem(seed=71, count=3, size=(7, 11))
    try:
        result = function(images, labels, model, model.network.head[1])
    except RuntimeError as error:
        core.expect(
            "must match the size" not in str(error),
            found=f"an error: {error}",
            wanted="a map of (3, 5) places enlarged to (7, 11), height first",
            cause=core.Questions(
                "Is `size` a single number, which makes a square?",
                "Are height and width exchanged?",
                "Is there one factor for both sides, or a rounded one?",
            ),
        )
        raise
    core.check_tensor(result, images.shape, images, "a value for each channel of each pixel")


@guided_grad_cam.part
def _(function):
    """another layer, another network and other images give another result"""
    images, labels, model = small_problem(seed=75, count=3)
    core.expect_nothing_kept(lambda at, other: function(at, labels, other, other.cam_layer), images, model, seed=75)
    one, other = (function(*_at(path, seed=72, count=2)).detach() for path in ("body.1", "head.1"))
    core.expect(
        not same(one, other),
        found="the same result for two layers",
        wanted="the map of the layer that was passed in",
        cause="`model.cam_layer` in place of the argument `layer`",
    )


@guided_grad_cam.part
def _(function):
    """on a network of two ReLU layers, the result is what you get by hand"""

    def ask(image, model):
        return function(image, torch.tensor([1]), model, model.network[1])

    _expect_by_hand(ask, PRODUCT, NOT_THE_PRODUCT, power=2)


@guided_grad_cam.part
def _(function):
    """both factors belong to the label that is asked for, also where the network predicts another one"""

    def ask(image, model):
        return function(image, torch.tensor([0]), model, model.network[1])

    _expect_by_hand(ask, OTHER_PRODUCT, NOT_OTHER_PRODUCT, power=2)


@guided_grad_cam.part
def _(function):
    """a single image gives the result it has among others"""
    among = function(*_at("head.1", seed=73, count=3)).detach()[1:2].clone()
    images, labels, *rest = _at("head.1", seed=73, count=3)
    alone = function(images[1:2].clone(), labels[1:2], *rest)
    core.check_tensor(alone, (1, 3, *SMALL), images[1:2], "a batch of one is still a batch")
    core.expect_alone_as_among_others(alone, among, ask="Is the map of one image used for all?")


@guided_grad_cam.part
def _(function):
    """on a network that copies and averages, the result is the map, enlarged bilinearly, on every second column"""
    values = torch.tensor([[1.0, -2, 4], [2, 3, 0]], dtype=torch.float64)
    image, label, model, layer = _copying_problem(values)
    found = function(image.clone(), label, model, layer).detach()[0]
    _explain_enlarging(found, values, active=(image[0, 0] > 0).double())


@guided_grad_cam.part
def _(function):
    """on a network without a ReLU, the channels are the slopes of the score, times one factor at each pixel"""
    images, labels, model = _two_part_problem(seed=74, count=2)
    found = function(images.clone(), labels.clone(), model, model.cam_layer).detach()
    slopes = finite_difference(scores_of(model), images, labels)
    core.expect(
        _one_factor(found, slopes),
        found="another factor for each channel",
        wanted="the same map for all three",
        cause=core.AT_NORMALISED[1]
        if _one_factor(found, core.at_normalised(slopes, model))
        else core.Questions(
            "Is it guided backprop that is multiplied, of the same labels?", "Is it one map for the three channels?"
        ),
    )


def _one_factor(found, slopes):
    """Tell whether at every pixel `found` is `slopes` (N, 3, H, W) times a factor, the same for the channels."""
    return same(found * slopes.roll(1, dims=1), found.roll(1, dims=1) * slopes)


@guided_grad_cam.part
def _(function):
    """images, labels and a network, frozen or in training use, are as they were"""
    _expect_left_alone(lambda images, labels, model: function(images, labels, model, model.network.head[1]))


def _at(path, seed, count):
    """Return images, labels, a tiny network made afresh, and its layer at `path`."""
    images, labels, model = small_problem(seed, count)
    return images, labels, model, model.network.get_submodule(path)


def _copying_problem(values):
    """Return an image, its label, a network and a layer that give a map (2, 3) of these values, before its ReLU.

    Guided backprop is 1 and -1 in the first two channels of the pixels in which the first one is bright, and 0 in all
    others. That is every second column, where the values are positive.
    """
    image = torch.zeros(1, 3, 8, 12, dtype=torch.float64)
    for channel, part in ((0, values.clamp(min=0)), (2, (-values).clamp(min=0))):
        image[0, channel, :, ::2] = _in_blocks(torch.where(part > 0, 0.25 + part / 8, 0))[:, ::2]
    with torch.random.fork_rng(devices=[]):
        copying, averaging, head = nn.Conv2d(3, 2, 1), nn.AvgPool2d(4), nn.Linear(12, 2)
    copying.weight.data.copy_(torch.tensor([[1.0, -1, 0], [0, 0, 1]]).view(2, 3, 1, 1))
    copying.get_parameter("bias").data.fill_(-0.25)
    head.weight.data.copy_(torch.tensor([0.0, 16]).view(2, 1) * torch.tensor([1.0] * 6 + [-1.0] * 6))
    model = networks.classifier(nn.Sequential(copying, nn.ReLU(), averaging, nn.Flatten(), head))
    return image, torch.tensor([1]), model, averaging


def _in_blocks(values):
    """Return a map of 2 x 3 places in 8 x 12 pixels, each value repeated."""
    return values.repeat_interleave(4, 0).repeat_interleave(4, 1)


def _in_between(values):
    """Return a map of 2 x 3 places in 8 x 12 pixels, enlarged bilinearly."""
    near = torch.tensor([1, 1, 0.875, 0.625, 0.375, 0.125, 0, 0], dtype=torch.float64)  # a cell's share of each pixel
    left = torch.cat([near, near.new_zeros(4)])
    down = torch.stack([near, near.flip(0)])
    across = torch.stack([left, 1 - left - left.flip(0), left.flip(0)])
    return down.T @ values @ across


def _corner_to_corner(values):
    """Return a map of 2 x 3 places in 8 x 12 pixels, enlarged bilinearly from the middles of the outer pixels on."""

    def shares(cells, pixels):
        distances = torch.linspace(0, cells - 1, pixels, dtype=torch.float64) - torch.arange(cells)[:, None]
        return (1 - distances.abs()).clamp(min=0)

    return shares(2, 8).T @ values @ shares(3, 12)


def _explain_enlarging(found, values, active):
    """Raise CheckFailed unless a map of 2 x 3 places is enlarged to 8 x 12 pixels, and multiplied there.

    Args:
        found: the result for one image, (3, 8, 12).
        values: the map before its ReLU, (2, 3).
        active: 1 where guided backprop is 1 and -1, 0 elsewhere, (8, 12).
    """

    def product(large):
        return torch.stack([active * large, -active * large, torch.zeros_like(large)])

    wanted = product(_in_between(values.clamp(min=0)))
    if same(found, wanted):
        return
    usual = ((product(large), what, cause) for large, what, cause in _usual_enlargements(values))
    words = core.first_match(found, usual)
    if words is None and bool(found[0][active == 0].any()):
        words = (
            "values where no neuron is active, and guided backprop is 0",
            "guided backprop was shrunk to the size of the map; enlarge the map, then multiply",
        )
    words, cause = words or (
        f"values {core.off_by(found, wanted)}".replace("what was measured", "what you get by hand"),
        core.Questions(
            "Is it another interpolation than the bilinear one (`mode='bicubic'` overshoots)?",
            "Is it Grad-CAM as grad_cam gives it that is enlarged?",
        ),
    )
    raise core.CheckFailed(words, "guided backprop times the map, enlarged with bilinear interpolation", cause)


def _usual_enlargements(values):
    """Yield how a map is enlarged by mistake: (map of 8 x 12 pixels, what it is, cause)."""
    positive = values.clamp(min=0)
    yield (
        _in_blocks(positive),
        "a map of blocks",
        "`F.interpolate` without `mode`, which repeats; use `mode='bilinear'`",
    )
    yield (
        _corner_to_corner(positive),
        "a map that is shifted against the image",
        "`align_corners=True`; use `align_corners=False`",
    )
    yield (
        _in_between(values).clamp(min=0),
        "a map that was enlarged before its ReLU",
        "negative places leak into the others; the ReLU comes first",
    )


# ------------------------------------------------------------------------------------------------ integrated_gradients

# The mean of 3 u^2 over three points of the way on which u falls from 2 to 1: what three steps see of u^3.
MIDDLES = 251 / 36
NOT_MIDDLES = {
    77 / 9: ("gradients at the starts of the pieces", "t = k / steps, k from 0; the middles are (k + 1/2) / steps"),
    50 / 9: ("gradients at the ends of the pieces", "t = (k + 1) / steps, k from 0; the middles are (k + 1/2) / steps"),
    7.25: ("gradients at both ends and between", "`torch.linspace(0, 1, steps)`; both ends are left out"),
    127 / 18: ("the trapezoid rule", "the ends of the pieces, the outer ones with half the weight; take the middles"),
    43 / 6: ("gradients at the ends of all pieces", "`range(steps + 1)`, one point too many; take the middles"),
    3.0: ("one gradient, at the image", "no walk: the mean runs over points between baseline and image"),
    27 / 4: ("one gradient, halfway", "one point; there are as many points as steps"),
    35 / 36: ("gradients on the way from black", "t * image; the points are baseline + t * (image - baseline)"),
    683 / 36: ("gradients beyond the image", "baseline + t * image; the points are baseline + t * (image - baseline)"),
}

integrated_gradients = core.Checks("integrated_gradients", "(images, labels, model, baseline, steps) -> (N, 3, H, W)")


@integrated_gradients.part
def _(function):
    """three images give three results, whatever the shape of the baseline"""
    images, labels, model = _smooth_problem(seed=81, count=3)
    for shape in (images.shape, images.shape[1:], (3, 1, 1), (1, 3, 1, 1), (1,)):
        result = function(images, labels, model, torch.full(shape, 0.4, dtype=images.dtype), 2)
        core.check_tensor(result, images.shape, images, f"a value for each channel of each pixel, baseline {shape}")


@integrated_gradients.part
def _(function):
    """the result of an image depends on that image, its label and the network alone"""
    images, labels, model = small_problem(seed=85, count=3)
    baseline = torch.full((1,), 0.4, dtype=torch.float64)
    core.expect_nothing_kept(lambda at, other: function(at, labels, other, baseline, 2), images, model, seed=85)
    images, labels, model = _smooth_problem(seed=86, count=3)
    core.expect_own_label(lambda asked: function(images.clone(), asked, model, baseline, 4).detach(), labels)


@integrated_gradients.part
def _(function):
    """for a linear score, a pixel gets its weight times the way it has come from the baseline"""
    images, baseline, model = _power_problem(seed=82)
    found = function(images.clone(), torch.tensor([0, 0]), model, baseline.clone(), 4).detach()
    _explain_linear(found, images, baseline, model, steps=4)


@integrated_gradients.part
def _(function):
    """for the cube of a linear score, three steps show the middles of three pieces"""
    images, baseline, model = _power_problem(seed=83)
    found, at_once = (
        function(images.clone(), torch.tensor([2, 2]), model, baseline.clone(), steps).detach() for steps in (3, 1)
    )
    _explain_points(found, at_once, model.network.weight * (images - baseline), lambda: _sums_fit_at_once(function))


@integrated_gradients.part
def _(function):
    """with many steps, the values of an image add up to the gain of its score"""
    images, labels, model = _smooth_problem(seed=84, count=3)
    baseline = torch.tensor([0.9, 0.2, 0.5], dtype=torch.float64).view(3, 1, 1)
    found = function(images.clone(), labels.clone(), model, baseline.clone(), 60).detach()
    _explain_sums(found.sum(dim=(1, 2, 3)), images, labels, model, baseline)


@integrated_gradients.part
def _(function):
    """a single image with a baseline of its own gives the result it has among others"""
    images, labels, model = _smooth_problem(seed=85, count=3)
    baseline = images.flip(0) ** 2
    among = function(images.clone(), labels.clone(), model, baseline.clone(), 3).detach()[1:2].clone()
    alone = function(images[1:2].clone(), labels[1:2], model, baseline[1:2].clone(), 3)
    core.check_tensor(alone, (1, 3, *SMALL), images[1:2], "a batch of one is still a batch")
    core.expect_alone_as_among_others(
        alone, among, ask="Are images and baselines paired wrongly, in one batch of steps x N points?"
    )


@integrated_gradients.part
def _(function):
    """images, labels, baseline and a network, frozen or in training use, are as they were"""
    baseline = torch.tensor([-0.2, 0.3, 1.2], dtype=torch.float64).view(3, 1, 1)
    _expect_left_alone(
        lambda images, labels, model: function(images, labels, model, baseline, 2), hooks=False, baseline=baseline
    )


def _power_problem(seed):
    """Return two images, a baseline, and a model: the powers of a score that is 1 at the images, 2 at the baseline."""
    generator = torch.Generator().manual_seed(seed)
    images, baseline, weight = (
        torch.rand(*shape, 3, 4, 5, generator=generator, dtype=torch.float64) for shape in ((2,), (1,), ())
    )
    rows = torch.cat([images, baseline]).flatten(1)
    scores = torch.tensor([1.0, 1.0, 2.0], dtype=torch.float64)
    weight = weight - 0.5
    weight += (torch.linalg.pinv(rows) @ (scores - rows @ weight.flatten())).view_as(weight)
    return images, baseline, networks.classifier(networks.Powers(weight))


def _explain_linear(found, images, baseline, model, steps):
    """Raise CheckFailed unless `found` is weight x (image - baseline), with the likeliest reason."""
    weight, way = model.network.weight, images - baseline
    wanted = weight * way
    if same(found, wanted):
        return

    def along(quantity):
        points = [baseline + (k + 0.5) / steps * way for k in range(steps)]
        labels = torch.zeros(len(images), dtype=torch.int64)
        return way * torch.stack([finite_difference(quantity(model), at, labels) for at in points]).mean(dim=0)

    usual = [
        (weight.expand_as(images), "the mean gradient", "the factor image - baseline is missing"),
        (weight * images, "the gradient times the image", "`images` in place of `images - baseline`"),
        (-wanted, "the opposite sign", "baseline - image: the way leads from the baseline to the image"),
        (wanted.abs(), "absolute values", "`abs`; keep the sign, or the values do not add up"),
        (weight.abs() * (images - baseline), "absolute gradients, added up", "`abs` on the gradients; keep the sign"),
        (steps * wanted, f"{steps} times what is wanted", "the sum of the gradients is not divided by `steps`"),
        (
            weight * (images - baseline).abs(),
            "the gradient times the size of the way",
            "`abs` on image - baseline; keep the sign",
        ),
        (weight * (images - baseline) ** 2, "the gradient times the square of the way", "image - baseline twice"),
        *(
            (weight * (images - grey), f"the way from {what}", "the baseline is one number; let it broadcast as it is")
            for grey, what in (
                (baseline.mean(), "the mean of the baseline"),
                (baseline.flatten()[0], "the first value of the baseline"),
                (baseline.amax(), "the largest value of the baseline"),
                (baseline.amin(), "the smallest value of the baseline"),
            )
        ),
        (along(probabilities_of), "the way along the softmax probability", "a softmax; differentiate the raw score"),
        (
            along(log_probabilities_of),
            "the way along the log-probability",
            "a log-softmax; differentiate the raw score",
        ),
        (along(losses_of), "the way along the cross-entropy", "a loss; differentiate the raw score"),
        (steps / (steps + 1) * wanted, f"{steps}/{steps + 1} of what is wanted", "divided by `steps + 1`"),
        (steps / (steps - 1) * wanted, f"{steps}/{steps - 1} of what is wanted", "divided by `steps - 1`"),
    ]
    words, cause = (
        core.first_match(found, usual)
        or core.scaled(found, wanted, len(images))
        or core.stretched(found, wanted)
        or (
            f"values {core.off_by(found, wanted)}",
            core.Questions("Which number is differentiated: the raw score?", "What is it multiplied with, and when?"),
        )
    )
    raise core.CheckFailed(words, "(image - baseline) times the gradient, which is constant here", cause)


def _sums_fit_at_once(function):
    """Tell whether the values add up to the gain of a bent score already with one step, as no rule of points has it."""
    images, labels, model = _smooth_problem(seed=87, count=2)
    baseline = torch.zeros(1, dtype=torch.float64)
    sums = function(images.clone(), labels.clone(), model, baseline, 1).detach().sum(dim=(1, 2, 3))
    return same(sums, scores_of(model)(images, labels) - scores_of(model)(0 * images, labels), 1e-6)


def _explain_points(found, at_once, unit, rescaled):
    """Raise CheckFailed unless `found` is the multiple of `unit` that the middles of three pieces give.

    `at_once` is the result of a single step. `rescaled`, called, tells whether values are made to add up to the gain.
    """
    factor = float((found * unit).sum() / (unit * unit).sum())
    if same(found, MIDDLES * unit):
        core.expect(
            same(at_once, 27 / 4 * unit),
            found=f"{float((at_once * unit).sum() / (unit * unit).sum()):.4g} times a pixel's weight, for one step",
            wanted="6.75 times: one step is one gradient, halfway",
            cause=core.Questions(
                "What is your t for `steps=1` (1/2 is wanted)?", "Is `steps` raised when it is small?"
            ),
        )
        return
    proportional = same(found, factor * unit)
    if same(found, 7 * unit):
        if rescaled():
            words: tuple[str, core.Cause] = (
                "values rescaled to add up to the gain",
                "a normalisation; the gap tells how good the approximation is",
            )
        else:
            words = (
                "the integral of the square, nearer than three middles come to it",
                core.Questions(
                    "Are your points and weights those of another rule, such as Gauss-Legendre's or Simpson's?",
                    "Are there more points than `steps`?",
                ),
            )
        raise core.CheckFailed(words[0], "gradients at the middles of `steps` equal pieces of the way", words[1])
    found, cause = next(
        (words for value, words in NOT_MIDDLES.items() if proportional and abs(factor / value - 1) < 1e-6),
        (
            f"{factor / MIDDLES:.4g} times what is wanted" if proportional else "values out of proportion",
            core.Questions("What are your t (print them; wanted are 1/6, 1/2, 5/6)?", "Do all have the same weight?"),
        ),
    )
    raise core.CheckFailed(
        found, "gradients at the middles of `steps` equal pieces of the way from baseline to image", cause
    )


def _explain_sums(sums, images, labels, model, baseline):
    """Raise CheckFailed unless `sums` are the gains of the score, with the likeliest reason."""
    wanted = scores_of(model)(images, labels) - scores_of(model)(baseline.expand_as(images), labels)
    if same(sums, wanted, tolerance=1e-2):
        return
    core.expect_eval_mode(model)
    part = "a way that does not start at the baseline: `baseline[0]` takes a part of it for the whole; let it broadcast"
    usual = [
        *(
            (scores_of(model)(images, labels) - scores_of(model)(torch.ones_like(images) * start, labels), "", cause)
            for start, cause in (
                (baseline[0], part),
                (baseline.mean(), "the mean of the baseline is taken for the baseline; let it broadcast"),
                (0 * baseline, "a way that starts at black; it starts at the baseline"),
            )
        ),
        *(
            (of(model)(images, labels) - of(model)(baseline.expand_as(images), labels), "", cause)
            for of, cause in (
                (probabilities_of, "a softmax before the gradient; differentiate the raw score"),
                (log_probabilities_of, "a log-softmax before the gradient; differentiate the raw score"),
                (losses_of, "a loss before the gradient; differentiate the raw score"),
            )
        ),
    ]
    match = core.first_match(sums, usual, fits=lambda found, values: same(found, values, tolerance=1e-2))
    if match is None and same(sums, _sums_at_normalised(images, labels, model, baseline, 60), tolerance=1e-2):
        match = core.AT_NORMALISED
    raise core.CheckFailed(
        f"sums of {_numbers(sums)}",
        f"sums of {_numbers(wanted)}: score of the image minus score of the baseline",
        match[1]
        if match
        else core.Questions("Where does the way start?", "At which points, of which number, is the gradient taken?"),
    )


def _sums_at_normalised(images, labels, model, baseline, steps):
    """Measure what the values add up to where slopes are taken at the normalised images."""
    way = images - baseline
    points = [baseline + (k + 0.5) / steps * way for k in range(steps)]
    slopes = torch.stack([finite_difference(scores_of(model), at, labels) for at in points]).mean(dim=0)
    return (way * core.at_normalised(slopes, model)).sum(dim=(1, 2, 3))


# ------------------------------------------------------------------------------------------------ occlusion_map

# A score that adds pixels up: what each of six windows of 2 x 2 pixels, all of them 1, brings to it.
WINDOWS = [[1.0, 2, 4], [8, -16, 32]]

occlusion_map = core.Checks("occlusion_map", "(images, labels, model, patch, stride, fill) -> (N, rows, columns)")


@occlusion_map.part
def _(function):
    """there is one value for each window that lies wholly inside"""
    images, labels, model = small_problem(seed=91, count=3)
    windows = ((2, 3), (3, 1), (5, 2))
    _expect_windows({window: function(images.clone(), labels, model, *window, 0.5) for window in windows}, images)


@occlusion_map.part
def _(function):
    """for a score that adds pixels up, you can tell each drop by hand"""
    weights = torch.tensor(WINDOWS, dtype=torch.float64).repeat_interleave(2, 0).repeat_interleave(2, 1) / 12
    with torch.random.fork_rng(devices=[]):
        linear = nn.Linear(72, 2)
    linear.weight.data.copy_(torch.stack([torch.zeros(72), weights.expand(3, 4, 6).flatten()]))
    linear.bias.data.fill_(0.5)
    model = networks.classifier(nn.Sequential(nn.Flatten(), linear))
    images = torch.ones(2, 3, 4, 6, dtype=torch.float64)
    result = function(images.clone(), torch.tensor([1, 1]), model, 2, 2, 0.25)
    core.check_tensor(result, (2, 2, 3), images, "one value for each window of 2 x 2 pixels")
    for drops in result:
        _explain_drops(drops)


@occlusion_map.part
def _(function):
    """a value is the score of the label minus that score with the window filled"""
    images, labels, model = small_problem(seed=92, count=3)
    result = function(images.clone(), labels.clone(), model, 3, 2, 0.8).detach()
    _explain_some_windows(result, images, labels, model, patch=3, stride=2, fill=0.8)


@occlusion_map.part
def _(function):
    """a single image gives the map it has among others"""
    images, labels, model = small_problem(seed=93, count=3)
    among = function(images.clone(), labels.clone(), model, 3, 3, 0.5).detach()[1:2].clone()
    alone = function(images[1:2].clone(), labels[1:2], model, 3, 3, 0.5)
    core.check_tensor(alone, (1, 2, 3), images[1:2], "a batch of one is still a batch")
    core.expect_alone_as_among_others(alone, among)
    core.expect_nothing_kept(lambda at, other: function(at, labels, other, 3, 3, 0.5), images, model, seed=93)


@occlusion_map.part
def _(function):
    """images, labels and a network, frozen or in training use, are as they were"""
    _expect_left_alone(lambda images, labels, model: function(images, labels, model, 3, 3, 0.5), hooks=False)


def _expect_windows(results, images):
    """Raise CheckFailed unless there is one value for each window wholly inside, with the likeliest reason.

    `results` are those of several windows, {(patch, stride): result}: a reason must fit them all.
    """
    shapes = {window: tuple(getattr(result, "shape", ())) for window, result in results.items()}
    usual = {window: _usual_shapes(images, *window) for window in results}
    wanted = {window: by_cause[""] for window, by_cause in usual.items()}
    causes = next(iter(usual.values()))
    cause = next((why for why in causes if all(shapes[window] == usual[window][why] for window in results)), None)
    for (patch, stride), result in results.items():
        shape, goal = shapes[patch, stride], wanted[patch, stride]
        if cause and shape != goal:
            raise core.CheckFailed(
                f"shape {shape} for images of {images.shape[2]} x {images.shape[3]}, patch {patch}, stride {stride}",
                f"shape {goal}: (H - patch) // stride + 1 rows, and the same with W for columns",
                cause,
            )
        inside = f"one value for each window wholly inside, patch {patch}, stride {stride}"
        core.check_tensor(result, goal, images, inside)


def _usual_shapes(images, patch, stride):
    """Return {cause: the shape of the result} of the usual mistakes; that of the right answer has no cause."""
    height, width = images.shape[2:]

    def places(rows, columns):
        return len(images), len(rows), len(columns)

    def inside(length, step=stride):
        return range(0, length - patch + 1, step)

    def with_the_last(length):
        return {*inside(length), length - patch}

    return {
        "": places(inside(height), inside(width)),
        "windows hang over the border; the last one starts at H - patch at the latest": places(
            range(0, height, stride), range(0, width, stride)
        ),
        "`range` stops before its end: the last start is H - patch, so the range ends at H - patch + 1": places(
            range(0, height - patch, stride), range(0, width - patch, stride)
        ),
        "the window moves by its own side; move it by `stride`": places(inside(height, patch), inside(width, patch)),
        "a last window stands at the border, wherever the stride ends; leave it out": places(
            with_the_last(height), with_the_last(width)
        ),
        "rows and columns are exchanged; the first index is the row": places(inside(width), inside(height)),
        "the height is taken for the width; images may be oblong": places(inside(height), inside(height)),
        "the windows stand in one row; give them rows and columns": (
            len(images),
            len(inside(height)) * len(inside(width)),
        ),
        "the map is enlarged to the size of the images; return one value for each window": (len(images), height, width),
    }


def _explain_drops(found):
    """Raise CheckFailed unless the six drops are three quarters of WINDOWS: pixels of 1 are filled with 1/4."""
    parts = torch.tensor(WINDOWS, dtype=torch.float64)
    wanted = 0.75 * parts
    if same(found, wanted):
        return
    whole = parts.sum() + 0.5
    usual = [
        (-wanted, "the opposite sign", "covered minus whole; a drop is whole minus covered"),
        (whole - wanted, "the score of the covered image", "it is not subtracted from the score of the whole image"),
        (wanted.clamp(min=0), "0 where the score rises", "`clamp` or `relu`; a rise is a negative drop"),
        (wanted.abs(), "absolute values", "`abs`; a rise is a negative drop"),
        (parts, "the drops for a fill of 0", "the argument `fill` is not used"),
        (wanted.clamp(-1, 1), "drops cut off at -1 and 1", "a `clamp`; return the values as they are"),
        (wanted / 3, "a third of each drop", "one channel alone is filled; fill all three"),
        (
            wanted.flatten().cumsum(dim=0).view_as(wanted),
            "drops that add up from window to window",
            "windows pile up in one image; `images.clone()` for each",
        ),
        (wanted.sum() - wanted, "the drops of everything else", "the window is kept and the rest filled"),
    ]
    before, after = parts.sum(), parts.sum() - wanted  # label 1 is so much ahead of the other one
    soft = "a softmax; take the raw score"
    usual += [
        (before.sigmoid() - after.sigmoid(), "the drop of the softmax probability", soft),
        (logsigmoid(before) - logsigmoid(after), "the drop of the log-probability", soft),
        (logsigmoid(after) - logsigmoid(before), "the rise of the cross-entropy", "a loss; take the raw score"),
        (wanted / whole, "the drop as a share of the score", "a division by the score; return the drop as it is"),
        (wanted.T.reshape(wanted.shape), "the drops column by column", "rows and columns are exchanged"),
        (0.75 * parts / 4, "a mean over the window", "a mean over the pixels of a window; return the drop as it is"),
    ]
    words, cause = (
        core.first_match(found, usual)
        or core.scaled(found[None], wanted[None], 1)
        or core.stretched(found[None], wanted[None])
        or (
            _numbers(found.flatten()),
            core.Questions(
                "Does the window of row i, column j start at pixel (i * stride, j * stride)?",
                "Is everything else as it was, also after the window before?",
                "What is subtracted from what?",
            ),
        )
    )
    raise core.CheckFailed(words, f"{_numbers(wanted.flatten())} for the six windows, row by row", cause)


def _explain_some_windows(found, images, labels, model, patch, stride, fill):
    """Raise CheckFailed unless four values are the drops of the score, with the likeliest reason."""
    core.expect_eval_mode(model)
    predicted = model(images).argmax(dim=1)
    for row, column in ((0, 0), (1, 2), (1, 0), (0, 3)):
        top, left = row * stride, column * stride
        covered = images.clone()
        covered[:, :, top : top + patch, left : left + patch] = fill

        def drop(asked, covered=covered):
            return scores_of(model)(images, asked) - scores_of(model)(covered, asked)

        wanted = drop(labels)
        if same(found[:, row, column], wanted):
            continue
        largest = model(images).amax(dim=1) - model(covered).amax(dim=1)
        filled = model.normalise(images).clone()
        filled[:, :, top : top + patch, left : left + patch] = fill
        late = scores_of(model)(images, labels) - scores_of(model.network)(filled, labels)
        usual = [
            (drop(predicted), "the drop of the predicted class", "`argmax`: the labels are not used"),
            (largest, "the drop of the largest score", "`max`: the labels are not used"),
            (wanted.mean().expand(3), "the mean over the batch", "a mean over dim 0; each image has its own map"),
            (late, "the drop for a fill of the normalised image", "`fill` is put in after `model.normalise`; it is a "
             "value of the pixels"),
            (drop(labels[:1].expand(3)), "the drop of the first label for all images", "`labels[0]`; each image has "
             "its own"),
            (_drop_of(probabilities_of, model, images, covered, labels), "the drop of the softmax probability", "a "
             "softmax; take the raw score"),
            (_drop_of(log_probabilities_of, model, images, covered, labels), "the drop of the log-probability", "a "
             "log-softmax; take the raw score"),
            (wanted / scores_of(model)(images, labels), "the drop as a share of the score", "a division by the score; "
             "return the drop as it is"),
        ]  # fmt: skip
        words, cause = core.first_match(found[:, row, column], usual) or (
            f"{_numbers(found[:, row, column])} at row {row}, column {column}",
            core.Questions(
                "Does the window start at pixel (row * stride, column * stride)?",
                "What is put into it, and is everything else as it was?",
                "Are the maps scaled?",
            ),
        )
        raise core.CheckFailed(words, f"{_numbers(wanted)} at row {row}, column {column}, for the three images", cause)


def _drop_of(quantity, model, images, covered, labels):
    return quantity(model)(images, labels) - quantity(model)(covered, labels)


# ------------------------------------------------------------------------------------------------ shared


def _expect_left_alone(call, hooks=True, **more):
    """Raise CheckFailed if a call changes the model or its arguments, for a network in use and for a frozen one.

    Args:
        call: (images, labels, model) -> the student's result.
        hooks: whether the model comes with backward hooks, too, where answers set some of their own.
        more: further tensors that the student's function is given, by name.
    """
    for trainable in (True, False):
        images, labels, model = small_problem(seed=7, count=2, trainable=trainable)
        if hooks and trainable:
            networks.with_backward_hooks(model)
        given = {"images": images, "labels": labels, **more}
        core.expect_left_alone(lambda x=images, y=labels, m=model: call(x, y, m), model, **given)


def _smooth_problem(seed, count):
    """Return images, labels and a network with fully connected layers at its end, and not a single ReLU."""
    model = networks.smooth_network(seed)
    return *tiny_batch(model, count, seed, size=SMALL), model


def _by_hand(gain=1):
    """Return the pixel that is worked out by hand, and the network, its scores multiplied with `gain`."""
    with torch.random.fork_rng(devices=[]):
        layers = [nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Conv2d(4, 3, 1), nn.ReLU(), nn.Flatten(), nn.Linear(3, 2)]
    for layer, numbers in ((layers[0], FIRST), (layers[2], SECOND), (layers[5], HEAD)):
        weight = layer.get_parameter("weight")
        weight.data.copy_(torch.tensor(numbers).view_as(weight))
        layer.get_parameter("bias").data.zero_()
    model = networks.classifier(nn.Sequential(*layers), cam_layer="0")
    model.network[5].weight.data.mul_(gain)
    return torch.tensor(PIXEL, dtype=torch.float64).view(1, 3, 1, 1), model


def _expect_by_hand(ask, wanted, others, power=1):
    """Raise CheckFailed unless the three values of a single pixel are those wanted, with the reason if it is known.

    Args:
        ask: (image, model) -> the student's result.
        wanted, others: the values, and those of the usual mistakes with their words.
        power: the result grows with the scores to this power.
    """
    found = ask(*_by_hand()).detach().flatten()
    goal = torch.tensor(wanted, dtype=found.dtype)
    if not same(found, goal):
        usual = [(torch.tensor(values, dtype=found.dtype), *words) for values, words in others.items()]
        words, cause = core.first_match(found, usual) or (
            "none of the usual mistakes",
            core.Questions(
                "What do you get on paper, from PIXEL, FIRST, SECOND and HEAD in helpers/checks/gradcam.py?",
                "At which step do the two part?",
            ),
        )
        raise core.CheckFailed(f"{_numbers(found)} at the three channels: {words}", _numbers(wanted), cause)
    for gain in (1e-4, 1e4):
        found = ask(*_by_hand(gain)).detach().flatten()
        core.expect(
            same(found / gain**power, goal),
            found=f"{_numbers(found)} at the three channels where all scores are {gain:g} times as large",
            wanted=f"{_numbers(gain**power * goal)}, {gain**power:g} times {_numbers(wanted)}",
            cause=core.Questions(
                "Is a signal, or a value, cut off at a number of yours (`clamp`, a threshold)?",
                "Is something divided by its size, or a small number added?",
            ),
        )


def _numbers(values):
    return "(" + ", ".join(f"{value:.3g}" for value in values) + ")"
