"""Checks of assignment 4: each takes the student's function of the same name.

The steps are compared with difference quotients of what they climb, measured on a tiny network. The loop is watched by
the steps that are put into it: what they are shown, how often, and what becomes of their answers.
"""

import itertools
from contextlib import suppress

import torch

from helpers.checks import core
from helpers.checks.measure import finite_difference, log_probabilities_of, probabilities_of, same, scores_of
from helpers.checks.problems import small_drawing_problem
from helpers.synthesis import blur

# ------------------------------------------------------------------------------------------------ class visualization

class_visualization_step = core.Checks(
    "class_visualization_step", "(image, target, model, l2_reg, learning_rate) -> (1, 3, H, W)"
)


@class_visualization_step.part
def _(function):
    """an image of the same shape comes back, with memory of its own"""
    image, target, model = _problem(seed=401)
    _expect_new_image(function(image, target, model, 0.3, 0.5), image)


@class_visualization_step.part
def _(function):
    """with l2_reg = 0, the image moves by the learning rate times the slope of the target's score"""
    image, target, model = _problem(seed=402)
    moved = function(image.clone(), target, model, 0.0, 0.4).detach() - image
    _explain_class_move(moved, image, target, model, 0.0, 0.4)


@class_visualization_step.part
def _(function):
    """with a strong regulariser, it moves by the learning rate times the slope of J"""
    image, target, model = _problem(seed=403)
    for l2_reg, learning_rate in ((0.8, 0.4), (0.3, 2.5)):
        moved = function(image.clone(), target, model, l2_reg, learning_rate).detach() - image
        _explain_class_move(moved, image, target, model, l2_reg, learning_rate)


@class_visualization_step.part
def _(function):
    """another network, in float32, with an image of another size"""
    image, target, model = _problem(seed=405, size=(8, 7), classes=4)
    image, model = image.float(), model.float()
    found = function(image, target, model, 0.05, 0.5)
    core.check_tensor(found, image.shape, image, "the size of the image just given")


@class_visualization_step.part
def _(function):
    """the same again on a second call; the image and a network in training use are as they were"""
    _expect_steady(lambda image, target, model: function(image, target, model, 0.3, 0.5))


def _explain_class_move(moved, image, target, model, l2_reg, learning_rate):
    """Raise CheckFailed unless the move is learning_rate times the slope of J, with the likeliest reason."""

    def slope(function):
        return finite_difference(function, image, torch.tensor([target]))

    def fits(moved, direction):
        return same(moved, learning_rate * direction, 1e-5)

    uphill, pull = slope(scores_of(model)), slope(lambda images, _: _squared_distance(images))
    direction = uphill - l2_reg * pull
    if fits(moved, direction):
        return
    core.expect_eval_mode(model)
    wanted = "learning_rate times the slope of s_target" + (" - l2_reg * ||x - 0.5||^2" if l2_reg else "")
    core.expect(moved.any(), found="the image as it was", wanted=wanted, cause=UNMOVED)
    core.expect(
        not fits(image + moved, direction),
        found="the change alone",
        wanted="the image after the step",
        cause="the step is not added to the image; return `image + ...`",
    )
    usual = itertools.chain(
        _usual_pulls(uphill, pull, l2_reg, learning_rate, slope, model) if l2_reg else (),
        _usual_climbs(uphill, l2_reg * pull, slope, model),
    )
    match = core.first_match(moved, usual, fits)
    if match:
        raise core.CheckFailed(match[0], wanted, match[1])
    _explain_size(moved, learning_rate * direction, image, wanted, l2_reg, learning_rate)


UNMOVED = core.Questions("Is the new tensor the one that is returned?", "Is the step added, and not only computed?")


def _squared_distance(images, grey=0.5):
    return ((images - grey) ** 2).sum(dim=(1, 2, 3))


