"""Checks of assignment 4: each function here takes the student's function of the same name.

The steps are compared with difference quotients of what they climb, measured on a tiny network (see `core`). The loop
is watched by the steps that are put into it: what they are shown, how often, and what becomes of their answers.
"""

import torch

from helpers.checks.core import (
    SMALL,
    CheckFailed,
    check_tensor,
    expect,
    expect_eval_mode,
    expect_left_alone,
    expect_repeatable,
    finite_difference,
    log_probabilities_of,
    probabilities_of,
    run_checks,
    same,
    scores_of,
    tiny_network,
    untouched,
)
from helpers.synthesis import blur


def class_visualization_step(function):
    """Check class_visualization_step(image, target, model, l2_reg, learning_rate) -> (1, 3, H, W)."""

    def one_new_image(function):
        """an image of the same shape comes back, with memory of its own"""
        model, image, target = _problem(seed=401)
        _expect_new_image(function(image, target, model, 0.3, 0.5), image)

    def without_regulariser(function):
        """with l2_reg = 0, the image moves by the learning rate times the slope of the target's score"""
        model, image, target = _problem(seed=402)
        moved = function(image.clone(), target, model, 0.0, 0.4).detach() - image
        _explain_class_move(moved, image, target, model, 0.0, 0.4)

    def with_regulariser(function):
        """with a strong regulariser, it moves by the learning rate times the slope of J"""
        model, image, target = _problem(seed=403)
        for l2_reg, learning_rate in ((0.8, 0.4), (0.3, 2.5)):
            moved = function(image.clone(), target, model, l2_reg, learning_rate).detach() - image
            _explain_class_move(moved, image, target, model, l2_reg, learning_rate)

    def any_network(function):
        """another network, in float32, with an image of another size"""
        model, image, target = _problem(seed=405, size=(8, 7), classes=4, dtype=torch.float32)
        found = function(image, target, model, 0.05, 0.5)
        check_tensor(found, image.shape, image, "the size of the image just given")

    def nothing_changed(function):
        """the same again on a second call; the image and a network in training use are as they were"""
        _expect_steady(lambda image, target, model: function(image, target, model, 0.3, 0.5))

    run_checks(
        "class_visualization_step",
        function,
        [one_new_image, without_regulariser, with_regulariser, any_network, nothing_changed],
    )


