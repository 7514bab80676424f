"""Checks of assignment 3: each takes the student's function of the same name.

Slopes are measured by finite differences on a tiny network, and what an attack does is held against its definition:
where it went from the picture it was at. Nothing in here is an answer.
"""

import copy
import itertools
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn import functional as F

from helpers.checks import core
from helpers.checks.measure import finite_difference, log_probabilities_of, losses_of, probabilities_of, same, scores_of
from helpers.checks.networks import plain_network
from helpers.checks.problems import small_attack_problem, small_problem


@contextmanager
def limited(model, calls):
    """Raise CheckFailed when `model`, a Classifier, is asked more than `calls` times: so ends a loop without end."""
    asked = 0

    def count(module, arguments):
        nonlocal asked
        asked += 1
        core.expect(
            asked <= calls,
            found=f"more than {calls} calls of the model, and no end",
            wanted="a loop that ends after the allowed number of updates, whatever the model predicts",
            cause="no count ends the loop, as in a `while` without a count; `for _ in "
            "range(max_iterations)` cannot run for ever",
        )

    handle = model.normalise.register_forward_pre_hook(count)
    try:
        yield
    finally:
        handle.remove()


# ------------------------------------------------------------------------------------------------ make_fooling_image

make_fooling_image = core.Checks(
    "make_fooling_image", "(image, target, model, learning_rate, max_iterations) -> (1, 3, H, W)"
)


@make_fooling_image.part
def _(function):
    """one image gives one image, also when the target is not reached"""
    image, target, model = _inner_problem(seed=41)
    _walked(function, image, target, model, 0.05, 1)
    try:
        _walked(function, image, target, model, 0.05, 2)
    except (AttributeError, RuntimeError, TypeError) as error:
        raise core.CheckFailed(
            f"{type(error).__name__} in the second step: {error}",
            "a second step like the first",
            core.Questions(
                "Is `x`, after `x = x + ...`, no leaf any more, and its `.grad` None? Start every step "
                "from a new leaf, "
                "`x.detach().clone().requires_grad_()`.",
                "Is a graph used twice?",
            ),
        ) from None


@make_fooling_image.part
def _(function):
    """the first step is as long as the learning rate and follows the slope of the target's score"""
    images, labels, tiny = small_problem(seed=46, count=1)

    def step_of(at, other):
        return _walked(function, at, _another(other, at, labels[0]), other, 0.05, 1) - at

    core.expect_nothing_kept(step_of, 0.3 + 0.4 * images, tiny, seed=46)
    for seed, learning_rate in ((42, 0.05), (43, 0.2)):
        image, target, model = _inner_problem(seed)
        step = _walked(function, image, target, model, learning_rate, 1) - image
        _explain_first_step(step, image, target, model, learning_rate)


@make_fooling_image.part
def _(function):
    """each further step starts where the last one ended and follows the slope there"""
    image, target, model = _inner_problem(seed=44)
    walk = [image, *(_walked(function, image, target, model, 0.1, count) for count in (1, 2, 3))]
    for number in (1, 2):
        _explain_next_step(walk, number, target, model, 0.1)
    near, far = (_walked(function, image, target, model, 0.001, count) for count in (20, 60))
    core.expect(
        not same(near, far, 1e-9),
        found="the same image for max_iterations=60 as for 20, while the target is not reached",
        wanted="as many steps as are allowed, until the target is reached",
        cause=core.Questions("Does the loop end at a number of your own?", "Does a test end it early?"),
    )


@make_fooling_image.part
def _(function):
    """no pixel leaves [0, 1], after any step"""
    images, labels, model = small_problem(seed=45, count=1)
    image = (3 * images - 1).clamp(0, 1)  # a third of the values at 0, a third at 1
    target = _another(model, image, labels[0])
    at = image
    for count in (1, 2):
        found = _walked(function, image, target, model, 0.5, count)
        _expect_inside(found)
        slope = finite_difference(scores_of(model), at, torch.tensor([target]))
        free = at + 0.5 * slope / slope.norm()
        core.expect(
            same(found, free.clamp(0, 1), 1e-5),
            found="pixels in [0, 1], but not those of the step cut off at 0 and 1",
            wanted="`clamp` after every step, before the next slope is taken",
            cause=core.Questions(
                "Is there a rescaling to [0, 1], which moves every pixel?",
                "Is the step, or the slope, cut off before it is added?",
            )
            if count == 1
            else core.Questions("Is there a clamp after the loop only?", "Where does the second step start?"),
        )
        at = found


@make_fooling_image.part
def _(function):
    """the walk ends at the first image that is predicted as the target"""
    for seed, learning_rate in ((157, 0.3), (158, 0.3)):  # reached after 4 and after 9 steps
        image, target, model = _inner_problem(seed)
        for count in range(1, 26):
            shorter = _walked(function, image, target, model, learning_rate, count)
            if _predicted(model, shorter) == target:
                break
        core.expect(
            _predicted(model, shorter) == target,
            found=f"class {_predicted(model, shorter)} predicted for the result, after up to {count} updates",
            wanted=f"an image that is predicted as the target, class {target}",
            cause=core.Questions("Does the loop end too early?", "Where does each step start, and what does it climb?"),
        )
        final = _walked(function, image, target, model, learning_rate, 25)
        if not same(final, shorter, 1e-9):
            _explain_late_end(function, final, shorter, image, target, model, learning_rate, count)


