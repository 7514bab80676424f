"""Assignment 4: the answers against identities."""

import nbformat
import pytest
import torch
from nbclient import NotebookClient
from torch import nn
from torch.nn import functional as F

from helpers import synthesis
from helpers.checks import measure
from helpers.checks.networks import tiny_network
from helpers.course.pages import registry
from helpers.course.run import execute
from helpers.inside.emit import state_of
from tests.answering import executed, relative

PAGE = registry.page_of("04_class_visualization")
MOVES = ("blur", "clamp", "cloud", "jitter", "normalised", "random_offsets", "squash", "unsquash")


@pytest.fixture(scope="module")
def answers():
    """The reference functions, and what they need of the page's imports."""
    names = {"torch": torch, "nn": nn, "F": F} | {name: getattr(synthesis, name) for name in MOVES}
    return executed(names, *PAGE.exercises.values())


@pytest.fixture
def problem():
    model = tiny_network(1)
    image = 3 * torch.rand(1, 3, 9, 13, generator=torch.Generator().manual_seed(1), dtype=torch.float64) - 1
    return image, int(model(image).argmin()), model


def height(image, target, model, l2_reg):
    return float(model(image)[0, target] - l2_reg * ((image - 0.5) ** 2).sum())


# One step for a class


def test_step_is_gradient_descent_of_pytorch_on_the_negative_objective(answers, problem):
    image, target, model = problem
    pixels = nn.Parameter(image.clone())
    optimiser = torch.optim.SGD([pixels], lr=0.7)
    loss = F.mse_loss(pixels, torch.full_like(pixels, 0.5), reduction="sum") * 0.9 - model(pixels)[0, target]
    loss.backward(inputs=[pixels])
    optimiser.step()
    assert relative(answers["class_visualization_step"](image, target, model, 0.9, 0.7), pixels.detach()) < 1e-13


def test_step_without_regulariser_is_the_gradient_of_the_score_times_the_learning_rate(answers, problem):
    image, target, model = problem
    slope = measure.finite_difference(measure.scores_of(model), image, torch.tensor([target]))
    moved = answers["class_visualization_step"](image, target, model, 0, 0.4) - image
    assert relative(moved, 0.4 * slope) < 1e-7


def test_step_is_linear_in_learning_rate_and_regulariser(answers, problem):
    image, target, model = problem

    def move(l2_reg, learning_rate):
        return answers["class_visualization_step"](image, target, model, l2_reg, learning_rate) - image

    assert relative(move(0.3, 2.0), 4 * move(0.3, 0.5)) < 1e-12
    assert relative(move(0.7, 1.0) - move(0.2, 1.0), -2 * 0.5 * (image - 0.5)) < 1e-12


def test_every_step_multiplies_the_distance_to_the_top_of_a_linear_scorer(answers):
    layer = nn.Linear(60, 4).double().requires_grad_(False)
    model, (l2_reg, learning_rate) = nn.Sequential(nn.Flatten(), layer), (1.5, 0.2)
    top = 0.5 + layer.weight[2].view(1, 3, 4, 5) / (2 * l2_reg)
    image = torch.zeros(1, 3, 4, 5, dtype=torch.float64)
    for _ in range(5):
        distance, image = image - top, answers["class_visualization_step"](image, 2, model, l2_reg, learning_rate)
        assert relative(image - top, (1 - 2 * learning_rate * l2_reg) * distance) < 1e-12


