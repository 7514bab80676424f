"""What all checks share: how a check fails, what it measures, and the networks and problems it takes."""

import pytest
import torch
from torch import nn

from helpers.checks import core, measure, networks, problems


@pytest.fixture
def sky():
    """A check of two parts."""
    checks = core.Checks("sky", "() -> a colour")

    @checks.part
    def _(function):
        """it has one"""
        core.expect(function(), found="none", wanted="a colour", cause="night")

    @checks.part
    def _(function):
        """the sky is blue"""
        core.expect(function() == "blue", found=function(), wanted="blue", cause="a filter")

    return checks


def test_failure_shows_found_wanted_and_cause_and_no_traceback(sky):
    with pytest.raises(core.CheckFailed) as failure:
        sky(lambda: "green")
    assert failure.value.__cause__ is None
    assert failure.value._render_traceback_() == [
        "Not yet. sky, check 2 of 2: the sky is blue.\n"
        "  found:        green\n"
        "  wanted:       blue\n"
        "  usual cause:  a filter"
    ]


def test_parts_run_in_order_up_to_the_first_that_fails(sky):
    with pytest.raises(core.CheckFailed, match="sky, check 1 of 2: it has one"):
        sky(lambda: "")


def test_a_check_counts_its_parts_when_all_hold(sky, capsys):
    sky(lambda: "blue")
    assert capsys.readouterr().out == "sky: 2 checks passed\n"


def test_a_check_says_what_its_function_takes_and_returns(sky):
    assert sky.__doc__ == "Check sky() -> a colour."


def test_first_match_is_the_first_of_the_usual_mistakes_that_fits():
    usual = [(torch.tensor([1.0]), "one", "a"), (torch.tensor([2.0]), "two", "b"), (torch.tensor([2.0]), "2", "c")]
    assert core.first_match(torch.tensor([2.0]), usual) == ("two", "b")
    assert core.first_match(torch.tensor([3.0]), usual) is None
    assert core.first_match(torch.tensor([3.0]), usual, fits=torch.greater) == ("one", "a")


def test_finite_difference_of_a_polynomial_is_its_derivative():
    images = torch.rand(2, 3, 3, 4, generator=torch.Generator().manual_seed(0)).double()
    labels = torch.tensor([2, 3])
    slopes = measure.finite_difference(lambda x, y: (x ** y[:, None, None, None]).sum(dim=(1, 2, 3)), images, labels)
    assert measure.same(slopes[0], 2 * images[0], tolerance=1e-7)
    assert measure.same(slopes[1], 3 * images[1] ** 2, tolerance=1e-7)


def test_finite_difference_of_a_tiny_network_is_its_gradient():
    model = networks.tiny_network(3)
    images, labels = problems.tiny_batch(model, 2, seed=3)
    for quantity in (measure.scores_of, measure.probabilities_of, measure.log_probabilities_of):
        pixels = images.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(quantity(model)(pixels, labels).sum(), pixels)
        assert measure.same(measure.finite_difference(quantity(model), images, labels), gradient, tolerance=1e-6)


def test_tiny_network_has_all_that_makes_networks_awkward():
    model = networks.tiny_network(5)
    images, labels = problems.tiny_batch(model, 4, seed=5)
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
    assert torch.equal(networks.tiny_network(5)(images), scores)
    features = []
    model.cam_layer.register_forward_hook(lambda module, inputs, output: features.append(output))
    model(images)
    assert features[0].min() < 0 < features[0].max()


def test_tiny_network_leaves_the_random_state_alone():
    torch.manual_seed(0)
    wanted = torch.rand(3)
    torch.manual_seed(0)
    networks.tiny_network(1)
    assert torch.equal(torch.rand(3), wanted)


def test_trainable_network_is_the_frozen_one_in_training_use():
    frozen, trainable = networks.tiny_network(4), networks.tiny_network(4, trainable=True)
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in frozen.parameters())
    assert all(parameter.grad is not None and parameter.requires_grad for parameter in trainable.parameters())
    images, _ = problems.tiny_batch(frozen, 2, seed=4)
    assert torch.equal(frozen(images), trainable(images))


@pytest.mark.parametrize(
    ("small", "whole"),
    [
        (problems.small_problem, problems.problem),
        (problems.small_attack_problem, problems.attack_problem),
        (
            lambda seed, _: problems.small_drawing_problem(seed),
            lambda seed, _, size: problems.drawing_problem(seed, size),
        ),
    ],
)
def test_visible_checks_take_the_hidden_problems_smaller_and_leave_the_random_state_alone(small, whole):
    *wanted, model = whole(8, 3, problems.SMALL)
    torch.manual_seed(0)
    state = torch.get_rng_state()
    *found, same_model = small(8, 3)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(torch.as_tensor(one), torch.as_tensor(two)) for one, two in zip(found, wanted, strict=True))
    assert torch.equal(same_model(found[0]), model(wanted[0]))


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
    model = networks.tiny_network(6, trainable=True)
    with pytest.raises(core.CheckFailed, match=f"the model's {what} changed"), core.left_as_found(model):
        meddle(model)


def test_left_as_found_accepts_what_was_put_back():
    model = networks.tiny_network(6, trainable=True)
    with core.left_as_found(model):
        handle = model.network.register_forward_hook(lambda *_: None)
        model(torch.rand(1, 3, 9, 13).double())
        handle.remove()
        model.note = "an attribute of the student's own"


@pytest.mark.parametrize(
    ("meddle", "what"),
    [
        (lambda: torch.set_grad_enabled(False), "grad mode"),
        (lambda: torch.set_default_dtype(torch.float64), "default dtype"),
        (lambda: torch.manual_seed(0), "seed"),
        (lambda: setattr(torch, "relu", print), "functions changed: torch.relu"),
        (lambda: nn.modules.module.register_module_forward_hook(lambda *_: None), "global hooks"),
    ],
)
def test_a_check_names_what_changed_in_torch_and_puts_it_back(meddle, what):
    torch.manual_seed(0)  # as a notebook does that wants the same noise in every run, and an answer then does again
    before = core.state.torch_state()
    with pytest.raises(core.CheckFailed, match=f"torch's {what}"), core.torch_left_as_found():
        meddle()
    assert core.state.torch_state() == before


def test_what_is_drawn_in_one_part_of_a_check_is_not_drawn_again_in_the_next():
    drawn = []
    for _ in range(2):
        with core.torch_left_as_found():
            drawn.append(torch.rand(3))
    assert not torch.equal(*drawn)