@make_fooling_image.part
def _(function):
    """an image that is predicted as the target comes back as a copy"""
    image, _, model = _inner_problem(seed=48)
    kept = image.clone()
    target = _predicted(model, image)
    with limited(model, 70):
        result = function(image, target, model, 0.2, 5)
    core.check_tensor(result, image.shape, image, "the image, unchanged")
    core.expect(
        torch.equal(result.detach(), kept),
        found="an image that differs from the one passed in, which is predicted as the target already",
        wanted="the same values: the untouched image is tested first",
        cause="the test stands after the step, or there is none; test the image, then make the step",
    )
    result.detach().add_(1)
    core.expect(
        torch.equal(image, kept),
        found="the caller's own tensor: changing the result changes the image passed in",
        wanted="a copy with memory of its own",
        cause="`return image`, or `image.detach()`, which shares its memory; `clone()` copies",
    )


@make_fooling_image.part
def _(function):
    """the image and a network, frozen or in training use, are as they were"""
    for trainable in (True, False):
        images, labels, model = small_problem(seed=49, count=1, trainable=trainable)
        target = int(labels[0])
        with limited(model, 200):
            core.expect_left_alone(lambda x=images, y=target, m=model: function(x, y, m, 0.2, 3), model, image=images)


def _explain_late_end(function, final, shorter, image, target, model, learning_rate, count):
    """Raise CheckFailed for a walk that goes on after `count` steps, when the target is reached."""
    found = f"another image for max_iterations=25 than for {count}, which reaches the target already"
    further = _walked(function, image, target, model, learning_rate, count + 1)
    last = _walked(function, image, target, model, learning_rate, 24)
    probability = float(probabilities_of(model)(final, torch.tensor([target])))
    cause: core.Cause = core.Questions(
        f"When does your loop end? Its last image has the target at probability {probability:.2f}.",
        "Is it the class with the largest score of the newest image that is compared with the target?",
    )
    # A network whose scores are larger is walked on by the same way; it is only surer of everything.
    sure = copy.deepcopy(model)
    for parameter in sure.network.head[-1].parameters():
        parameter.data.mul_(1000)
    final_if_sure = _walked(function, image, target, sure, learning_rate, 25)
    if same(final_if_sure, shorter, 1e-6):
        cause = (
            "the walk ends when the network is sure, as by a threshold on the probability; the first image whose "
            "largest score is the target's is enough"
        )
    elif not same(last, final, 1e-9) and torch.allclose(final_if_sure, final, rtol=0, atol=1e-6, equal_nan=True):
        cause = "there is no test at all that ends the walk: it uses up every iteration"
    elif same(further, final, 1e-9):
        cause = (
            "one step too many: the prediction is tested before the step and the step is still made, or the test looks "
            "at the prediction of an older image"
        )
    raise core.CheckFailed(found, "the first image that is predicted as the target", cause)


def _inner_problem(seed):
    """Return one image with values in [0.3, 0.7], a class that is not its prediction, and a model."""
    images, labels, model = small_problem(seed, count=1)
    image = 0.3 + 0.4 * images
    return image, _another(model, image, labels[0]), model


def _walked(function, image, target, model, learning_rate, max_iterations):
    """Return where the student's function leads the image; raise CheckFailed where that is no image, or no end."""
    with limited(model, 10 * (max_iterations + 2)):
        result = function(image.clone(), target, model, learning_rate, max_iterations)
    core.check_tensor(result, image.shape, image, "the image as far as it has come")
    return result


def _another(model, image, label):
    predicted = _predicted(model, image)
    return int(label) if int(label) != predicted else (predicted + 1) % 5


def _predicted(model, image):
    with torch.no_grad():
        return int(model(image).argmax(dim=1))


def _explain_first_step(step, image, target, model, learning_rate):
    """Raise CheckFailed unless `step` has the length and direction it should, with the likeliest reason."""
    slope = finite_difference(scores_of(model), image, torch.tensor([target]))
    length = float(step.norm())
    if same(step, learning_rate * slope / slope.norm(), 1e-4):
        return
    core.expect_eval_mode(model)
    core.expect(
        length > 0,
        found="the image has not moved",
        wanted=f"a step of length {learning_rate}",
        cause=core.Questions(
            "Is the step computed and never added?",
            "Does a test end the loop before the first step?",
            "Does the loop run one time too few, or is the image returned as it came where the target is not reached?",
        ),
    )
    if _is_two_steps_along(step, slope, image, target, model, learning_rate):
        raise core.CheckFailed(
            "two steps for max_iterations=1", "one step for each iteration", "the loop runs one time too many"
        )
    match = core.first_match(step, _usual_directions(slope, image, target, model), fits=_along)
    if match:
        raise core.CheckFailed(f"a step along {match[0]}", "a step along the slope of the target's raw score", match[1])
    core.expect(
        _along(step, slope),
        found="a step in another direction than the slope of the target's score",
        wanted=f"learning_rate * g / ||g||, for which any {learning_rate:g} of length is enough to tell",
        cause=core.Questions(
            "Which number is differentiated, and at which pixels?",
            "Is the norm taken over all values, or channel by channel?",
            "Is the result rescaled to [0, 1]?",
        ),
    )
    lengths = [
        (learning_rate * float(slope.norm()), "the gradient is not divided by its length"),
        (learning_rate / float(slope.norm()), "the gradient is divided by its squared length"),
        (learning_rate**2, "the learning rate is multiplied twice"),
        (1.0, "the learning rate is not used"),
        (learning_rate * float(slope.norm() / slope.abs().max()), "divided by the largest value, not by the length"),
        (learning_rate * float(slope.norm() / slope.abs().sum()), "divided by the sum of the sizes, not by the length"),
        (learning_rate * slope.numel() ** 0.5, "divided by the root of the mean square; the norm adds the squares up"),
    ]
    asked = core.Questions(
        "By which length is the gradient divided?",
        "Is a number added to that length?",
        "How often is the learning rate a factor?",
    )
    cause = next((words for value, words in lengths if abs(length - value) <= 1e-4 * value), asked)
    raise core.CheckFailed(
        f"a step of length {length:.6g}", f"a step of length {learning_rate:g}, the learning rate", cause
    )


