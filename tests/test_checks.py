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


@each_mutant
def test_every_mutant_says_a_sentence_and_has_words_for_the_visible_check(page, mutant):
    assert mutant.says.endswith(".") and mutant.visible.strip()


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
    assert mutant.visible in message


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
