"""What checks compare an answer with: quantities of a network, and their slopes, measured by brute force.

A derivative is a difference quotient, measured pixel by pixel in double precision.
"""

import torch


def scores_of(model):
    """Return the function (images, labels) -> (N,) unnormalised scores, each of the image's own label."""
    return lambda images, labels: model(images)[torch.arange(len(labels)), labels]


def probabilities_of(model):
    """Return the function (images, labels) -> (N,) softmax probabilities, each of the image's own label."""
    return lambda images, labels: log_probabilities_of(model)(images, labels).exp()


def log_probabilities_of(model):
    """Return the function (images, labels) -> (N,) logarithms of the softmax probabilities."""
    return lambda images, labels: scores_of(model)(images, labels) - model(images).logsumexp(dim=1)


def losses_of(model):
    """Return the function (images, labels) -> (N,) cross-entropies."""
    return lambda images, labels: -log_probabilities_of(model)(images, labels)


def finite_difference(function, images, labels, step=1e-6):
    """Measure how much `function` changes with each pixel, one pixel at a time.

    Args:
        function: (images (M, 3, H, W), labels (M,)) -> (M,) numbers, each from its own image and label alone.
        images: (N, 3, H, W) in float64; labels: (N,).
        step: by how much a pixel is moved each way.

    Returns:
        (N, 3, H, W): (f(pixel + step) - f(pixel - step)) / (2 step).
    """
    pixels = images[0].numel()
    moves = step * torch.eye(pixels, dtype=images.dtype).view(pixels, *images.shape[1:])
    slopes = []
    with torch.no_grad():
        for image, label in zip(images, labels, strict=True):
            repeated = label.expand(pixels)
            change = function(image + moves, repeated) - function(image - moves, repeated)
            slopes.append((change / (2 * step)).view_as(image))
    return torch.stack(slopes)


def same(found, wanted, tolerance=1e-4):
    """Tell whether two tensors have one shape and differ by at most `tolerance` times the length of the second."""
    if found.shape != wanted.shape:
        return False
    return bool((found - wanted).norm() <= tolerance * wanted.norm() + 1e-12)