def _usual_pulls(uphill, pull, l2_reg, learning_rate, slope, model):
    """Yield the steps, each for a learning rate of 1, of wrong regularisers: (step, what it is, cause).

    Args:
        uphill, pull: the slopes of the target's score and of ||x - 0.5||^2.
        slope: measures the slope of any function of the image.
    """
    yield uphill + l2_reg * pull, "a pull away from grey", "the sign of the regulariser: its slope is subtracted"
    yield uphill, "the slope of the score alone", "the regulariser is missing, or computed from a detached tensor"
    yield (
        uphill - l2_reg * slope(lambda images, _: _squared_distance(images, grey=0)),
        "a pull towards black",
        "the centre of the regulariser is mid grey: `image - 0.5` in place of `image`",
    )
    yield (
        uphill - l2_reg * slope(lambda images, _: _squared_distance(images).sqrt()),
        "the slope of the norm",
        "the norm is not squared",
    )
    yield uphill - l2_reg * pull / 2, "half the pull towards grey", "the slope of (x - 0.5)^2 has a factor 2"
    yield uphill - 2 * l2_reg * pull, "twice the pull towards grey", "the slope of (x - 0.5)^2 has the factor 2 once"
    yield (
        uphill - l2_reg * slope(lambda images, _: (images - 0.5).abs().sum(dim=(1, 2, 3))),
        "the slope of the sum of sizes",
        "the price is an L1 norm; it is the sum of the squares",
    )
    yield (
        uphill - l2_reg * slope(_total_variation),
        "a pull towards the neighbours",
        "the price is a total variation; it is the squared distance from mid grey",
    )
    yield (
        uphill
        - l2_reg
        * slope(lambda images, _: (images - images.mean(dim=(1, 2, 3), keepdim=True)).pow(2).sum(dim=(1, 2, 3))),
        "a pull towards the image's own mean",
        "the centre of the regulariser is mid grey, 0.5",
    )
    yield (
        uphill - l2_reg * slope(lambda images, _: (model.normalise(images) ** 2).sum(dim=(1, 2, 3))),
        "the price of the normalised image",
        "the price is computed after `model.normalise`; it is that of the pixels",
    )
    yield (
        uphill - l2_reg**2 * pull,
        "a pull with the square of l2_reg",
        "l2_reg is a factor twice",
    )
    yield uphill - l2_reg * pull / pull.numel(), "a tiny pull towards grey", "a mean where the price is a sum"
    yield (
        uphill - l2_reg * slope(lambda images, _: (model(images) ** 2).sum(dim=1)),
        "a pull towards small scores",
        "the price is computed from the scores; it belongs to the image",
    )
    yield (
        uphill - l2_reg * pull / learning_rate,
        "a pull that the learning rate does not multiply",
        "the learning rate belongs to the whole gradient of J",
    )
    yield (
        (1 - 2 * learning_rate * l2_reg) * uphill - l2_reg * pull,
        "a pull that was computed after the ascent",
        "both terms are taken at the old image",
    )
    yield uphill / uphill.norm() - l2_reg * pull, "the score's slope scaled to length 1", "the raw slope is wanted"


def _usual_climbs(uphill, pull, slope, model):
    """Yield the steps, each for a learning rate of 1, of other quantities and signs: (step, what it is, cause).

    Args:
        uphill, pull: the slopes of the target's score and of the regulariser.
        slope: measures the slope of any function of the image.
    """
    direction = uphill - pull
    yield core.at_normalised(direction, model), *core.AT_NORMALISED
    yield core.at_normalised(uphill, model) - pull, *core.AT_NORMALISED
    yield (
        direction / direction.norm(),
        "a step of the learning rate's length",
        "a normalisation; the raw step is wanted",
    )
    yield -direction, "a step downhill", "the gradient of J is added, not subtracted"
    yield -uphill - pull, "a step that lowers the score", "the score is no loss: add its gradient"
    yield (
        slope(probabilities_of(model)) - pull,
        "a step along the slope of the probability",
        "a softmax; the raw score is wanted",
    )
    yield (
        slope(log_probabilities_of(model)) - pull,
        "a step along the slope of the log-probability",
        "a log-softmax or a cross-entropy; the raw score is wanted",
    )
    yield (
        slope(lambda images, _: model(images).amax(dim=1)) - pull,
        "a step towards the predicted class",
        "`max`: the target is not used",
    )
    yield (
        slope(lambda images, _: model(images).sum(dim=1)) - pull,
        "a step that raises all scores",
        "the sum of the scores; pick the target's: `model(pixels)[0, target]`",
    )
    yield (
        uphill.abs().amax(dim=1, keepdim=True) - pull,
        "a step along the saliency map",
        "abs and max lose the direction; use the gradient itself",
    )


def _total_variation(images, _):
    """Return the sum of squared differences between neighbours, for each image."""
    return sum((images.diff(dim=axis) ** 2).sum(dim=(1, 2, 3)) for axis in (2, 3))


