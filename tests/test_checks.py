"""The checks students run: they accept every right answer, and name the mistake of every wrong one."""

import ast
import re
from functools import cache

import pytest
import torch
from torch import nn

from helpers.checks import core
from helpers.course.pages import registry
from helpers.course.pages.cells import cut

PAGES = [page for page in registry.pages().values() if page.exercises]
EXERCISES = [pytest.param(page, f, id=f"{page.name} {f}") for page in PAGES for f in page.exercises]
MUTANTS = [
    pytest.param(page, mutant, id=f"{page.name} {f}: {mutant.says[:40]}")
    for page in PAGES
    for f in page.exercises
    for mutant in page.mutants(f)
]
each_exercise = pytest.mark.parametrize(("page", "f"), EXERCISES)
each_mutant = pytest.mark.parametrize(("page", "mutant"), MUTANTS)
# Some answers, right and wrong ones, turn a tensor with a graph into a number.
pytestmark = pytest.mark.filterwarnings("ignore:Converting a tensor with requires_grad=True")


@cache
def names(page):
    """What stands around an answer: the page's imports, the functions of the page that answers call, the reference."""
    answers = [cell for cell in page.cells if cell.kind in ("exercise", "mutant", "variant")]
    called = {node.id for cell in answers for node in ast.walk(ast.parse(cell.source)) if isinstance(node, ast.Name)}

    def needed(node):
        return isinstance(node, ast.Import | ast.ImportFrom) or getattr(node, "name", None) in called

    namespace = {}
    for cell in page.cells:
        if cell.kind in ("setup", "code"):
            tree = ast.parse(cell.source)
            tree.body = list(filter(needed, tree.body))
            exec(compile(tree, str(page.path), "exec"), namespace)
        elif cell.kind == "exercise":
            exec(cell.source, namespace)
    return namespace


def answer(page, cell):
    """The function that a cell defines."""
    namespace = dict(names(page))
    exec(cell.source, namespace)
    return namespace[cell.name]


def check(page, f, function):
    """Run the check's cell of the students' notebook on this function as the answer to exercise `f`."""
    exec(cut(page.checks[f].source, "HIDDEN TESTS"), names(page) | {f: function})


def told(page, f, function):
    """What the check says to a wrong answer."""
    with pytest.raises(core.CheckFailed) as failure:
        check(page, f, function)
    return str(failure.value)


@cache
def told_for_mutant(page, mutant):
    return told(page, mutant.name, answer(page, mutant))


@cache
def told_for_slip(page, f, slip):
    return told(page, f, slip(names(page)[f]))


def part(message):
    """Which numbered part of a check failed, and of how many: (k, n)."""
    return tuple(map(int, re.search(r", check (\d+) of (\d+): ", message).groups()))


# Slips that any exercise knows: each makes a wrong answer of the right one.


def drops_the_batch_axis(right):
    return lambda *given: right(*given).squeeze(0)


def answers_in_float64(right):
    return lambda *given: right(*given).double()


def wipes_the_gradients(right):
    def wrong(images, labels, model, *rest):
        model.zero_grad()
        return right(images, labels, model, *rest)

    return wrong


# Where no mutant goes: the exercise, the part of its check that the slip must fail, and words of the message.
SLIPS = [
    ("smooth_grad", drops_the_batch_axis, 4, "drops the batch axis of a single image"),
    ("smooth_grad", wipes_the_gradients, 5, "`zero_grad()` wipes them"),
    ("guided_grad_cam", drops_the_batch_axis, 4, "drops the batch axis of a single image"),
    ("integrated_gradients", drops_the_batch_axis, 6, "drops the batch axis of a single image"),
    ("occlusion_map", drops_the_batch_axis, 4, "drops the batch axis of a single image"),
    ("pgd", drops_the_batch_axis, 7, "drops the batch axis of a single image"),
    ("class_visualization_step", answers_in_float64, 4, "found:        a torch.float64 tensor"),
    ("channel_visualization_step", answers_in_float64, 4, "found:        a torch.float64 tensor"),
]
PAGE_OF = {f: page for page in PAGES for f in page.exercises}


# Every check of every page


