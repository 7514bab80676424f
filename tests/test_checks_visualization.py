"""What the visible checks of assignment 4 say to wrong answers that people write: what is true of them, and no more."""

import pytest
import torch

from helpers.course.pages import registry
from helpers.synthesis import blur, clamp, jitter
from tests.test_checks import told

PAGE = registry.page_of("04_class_visualization")


def priced(price, *, normalised=False):
    """A step for another price than the squared distance from grey: price(pixels, model)."""

    def answer(image, target, model, l2_reg, learning_rate):
        pixels = (model.normalise(image) if normalised else image).detach().clone().requires_grad_()
        score = (model.network if normalised else model)(pixels)[0, target]
        (slope,) = torch.autograd.grad(score - l2_reg * price(pixels, model), pixels)
        return image + learning_rate * slope

    return answer


def from_grey(pixels, model):
    return ((pixels - 0.5) ** 2).sum()


def change_alone(image, *given):
    return priced(from_grey)(image, *given) - image


def loop(change=clamp, sigma=None, *, at_the_end=False, before=False, pop=False):
    """The loop with another clamp, another strength, a blur more at the end or in another place, or a list emptied."""

    def answer(image, step, offsets, blur_every, given_sigma):
        pairs = [offsets.pop(0) for _ in range(len(offsets))] if pop else offsets
        for k, (down, right) in enumerate(pairs, start=1):
            due = blur_every and k % blur_every == 0
            if due and before:
                image = blur(image, given_sigma)
            image = change(jitter(step(jitter(image, down, right)), -down, -right))
            if due and not before:
                image = blur(image, sigma or given_sigma)
        return blur(image, given_sigma) if at_the_end and blur_every else image

    return answer


def stretched(image):
    return (image - image.min()) / (image.max() - image.min())


def channel(quantity=lambda outputs, k: outputs[:, k].mean(), size=torch.Tensor.norm, *, normalised=False):
    """A step for another number of the channel, or with another size of the gradient."""

    def answer(image, layer, k, model, learning_rate):
        pixels, outputs = (model.normalise(image) if normalised else image).detach().clone().requires_grad_(), []
        with layer.register_forward_hook(lambda module, inputs, output: outputs.append(output)):
            (model.network if normalised else model)(pixels)
        (slope,) = torch.autograd.grad(quantity(outputs[0], k), pixels)
        return image + learning_rate * slope / size(slope)

    return answer


def hook_that_stays(image, layer, k, model, learning_rate):
    pixels, outputs = image.detach().clone().requires_grad_(), []
    handle = layer.register_forward_hook(lambda module, inputs, output: outputs.append(output))
    model(pixels)
    handle.remove()
    (slope,) = torch.autograd.grad(outputs[0][:, k].mean(), pixels)
    return image + learning_rate * slope / slope.norm()


VARIATION = "the price is a total variation"
ROWS = [
    (
        "class_visualization_step",
        priced(lambda x, _: x.diff(dim=2).square().sum() + x.diff(dim=3).square().sum()),
        VARIATION,
    ),
    ("class_visualization_step", priced(lambda x, _: (x - 0.5).abs().sum()), "the price is an L1 norm"),
    ("class_visualization_step", priced(lambda x, _: ((x - x.detach().mean()) ** 2).sum()), "the image's own mean"),
    ("class_visualization_step", priced(lambda x, model: (model.normalise(x) ** 2).sum()), "after `model.normalise`"),
    ("class_visualization_step", priced(lambda x, model: 2 * from_grey(x, model)), "twice the pull towards grey"),
    ("class_visualization_step", priced(lambda x, _: (x - 0.5).pow(4).sum()), "What is your price of an image"),
    ("class_visualization_step", priced(from_grey, normalised=True), "at the normalised image"),
    ("class_visualization_step", change_alone, "the change alone"),
    ("class_visualization_step", lambda image, *_: image.clone(), "the image as it was"),
    ("synthesise", loop(pop=True), "the list is changed"),
    ("synthesise", loop(at_the_end=True), "one more blur"),
    ("synthesise", loop(stretched), "rescaled"),
    ("synthesise", loop(sigma=1.0), "Is its strength `sigma`?"),
    ("synthesise", loop(before=True), "the blur stands before the step"),
    ("channel_visualization_step", channel(normalised=True), "at the normalised image"),
    ("channel_visualization_step", channel(lambda outputs, k: outputs[:, k - 1].mean()), "counted from 0"),
    ("channel_visualization_step", channel(lambda outputs, k: outputs[:, k].abs().mean()), "absolute activations"),
    ("channel_visualization_step", channel(size=lambda slope: slope.abs().sum()), "L1 norm"),
    ("channel_visualization_step", channel(size=lambda slope: slope.square().mean().sqrt()), "root mean square"),
    ("channel_visualization_step", hook_that_stays, "a hook that stays when the model fails"),
]
# What was said to some of them, and was not true.
GUESSES = ("another quantity than the target's", "another loop than one over", "a blur in every iteration")


@pytest.mark.parametrize(("f", "answer", "words"), ROWS, ids=[f"{f}: {words}" for f, _, words in ROWS])
def test_a_wrong_answer_is_told_what_is_true_of_it(f, answer, words):
    message = told(PAGE, f, answer)
    assert words in message
    assert not any(guess in message for guess in GUESSES)


def test_a_wrong_price_is_not_blamed_on_the_score_that_the_check_before_has_cleared():
    message = told(PAGE, "class_visualization_step", priced(lambda x, _: (x - 0.5).pow(4).sum()))
    assert ", check 3 of 5" in message and "score" not in message.partition("questions:")[2]


def test_stretching_is_not_taken_for_a_blur_in_the_wrong_place():
    message = told(PAGE, "synthesise", loop(stretched))
    assert "before it was clamped" not in message
