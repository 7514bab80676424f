"""From a saliency map to the object: graph cut, as in Simonyan et al. 2014, section 3.2.

The brightest pixels of the map tell the colours of the object, the darkest those of the background. Then every pixel
becomes a node of a graph, and the cheapest cut through the graph is the outline of the object: it runs where the
colours change, and leaves each pixel on the side that its colour speaks for.
"""

import numpy as np
from scipy import ndimage
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import breadth_first_order, maximum_flow

PRECISION = 1000  # maximum_flow counts in whole numbers: a cost of 1 becomes a capacity of 1000
MOST = 10.0  # the most that the colour of one pixel can cost


def segment(image, saliency_map, *, object_share=0.05, background_share=0.3, smoothness=2.0):
    """Return the mask of the object that a saliency map points at.

    Args:
        image: (3, H, W), values in [0, 1].
        saliency_map: (H, W).
        object_share: the share of the pixels, the brightest of the map, that show the object's colours (paper: 5 %).
        background_share: the share, the darkest of the map, that show those of the background (paper: 30 %).
        smoothness: the cost of a border between two pixels of one colour.

    Returns:
        (H, W) bool array: the largest connected piece of what the cut leaves on the side of the object.

    The colours of a side are modelled by a kernel density; the paper uses a mixture of Gaussians.
    """
    image, saliency_map = np.asarray(image, dtype=float), np.asarray(saliency_map, dtype=float)
    colours = np.moveaxis(image, 0, -1)
    is_object = saliency_map >= np.quantile(saliency_map, 1 - object_share)
    is_background = saliency_map <= np.quantile(saliency_map, background_share)

    # Calling a pixel background costs what its colour speaks for the object, and the other way round.
    evidence = log_density(colours, colours[is_object]) - log_density(colours, colours[is_background])
    cost_background, cost_object = np.clip(evidence, 0, MOST), np.clip(-evidence, 0, MOST)

    # A border between two neighbours costs most where their colours agree.
    right = np.sum((colours[:, 1:] - colours[:, :-1]) ** 2, axis=-1)
    down = np.sum((colours[1:] - colours[:-1]) ** 2, axis=-1)
    usual = np.concatenate([right.ravel(), down.ravel()]).mean() + 1e-12
    mask, _ = minimum_cut(
        cost_background,
        cost_object,
        smoothness * np.exp(-right / (2 * usual)),
        smoothness * np.exp(-down / (2 * usual)),
    )
    return largest_piece(mask)


def minimum_cut(cost_background, cost_object, cost_right, cost_down):
    """Return the labelling of a grid of pixels that costs least, by maximum flow.

    The graph has a node for each pixel, a source that stands for "object" and a sink that stands for "background". A
    pixel that ends up with the sink has its edge from the source cut, and pays `cost_background`; one that ends up with
    the source pays `cost_object`; two neighbours on different sides pay the cost between them. The largest flow from
    source to sink fills exactly the edges of the cheapest cut (Ford and Fulkerson).

    Args:
        cost_background, cost_object: (H, W), what it costs to call a pixel background, or object; 0 or more.
        cost_right: (H, W - 1), what a border between a pixel and its right neighbour costs; 0 or more.
        cost_down: (H - 1, W), the same for the neighbour below.

    Returns:
        The mask (H, W), True on the object, and the cost of the cut. Costs count in steps of 1 / PRECISION.
    """
    height, width = cost_background.shape
    pixels = np.arange(height * width).reshape(height, width)
    source, sink = height * width, height * width + 1

    left, right = pixels[:, :-1].ravel(), pixels[:, 1:].ravel()
    above, below = pixels[:-1].ravel(), pixels[1:].ravel()
    everyone = pixels.ravel()
    edges = [
        (np.full_like(everyone, source), everyone, cost_background),
        (everyone, np.full_like(everyone, sink), cost_object),
        (left, right, cost_right),
        (right, left, cost_right),
        (above, below, cost_down),
        (below, above, cost_down),
    ]
    start, end = (np.concatenate([edge[side] for edge in edges]) for side in (0, 1))
    capacity = np.concatenate([np.rint(PRECISION * cost).astype(np.int32).ravel() for _, _, cost in edges])
    graph = csr_matrix(coo_matrix((capacity, (start, end)), shape=(sink + 1, sink + 1)))

    result = maximum_flow(graph, source, sink)
    room = graph - result.flow  # what an edge could still carry
    room.data = (room.data > 0).astype(np.int32)
    room.eliminate_zeros()
    reached = breadth_first_order(room, source, return_predecessors=False)
    mask = np.zeros(sink + 1, dtype=bool)
    mask[reached] = True
    return mask[:-2].reshape(height, width), result.flow_value / PRECISION


def log_density(colours, samples, width=0.08, most=400):
    """Return (H, W): the logarithm of a kernel density of `samples` (K, 3) at each of the `colours` (H, W, 3)."""
    samples = samples[:: 1 + len(samples) // most]
    distance = ((colours[..., None, :] - samples) ** 2).sum(axis=-1) / (2 * width**2)
    return np.log(np.exp(-distance).mean(axis=-1) + 1e-6)


def largest_piece(mask):
    """Return the largest connected piece of a mask (H, W), or the mask itself when it is empty."""
    numbers, count = ndimage.label(mask)
    if count == 0:
        return mask
    sizes = np.bincount(numbers.ravel())
    sizes[0] = 0
    return numbers == sizes.argmax()


def intersection_over_union(found, wanted):
    """Return the area that two masks (H, W) share, over the area they cover together: 1 when equal, 0 when apart."""
    found, wanted = np.asarray(found, dtype=bool), np.asarray(wanted, dtype=bool)
    together = np.logical_or(found, wanted).sum()
    return float(np.logical_and(found, wanted).sum() / together) if together else 1.0