def _explain_size(moved, step, image, wanted, l2_reg, learning_rate):
    """Raise CheckFailed for a move that is not the `step` and no usual mistake: is it cut off, or scaled?"""
    core.expect(
        not same(image + moved, (image + step).clamp(0, 1)),
        found="values cut off at 0 and 1",
        wanted=wanted,
        cause="a clamp in the step; the loop clamps",
    )
    factor = float((moved * step).sum() / (step * step).sum())
    core.expect(
        not same(moved, factor * step, 1e-5),
        found=f"{factor:.3g} times the step that is wanted, with learning rate {learning_rate:g}",
        wanted=wanted,
        cause="the learning rate is a factor twice"
        if abs(factor - learning_rate) < 1e-4 * learning_rate
        else core.Questions("How often is the learning rate a factor?", "Which other factor is there?"),
    )
    away = float((moved - step).norm() / step.norm())
    raise core.CheckFailed(
        f"a step {away:.2g} of its length away from what was measured",
        wanted,
        # The check before has shown that the score's part is right.
        core.Questions(
            "What is your price of an image, and which slope has it?",
            "Is it that of the old image, in pixels?",
            "Where does l2_reg stand?",
        )
        if l2_reg
        else core.Questions("Which number is differentiated, and at which image?", "What is done with the slope?"),
    )


# ------------------------------------------------------------------------------------------------ synthesis

synthesise = core.Checks("synthesise", "(image, step, offsets, blur_every, sigma) -> (1, 3, H, W)")


@synthesise.part
def _(function):
    """a step that changes nothing leaves the image as it was, in its old place"""
    image, (down, right) = _picture(412), (2, -3)
    found = function(image.clone(), Watch(), [(down, right)], 0, 1.0)
    core.check_tensor(found, image.shape, image, "one image in, one image out")
    usual = {
        (down, right): "the shift is not undone; apply `jitter(..., -down, -right)` to what the step returns",
        (2 * down, 2 * right): "a second shift in the same direction; both signs must be changed",
    }
    for (rows, columns), cause in usual.items():
        core.expect(
            not same(found, _moved(image, rows, columns)),
            found=f"the image moved by {rows} rows and {columns} columns, with the offset {(down, right)}",
            wanted="the image where it was",
            cause=cause,
        )
    core.expect(
        same(found, image),
        found="another image, though the step changed nothing",
        wanted="the image as it was",
        cause="a blur with `blur_every = 0`, which means never"
        if same(found, blur(image, 1.0), 1e-9)
        else core.Questions(
            "By which offset is it shifted back?", "Is it blurred, or rescaled, though nothing asks for it?"
        ),
    )


@synthesise.part
def _(function):
    """each offset gives one step, which is shown the image shifted by it, down first"""
    image, offsets = _picture(411), [(1, 2), (-3, 0), (2, -4)]
    watch, given = Watch(), list(offsets)
    function(image.clone(), watch, given, 0, 1.0)
    core.expect(
        given == offsets,
        found=f"the offsets {given} after the call",
        wanted=f"the caller's list of offsets untouched, {offsets}",
        cause=POPPED,
    )
    cause = core.Questions("Over what does the loop run?", "Is the step called once in each iteration?")
    core.expect(
        len(watch.shown) == len(offsets),
        found=f"{len(watch.shown)} calls of the step for {len(offsets)} offsets",
        wanted="one call for each offset",
        cause="`return` inside the loop" if len(watch.shown) == 1 else cause,
    )
    for shown, (down, right) in zip(watch.shown, offsets, strict=True):
        _explain_shift(shown, image, down, right)


@synthesise.part
def _(function):
    """every iteration starts from the image that the one before has made"""
    image = 0.2 * _picture(413)
    watch = Watch(lambda x: x + 0.1)
    found = function(image.clone(), watch, [(1, 1), (0, 2), (-1, 0)], 0, 1.0)
    core.expect(
        same(found, image + 0.3),
        found=f"{_mean(found - image):.2f} more than at the start, after three steps that add 0.1 each",
        wanted="0.30 more",
        cause="each iteration starts from the first image again"
        if same(found, image + 0.1)
        else core.Questions("What does each iteration start from?", "Is anything added or rescaled on the way?"),
    )