def test_words_are_kept_for_every_exercise_there_is():
    assert list(NAMED) == [f for page in PAGES for f in page.exercises]


@each_exercise
def test_every_mutant_says_a_sentence_and_has_words_of_its_own(page, f):
    mutants = page.mutants(f)
    for mutant in mutants:
        assert mutant.says.endswith(".")
        assert sum(said in mutant.says for said in NAMED[f]) == 1, mutant.says
    assert len(NAMED[f]) == len(mutants)


@each_exercise
def test_check_passes_the_answer_and_says_how_many_checks(page, f, capsys):
    check(page, f, names(page)[f])
    assert re.fullmatch(rf"{f}: \d+ checks passed\n", capsys.readouterr().out)


@each_exercise
def test_check_passes_every_variant(page, f):
    for variant in page.variants(f):
        check(page, f, answer(page, variant))


@each_mutant
def test_check_fails_every_mutant_and_names_its_cause_in_four_short_lines(page, mutant):
    message = told_for_mutant(page, mutant)
    wanted = rf"{mutant.name}, check \d+ of \d+: .+\.\n  found:        .+\n  wanted:       .+\n  usual cause:  .+"
    assert re.fullmatch(wanted, message) and len(message) < 500
    assert next(named for said, named in NAMED[mutant.name].items() if said in mutant.says) in message


@pytest.mark.parametrize(("f", "slip", "number", "words"), SLIPS, ids=lambda value: getattr(value, "__name__", None))
def test_check_fails_a_slip_in_its_own_part(f, slip, number, words):
    message = told_for_slip(PAGE_OF[f], f, slip)
    assert part(message)[0] == number and words in message


@each_exercise
def test_every_part_of_every_check_is_seen_to_fail(page, f):
    parts = {part(told_for_mutant(page, mutant)) for mutant in page.mutants(f)}
    parts |= {part(told_for_slip(page, f, slip)) for name, slip, *_ in SLIPS if name == f}
    _, count = max(parts)
    assert parts == {(number, count) for number in range(1, count + 1)}


@each_exercise
def test_an_exercise_not_yet_answered_raises_not_implemented(page, f):
    def stub(*_):
        raise NotImplementedError(f"{f}: replace this line")

    with pytest.raises(NotImplementedError, match="replace this line"):
        check(page, f, stub)


@each_exercise
def test_an_answer_without_return_is_told_so(page, f):
    def silent(*arguments, **options):
        names(page)[f](*arguments, **options)

    with pytest.raises(core.CheckFailed, match="no `return`"):
        check(page, f, silent)


@each_exercise
def test_an_empty_answer_is_told_what_it_lacks(page, f):
    lacks = {"adversarial_training_step": "the attack is forgotten"}.get(f, "no `return`")
    with pytest.raises(core.CheckFailed, match=lacks):
        check(page, f, lambda *_: None)


@each_exercise
def test_a_check_leaves_the_state_of_torch_alone(page, f):
    random = torch.get_rng_state()
    check(page, f, names(page)[f])
    assert torch.equal(torch.get_rng_state(), random)
    assert torch.is_grad_enabled() and torch.get_default_dtype() == torch.float32


# The parts that all checks share


def test_failure_shows_found_wanted_and_cause_and_no_traceback():
    def sky_is_green(function):
        """the sky is blue"""
        core.expect(function() == "blue", found="green", wanted="blue", cause="a filter")

    with pytest.raises(core.CheckFailed) as failure:
        core.run_checks("sky", lambda: "green", [sky_is_green])
    assert failure.value.__cause__ is None
    assert failure.value._render_traceback_() == [
        "Not yet. sky, check 1 of 1: the sky is blue.\n"
        "  found:        green\n"
        "  wanted:       blue\n"
        "  usual cause:  a filter"
    ]


def test_finite_difference_of_a_polynomial_is_its_derivative():
    images = torch.rand(2, 3, 3, 4, generator=torch.Generator().manual_seed(0)).double()
    labels = torch.tensor([2, 3])
    slopes = core.finite_difference(lambda x, y: (x ** y[:, None, None, None]).sum(dim=(1, 2, 3)), images, labels)
    assert core.same(slopes[0], 2 * images[0], tolerance=1e-7)
    assert core.same(slopes[1], 3 * images[1] ** 2, tolerance=1e-7)