def _is_two_steps_along(step, slope, image, target, model, learning_rate):
    """Tell whether `step` is the first two steps that the slopes ask for; `slope` is the one at the image."""
    there = (image + learning_rate * slope / slope.norm()).clamp(0, 1)
    its_slope = finite_difference(scores_of(model), there, torch.tensor([target]))
    return same(step, (there + learning_rate * its_slope / its_slope.norm()).clamp(0, 1) - image, 1e-3)


def _along(step, direction):
    """Tell whether `step` goes in this direction, by whatever length."""
    return same(step, step.norm() * direction / direction.norm(), 1e-4)


def _usual_directions(slope, image, target, model):
    """Yield where the usual mistakes lead in place of the `slope` of the target's score: (direction, words, cause)."""
    label, predicted = torch.tensor([target]), torch.tensor([_predicted(model, image)])
    yield -slope, "the way down", "a minus too many: the score of the target is to rise"
    at_normalised = core.at_normalised(slope, model)
    yield at_normalised, *core.AT_NORMALISED
    yield (
        core.at_normalised(at_normalised, model),
        "the slope of the normalised image, moved there",
        "the walk goes through normalised images; the image is made of pixels, and `model` normalises them",
    )
    yield slope.abs(), "the absolute slope", "a saliency map has lost the sign; follow the gradient itself"
    channels = slope.flatten(2).norm(dim=2)[..., None, None]
    yield slope / channels, "each colour channel scaled to length 1", "the norm is taken channel by channel"
    yield (
        slope.sign(),
        "the sign of the slope",
        "`sign()` belongs to the exercises that follow; here the gradient is divided by its length",
    )
    yield (
        finite_difference(log_probabilities_of(model), image, label),
        "the slope of the log-probability",
        "a cross-entropy or a log_softmax; take the raw score of the target",
    )
    yield (
        finite_difference(probabilities_of(model), image, label),
        "the slope of the probability",
        "a softmax before the gradient; take the raw score of the target",
    )
    of_prediction = finite_difference(scores_of(model), image, predicted)
    yield (
        of_prediction,
        "the slope of the predicted class",
        "`scores.max()`: the score of the target is to rise, not the one that is highest already",
    )
    yield (
        -of_prediction,
        "the way down from the predicted class",
        "the score of the prediction is lowered; the score of the target is to rise",
    )
    yield (
        finite_difference(lambda x, _: model(x).sum(dim=1), image, label),
        "the slope of the sum of all scores",
        "`scores.sum()`: pick the target's score first",
    )


def _explain_next_step(walk, number, target, model, learning_rate):
    """Raise CheckFailed unless the step from walk[number] to the next follows the slope at walk[number]."""
    label = torch.tensor([target])
    step = walk[number + 1] - walk[number]
    slopes = [finite_difference(scores_of(model), at, label) for at in walk[: number + 1]]

    def goes(step, way):
        return same(step, learning_rate * way / way.norm(), 1e-4)

    if goes(step, slopes[-1]):
        return
    usual = [
        (
            slopes[0],
            "along the slope at the original image",
            "the gradient is computed once, before the loop, or at the original image again",
        ),
        (
            sum(slopes),
            "along the sum of all slopes so far",
            "`.grad` piles up; take a fresh leaf, or set `.grad = None`",
        ),
    ]
    match = core.first_match(step, usual, fits=goes)
    if match:
        raise core.CheckFailed(
            f"step {number + 1} goes {match[0]}", "the slope at the image where the step starts", match[1]
        )
    raise core.CheckFailed(
        f"step {number + 1} is {'missing' if not step.any() else 'not the one that the slope asks for'}",
        f"a step of length {learning_rate:g} along the slope at the image where it starts",
        core.Questions(
            "How many steps are made for max_iterations?",
            "Where does a step start: at the original image, or at the one before?",
            "Do gradients of earlier steps mix in?",
        ),
    )


# ------------------------------------------------------------------------------------------------ fgsm and pgd

fgsm = core.Checks("fgsm", "(images, labels, model, epsilon) -> (N, 3, H, W)")


@fgsm.part
def _(function):
    """three images give three images, attacked anew in every call"""
    images, labels, model = small_attack_problem(seed=51, count=3)
    core.check_tensor(function(images.clone(), labels, model, 0.05), images.shape, images, "each image, attacked")
    images, labels, tiny = small_problem(seed=56, count=3)
    core.expect_nothing_kept(lambda at, other: function(at.clone(), labels, other, 0.05) - at, images, tiny, seed=56)


@fgsm.part
def _(function):
    """every value moves by epsilon, whatever its slope"""
    images, labels, model = small_attack_problem(seed=52, count=3)
    for epsilon in (0.02, 0.1):
        moved = function(images.clone(), labels.clone(), model, epsilon).detach() - images
        _explain_size(moved, images, labels, model, epsilon)


@fgsm.part
def _(function):
    """every value moves to where the cross-entropy of the label grows, right or wrong as the label may be"""
    for seed, gain in ((53, 1), (54, 1), (54, 300)):  # the last network is sure, and gives wrong labels next to nothing
        images, labels, model = small_attack_problem(seed, count=3, gain=gain)
        if gain > 1:
            images, labels = images[:2], labels[:2]
        moved = function(images.clone(), labels.clone(), model, 0.05).detach() - images
        _explain_direction(moved, images, labels, model)


@fgsm.part
def _(function):
    """values stop at 0 and at 1"""
    images, labels, model = small_attack_problem(seed=55, count=3, spread=3)
    found = function(images.clone(), labels.clone(), model, 0.2).detach()
    _expect_inside(found)
    core.expect(
        _is_one_step(found, images, labels, model, 0.2, torch.zeros_like(images), torch.ones_like(images)),
        found="values in [0, 1], but not those of the step cut off at 0 and 1",
        wanted="image + epsilon * sign, clamped",
        cause=core.Questions(
            "Is there a rescaling to [0, 1], which moves every value? `clamp(0, 1)` moves those outside alone.",
            "Is it the image after the step that is cut off?",
            "Is it the cross-entropy, of the labels as they are?",
        ),
    )