def synthesise(function):
    """Check synthesise(image, step, offsets, blur_every, sigma) -> (1, 3, H, W)."""

    def shifted_back(function):
        """a step that changes nothing leaves the image as it was, in its old place"""
        image, (down, right) = _picture(412), (2, -3)
        found = function(image.clone(), Watch(), [(down, right)], 0, 1.0)
        check_tensor(found, image.shape, image, "one image in, one image out")
        usual = {
            (down, right): "the shift is not undone; apply `jitter(..., -down, -right)` to what the step returns",
            (2 * down, 2 * right): "a second shift in the same direction; both signs must be changed",
        }
        for (rows, columns), cause in usual.items():
            expect(
                not same(found, _moved(image, rows, columns)),
                found=f"the image moved by {rows} rows and {columns} columns, with the offset {(down, right)}",
                wanted="the image where it was",
                cause=cause,
            )
        expect(
            same(found, image),
            found="another image, though the step changed nothing",
            wanted="the image as it was",
            cause="a shift back by another offset, or a blur with `blur_every = 0`, which means never",
        )

    def one_step_for_each_offset(function):
        """each offset gives one step, which is shown the image shifted by it, down first"""
        image, offsets = _picture(411), [(1, 2), (-3, 0), (2, -4)]
        watch = Watch()
        function(image.clone(), watch, offsets, 0, 1.0)
        expect(
            len(watch.shown) == len(offsets),
            found=f"{len(watch.shown)} calls of the step for {len(offsets)} offsets",
            wanted="one call for each offset",
            cause="`return` inside the loop" if len(watch.shown) == 1 else "another loop than one over the offsets",
        )
        for shown, (down, right) in zip(watch.shown, offsets, strict=True):
            _explain_shift(shown, image, down, right)

    def goes_on_from_the_last(function):
        """every iteration starts from the image that the one before has made"""
        image = 0.2 * _picture(413)
        watch = Watch(lambda x: x + 0.1)
        found = function(image.clone(), watch, [(1, 1), (0, 2), (-1, 0)], 0, 1.0)
        expect(
            same(found, image + 0.3),
            found=f"{_mean(found - image):.2f} more than at the start, after three steps that add 0.1 each",
            wanted="0.30 more",
            cause="each iteration starts from the first image again, or the step is not applied to the last image",
        )

    def clamped_each_time(function):
        """after every step, values are cut off at 0 and 1"""
        image = _picture(414)
        watch = Watch(lambda x: x + 2 * (x - 0.5))
        found = function(image.clone(), watch, [(0, 1), (1, 0), (0, 0)], 0, 1.0)
        shown = torch.stack(watch.shown)
        expect(
            shown.min() >= 0 and shown.max() <= 1,
            found=f"a step that is shown values from {shown.min():.2f} to {shown.max():.2f}",
            wanted="values between 0 and 1 in every iteration",
            cause="no clamp, or one after the last iteration only",
        )
        expect(
            found.min() >= 0 and found.max() <= 1,
            found=f"a result with values from {found.min():.2f} to {found.max():.2f}",
            wanted="values between 0 and 1",
            cause="a clamp before the step, so that the last result escapes it; clamp what the step returns",
        )

    def blurred_when_due(function):
        """a blur after each iteration whose number, from 1, is a multiple of blur_every"""
        image, sigma = _picture(415), 0.7
        for count, every in ((2, 2), (3, 2), (5, 2), (3, 3), (2, 1), (2, 3)):
            found = function(image.clone(), Watch(), [(0, 0)] * count, every, sigma)
            wanted = count // every
            times = next((n for n in range(count + 2) if same(found, _blurred(image, n, sigma), 1e-9)), None)
            usual = {
                None: "a blur of another strength than sigma",
                0: "there is no blur",
                count: "a blur in every iteration",
                -(-count // every): "iterations counted from 0; the first one is number 1",
            }
            expect(
                times == wanted,
                found="an image that is blurred by another amount" if times is None else f"{times} blurs",
                wanted=f"{wanted} of strength sigma after {count} iterations with blur_every = {every}",
                cause=usual.get(times, "a blur in the wrong iterations"),
            )

    def blur_comes_last(function):
        """the blur comes after shifting back and clamping"""
        image, sigma = _picture(416), 1.0
        loud = Watch(lambda x: 4 * x - 1)
        found = function(image.clone(), loud, [(0, 0)], 1, sigma)
        expect(
            same(found, blur((4 * image - 1).clamp(0, 1), sigma), 1e-9),
            found="an image that was blurred before it was clamped",
            wanted="clamp first, then blur",
            cause="the two lines are exchanged: a value of 3 spreads over its neighbours before it is cut off",
        )
        found = function(image.clone(), Watch(), [(3, -2)], 1, sigma)
        expect(
            same(found, blur(image, sigma), 1e-9),
            found="an image that was blurred while it was shifted",
            wanted="shift back first, then blur",
            cause="the blur stands before the second jitter, and mixes the wrong pixels at the borders",
        )

    def nothing_changed(function):
        """the image and the offsets that were passed in are as they were"""
        image, offsets = _picture(417), [(1, -1), (0, 2)]
        with untouched(image=image):
            function(image, Watch(lambda x: x + 0.1), offsets, 1, 0.6)
        expect(
            offsets == [(1, -1), (0, 2)],
            found=f"the offsets {offsets} after the call",
            wanted="the caller's list of offsets untouched, [(1, -1), (0, 2)]",
            cause="`offsets.pop()` or the like; go through the list with `for down, right in offsets:`",
        )

    run_checks(
        "synthesise",
        function,
        [
            shifted_back,
            one_step_for_each_offset,
            goes_on_from_the_last,
            clamped_each_time,
            blurred_when_due,
            blur_comes_last,
            nothing_changed,
        ],
    )


def channel_visualization_step(function):
    """Check channel_visualization_step(image, layer, channel, model, learning_rate) -> (1, 3, H, W)."""

    def one_new_image(function):
        """an image of the same shape comes back, with memory of its own"""
        model, image, _ = _problem(seed=421)
        try:
            result = function(image, model.network.body[1], 2, model, 0.5)
        except IndexError as error:
            raise CheckFailed(
                f"IndexError: {error}",
                "channel 2 of a layer with four channels",
                "`output[channel]` picks an image of the batch; channels are the second axis: `output[:, channel]`",
            ) from None
        _expect_new_image(result, image)

    def as_long_as_asked(function):
        """the step is as long as the learning rate"""
        model, image, _ = _problem(seed=422)
        for learning_rate in (0.5, 3.0):
            moved = function(image.clone(), model.network.body[1], 1, model, learning_rate).detach() - image
            _explain_length(moved, image, model.network.body[1], 1, model, learning_rate)

    def along_the_slope(function):
        """it goes in the direction in which the channel's mean activation rises fastest"""
        model, image, _ = _problem(seed=423)
        for layer, channel in ((model.network.body[1], 2), (model.network.stem[0], 1), (model.network.stem, 3)):
            moved = function(image.clone(), layer, channel, model, 0.5).detach() - image
            _explain_channel_move(moved, image, layer, channel, model)

    def any_network(function):
        """another network, in float32, with an image of another size"""
        model, image, _ = _problem(seed=424, size=(8, 7), classes=4, dtype=torch.float32)
        found = function(image, model.network.body[1], 0, model, 0.7)
        check_tensor(found, image.shape, image, "the size of the image just given")

    def nothing_changed(function):
        """the same again on a second call; the image and a network in training use are as they were, hooks included"""
        _expect_steady(lambda image, _, model: function(image, model.network.body[1], 2, model, 0.5))

    run_checks(
        "channel_visualization_step",
        function,
        [one_new_image, along_the_slope, as_long_as_asked, any_network, nothing_changed],
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


def _problem(seed, size=SMALL, **options):
    """Return a tiny network, an image far from mid grey, and a class that is not its prediction."""
    model = tiny_network(seed, size, **options)
    generator = torch.Generator().manual_seed(seed)
    image = 3 * torch.rand(1, 3, *size, generator=generator, dtype=torch.float64) - 1.2
    image = image.to(next(model.parameters()).dtype)
    with torch.no_grad():
        scores = model(image)
    return model, image, int(scores.argmin())


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


def _expect_new_image(result, image):
    """Raise CheckFailed unless `result` is a tensor like the fresh `image`, with memory of its own."""
    check_tensor(result, image.shape, image, "one image in, one image out")
    expect(
        result.data_ptr() != image.data_ptr(),
        found="the very tensor that was passed in",
        wanted="a new one",
        cause="an operation in place, such as `image += ...`, or a new tensor that was bound to a name and never "
        "returned; return `image + ...`",
    )


def _explain_shift(shown, image, down, right):
    if same(shown, _moved(image, down, right)):
        return
    usual = [
        (image, "the image in its old place", "the step is applied to the image itself; apply it to the shifted one"),
        (_moved(image, right, down), "down and right exchanged", "an offset is (down, right), in this order"),
        (_moved(image, -down, -right), "the opposite shift", "forth and back are exchanged"),
    ]
    for values, found, cause in usual:
        expect(not same(shown, values), found=found, wanted=f"a shift by the offset {(down, right)}", cause=cause)
    raise CheckFailed(
        f"another image than the one shifted by the offset {(down, right)}",
        "the step sees the shifted image, and a step that changes nothing leaves no trace",
        "the shift of an earlier iteration was not undone, or the image is blurred though blur_every is 0",
    )


def _explain_class_move(moved, image, target, model, l2_reg, learning_rate):
    """Raise CheckFailed unless the move is learning_rate times the slope of J, with the likeliest reason."""
    labels = torch.tensor([target])

    def slope(quantity):
        return finite_difference(lambda images, labels: quantity(model)(images, labels), image, labels)

    def price(images, _):
        return ((images - 0.5) ** 2).sum(dim=(1, 2, 3))

    def slope_of(function):
        return finite_difference(function, image, labels)

    uphill = slope(scores_of)
    pull = slope_of(price)
    direction = uphill - l2_reg * pull
    if same(moved, learning_rate * direction, 1e-5):
        return
    expect_eval_mode(model)
    regularised = [
        (uphill + l2_reg * pull, "a pull away from grey", "the sign of the regulariser: its slope is subtracted"),
        (uphill, "the slope of the score alone", "the regulariser is missing, or computed from a detached tensor"),
        (
            uphill - l2_reg * slope_of(lambda images, _: (images**2).sum(dim=(1, 2, 3))),
            "a pull towards black",
            "the centre of the regulariser is mid grey: `image - 0.5` in place of `image`",
        ),
        (
            uphill - l2_reg * slope_of(lambda images, _: price(images, _).sqrt()),
            "the slope of the norm",
            "the norm is not squared",
        ),
        (uphill - l2_reg * pull / 2, "half the pull towards grey", "the slope of (x - 0.5)^2 has a factor 2"),
        (uphill - l2_reg * pull / image.numel(), "a tiny pull towards grey", "a mean where the price is a sum"),
        (
            uphill - l2_reg * slope_of(lambda images, _: (model(images) ** 2).sum(dim=1)),
            "a pull towards small scores",
            "the price is computed from the scores; it belongs to the image",
        ),
        (
            uphill - l2_reg * pull / learning_rate,
            "a pull that the learning rate does not multiply",
            "the learning rate belongs to the whole gradient of J",
        ),
        (
            (1 - 2 * learning_rate * l2_reg) * uphill - l2_reg * pull,
            "a pull that was computed after the ascent",
            "both terms are taken at the old image",
        ),
        (uphill / uphill.norm() - l2_reg * pull, "the score's slope scaled to length 1", "the raw slope is wanted"),
    ]
    general = [
        (
            direction / direction.norm(),
            "a step of the learning rate's length",
            "a normalisation; the raw step is wanted",
        ),
        (-direction, "a step downhill", "the gradient of J is added, not subtracted"),
        (-uphill - l2_reg * pull, "a step that lowers the score", "the score is no loss: add its gradient"),
        (
            slope(probabilities_of) - l2_reg * pull,
            "a step along the slope of the probability",
            "a softmax; the raw score is wanted",
        ),
        (
            slope(log_probabilities_of) - l2_reg * pull,
            "a step along the slope of the log-probability",
            "a log-softmax or a cross-entropy; the raw score is wanted",
        ),
        (
            slope_of(lambda images, _: model(images).amax(dim=1)) - l2_reg * pull,
            "a step towards the predicted class",
            "`max`: the target is not used",
        ),
        (
            slope_of(lambda images, _: model(images).sum(dim=1)) - l2_reg * pull,
            "a step that raises all scores",
            "the sum of the scores; pick the target's: `model(pixels)[0, target]`",
        ),
        (
            uphill.abs().amax(dim=1, keepdim=True) - l2_reg * pull,
            "a step along the saliency map",
            "abs and max lose the direction; use the gradient itself",
        ),
    ]
    wanted = "learning_rate times the slope of s_target" + (" - l2_reg * ||x - 0.5||^2" if l2_reg else "")
    for values, found, cause in (regularised if l2_reg else []) + general:
        expect(not same(moved, learning_rate * values, 1e-5), found=found, wanted=wanted, cause=cause)
    expect(moved.any(), found="the image as it was", wanted=wanted, cause="the new tensor is never returned")
    inside = image + learning_rate * direction
    expect(
        not same(image + moved, inside.clamp(0, 1)),
        found="values cut off at 0 and 1",
        wanted=wanted,
        cause="a clamp in the step; the loop clamps",
    )
    factor = float((moved * direction).sum() / (direction * direction).sum()) / learning_rate
    expect(
        not same(moved, factor * learning_rate * direction, 1e-5),
        found=f"{factor:.3g} times the step that is wanted",
        wanted=wanted,
        cause="a factor too many, such as the learning rate applied twice or not at all",
    )
    away = float((moved - learning_rate * direction).norm() / (learning_rate * direction).norm())
    raise CheckFailed(
        f"a step {away:.2g} of its length away from what was measured",
        wanted,
        "another quantity than the target's raw score was differentiated, or the image was changed on the way",
    )


def _activations(layer, model):
    """Return the function images -> activations (M, channels, h, w) of `layer`, for measuring."""

    def run(images):
        kept = []
        handle = layer.register_forward_hook(lambda module, inputs, output: kept.append((inputs[0], output)))
        try:
            model(images)
        finally:
            handle.remove()
        return kept[0]

    return run


def _explain_channel_move(moved, image, layer, channel, model):
    """Raise CheckFailed unless the move goes along the slope of the channel's mean, with the likeliest reason."""
    run = _activations(layer, model)

    def slope_of(function):
        return finite_difference(lambda images, _: function(*run(images)), image, torch.zeros(1, dtype=torch.int64))

    def along(slope):
        return same(moved / moved.norm(), slope / slope.norm(), 1e-5)

    def flat(values):
        return values.flatten(1)

    uphill = slope_of(lambda _, output: flat(output[:, channel]).mean(dim=1))
    if along(uphill):
        return
    wanted = "the direction of the slope of the channel's mean activation"
    expect(moved.any(), found="the image as it was", wanted=wanted, cause="the new tensor is never returned")
    expect(not along(-uphill), found="a step downhill", wanted=wanted, cause="the gradient is added, not subtracted")
    scaled = [
        (
            uphill / uphill.flatten(2).norm(dim=2)[..., None, None],
            "each colour channel scaled to length 1",
            "the norm is taken over the whole gradient, all channels and pixels: `gradient.norm()`",
        ),
        (uphill.sign(), "steps of one size in every pixel", "`sign`; divide by the L2 norm of the whole gradient"),
    ]
    others = [
        (lambda _, output: flat(output).mean(dim=1), "the mean of all channels", "the channel is not used"),
        (lambda _, output: flat(output[:, channel]).amax(dim=1), "the largest activation of the channel", "`max`"),
        (
            lambda _, output: output[:, channel, output.shape[2] // 2, output.shape[3] // 2],
            "the activation in the middle of the channel",
            "one place is picked; the mean runs over all places",
        ),
        (
            lambda _, output: flat(output[:, channel].clamp(min=0)).mean(dim=1),
            "the mean of the positive activations",
            "a ReLU before the mean; activations count with their sign",
        ),
        (lambda _, output: flat(output[:, channel] ** 2).mean(dim=1), "the mean of the squares", "a square or a norm"),
        (
            lambda inputs, _: flat(inputs[:, min(channel, inputs.shape[1] - 1)]).mean(dim=1),
            "the layer's input",
            "the hook keeps `inputs`; keep `output`",
        ),
        (
            lambda _, output: flat(output[:, (channel + 1) % output.shape[1]]).mean(dim=1),
            "another channel",
            "channels are counted from 0",
        ),
    ]
    for values, found, cause in scaled + [(slope_of(f), f"the slope of {words}", cause) for f, words, cause in others]:
        expect(not along(values), found=found, wanted=wanted, cause=cause)
    expect(
        not same(image + moved, (image + moved).clamp(0, 1)),
        found="values between 0 and 1 from an image that was outside",
        wanted=wanted,
        cause="a clamp in the step; the loop clamps",
    )
    cosine = float((moved * uphill).sum() / (moved.norm() * uphill.norm()))
    raise CheckFailed(
        f"a direction whose cosine with the slope is {cosine:.2f}",
        wanted,
        "another layer or channel than asked for, or a step computed from another output of the model",
    )


def _explain_length(moved, image, layer, channel, model, learning_rate):
    length = float(moved.norm())
    if abs(length - learning_rate) <= 1e-5 * learning_rate:
        return
    run = _activations(layer, model)
    slope = finite_difference(
        lambda images, _: run(images)[1][:, channel].flatten(1).mean(dim=1), image, torch.zeros(1, dtype=torch.int64)
    )
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
        (float(slope.norm() / slope.abs().mean()), "the gradient is divided by its mean size; divide by the L2 norm"),
        (1 / learning_rate, "the learning rate is not used"),
        (learning_rate, "the learning rate is applied twice"),
    ]
    factor = length / learning_rate
    cause = next(
        (words for value, words in usual if abs(factor - value) <= 1e-4 * value), "another norm, or a factor too many"
    )
    raise CheckFailed(f"a step {length:.3g} long with learning rate {learning_rate}", f"length {learning_rate}", cause)


def _expect_steady(call):
    """Raise CheckFailed if `call(image, target, model)` differs on a second call, or changes one of its arguments."""
    frozen, image, target = _problem(seed=407)
    first = call(image, target, frozen).detach().clone()
    expect_repeatable(first, call(image.detach(), target, frozen).detach())
    model, image, target = _problem(seed=407, trainable=True)
    expect_left_alone(lambda: call(image, target, model), model, image=image)