def test_finite_difference_of_a_tiny_network_is_its_gradient():
    model = core.tiny_network(3)
    images, labels = core.tiny_batch(model, 2, seed=3)
    for quantity in (core.scores_of, core.probabilities_of, core.log_probabilities_of):
        pixels = images.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(quantity(model)(pixels, labels).sum(), pixels)
        assert core.same(core.finite_difference(quantity(model), images, labels), gradient, tolerance=1e-6)


def test_tiny_network_has_all_that_makes_networks_awkward():
    model = core.tiny_network(5)
    images, labels = core.tiny_batch(model, 4, seed=5)
    relus = [module for module in model.modules() if isinstance(module, nn.ReLU)]
    calls = []
    for relu in relus:
        relu.register_forward_hook(lambda module, *_: calls.append(module))
    scores = model(images)
    assert scores.dtype == torch.float64
    assert images.shape == (4, 3, 9, 13)
    assert len(calls) == len(relus) + 1
    assert (labels != scores.argmax(dim=1)).all()
    assert len(set(labels.tolist())) > 1
    for kind in (nn.Conv2d, nn.BatchNorm2d, nn.Dropout, nn.MaxPool2d, nn.Linear):
        assert any(isinstance(module, kind) for module in model.modules())
    assert not any(module.training for module in model.modules())
    assert torch.equal(core.tiny_network(5)(images), scores)
    features = []
    model.cam_layer.register_forward_hook(lambda module, inputs, output: features.append(output))
    model(images)
    assert features[0].min() < 0 < features[0].max()


def test_tiny_network_leaves_the_random_state_alone():
    torch.manual_seed(0)
    wanted = torch.rand(3)
    torch.manual_seed(0)
    core.tiny_network(1)
    assert torch.equal(torch.rand(3), wanted)


def test_trainable_network_is_the_frozen_one_in_training_use():
    frozen, trainable = core.tiny_network(4), core.tiny_network(4, trainable=True)
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in frozen.parameters())
    assert all(parameter.grad is not None and parameter.requires_grad for parameter in trainable.parameters())
    images, _ = core.tiny_batch(frozen, 2, seed=4)
    assert torch.equal(frozen(images), trainable(images))


def replace_a_module(model):
    model.network.stem[2] = nn.ReLU()


def hook(model):
    model.network.register_forward_hook(lambda *_: None)


def step(model):
    with torch.no_grad():
        next(model.parameters()).add_(1)


def replace_forward(model):
    model.network.forward = lambda x: x


@pytest.mark.parametrize(
    ("meddle", "what"),
    [
        (lambda model: model.train(), "mode"),
        (lambda model: model.network.head.train(), "mode"),
        (replace_a_module, "structure"),
        (hook, "hooks"),
        (replace_forward, "forward"),
        (lambda model: model.requires_grad_(False), "requires_grad"),
        (step, "parameters or buffers"),
        (lambda model: model.zero_grad(), "parameters' .grad"),
        (lambda model: model(torch.rand(1, 3, 9, 13).double()).sum().backward(), "parameters' .grad"),
    ],
)
def test_left_as_found_names_what_changed(meddle, what):
    model = core.tiny_network(6, trainable=True)
    with pytest.raises(core.CheckFailed, match=f"the model's {what} changed"), core.left_as_found(model):
        meddle(model)


def test_left_as_found_accepts_what_was_put_back():
    model = core.tiny_network(6, trainable=True)
    with core.left_as_found(model):
        handle = model.network.register_forward_hook(lambda *_: None)
        model(torch.rand(1, 3, 9, 13).double())
        handle.remove()
        model.note = "an attribute of the student's own"