@fgsm.part
def _(function):
    """one image alone moves as it does among others, and with epsilon 0 it stays"""
    images, labels, model = small_attack_problem(seed=56, count=3)
    _expect_same_attack_alone(lambda x, y: function(x, y, model, 0.05), images, labels)
    images, labels, model = small_problem(seed=56, count=3)
    _expect_copy(function(images, labels, model, 0.0), images, "epsilon 0")


@fgsm.part
def _(function):
    """images, labels and a network, frozen or in training use, are as they were"""
    for trainable in (True, False):
        images, labels, model = small_problem(seed=57, count=2, trainable=trainable)
        _expect_left_alone(function, images, labels, model, 0.05)


pgd = core.Checks("pgd", "(images, labels, model, epsilon, step, iterations) -> (N, 3, H, W)")


@pgd.part
def _(function):
    """three images give three images, attacked anew in every call"""
    images, labels, model = small_attack_problem(seed=61, count=3)
    _attacked(function, images, labels, model, 0.1, 0.04, 2)
    images, labels, tiny = small_problem(seed=67, count=3)
    core.expect_nothing_kept(
        lambda at, other: function(at.clone(), labels, other, 0.05, 0.02, 2) - at, images, tiny, seed=67
    )


@pgd.part
def _(function):
    """the first step starts at the images and moves every value by `step`, to where the loss grows"""
    images, labels, model = small_attack_problem(seed=62, count=3)
    found = _attacked(function, images, labels, model, 0.1, 0.03, 1)
    core.expect(
        same(_attacked(function, images, labels, model, 0.1, 0.03, 1), found, 1e-9),
        found="another result on a second call",
        wanted="the same result: the walk starts at the images themselves",
        cause="chance, such as a random start; leave it out",
    )
    _expect_one_step_each(function, images, labels, model)
    _explain_size(found - images, images, labels, model, 0.03, total=0.1)
    _explain_direction(found - images, images, labels, model)
    images, labels, model = small_attack_problem(seed=69, count=3, gain=300)
    images, labels = images[:2], labels[:2]  # to which this network, which is sure, gives next to no probability
    _explain_direction(_attacked(function, images, labels, model, 0.1, 0.03, 1) - images, images, labels, model)


@pgd.part
def _(function):
    """each further step starts where the last one ended, and none is left out"""
    images, labels, model = small_attack_problem(seed=63, count=3)
    walk = [images, *(_attacked(function, images, labels, model, 0.5, 0.03, count) for count in (1, 2, 3, 4))]
    for before, after in itertools.pairwise(walk[1:]):
        still = (after - before).flatten(1).abs().amax(dim=1) < 1e-9
        core.expect(
            not still.any(),
            found=f"{int(still.sum())} of {len(images)} images stand still after the first step",
            wanted="the given number of steps for every image, also for one that is misclassified already",
            cause="an early stop; the loop ends when the iterations are used up, not before",
        )
        _explain_size(after - before, before, labels, model, 0.03)
        _explain_direction(after - before, before, labels, model, start=images)
    near, far = (_attacked(function, images, labels, model, 0.9, 0.01, count) - images for count in (10, 40))
    core.expect(
        bool(far.abs().max() > 1.5 * near.abs().max()),
        found=f"values that get no further than {float(far.abs().max()):.3g} in 40 steps of 0.01, as in 10",
        wanted="as many steps as there are iterations",
        cause=core.Questions("Does the loop end at a number of your own?", "Does a test end it early?"),
    )


@pgd.part
def _(function):
    """no value ends further than epsilon from where it was, also with a step larger than epsilon"""
    images, labels, model = small_attack_problem(seed=64, count=3)
    for step, iterations in ((0.04, 6), (0.25, 1), (0.25, 3)):
        found = _attacked(function, images, labels, model, 0.1, step, iterations)
        furthest = float((found - images).abs().max())
        core.expect(
            furthest <= 0.1 + 1e-9,
            found=f"a value {furthest:.3g} away from where it was, after {iterations} steps of {step:g}",
            wanted="at most epsilon = 0.1",
            cause=core.Questions(
                "Is there no projection on the ball, after every step?",
                "Or one around the last image in place of the original?",
            ),
        )


@pgd.part
def _(function):
    """every step is projected, so that a value at the border of the ball can come back"""
    images, labels, model = small_attack_problem(seed=65, count=3)
    for step in (0.07, 0.25):
        walk = [_attacked(function, images, labels, model, 0.1, step, count) for count in (1, 2, 3, 4)]
        before, after = walk[2:]
        low, high = images - 0.1, images + 0.1
        core.expect(
            _is_one_step(after, before, labels, model, step, low, high),
            found=f"another image than one step of {step:g} from the image before, brought back to the ball",
            wanted="step, project, step, project: every image of the walk is in the ball",
            cause=_cause_outside(walk, images, labels, model, step, low, high),
        )


@pgd.part
def _(function):
    """values stop at 0 and at 1, in every step"""
    images, labels, model = small_attack_problem(seed=66, count=3, spread=3)
    before = _attacked(function, images, labels, model, 0.3, 0.15, 2)
    after = _attacked(function, images, labels, model, 0.3, 0.15, 3)
    _expect_inside(before)
    _expect_inside(after)
    low, high = (images - 0.3).clamp(min=0), (images + 0.3).clamp(max=1)
    core.expect(
        _is_one_step(after, before, labels, model, 0.15, low, high),
        found="pixels in [0, 1], but not those of a step cut off at 0 and 1",
        wanted="`clamp` after every step, before the next slope is taken",
        cause=core.Questions("Is there a clamp after the loop only?", "Is it the image that is cut off at 0 and 1?"),
    )