def test_grey_is_left_alone_where_there_is_no_slope_and_nothing_else_is(answers):
    flat = nn.Sequential(nn.Flatten(), nn.Linear(12, 2)).requires_grad_(False)
    nn.init.zeros_(flat[1].weight)
    grey, white = torch.full((1, 3, 2, 2), 0.5), torch.ones(1, 3, 2, 2)
    assert torch.equal(answers["class_visualization_step"](grey, 0, flat, 0.3, 1.0), grey)
    assert torch.allclose(answers["class_visualization_step"](white, 0, flat, 0.3, 1.0), 0.7 * white, atol=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_five_small_steps_raise_the_objective(answers, seed):
    model = tiny_network(seed, size=(8, 7))
    image = torch.rand(1, 3, 8, 7, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    heights = [height(image, seed, model, 0.1)]
    for _ in range(5):
        image = answers["class_visualization_step"](image, seed, model, 0.1, 1e-4)
        heights.append(height(image, seed, model, 0.1))
    assert sorted(heights) == heights and heights[0] < heights[-1]


# The loop


def test_loop_with_a_step_that_does_nothing_is_the_image_blurred_now_and_then(answers):
    image = torch.rand(1, 3, 12, 9, generator=torch.Generator().manual_seed(0))
    offsets = synthesis.random_offsets(7, 5)
    assert torch.equal(answers["synthesise"](image, torch.clone, offsets, 0, 1.0), image)
    blurred = synthesis.blur(synthesis.blur(image, 0.8), 0.8)
    assert torch.equal(answers["synthesise"](image, torch.clone, offsets, 3, 0.8), blurred)


def test_loop_of_two_parts_is_the_loop_of_the_whole(answers, problem):
    image, target, model = problem
    offsets = synthesis.random_offsets(6, 3)

    def step(image):
        return answers["class_visualization_step"](image, target, model, 0.1, 0.05)

    first = answers["synthesise"](image, step, offsets[:4], 2, 0.6)
    whole = answers["synthesise"](image, step, offsets, 2, 0.6)
    assert torch.equal(answers["synthesise"](first, step, offsets[4:], 2, 0.6), whole)
    assert whole.min() >= 0 and whole.max() <= 1


def test_offsets_do_not_matter_to_a_step_that_treats_all_places_alike(answers):
    image = torch.rand(1, 3, 12, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def step(image):
        return image + 0.1 * torch.sin(9 * image)

    results = [answers["synthesise"](image, step, offsets, 2, 0.7) for offsets in ([(0, 0)] * 4, [(5, -3)] * 4)]
    assert relative(*results) < 1e-12


# One step for a channel


def test_channel_step_goes_along_the_slope_of_the_mean_and_is_as_long_as_asked(answers, problem):
    image, _, model = problem
    before = nn.Sequential(model.normalise, model.network.stem, model.network.body[0])
    layer = model.network.body[1]
    slope = measure.finite_difference(
        lambda images, labels: layer(before(images))[:, 2].mean(dim=(1, 2)), image, torch.tensor([0])
    )
    moved = answers["channel_visualization_step"](image, layer, 2, model, 0.8) - image
    assert float(moved.norm()) == pytest.approx(0.8, rel=1e-12)
    assert relative(moved, 0.8 * slope / slope.norm()) < 1e-7


def test_channel_that_is_pooled_to_a_class_score_gives_the_normalised_class_step(answers):
    torch.manual_seed(0)
    features = nn.Sequential(nn.Conv2d(3, 6, 3), nn.Tanh(), nn.Conv2d(6, 4, 3))
    model = nn.Sequential(features, nn.AdaptiveAvgPool2d(1), nn.Flatten()).double().requires_grad_(False)
    image = torch.rand(1, 3, 9, 8, dtype=torch.float64)

    def class_step(image):
        return answers["class_visualization_step"](image, 3, model, 0.0, 1.0)

    by_channel = answers["channel_visualization_step"](image, features, 3, model, 0.6)
    assert relative(by_channel, synthesis.normalised(class_step, 0.6)(image)) < 1e-12


def test_picture_of_a_one_by_one_convolution_is_its_colour(answers):
    model = nn.Sequential(nn.Conv2d(3, 2, 1)).requires_grad_(False)
    image = torch.full((1, 3, 4, 5), 0.5)
    moved = answers["channel_visualization_step"](image, model[0], 1, model, 1.0) - image
    colour = model[0].weight[1, :, 0, 0]
    assert torch.allclose(moved, (colour / colour.norm() / 20**0.5).view(1, 3, 1, 1).expand_as(moved), atol=1e-6)


def test_channel_step_removes_its_hook_when_the_model_fails(answers):
    model = tiny_network(2)
    before = state_of(model)
    with pytest.raises(RuntimeError):  # an image too small for the fully connected head
        answers["channel_visualization_step"](torch.rand(1, 3, 4, 4).double(), model.network.body[1], 0, model, 1.0)
    assert all((mine == theirs).all() for mine, theirs in zip(state_of(model).values(), before.values(), strict=True))


# Both steps


@pytest.fixture(params=["class", "channel"])
def step(request, answers):
    """(image, target, model) -> image, by one of the two steps."""
    if request.param == "class":
        return lambda image, target, model: answers["class_visualization_step"](image, target, model, 0.3, 0.5)
    return lambda image, _, model: answers["channel_visualization_step"](image, model.cam_layer, 1, model, 0.5)


def test_steps_leave_everything_as_it_was(step):
    model = tiny_network(3, trainable=True)
    image = torch.rand(1, 3, 9, 13, dtype=torch.float64)
    kept, before = image.clone(), state_of(model)
    result = step(image, 2, model)
    assert torch.equal(image, kept) and not image.requires_grad and image.grad is None
    assert not result.requires_grad and result.data_ptr() != image.data_ptr()
    assert all((mine == theirs).all() for mine, theirs in zip(state_of(model).values(), before.values(), strict=True))
    assert torch.equal(step(image, 2, model), result)


@pytest.mark.parametrize(
    ("size", "dtype"), [((9, 13), torch.float32), ((6, 11), torch.float64), ((64, 48), torch.float32)]
)
def test_steps_keep_shape_and_dtype(step, size, dtype):
    model = tiny_network(4, size, dtype=dtype)
    result = step(torch.rand(1, 3, *size, dtype=dtype), 1, model)
    assert result.shape == (1, 3, *size) and result.dtype == dtype


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_steps_stay_on_the_device_of_their_image(step, problem):
    image, target, model = problem
    on_cpu = step(image, target, model)
    on_gpu = step(image.cuda(), target, model.cuda())
    assert on_gpu.is_cuda and relative(on_gpu.cpu(), on_cpu) < 1e-10


# A figure that is replaced while it is made


@pytest.mark.kernel
def test_live_shows_one_figure_after_the_other_in_one_place():
    cell = nbformat.v4.new_code_cell(
        "import torch\n"
        "from helpers import plots\n"
        "grey = [torch.full((3, 4, 4), share) for share in (0.2, 0.5, 0.8)]\n"
        "plots.live(plots.panels([[plots.picture(x, f'{k} of 3')]]) for k, x in enumerate(grey, 1))\n"
        "plots.panels([[plots.picture(grey[2], '3 of 3')]])"
    )
    notebook = nbformat.v4.new_notebook(cells=[cell])
    NotebookClient(notebook, timeout=60, kernel_name="python3").execute(env=execute.environment())
    pictures = [output.data["image/png"] for output in cell.outputs if "image/png" in output.get("data", {})]
    assert len(pictures) == 2  # the live one, and the one that the last line returns
    assert pictures[0] == pictures[1]  # what stays is the last
