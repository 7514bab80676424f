"""How far a mean may be off: what else it could have been, had other pictures been drawn."""

import numpy as np

DRAWS = 2000


def bootstrap(values, share: float = 0.95, seed: int = 0) -> tuple[float, float]:
    """Return the ends of the bootstrap interval of a mean: `share` of the means of resampled values lie in it.

    Args:
        values: the numbers that the mean is taken of, one for each picture.
        share: of the resampled means between the two ends.
        seed: of the resampling, so that a figure is the same every time.
    """
    values = np.asarray([float(value) for value in values])
    chosen = np.random.default_rng(seed).integers(len(values), size=(DRAWS, len(values)))
    low, high = np.quantile(values[chosen].mean(axis=1), [(1 - share) / 2, (1 + share) / 2])
    return float(low), float(high)