@pgd.part
def _(function):
    """one image alone moves as it does among others, and with epsilon 0 it stays"""
    images, labels, model = small_attack_problem(seed=67, count=3)
    _expect_same_attack_alone(lambda x, y: function(x, y, model, 0.05, 0.02, 3), images, labels)
    images, labels, model = small_problem(seed=67, count=3)
    _expect_copy(function(images, labels, model, 0.0, 0.02, 3), images, "epsilon 0")


@pgd.part
def _(function):
    """images, labels and a network, frozen or in training use, are as they were"""
    for trainable in (True, False):
        images, labels, model = small_problem(seed=68, count=2, trainable=trainable)
        _expect_left_alone(function, images, labels, model, 0.05, 0.02, 3)


def _expect_one_step_each(function, images, labels, model):
    """Raise CheckFailed if the walk makes another number of steps than it is asked for."""
    walk = [_attacked(function, images, labels, model, 0.5, 0.03, count) for count in (1, 2)]
    moves = [float((at - images).abs().max()) for at in walk]
    for extra in (-1, 1):
        counted = all(abs(move - 0.03 * (count + extra)) < 1e-6 for count, move in enumerate(moves, start=1))
        core.expect(
            not counted,
            found=f"values that move by up to {moves[0]:.3g} and {moves[1]:.3g} in 1 and 2 steps of 0.03",
            wanted="one step for each iteration",
            cause=f"the loop runs one time too {'many' if extra > 0 else 'few'}",
        )


def _cause_outside(walk, images, labels, model, step, low, high):
    """Return why a walk leaves the ball around the images, or does not walk on its border: a cause, or questions."""
    before, after = walk[2:]
    smaller = float((high - images).max())
    if step > smaller and _is_one_step(after, before, labels, model, smaller, low, high):
        return "the step is cut down to epsilon, `min(step, epsilon)`; a value may cross the ball in one step"
    # Without a projection in between, the walk is this one; in the end it is cut off.
    free = images
    for _ in walk:
        free = free + step * finite_difference(losses_of(model), free, labels).sign()
    if same(after, free.clamp(low, high), 1e-3):
        return "the projection stands after the loop; move it into the loop"
    largest = (free - images).flatten(1).abs().amax(dim=1).view(-1, 1, 1, 1)
    if same(after - images, smaller * (free - images) / largest, 1e-3):
        return "the change is rescaled into the ball; the projection clamps every value by itself"
    losses = torch.stack([losses_of(model)(at, labels) for at in walk])
    if bool((losses.diff(dim=0) >= -1e-9).all()) and any(
        same(one, two, 1e-9) for at, then in itertools.pairwise(walk) for one, two in zip(at, then, strict=True)
    ):
        return "the image with the largest loss so far is returned; return the last one"
    return core.Questions(
        "Does the projection stand in the loop, after every step?",
        "Does it clamp every value by itself, to [image - epsilon, image + epsilon]?",
        "Is it the last image that is returned?",
    )


def _attacked(function, images, labels, model, epsilon, step, iterations):
    """Return where the student's function leads the images; raise CheckFailed where these are none, or no end."""
    with limited(model, 10 * len(images) * (iterations + 2)):
        result = function(images.clone(), labels.clone(), model, epsilon, step, iterations)
    core.check_tensor(result, images.shape, images, "each image, attacked")
    return result


def _explain_size(moved, images, labels, model, size, total=None):
    """Raise CheckFailed unless every value moved by `size`, with the likeliest reason."""
    sizes = moved.abs()
    sure = _no_rounding(finite_difference(losses_of(model), images, labels))
    if bool(((sizes - size).abs() <= 1e-6)[sure].all()):
        return
    core.expect_eval_mode(model)
    _expect_every_image_moved(moved)
    found = f"values that move by {float(sizes.min()):.3g} to {float(sizes.max()):.3g}"
    slopes = finite_difference(losses_of(model), images, labels)
    step = size * slopes.sign()
    usual = [
        (core.at_normalised(step, model), NORMALISED_STEP),
        (step - images, "the change alone is returned; return the images, changed by it"),
        (step.clamp(0, 1) - images, "the change alone is returned, cut off at 0; return the images, changed by it"),
        (
            (images + step.clamp(0, 1)) - images,
            "negative changes are lost, as by a clamp of the change to [0, 1]; clamp the image after the step",
        ),
    ]
    if total:
        reach = core.at_normalised(torch.full_like(step, total), model)
        words = "the ball is one of normalised images, where epsilon is `std` times as long; take it around the pixels"
        usual.append((torch.clamp(step, -reach, reach), words))
    cause: core.Cause = core.Questions(
        "Is the step `size * sign`, for every value?",
        "Is there a random start, a rescaling, or a clamp of the change?",
    )
    named = next((words for move, words in usual if same(moved[sure], move[sure], 1e-6)), None)
    if named:
        cause = named
    elif same(sizes, sizes.flatten()[0].expand_as(sizes), 1e-6):
        every = float(sizes.flatten()[0])
        found = f"every value moves by {every:.3g}"
        cause = core.Questions("Which factor stands before the sign?", "How many steps are made?")
        if abs(every - size / 255) < 1e-6 * size:
            cause = "the step is divided by 255 once more; it is in pixel units already"
        elif total and abs(every - total) < 1e-6:
            cause = "epsilon is taken for the step"
        elif total and abs(every - total / moved[0].numel() ** 0.5) < 1e-6:
            cause = "the length of the change (L2) is limited to epsilon; limit every value"
    elif _parallel(moved, slopes):
        cause = "the gradient itself is added; of the gradient only its sign is wanted, `gradient.sign()`"
    raise core.CheckFailed(found, f"every value to move by {size:g}, up or down", cause)