@synthesise.part
def _(function):
    """after every step, values are cut off at 0 and 1"""
    image = _picture(414)
    watch = Watch(lambda x: x + 2 * (x - 0.5))
    found = function(image.clone(), watch, [(0, 1), (1, 0), (0, 0)], 0, 1.0)
    shown = torch.stack(watch.shown)
    core.expect(
        shown.min() >= 0 and shown.max() <= 1,
        found=f"a step that is shown values from {shown.min():.2f} to {shown.max():.2f}",
        wanted="values between 0 and 1 in every iteration",
        cause=core.Questions("Is there no clamp?", "Or one after the last iteration only, and not in the loop?"),
    )
    core.expect(
        found.min() >= 0 and found.max() <= 1,
        found=f"a result with values from {found.min():.2f} to {found.max():.2f}",
        wanted="values between 0 and 1",
        cause="the last result is not clamped, as with a clamp before the step; clamp what the step returns",
    )
    wanted = image
    for _ in range(3):
        wanted = (wanted + 2 * (wanted - 0.5)).clamp(0, 1)
    core.expect(
        same(found, wanted),
        found="values between 0 and 1, but not those that are cut off there",
        wanted="`clamp`, which moves the values outside alone",
        cause="min-max scaling to [0, 1]; clamp moves values outside alone"
        if float(found.min()) == 0
        and float(found.max()) == 1
        and not same(found, wanted)
        and len(found.unique()) > len(wanted.unique())
        else core.Questions("Is the image rescaled to [0, 1]?", "What is cut off, and when?"),
    )


