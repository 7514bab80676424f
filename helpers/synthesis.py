"""Moves that keep a synthesised image an image, and starts for one.

Gradient ascent follows the slope wherever it leads, and it leads to patterns that no picture has. Each move takes
away some of that freedom without asking the network anything:

    jitter    shift the image before a step, and back after it: what is drawn must work a few pixels further too
    blur      mix neighbouring pixels now and then: patterns as fine as a pixel do not live long
    clamp     cut values off at black and white; `squash` reaches the same by another road

A *step* is a function from an image to a better one. Fooling images, class visualization, hidden channels and style
transfer are one loop with different steps. Images are (N, 3, H, W) with values in [0, 1]; every function returns a
new tensor, and all but `random_offsets` and `cloud` can be differentiated.
"""

import math

import torch
from torch.nn import functional as F


def jitter(image, down, right):
    """Return `image` shifted by whole pixels, up and left for negative numbers.

    What leaves at one side comes back in at the other, so that jitter(jitter(image, a, b), -a, -b) is the image.
    """
    return torch.roll(image, (down, right), dims=(-2, -1))


def random_offsets(count, reach, seed=0):
    """Return `count` pairs (down, right) of whole numbers from -reach to reach, the same for the same seed."""
    generator = torch.Generator().manual_seed(seed)
    pairs = torch.randint(-reach, reach + 1, (count, 2), generator=generator)
    return [tuple(pair) for pair in pairs.tolist()]


def blur(image, sigma):
    """Return `image` smoothed by a Gaussian of standard deviation `sigma` > 0, in pixels; borders are mirrored.

    The Gaussian is cut off at three standard deviations. The image must be larger than that.
    """
    if sigma <= 0:
        raise ValueError(f"blur: found sigma {sigma}, wanted a number of pixels above 0: without blur, leave it out.")
    reach = math.ceil(3 * sigma)
    distances = torch.arange(-reach, reach + 1, dtype=torch.float64)
    weights = torch.softmax(-((distances / sigma) ** 2) / 2, dim=0).to(image)
    planes = image.reshape(-1, 1, *image.shape[-2:])  # each channel on its own
    planes = F.pad(planes, (reach, reach, reach, reach), mode="reflect")
    # A Gaussian of two dimensions is one along the columns, then one along the rows.
    planes = F.conv2d(planes, weights.view(1, 1, -1, 1))
    return F.conv2d(planes, weights.view(1, 1, 1, -1)).view_as(image)


def clamp(image):
    """Return `image` with values below 0 set to 0 and values above 1 set to 1."""
    return image.clamp(0, 1)


def squash(free):
    """Return the image of a tensor whose values may be any numbers: sigmoid, which stays between 0 and 1 by itself.

    A step on `free` needs no clamp. By the chain rule, d s / d free = d s / d image * image * (1 - image).
    """
    return free.sigmoid()


def unsquash(image, margin=0.01):
    """Return the tensor that `squash` turns into `image`.

    Pure black and white would be infinite: values closer than `margin` to 0 or 1 are moved to that distance first.
    """
    return image.clamp(margin, 1 - margin).logit()


def normalised(step, length):
    """Return a step that goes where `step` goes, and always `length` far for each image (the L2 norm, in pixels)."""

    def go(image):
        move = step(image) - image
        size = move.flatten(1).norm(dim=1).clamp(min=1e-12)
        return image + length * move / size.view(-1, 1, 1, 1)

    return go


def cloud(size, seed=0, contrast=0.15, cells=8):
    """Return a start without any shape: mid grey with soft clouds of colour, (1, 3, size, size).

    `contrast` is the standard deviation of the colours, and `cells` the number of patches along a side. From mid grey
    itself a network may have no slope to climb, and from fine noise it keeps the noise.
    """
    generator = torch.Generator().manual_seed(seed)
    patches = contrast * torch.randn(1, 3, cells, cells, generator=generator)
    return clamp(0.5 + F.interpolate(patches, size=(size, size), mode="bicubic", align_corners=False))