def _parallel(moved, slopes):
    """Tell whether each image moved along (or against) its slope, by whatever length."""
    for change, slope in zip(moved, slopes, strict=True):
        cosine = (change * slope).sum() / (change.norm() * slope.norm())
        if abs(cosine) < 1 - 1e-6:
            return False
    return True


def _explain_direction(moved, images, labels, model, start=None):
    """Raise CheckFailed unless every value moved to where the loss grows, with the likeliest reason."""
    core.expect_eval_mode(model)
    _expect_every_image_moved(moved)
    wanted = finite_difference(losses_of(model), images, labels)
    if _agree(moved, wanted):
        return
    usual = _usual_ways(wanted, images, labels, model, start)
    match = core.first_match(moved, usual, fits=_agree)
    if match:
        raise core.CheckFailed(
            f"values move {match[0]}", "to where the cross-entropy of the given label grows", match[1]
        )
    raise core.CheckFailed(
        f"{1 - _agreement(moved, wanted):.0%} of the values move to where the loss falls",
        "every value to move to where the cross-entropy of the given label grows",
        core.Questions(
            "Which number is differentiated: the cross-entropy of raw scores and given labels?",
            "Is a probability cut off before its logarithm?",
            "Do gradients of other images, channels or steps mix in?",
        ),
    )


def _expect_every_image_moved(moved):
    """Raise CheckFailed if an image came back as it was."""
    still = moved.abs().flatten(1).amax(dim=1) <= 1e-9
    core.expect(
        not still.any(),
        found=f"{int(still.sum())} of {len(moved)} images have not moved",
        wanted="every image attacked, whatever the model predicts for it, and however sure it is",
        cause=core.Questions(
            "Is it that images which are predicted wrong are skipped, or that the loop ends before the step?",
            "Is the gradient 0, as that of a probability cut off by `clamp`?",
            "Is it the new image that is returned?",
        ),
    )


def _usual_ways(slopes, images, labels, model, start):
    """Yield what the usual mistakes follow in place of the `slopes` of the loss: (slopes, where to, cause)."""
    of_scores = finite_difference(scores_of(model), images, labels)
    yield -slopes, "to where the loss falls", "a minus too many: the attack climbs the loss"
    yield (
        of_scores,
        "to where the score of the label grows",
        "the score is climbed, which helps the label; climb the cross-entropy",
    )
    yield (
        -of_scores,
        "to where the score of the label falls",
        "the score of the label is differentiated; the cross-entropy contains its rivals too",
    )
    yield (
        finite_difference(losses_of(model), images, model(images).argmax(dim=1)),
        "to where the loss of the predicted class grows",
        "`argmax` in place of the labels that are passed in",
    )
    yield (
        finite_difference(losses_of(model), images, labels[:1].expand(len(labels))),
        "to where the loss of the first label grows, for all images",
        "`labels[0]` for all images; each image has its own",
    )
    yield (
        finite_difference(lambda x, y: F.cross_entropy(model(x).softmax(1), y, reduction="none"), images, labels),
        "to where a softmax of a softmax falls",
        "`F.cross_entropy` takes raw scores and applies the softmax itself",
    )
    for share in (0.05, 0.1, 0.2):
        yield (
            finite_difference(lambda x, y, s=share: _smoothed_loss(model, x, y, s), images, labels),
            f"to where the cross-entropy grows whose labels are smoothed by {share}",
            "`label_smoothing`; take the labels as they are",
        )
    yield (
        slopes.mean(dim=0, keepdim=True).expand_as(slopes),
        "all images the same way",
        "the gradients are averaged over the batch; each image has its own",
    )
    if start is not None:
        at_start = finite_difference(losses_of(model), start, labels)
        yield at_start, "along the slopes at the original images", "the gradient is computed once, before the loop"
        yield (
            at_start + slopes,
            "along the sum of all slopes so far",
            "`.grad` piles up; start each step from a new leaf, `x.detach().clone().requires_grad_()`",
        )


def _smoothed_loss(model, images, labels, share):
    return F.cross_entropy(model(images), labels, reduction="none", label_smoothing=share)


NORMALISED_STEP = (
    "the step is made on the normalised image, where epsilon is std times as long; add it to the pixels, "
    "and let `model` "
    "normalise them"
)


def _agree(moved, slopes):
    """Tell whether every value moves with the sign of `slopes`, as far as that is sure."""
    return _agreement(moved, slopes) == 1


def _agreement(moved, slopes):
    """Return the share of the values that move with the sign of `slopes`, among those whose slope is no rounding."""
    sure = _no_rounding(slopes)
    return float((moved.sign() == slopes.sign())[sure].double().mean())


def _is_one_step(found, before, labels, model, step, low, high):
    """Tell whether `found` is `before`, moved by `step` to where the loss grows and cut off at `low` and `high`."""
    slopes = finite_difference(losses_of(model), before, labels)
    sure = _no_rounding(slopes)
    return same(found[sure], (before + step * slopes.sign()).clamp(low, high)[sure], 1e-6)


def _no_rounding(slopes):
    """Return where slopes are large enough for their sign to be sure, a tensor of bool of the same shape."""
    return slopes.abs() > 1e-5 * slopes.abs().max()


# ------------------------------------------------------------------------------------------------ adversarial training

adversarial_training_step = core.Checks(
    "adversarial_training_step", "(model, optimiser, images, labels, attack) -> a number"
)


