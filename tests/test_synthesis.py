"""The moves that keep a synthesised image an image: each does what it says, and no more."""

import numpy as np
import pytest
import torch
from scipy import ndimage
from torchvision.transforms import functional as transforms

from helpers import synthesis


def image(size=(20, 26), count=2, seed=0):
    return torch.rand(count, 3, *size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# Jitter


@pytest.mark.parametrize(("down", "right"), [(0, 0), (3, -5), (-7, 2), (19, 25), (40, -53)])
def test_jitter_is_undone_by_the_opposite_offset(down, right):
    there = synthesis.jitter(image(), down, right)
    assert torch.equal(synthesis.jitter(there, -down, -right), image())


def test_jitter_moves_down_and_right_and_wraps_around():
    dot = torch.zeros(1, 1, 4, 6)
    dot[0, 0, 3, 1] = 1
    assert synthesis.jitter(dot, 2, -3).nonzero().tolist() == [[0, 0, 1, 4]]


def test_jitter_there_and_back_passes_the_gradient_of_the_shifted_image():
    x, weights = image().requires_grad_(), image(seed=1)
    (synthesis.jitter(x, 2, -3) * weights).sum().backward()
    assert torch.equal(x.grad, synthesis.jitter(weights, -2, 3))


def test_offsets_reach_both_ends_are_repeatable_and_differ_by_seed():
    offsets = synthesis.random_offsets(400, 4, seed=1)
    assert len(offsets) == 400
    assert {down for down, _ in offsets} == {right for _, right in offsets} == set(range(-4, 5))
    assert offsets == synthesis.random_offsets(400, 4, seed=1)
    assert offsets != synthesis.random_offsets(400, 4, seed=2)
    assert synthesis.random_offsets(3, 0) == [(0, 0)] * 3


def test_offsets_leave_the_random_state_alone():
    torch.manual_seed(0)
    wanted = torch.rand(2)
    torch.manual_seed(0)
    synthesis.random_offsets(5, 3)
    synthesis.cloud(16)
    assert torch.equal(torch.rand(2), wanted)


# Blur


@pytest.mark.parametrize("sigma", [0.3, 0.6, 1.0, 2.2])
def test_blur_is_the_gaussian_filter_of_scipy(sigma):
    x = image()
    radius = int(np.ceil(3 * sigma))
    wanted = ndimage.gaussian_filter(x.numpy(), sigma, mode="mirror", radius=radius, axes=(2, 3))
    assert np.allclose(synthesis.blur(x, sigma).numpy(), wanted, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [(15, 22), (64, 64)])
@pytest.mark.parametrize("sigma", [0.3, 0.5, 1.0, 1.7])
def test_blur_and_its_gradient_are_those_of_torchvision(sigma, size, dtype):
    side = 2 * int(np.ceil(3 * sigma)) + 1
    x, weights = image(size).to(dtype).requires_grad_(), image(size, seed=1).to(dtype)
    ours, theirs = synthesis.blur(x, sigma), transforms.gaussian_blur(x, [side, side], [sigma, sigma])
    few = 8 * torch.finfo(dtype).eps
    assert ours.shape == theirs.shape and (ours - theirs).abs().max() <= few
    (mine,), (other,) = (torch.autograd.grad((each * weights).sum(), x) for each in (ours, theirs))
    assert (mine - other).abs().max() <= 4 * few  # a pixel at the corner is mirrored up to three times more


def test_blur_of_one_image_is_that_of_the_batch():
    assert torch.equal(synthesis.blur(image()[0], 0.7), synthesis.blur(image()[:1], 0.7)[0])


@pytest.mark.parametrize("sigma", [0, -1.0])
def test_blur_without_width_is_refused(sigma):
    with pytest.raises(ValueError, match=f"found sigma {sigma}, wanted a number of pixels above 0"):
        synthesis.blur(image(), sigma)


def test_blur_leaves_a_constant_image_as_it_is():
    grey = torch.full((1, 3, 15, 12), 0.37, dtype=torch.float64)
    assert torch.allclose(synthesis.blur(grey, 1.0), grey, atol=1e-12)


def test_blur_keeps_the_mean_of_what_is_away_from_the_border():
    x = torch.zeros(1, 3, 30, 30, dtype=torch.float64)
    x[..., 10:20, 10:20] = image((10, 10), 1)
    assert synthesis.blur(x, 1.5).mean().item() == pytest.approx(x.mean().item(), rel=1e-12)


def test_blur_shrinks_a_chessboard_and_hardly_touches_broad_waves():
    rows, columns = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    board = ((rows + columns) % 2)[None, None]
    wave = 0.5 + 0.5 * torch.cos(torch.pi * (columns + 0.5) / 16)[None, None]
    assert synthesis.blur(board, 1.0).std() < 0.01 * board.std()
    assert synthesis.blur(wave, 1.0).std() > 0.97 * wave.std()


def test_blur_commutes_with_jitter_away_from_the_border():
    x = torch.zeros(1, 3, 30, 30, dtype=torch.float64)
    x[..., 12:18, 12:18] = image((6, 6), 1)
    first = synthesis.jitter(synthesis.blur(x, 1.0), 3, -2)
    assert torch.allclose(first, synthesis.blur(synthesis.jitter(x, 3, -2), 1.0), atol=1e-14)


# Clamp and squash


def test_clamp_cuts_off_outside_and_leaves_the_inside():
    x = torch.tensor([-0.5, 0.0, 0.3, 1.0, 7.0])
    assert synthesis.clamp(x).tolist() == [0.0, 0.0, pytest.approx(0.3), 1.0, 1.0]
    assert x[0] == -0.5


def test_squash_stays_inside_and_is_undone_by_unsquash():
    free = torch.linspace(-4, 4, 9, dtype=torch.float64)
    squashed = synthesis.squash(free)
    assert squashed.min() > 0 and squashed.max() < 1
    assert torch.allclose(synthesis.unsquash(squashed), free, atol=1e-12)
    assert torch.equal(synthesis.squash(torch.zeros(1)), torch.tensor([0.5]))


def test_unsquash_is_undone_by_squash_but_for_black_and_white():
    x = image()
    x[0, 0, 0, 0], x[1, 2, 3, 4] = 0, 1
    back = synthesis.squash(synthesis.unsquash(x, margin=0.02))
    assert torch.allclose(back, x.clamp(0.02, 0.98), atol=1e-12)
    assert torch.isfinite(synthesis.unsquash(x)).all()


def test_slope_of_squash_is_what_the_docstring_says():
    free = image(seed=3).sub(0.5).mul(6).requires_grad_()
    x = synthesis.squash(free)
    (slope,) = torch.autograd.grad(x.sum(), free)
    assert torch.allclose(slope, x * (1 - x), atol=1e-12)


# Steps and starts


def test_normalised_step_goes_the_same_way_always_equally_far():
    direction = image(seed=5) - 0.5
    go = synthesis.normalised(lambda x: x + 7 * direction, 0.3)
    moved = go(image()) - image()
    assert moved.flatten(1).norm(dim=1).tolist() == pytest.approx([0.3, 0.3])
    for each, wanted in zip(moved, direction, strict=True):
        assert torch.allclose(each, 0.3 * wanted / wanted.norm(), atol=1e-12)


def test_normalised_step_that_stands_still_stands_still():
    assert torch.equal(synthesis.normalised(torch.clone, 0.3)(image()), image())


def test_cloud_is_a_soft_image_around_grey_the_same_for_the_same_seed():
    start = synthesis.cloud(64, seed=3, cells=16)
    assert start.shape == (1, 3, 64, 64) and start.dtype == torch.float32
    assert start.min() >= 0 and start.max() <= 1
    assert start.mean().item() == pytest.approx(0.5, abs=0.02)
    assert torch.equal(start, synthesis.cloud(64, seed=3, cells=16))
    assert not torch.equal(start, synthesis.cloud(64, seed=4, cells=16))
    steps = (start[..., 1:] - start[..., :-1]).std()
    assert steps < 0.5 * start.std()  # neighbours are alike


def test_contrast_and_cells_of_a_cloud():
    soft, loud = synthesis.cloud(64, contrast=0.05), synthesis.cloud(64, contrast=0.1)
    assert loud.sub(0.5).std().item() == pytest.approx(2 * soft.sub(0.5).std().item(), rel=1e-4)
    fine, coarse = synthesis.cloud(64, cells=32), synthesis.cloud(64, cells=4)
    assert fine.diff(dim=3).std() > 3 * coarse.diff(dim=3).std()


@pytest.mark.parametrize(
    "move",
    [
        lambda x: synthesis.jitter(x, 1, 2),
        lambda x: synthesis.blur(x, 0.7),
        synthesis.clamp,
        synthesis.squash,
        synthesis.unsquash,
        synthesis.normalised(lambda x: x + 1, 1.0),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_moves_return_new_tensors_of_the_same_kind_and_leave_their_argument(move, dtype):
    x = image().to(dtype)
    kept = x.clone()
    result = move(x)
    assert result.shape == x.shape and result.dtype == dtype
    assert torch.equal(x, kept)
    result.zero_()
    assert torch.equal(x, kept)