# For each mutant, by words of what the grader says: words that the check's message must hold.
NAMED = {
    "compute_saliency_maps": {
        "Your map is the largest signed slope": "sign is kept",
        "You take the maximum over the channels first": "absolute value after max",
        "You differentiate the cross-entropy loss. It": "cross-entropy",
        "You differentiate the cross-entropy loss averaged": "averaged over the batch",
        "You differentiate the softmax probability": "softmax",
        "You average over the three channels": "`mean`",
        "You add the three channels up": "`sum`",
        "You take the Euclidean norm": "`norm`",
        "Your maps are divided by the number of images": "mean over the batch of 3",
        "scores[:, labels] pairs every image": "`scores[:, labels]`",
        "You differentiate the sum of all scores": "`scores.sum()`",
        "You explain the class with the largest score": "labels are not used",
        "You switch the caller's images": "pile up",
        "You put the model into training mode": "`model.train()`",
        "Your maps are right, but .backward()": "inputs=[pixels]",
        "Your maps are right, but model.zero_grad()": "`zero_grad()`",
        "Your maps are right, but you froze": "requires_grad",
        "A squeeze without dim": "`.squeeze()`",
        "You scaled each map": "normalisation",
        "You multiplied the gradient by the image": "gradient times image",
        "You return three channels": "one axis too many",
        "Your maps are right, but they still require": "`create_graph=True`",
        "Your maps are right, but they are a NumPy array": "NumPy",
    },
    "score_gradient": {
        "You return absolute values": "`abs`",
        "The word in `of` makes no difference": "`of` is not told apart",
        "For the log-probability you differentiate": "opposite sign",
        "Your softmax runs over the images": "dim=0",
        "You multiply the gradient of the score by p_y": "denominator",
        "A word you do not know": "ValueError",
        "You explain the class with the largest score": "labels are not used",
        "Your gradients are divided by the number": "mean over the batch of 3",
        "You return one value for each pixel": "one axis too few",
        "Your gradients are right, but .backward()": "inputs=[pixels]",
        "You return images.grad of the caller's": "pile up",
    },
    "smooth_grad": {
        "You average absolute gradients": "`abs`",
        "You average the squares": "square",
        "You average the noisy images": "mean is taken before the gradient",
        "You clamp the noisy images": "`clamp`",
        "You add the gradients up": "not divided by their number",
        "You return inside the loop": "`return` inside the loop",
        "You divide by the number of images": "not by the 3 samples",
        "You draw noise of your own": "`torch.randn`",
        "The noise is never added": "never added",
        "Your noise piles up": "piled up",
        "images += sample changes": "piled up",
        "In your batch of S x N images": "labels.repeat(S)",
        "You return one value for each pixel": "one axis too few",
    },
    "saliency_box": {
        "Rows and columns are swapped": "rows and columns are swapped",
        "Your box ends on the last row": "the end is included",
        "You return width and height": "width and height",
        "Your threshold is a share of the largest": "share of the maximum",
        "You drop the pixels that are equal": "`>` in place of `>=`",
        "You round the number of pixels down": "rounded down",
        "You round the number of pixels to the nearest": "to the nearest",
        "A quantile interpolates": "quantile",
        "You drop a share of `fraction`": "share to drop",
        "You count from the darkest": "nearly all pixels are kept",
        "topk gives exactly k pixels": "`topk`",
        "You keep x1 and y1 inside the map": "may be W and H",
        "you set the other pixels of the caller's map": "an operation in place",
    },
    "guided_backprop": {
        "Your result is the plain gradient": "the plain gradient",
        "the deconvnet's rule": "the mask by the input is missing",
        "miss those nested deeper": "nested ReLUs are not reached",
        "leave out the last ReLU": "some ReLUs are left out",
        "take the plain gradient and drop": "at the pixels",
        "drop the negative values at the pixels as well": "at the pixels",
        "drop negative signals at every layer": "at every layer",
        "keep the signals with a negative sign": "`clamp(max=0)`",
        "take the absolute value of what arrives": "`abs`",
        "its second input overwrites the first": "its next use overwrites it",
        "start from the softmax probability": "softmax",
        "start from the cross-entropy loss": "cross-entropy",
        "start from the class with the largest score": "label is not used",
        "start from the sum of all scores": "the sum of all scores",
        "divided by the number of images": "mean over the batch of 3",
        "your hooks are still in the model": "never removed",
        "keeps the modules that you exchanged": "a module was replaced",
        "keep the forward": "`forward` was replaced",
        "switch the caller's images": "pile up",
        "wrote into .grad": "inputs=[pixels]",
        "training mode": "training mode",
        "one value for each pixel": "one axis too few",
    },
    "grad_cam": {
        "You return negative values": "ReLU after the sum over the channels is missing",
        "absolute value of the sum": "`abs` in place of the ReLU",
        "cut each channel's contribution": "ReLU before the sum",
        "drop the channels with negative weights": "a ReLU on the weights",
        "drop the negative values of the gradient": "a ReLU on the gradient",
        "drop the negative values of the layer's output": "a ReLU on the layer's output",
        "multiply gradient and output place by place": "the mean of the gradient is missing",
        "averaged over the batch, too": "`dim=(0, 2, 3)`",
        "add the gradient up over the places": "`sum` over the places",
        "take the largest gradient over the places": "`amax` for `mean`",
        "average over the channels": "`mean` over the four channels",
        "Outputs and gradients are exchanged": "outputs and gradients are exchanged",
        "starts at 1": "`torch.ones`",
        "softmax probability": "a softmax before the gradient",
        "cross-entropy loss": "cross-entropy",
        "explain the class with the largest score": "predicted class",
        "the sum of all scores": "`scores.sum()`",
        "scores[:, labels] pairs": "`scores[:, labels]`",
        "divided by the number of images": "a mean over the batch of 3",
        "always look at model.cam_layer": "`model.cam_layer` in place of the argument",
        "which gives NaN": "a normalisation",
        "the raw values of different labels": "a normalisation",
        "smallest and largest value of the batch": "the whole batch",
        "enlarged the maps": "`F.interpolate`",
        "kept the channel axis": "one axis too many",
        "A squeeze without dim": "`.squeeze()`",
        "you get an error": "nothing requires a gradient",
        "your hook is still in the layer": "never removed",
        "wrote into .grad": "inputs=[pixels]",
        "still require gradients": "still requires a gradient",
        "training mode": "training mode",
        "You add a small number": "a small number added",
    },
    "guided_grad_cam": {
        "without interpolation": "a map of blocks",
        "align_corners=True": "`align_corners=True`",
        "bicubic": "`mode='bicubic'` overshoots",
        "multiply the plain gradient": "the gradient in place of guided backprop",
        "pile up in images.grad": "pile up",
        "add the map": "`+` in place of `*`",
        "drop the negative values": "keep the sign",
        "absolute values": "`abs`",
        "scaled each map": "a normalisation",
        "one value for each pixel": "one axis too few",
        "shrink guided backprop": "shrunk",
        "always look at model.cam_layer": "`model.cam_layer` in place of the argument",
        "to a square": "a single number as `size`",
        "Height and width are exchanged": "height and width exchanged",
        "the guided rule is still in the model": "the guided rule is still in the model",
        "averaged over the images": "a mean over the batch",
        "your hooks are still in the model": "never removed",
    },
    "integrated_gradients": {
        "the starts of the pieces": "starts of the pieces",
        "Your points are the ends of the pieces": "ends of the pieces",
        "both ends included": "`torch.linspace(0, 1, steps)`",
        "trapezoid rule": "the trapezoid rule",
        "return the mean gradient": "the factor image - baseline is missing",
        "multiply by the image in place": "`images` in place of `images - baseline`",
        "multiply by baseline - image": "baseline - image",
        "do not divide by the number of steps": "not divided by `steps`",
        "one gradient, at the image": "one gradient, at the image",
        "walk from black, whatever": "on the way from black",
        "ignore the baseline": "`images` in place of `images - baseline`",
        "does not end at the image": "beyond the image",
        "return absolute values": "`abs`",
        "add up absolute gradients": "`abs` on the gradients",
        "rescale the result": "rescaled",
        "one value for each pixel": "one axis too few",
        "softmax probability": "a softmax",
        "largest score": "label is not used",
        "labels are in the wrong order": "repeated in another order",
        "You take baseline[0]": "`baseline[0]`",
        "baselines are in the wrong order": "images and baselines are paired wrongly",
        "divided by the number of images": "a mean over the batch of 2",
        "change the caller's images": "in place",
        "wrote into .grad": "inputs=[pixels]",
    },
    "occlusion_map": {
        "opposite sign": "the opposite sign",
        "return the score of the covered image": "not subtracted",
        "cut negative drops off": "`clamp` or `relu`",
        "absolute values": "`abs`",
        "softmax probability": "the softmax probability",
        "largest score": "labels are not used",
        "fill value makes no difference": "`fill` is not used",
        "one channel only": "one channel alone",
        "Your windows pile up": "`images.clone()` for each",
        "fill the caller's images": "`images.clone()` for each",
        "stride makes no difference": "move it by `stride`",
        "last row and column of windows are missing": "`range` stops before its end",
        "hang over the border": "hang over the border",
        "Rows and columns": "rows and columns are exchanged",
        "along the height on both axes": "the height is taken for the width",
        "centred at its place": "starts at pixel (i * stride, j * stride)",
        "everything but the window": "the rest filled",
        "one long row": "rows and columns",
        "mean over the batch": "each image has its own map",
        "still require gradients": "still requires a gradient",
        "training mode": "training mode",
    },
    "make_fooling_image": {
        "Your gradients pile up": "piles up",
        "You divide by the squared norm": "squared length",
        "You do not divide the gradient": "not divided by its length",
        "The learning rate is multiplied twice": "multiplied twice",
        "You step by a length of your own": "learning rate is not used",
        "You climb the probability": "log_softmax",
        "You never stop": "no test at all",
        "When the target is not reached": "`while` without a count",
        "You step first and test afterwards": "test stands after the step",
        "You test the prediction and then": "the step is still made",
        "You make one update less": "has not moved",
        "In your second step .grad is None": "no leaf any more",
        "You go down the score of the target": "a minus too many",
        "You follow the absolute gradient": "saliency map",
        "You lower the score of the predicted": "score of the prediction is lowered",
        "You step along the sign": "`sign()`",
        "You divide each channel": "channel by channel",
        "You compute the gradient once": "computed once",
        "Your image leaves [0, 1]": "`clamp(0, 1)` is missing",
        "You clamp after the loop only": "after the loop only",
        "You write into the caller's image": "in place",
        "An image that is predicted as the target": "`return image`",
        "You return the image as it came": "never added",
        "Your return stands inside the loop": "no `return`",
        "Your image is right, but it still hangs": "detach",
        "Your image is right, but .backward()": "inputs=[pixels]",
        "You switched the caller's image": "`image.requires_grad_()`",
        "You lose the batch axis": "`.squeeze()`",
    },
    "fgsm": {
        "Your images leave [0, 1]": "`clamp(0, 1)` is missing",
        "You add the gradient itself": "only its sign",
        "You divide the gradient by its length": "only its sign",
        "You go down the loss": "a minus too many",
        "You climb the score": "helps the label",
        "You go down the score": "contains its rivals",
        "You attack only the images": "are skipped",
        "You lead the images away": "`argmax` in place of the labels",
        "You divide epsilon by 255": "divided by 255 once more",
        "You clamp the change": "clamped to [0, 1], which loses half",
        "You rescale the result": "rescaling",
        "You average the gradients": "averaged over the batch",
        "You pass probabilities": "applies the softmax itself",
        "You start from a random point": "random start",
        "You put the model into training mode": "`model.train()`",
        "You write into the caller's images": "`clone()`",
        "Your images are right, but they still": "detach",
        "Your images are right, but .backward()": "inputs=[pixels]",
    },
    "pgd": {
        "You do not bring the image back": "no projection",
        "Your ball is around the last image": "around the last image",
        "You project after the loop only": "projection stands after the loop",
        "Your images leave [0, 1]": "`clamp(0, 1)` is missing",
        "You clamp to [0, 1] after the loop only": "a clamp after the loop only",
        "You step along the gradient itself": "only its sign",
        "You go down the loss": "a minus too many",
        "You start at a random point": "a random start",
        "An image stops moving": "are skipped",
        "You leave the loop": "loop ends before",
        "You step by epsilon": "is taken for the step",
        "You share epsilon out": "is taken for the step",
        "You divide epsilon and step": "divided by 255 once more",
        "You limit the length": "(L2)",
        "You compute the gradient once": "computed once",
        "Your gradients pile up": "piles up",
        "You make one step less": "loop ends before the first step",
        "You go down the score": "contains its rivals",
        "In every step you lead": "`argmax` in place of the labels",
        "You write into the caller's images": "no projection",
        "Your images are right, but they still": "detach",
        "Your images are right, but .backward()": "inputs=[pixels]",
    },
    "adversarial_training_step": {
        "You train on the clean images": "clean images",
        "You forget the attack": "forgotten",
        "You train on clean and attacked": "mixed",
        "Your attack meets the model in train mode": "`model.eval()` is missing",
        "Your update happens in eval mode": "call `model.train()`",
        "You never zero the gradients": "`optimiser.zero_grad()` first",
        "The parameters stay as they are": "`optimiser.step()` is missing",
        "You add the losses": "take the mean",
        "Your update climbs": "negated",
        "You return the loss after the update": "computed again after the update",
        "Your step is right, and you return": "clean images",
        "You train on what the model predicts": "predictions in place of the labels",
        "You pass probabilities": "applies the softmax itself",
        "Your step is right, but the loss": "`loss.item()`",
        "You write the attacked images": "in place",
        "you pass the clean images through": "more than one pass in training mode",
    },
    "class_visualization_step": {
        "Your regulariser has the wrong sign": "sign of the regulariser",
        "Your regulariser has no effect": "missing, or computed from a detached",
        "You pull the pixels towards black": "towards black",
        "Your price is the norm": "norm is not squared",
        "The factor 2 is missing": "has a factor 2",
        "Your price is a mean": "a mean where",
        "You regularise the scores": "small scores",
        "You normalise the gradient. This": "a normalisation",
        "You normalise the gradient of the score": "a normalisation",
        "The learning rate multiplies": "learning rate belongs to the whole",
        "You ascend first": "taken at the old image",
        "You clamp the result": "a clamp in the step",
        "You go downhill": "downhill",
        "You descend on the score": "downhill",
        "You ascend the softmax": "a softmax",
        "You ascend the log-probability": "a log-softmax",
        "You ascend the largest": "target is not used",
        "You step along the saliency": "lose the direction",
        "The image comes back": "never returned",
        "You change the caller's image": "in place",
        "You switch the caller's image": "requires_grad_()",
        "Your step is right, but .backward()": ".grad",
        "Your step is right, but the result": "detach",
        "Your result has lost": "drops the batch axis",
    },
    "synthesise": {
        "The shift is not undone": "not undone",
        "You shift a second time": "second shift in the same direction",
        "There is no jitter": "apply it to the shifted one",
        "Down and right": "in this order",
        "You shift back before": "exchanged",
        "Nothing is clamped": "no clamp",
        "You clamp once": "after the last iteration only",
        "You clamp before": "clamp before the step",
        "You blur first": "blurred before it was clamped",
        "You count the iterations from 0": "counted from 0",
        "You blur after every": "every iteration",
        "You never blur": "there is no blur",
        "You blur before you shift": "before the second jitter",
        "You return inside": "`return` inside the loop",
        "Every iteration starts": "from the first image again",
        "You write the result": "in place",
    },
    "channel_visualization_step": {
        "The gradient is not normalised": "not normalised",
        "You divide by the squared": "squared norm",
        "You normalise each colour": "whole gradient",
        "You divide by the largest": "largest value",
        "You divide by the standard": "standard deviation",
        "You step by the sign": "`sign`",
        "You raise all channels": "channel is not used",
        "outputs[channel]": "second axis",
        "You raise the largest": "largest activation",
        "You raise the activation in the middle": "one place",
        "You apply a ReLU": "a ReLU",
        "You raise the mean square": "a square",
        "Your hook keeps": "keep `output`",
        "You always watch": "another layer",
        "You raise a class score": "another output of the model",
        "You go downhill": "downhill",
        "The learning rate is not used": "learning rate is not used",
        "You clamp the result": "a clamp in the step",
        "Your step is right, but the hook": "never removed",
        "Your step is right, but .backward()": ".grad",
        "You switch the caller's image": "requires_grad_()",
        "You change the caller's image": "in place",
        "Your step is right, but the result": "detach",
    },
}