@adversarial_training_step.part
def _(function):
    """the attack is called once, with the images, the labels and the model, which is in eval mode then"""
    model, optimiser, images, labels, attack = _training_problem(seed=72)
    function(model, optimiser, images.clone(), labels.clone(), attack)
    core.expect(
        len(attack.modes) == 1,
        found=f"{len(attack.modes)} calls of the attack",
        wanted="one: `attack(images, labels, model)`",
        cause="the attack is forgotten"
        if not attack.modes
        else "the attack is called more than once; call it with all",
    )
    core.expect(
        attack.modes == [False],
        found="a model in training mode during the attack",
        wanted="eval mode: the attack meets the network as it will be used",
        cause="`model.eval()` is missing before the attack; the model comes in training mode",
    )
    core.expect(
        attack.with_gradients,
        found="an attack for which gradients are switched off",
        wanted="an attack that can differentiate the loss",
        cause="the attack is called under `torch.no_grad()`; what it returns is detached, so nothing needs it there",
    )
    core.expect(
        torch.equal(attack.images, images) and torch.equal(attack.labels, labels),
        found="other images or labels in the hands of the attack than those passed in",
        wanted="attack(images, labels, model)",
        cause="other labels are given to the attack than those passed in"
        if torch.equal(attack.images, images)
        else "other images are given to the attack than those passed in",
    )


@adversarial_training_step.part
def _(function):
    """the result is the mean cross-entropy of the attacked images, as a plain number"""
    for gain in (1, 30):  # with this gain the network is sure, and of some labels it is sure that they are wrong
        _explain_loss(function, *_training_problem(seed=71, gain=gain))


def _explain_loss(function, model, optimiser, images, labels, attack):
    """Raise CheckFailed unless the step returns its loss, with the likeliest reason."""
    wanted, usual = _losses(model, attack.result, images, labels)
    result = function(model, optimiser, images.clone(), labels.clone(), attack)
    core.expect(
        isinstance(result, (int, float)) or (isinstance(result, torch.Tensor) and result.dim() == 0),
        found="nothing" if result is None else f"a {type(result).__name__}" + _shape_of(result),
        wanted="one number, a float or a tensor without axes",
        cause="the function has no `return`"
        if result is None
        else "several values are returned, such as a loss for each image; return their mean alone",
    )
    core.expect(
        not getattr(result, "requires_grad", False),
        found="a loss that still carries the graph of the whole step",
        wanted="a number, or a detached tensor",
        cause="`return loss`; return `loss.item()` or `loss.detach()`",
    )
    found = float(result)
    usual.append((_mean_loss(model, attack.result, labels), "the loss is computed again after the update"))
    cause = next((words for value, words in usual if abs(found - value) <= 1e-6 * abs(value)), None)
    core.expect(
        abs(found - wanted) <= 1e-6 * wanted,
        found=f"{found:.4f}",
        wanted=f"{wanted:.4f}, the mean cross-entropy of the attacked images before the update, in training mode",
        cause=cause
        or core.Questions(
            "Which number is it: the mean cross-entropy of raw scores and labels?",
            "Is a probability cut off before its logarithm? Is the result rounded?",
            "Of which images, in which mode, before or after the update?",
        ),
    )


@adversarial_training_step.part
def _(function):
    """the parameters take one step down the slope of that loss, and nothing of older gradients is in it"""
    model, optimiser, images, labels, attack = _training_problem(seed=73)
    before = _parameters(model)
    slope = _parameter_slopes(model, attack.result, labels)
    usual = _usual_updates(model, attack.result, images, labels, slope)
    steps = []
    optimiser.register_step_post_hook(lambda *_: steps.append(1))
    function(model, optimiser, images.clone(), labels.clone(), attack)
    core.expect(
        len(steps) == 1,
        found=f"{len(steps)} calls of `optimiser.step()`",
        wanted="one: it is the optimiser that moves the parameters, and it remembers what it did",
        cause="two steps of the optimiser, or more; make one"
        if steps
        else "`optimiser.step()` is missing; without it no parameter moves as this optimiser moves it",
    )
    update = (_parameters(model) - before) / RATE
    if same(update, -slope):
        return
    found = "the parameters have not moved" if not update.any() else "the parameters moved elsewhere"
    cause = next((words for value, words in usual if same(update, value)), None)
    along = float((update @ -slope) / (slope @ slope))
    if cause is None and along > 0 and same(update, -along * slope):
        found = f"the parameters moved {along:.3g} times as far"
    raise core.CheckFailed(
        found,
        "one step of the optimiser down the slope of the mean cross-entropy of the attacked images",
        cause
        or core.Questions(
            "Which number is differentiated: the loss that is returned?",
            "Is there one `backward()` before the `step()`?",
            "Is anything done with the gradients in between, such as clipping?",
        ),
    )


@adversarial_training_step.part
def _(function):
    """BatchNorm sees one batch in training mode: the attacked images"""
    model, optimiser, images, labels, attack = _training_problem(seed=74)
    count = int(model[1].num_batches_tracked)
    function(model, optimiser, images.clone(), labels.clone(), attack)
    batches = int(model[1].num_batches_tracked) - count
    core.expect(
        batches == 1,
        found=f"running statistics updated by {batches} batches",
        wanted="by one, the attacked images",
        cause="more than one pass in training mode; take one, for the loss, and look at other images in eval mode",
    )


@adversarial_training_step.part
def _(function):
    """images, labels and all of the model that no training changes are as they were"""
    model, optimiser, images, labels, attack = _training_problem(seed=75)
    parts = ["structure", "hooks", "forward", "requires_grad"]
    with core.untouched(images=images, labels=labels), core.left_as_found(model, parts):
        function(model, optimiser, images, labels, attack)


RATE = 0.2


class _RecordedAttack:
    """An attack that returns images fixed in advance, and remembers how it was called."""

    def __init__(self, result):
        self.result, self.modes, self.images, self.labels = result, [], None, None
        self.with_gradients = True

    def __call__(self, images, labels, model):
        self.modes.append(any(module.training for module in model.modules()))
        self.with_gradients = self.with_gradients and torch.is_grad_enabled()
        self.images, self.labels = images.clone(), labels.clone()
        return self.result.clone()