@synthesise.part
def _(function):
    """a blur after each iteration whose number, from 1, is a multiple of blur_every"""
    image, sigma = _picture(415), 0.7
    for count, every in ((2, 2), (3, 2), (5, 2), (3, 3), (2, 1), (2, 3)):
        found = function(image.clone(), Watch(), [(0, 0)] * count, every, sigma)
        wanted = count // every
        times = next((n for n in range(count + 2) if same(found, _blurred(image, n, sigma), 1e-9)), None)
        usual = {
            0: "there is no blur",
            count: "a blur in every iteration",
            -(-count // every): "iterations counted from 0; the first one is number 1",
        }
        if times == wanted + 1:
            # Where several mistakes blur once more, a run in which they part tells them from each other.
            usual = {times: _cause_of_one_more(function, image, sigma)}
        core.expect(
            times == wanted,
            found="an image that is blurred by another amount" if times is None else f"{times} blurs",
            wanted=f"{wanted} of strength sigma after {count} iterations with blur_every = {every}",
            cause=usual.get(
                -1 if times is None else times,
                core.Questions(
                    "In which iterations is it blurred, counted from 1?",
                    "Is its strength `sigma`?",
                    "Is the image rescaled?",
                ),
            ),
        )


@synthesise.part
def _(function):
    """the blur comes after shifting back and clamping"""
    image, sigma = _picture(416), 1.0

    def loud(x):
        return 6 * x**2 - 1

    found = function(image.clone(), Watch(loud), [(0, 0)], 1, sigma)
    usual = [
        (
            blur(loud(image), sigma).clamp(0, 1),
            "an image that was blurred before it was clamped",
            "the two lines are exchanged: a value of 3 spreads over its neighbours before it is cut off",
        ),
        (
            loud(blur(image, sigma)).clamp(0, 1),
            "the step made on a blurred image",
            "the blur stands before the step; it is the last of an iteration",
        ),
    ]
    if not same(found, blur(loud(image).clamp(0, 1), sigma), 1e-9):
        words, cause = core.first_match(found, usual) or (
            "another image than the blurred one",
            core.Questions("Does `clamp` cut off, or is the image rescaled to [0, 1]?", "How often is it blurred?"),
        )
        raise core.CheckFailed(words, "clamp first, then blur", cause)
    found = function(image.clone(), Watch(), [(3, -2)], 1, sigma)
    shifted = same(found, _moved(blur(_moved(image, 3, -2), sigma), -3, 2), 1e-9)
    core.expect(
        same(found, blur(image, sigma), 1e-9),
        found="an image that was blurred while it was shifted" if shifted else "another image than the blurred one",
        wanted="shift back first, then blur",
        cause="the blur stands before the second jitter, and mixes the wrong pixels at the borders"
        if shifted
        else core.Questions("What happens between the second jitter and the blur?"),
    )


@synthesise.part
def _(function):
    """the image and the offsets that were passed in are as they were"""
    image, offsets = _picture(417), [(1, -1), (0, 2)]
    with core.untouched(image=image):
        function(image, Watch(lambda x: x + 0.1), offsets, 1, 0.6)
    core.expect(
        offsets == [(1, -1), (0, 2)],
        found=f"the offsets {offsets} after the call",
        wanted="the caller's list of offsets untouched, [(1, -1), (0, 2)]",
        cause=POPPED,
    )


POPPED = "the list is changed, as by `offsets.pop()`; go through it with `for down, right in offsets:`"


def _cause_of_one_more(function, image, sigma):
    """Return why there is a blur too many: after 1, 2 and 3 iterations without one that is due."""
    runs = [function(image.clone(), Watch(), [(0, 0)] * count, 9, sigma) for count in (1, 2, 3)]
    blurs = [next((n for n in range(5) if same(found, _blurred(image, n, sigma), 1e-9)), None) for found in runs]
    if blurs == [1, 2, 3]:
        return "a blur in every iteration"
    return core.Questions(
        "Are iterations counted from 0, and not from 1?", "Is there one more blur, at the beginning or at the end?"
    )


class Watch:
    """A step that keeps what it is shown; it returns a copy, or what `change` makes of it."""

    def __init__(self, change=torch.clone):
        """Start with nothing seen."""
        self.change, self.shown = change, []

    def __call__(self, image):
        """Return the next image."""
        self.shown.append(image.detach().clone())
        return self.change(image)


def _picture(seed, size=(11, 14)):
    """Return an image (1, 3, H, W) in [0, 1]."""
    return torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _mean(values):
    return float(values.mean())


def _moved(image, rows, columns):
    """Return the image moved by whole rows and columns, what leaves at one side coming in at the other."""
    height, width = image.shape[-2:]
    from_rows = (torch.arange(height) - rows) % height
    return image[..., from_rows, :][..., (torch.arange(width) - columns) % width]


def _blurred(image, times, sigma):
    for _ in range(times):
        image = blur(image, sigma)
    return image


def _explain_shift(shown, image, down, right):
    """Raise CheckFailed unless the step was shown the image shifted by its offset, with the likeliest reason."""
    if same(shown, _moved(image, down, right)):
        return
    usual = [
        (image, "the image in its old place", "the step is applied to the image itself; apply it to the shifted one"),
        (_moved(image, right, down), "down and right exchanged", "an offset is (down, right), in this order"),
        (_moved(image, -down, -right), "the opposite shift", "forth and back are exchanged"),
    ]
    for values, found, cause in usual:
        core.expect(not same(shown, values), found=found, wanted=f"a shift by the offset {(down, right)}", cause=cause)
    raise core.CheckFailed(
        f"another image than the one shifted by the offset {(down, right)}",
        "the step sees the shifted image, and a step that changes nothing leaves no trace",
        core.Questions(
            "Is the shift of an earlier iteration undone?",
            "Is the image blurred, though blur_every is 0?",
            "Is this the offset of another iteration?",
        ),
    )


# ------------------------------------------------------------------------------------------------ channel visualization

channel_visualization_step = core.Checks(
    "channel_visualization_step", "(image, layer, channel, model, learning_rate) -> (1, 3, H, W)"
)


@channel_visualization_step.part
def _(function):
    """an image of the same shape comes back, with memory of its own"""
    image, _, model = _problem(seed=421)
    try:
        result = function(image, model.network.body[1], 2, model, 0.5)
    except IndexError as error:
        raise core.CheckFailed(
            f"IndexError: {error}",
            "channel 2 of a layer with four channels",
            "`output[channel]` picks an image of the batch; channels are the second axis: `output[:, channel]`",
        ) from None
    _expect_new_image(result, image)


@channel_visualization_step.part
def _(function):
    """it goes in the direction in which the channel's mean activation rises fastest"""
    image, _, model = _problem(seed=423)
    for layer, channel in ((model.network.body[1], 2), (model.network.stem[0], 1), (model.network.stem, 3)):
        moved = function(image.clone(), layer, channel, model, 0.5).detach() - image
        _explain_channel_move(moved, image, layer, channel, model)


@channel_visualization_step.part
def _(function):
    """the step is as long as the learning rate"""
    image, _, model = _problem(seed=422)
    for learning_rate in (0.5, 3.0):
        moved = function(image.clone(), model.network.body[1], 1, model, learning_rate).detach() - image
        _explain_length(moved, image, model.network.body[1], 1, model, learning_rate)


@channel_visualization_step.part
def _(function):
    """another network, in float32, with an image of another size"""
    image, _, model = _problem(seed=424, size=(8, 7), classes=4)
    image, model = image.float(), model.float()
    found = function(image, model.network.body[1], 0, model, 0.7)
    core.check_tensor(found, image.shape, image, "the size of the image just given")


@channel_visualization_step.part
def _(function):
    """the same again on a second call; the image and a network in training use are as they were, hooks included"""
    _expect_steady(lambda image, _, model: function(image, model.network.body[1], 2, model, 0.5))


@channel_visualization_step.part
def _(function):
    """a model that fails on the way, for an image too small for its head, is left without the hook as well"""
    image, _, model = _problem(seed=425, trainable=True)
    layer = model.network.body[1]
    before = len(layer._forward_hooks)
    with suppress(Exception):
        function(image[..., :4, :4], layer, 2, model, 0.5)
    core.expect(
        len(layer._forward_hooks) == before,
        found="a hook that stays when the model fails",
        wanted="the layer as it was before the call",
        cause="the line that removes the hook is not reached; put it into a `finally` clause, or register the hook in "
        "a `with` statement",
    )


def _climbed(quantity, image, layer, model):
    """Measure the slope at the image of quantity(inputs, outputs) -> (M,), of what enters `layer` and leaves it."""

    def run(images, _):
        kept = []
        handle = layer.register_forward_hook(lambda module, inputs, output: kept.append((inputs[0], output)))
        try:
            model(images)
        finally:
            handle.remove()
        return quantity(*kept[0])

    return finite_difference(run, image, torch.zeros(1, dtype=torch.int64))


def _mean_of(channel):
    """Return the function (inputs, outputs) -> (M,) mean activations of a channel."""
    return lambda _, outputs: _flat(outputs[:, channel]).mean(dim=1)


def _flat(values):
    return values.flatten(1)


def _along(moved, slope):
    """Tell whether the move goes along the slope, however far."""
    return same(moved / moved.norm(), slope / slope.norm(), 1e-5)


def _explain_channel_move(moved, image, layer, channel, model):
    """Raise CheckFailed unless the move goes along the slope of the channel's mean, with the likeliest reason."""
    uphill = _climbed(_mean_of(channel), image, layer, model)
    if _along(moved, uphill):
        return
    wanted = "the direction of the slope of the channel's mean activation"
    core.expect(moved.any(), found="the image as it was", wanted=wanted, cause=UNMOVED)
    usual = itertools.chain(
        _usual_norms(uphill, model),
        (
            (_climbed(quantity, image, layer, model), f"the slope of {words}", cause)
            for quantity, words, cause in _usual_activations(channel)
        ),
    )
    match = core.first_match(moved, usual, fits=_along)
    if match:
        raise core.CheckFailed(match[0], wanted, match[1])
    core.expect(
        not same(image + moved, (image + moved).clamp(0, 1)),
        found="values between 0 and 1 from an image that was outside",
        wanted=wanted,
        cause="a clamp in the step; the loop clamps",
    )
    cosine = float((moved * uphill).sum() / (moved.norm() * uphill.norm()))
    raise core.CheckFailed(
        f"a direction whose cosine with the slope is {cosine:.2f}",
        wanted,
        core.Questions(
            "Is it another layer or channel, or another output of the model, that is climbed?",
            "Is it the mean over all places?",
            "At which pixels is the slope taken?",
        ),
    )


def _usual_norms(uphill, model):
    """Yield what the usual mistakes make of the right slope: (direction, what it is, cause)."""
    yield core.at_normalised(uphill, model), *core.AT_NORMALISED
    yield (
        core.at_normalised(core.at_normalised(uphill, model), model),
        "the slope of the normalised image, moved there",
        "the step is made on the normalised image; add it to the pixels, and let `model` normalise them",
    )
    yield -uphill, "a step downhill", "the gradient is added, not subtracted"
    yield (
        uphill / uphill.flatten(2).norm(dim=2)[..., None, None],
        "each colour channel scaled to length 1",
        "the norm is taken over the whole gradient, all channels and pixels: `gradient.norm()`",
    )
    yield uphill.sign(), "steps of one size in every pixel", "`sign`; divide by the L2 norm of the whole gradient"


def _usual_activations(channel):
    """Yield what is climbed by mistake: (function of a layer's inputs and outputs, what it is, cause)."""
    yield lambda _, outputs: _flat(outputs).mean(dim=1), "the mean of all channels", "the channel is not used"
    yield (
        lambda _, outputs: _flat(outputs[:, channel]).amax(dim=1),
        "the largest activation of the channel",
        "`max`",
    )
    yield (
        lambda _, outputs: outputs[:, channel, outputs.shape[2] // 2, outputs.shape[3] // 2],
        "the activation in the middle of the channel",
        "one place is picked; the mean runs over all places",
    )
    yield (
        lambda _, outputs: _flat(outputs[:, channel].clamp(min=0)).mean(dim=1),
        "the mean of the positive activations",
        "a ReLU before the mean; activations count with their sign",
    )
    yield (
        lambda _, outputs: _flat(outputs[:, channel] ** 2).mean(dim=1),
        "the mean of the squares",
        "a square or a norm",
    )
    yield (
        lambda inputs, _: _flat(inputs[:, min(channel, inputs.shape[1] - 1)]).mean(dim=1),
        "the layer's input",
        "the hook keeps `inputs`; keep `output`",
    )
    for other in (channel + 1, channel - 1):
        yield (
            lambda _, outputs, other=other: _flat(outputs[:, other % outputs.shape[1]]).mean(dim=1),
            f"the mean of channel {other}, where channel {channel} was asked for",
            "channels are counted from 0",
        )
    yield (
        lambda _, outputs: _flat(outputs[:, channel].abs()).mean(dim=1),
        "the mean of absolute activations",
        "`abs`; activations count with their sign",
    )


def _explain_length(moved, image, layer, channel, model, learning_rate):
    """Raise CheckFailed unless the move is as long as the learning rate, with the likeliest reason."""
    length = float(moved.norm())
    if abs(length - learning_rate) <= 1e-5 * learning_rate:
        return
    slope = _climbed(_mean_of(channel), image, layer, model)
    size = float(slope.norm())
    usual = [
        (size, "the gradient is not normalised; divide it by its L2 norm"),
        (1 / size, "the gradient is divided by its squared norm; divide by the norm"),
        (float(slope.norm() / slope.abs().sum()), "the gradient is divided by its L1 norm; divide by the L2 norm"),
        (
            float(slope.norm() / slope.abs().max()),
            "the gradient is divided by its largest value; divide by the L2 norm",
        ),
        (float(slope.norm() / slope.std()), "the gradient is divided by its standard deviation; divide by the L2 norm"),
        (slope.numel() ** 0.5, "the gradient is divided by its root mean square; divide by the L2 norm"),
        (float(slope.norm() / slope.abs().mean()), "the gradient is divided by its mean size; divide by the L2 norm"),
        (1 / learning_rate, "the learning rate is not used"),
        (learning_rate, "the learning rate is applied twice"),
    ]
    factor = length / learning_rate
    asked = core.Questions("By which norm is the gradient divided?", "Which factor stands before it?")
    cause = next((words for value, words in usual if abs(factor - value) <= 1e-4 * value), asked)
    raise core.CheckFailed(
        f"a step {length:.6g} long with learning rate {learning_rate}", f"length {learning_rate}", cause
    )


# ------------------------------------------------------------------------------------------------ shared


def _problem(seed, **options):
    """Return an image far from mid grey, the class that a tiny network scores lowest, and the network."""
    image, _, model = small_drawing_problem(seed, **options)
    with torch.no_grad():
        return image, int(model(image).argmin()), model


def _expect_new_image(result, image):
    """Raise CheckFailed unless `result` is a tensor like the fresh `image`, with memory of its own."""
    core.check_tensor(result, image.shape, image, "one image in, one image out")
    core.expect(
        result.data_ptr() != image.data_ptr(),
        found="the very tensor that was passed in",
        wanted="a new one",
        cause="`image` itself comes back, changed in place (`image += ...`), or a new one is never "
        "returned; return `image + ...`",
    )


def _expect_steady(call):
    """Raise CheckFailed if `call(image, target, model)` differs on a second call, or changes one of its arguments."""
    image, target, frozen = _problem(seed=407)
    first = call(image, target, frozen).detach().clone()
    core.expect_repeatable(first, call(image, target, frozen).detach(), image)
    core.expect_nothing_kept(lambda at, other: call(at.clone(), target, other) - at, image, frozen, seed=407)
    image, target, model = _problem(seed=407, trainable=True)
    core.expect_left_alone(lambda: call(image, target, model), model, image=image)