def _training_problem(seed, gain=1):
    model = plain_network(seed, gain=gain)
    generator = torch.Generator().manual_seed(seed)
    images, attacked = torch.rand(2, 4, 3, 5, 7, generator=generator, dtype=torch.float64)
    labels = torch.tensor([0, 2, 1, 1])
    return model, torch.optim.SGD(model.parameters(), lr=RATE), images, labels, _RecordedAttack(attacked)


def _losses(model, attacked, images, labels):
    """Return the loss that is wanted, and (loss, words) for the usual mistakes."""
    wanted, clean = _mean_loss(model, attacked, labels), _mean_loss(model, images, labels)
    with torch.no_grad():
        scores = copy.deepcopy(model).train()(attacked)
    forgotten = "the loss of the clean images; put what the attack returns into the model"
    mixed = "clean and attacked images are mixed; train on the attacked images alone"
    return wanted, [
        (wanted * len(images), "a sum over the batch; take the mean"),
        (-wanted, "the loss has the wrong sign"),
        (
            _mean_loss(model, attacked, labels, training=False),
            "the loss is taken in eval mode; call `model.train()` after the attack",
        ),
        (clean, forgotten),
        (_mean_loss(model, images, labels, training=False), forgotten),
        ((wanted + clean) / 2, mixed),
        (wanted + clean, mixed),
        (_mean_loss(model, torch.cat([images, attacked]), torch.cat([labels, labels])), mixed),
        (float(F.cross_entropy(scores, scores.argmax(dim=1))), "predictions in place of the labels that are passed in"),
        (float((scores.argmax(dim=1) == labels).double().mean()), "the accuracy is returned; return the loss"),
        *(
            (
                float(F.cross_entropy(scores, labels, label_smoothing=share)),
                "label smoothing; take the labels as they are",
            )
            for share in (0.05, 0.1, 0.2)
        ),
        (
            float(F.cross_entropy(scores.softmax(dim=1), labels)),
            "`F.cross_entropy` takes raw scores and applies the softmax itself",
        ),
    ]


def _mean_loss(model, images, labels, training=True):
    with torch.no_grad():
        return float(F.cross_entropy(copy.deepcopy(model).train(training)(images), labels))


def _parameters(model):
    return nn.utils.parameters_to_vector(model.parameters()).detach().clone()


def _parameter_slopes(model, images, labels, training=True, step=1e-6):
    """Measure how much the mean cross-entropy changes with each parameter, one at a time."""
    moved = copy.deepcopy(model).train(training)
    start = _parameters(moved)
    slopes = torch.zeros_like(start)
    with torch.no_grad():
        for number in range(len(start)):
            losses = []
            for change in (step, -step):
                values = start.clone()
                values[number] += change
                nn.utils.vector_to_parameters(values, moved.parameters())
                losses.append(F.cross_entropy(moved(images), labels))
            slopes[number] = (losses[0] - losses[1]) / (2 * step)
    return slopes


def _usual_updates(model, attacked, images, labels, slope):
    """Return (update / RATE, words) for the usual mistakes."""
    old = torch.cat([parameter.grad.flatten() for parameter in model.parameters()])
    clean = _parameter_slopes(model, images, labels)
    return [
        (torch.zeros_like(slope), "`zero_grad()` stands between `backward()` and `step()`, or no `backward()` does"),
        (-slope - old, "gradients of an earlier step are still in `.grad`; call `optimiser.zero_grad()` first"),
        (slope, "the step goes up: the loss is negated"),
        (-len(images) * slope, "a sum over the batch; take the mean"),
        (-clean, "the clean images are trained on; the loss is that of what the attack returned"),
        (-clean - slope, "the losses of clean and attacked images are added; take the attacked images alone"),
        (-(clean + slope) / 2, "clean and attacked images are mixed; take the attacked images alone"),
        (
            -_parameter_slopes(model, attacked, labels, training=False),
            "the update happens in eval mode: `model.train()` is missing after the attack",
        ),
    ]


def _shape_of(value):
    return f" of shape {tuple(value.shape)}" if hasattr(value, "shape") else ""


# ------------------------------------------------------------------------------------------------ shared


def _expect_inside(images):
    low, high = float(images.min()), float(images.max())
    core.expect(
        low >= 0 and high <= 1,
        found=f"values from {low:.3g} to {high:.3g}",
        wanted="values in [0, 1]: a picture that can be shown and saved",
        cause="`clamp(0, 1)` is missing after a step",
    )


def _expect_left_alone(function, images, labels, model, *rest):
    """Raise CheckFailed if an attack changes the model or its arguments."""
    with limited(model, 200):
        core.expect_left_alone(lambda: function(images, labels, model, *rest), model, images=images, labels=labels)


def _expect_copy(result, images, when):
    core.expect(
        torch.equal(result.detach(), images),
        found=f"other values than the images', with {when}",
        wanted="the same values",
        cause=core.Questions(
            "Is anything drawn by chance or rescaled?",
            "Is every step projected?",
            "Is a change returned in place of the images?",
        ),
    )
    kept = images.clone()
    result.detach().add_(1)
    core.expect(
        torch.equal(images, kept),
        found="the caller's own tensor: changing the result changes the images passed in",
        wanted="new tensors with memory of their own",
        cause="the images themselves are returned; `clone()` copies",
    )


def _expect_same_attack_alone(call, images, labels):
    among = call(images.clone(), labels.clone()).detach()
    alone = call(images[1:2].clone(), labels[1:2].clone())
    core.check_tensor(alone, (1, *images.shape[1:]), images[1:2], "a batch of one is still a batch")
    core.expect_alone_as_among_others(alone, among[1:2], tolerance=1e-9)
