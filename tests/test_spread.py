"""Bootstrap intervals of means, and the bar of long cells."""

import numpy as np
import pytest

from helpers.progress import progress
from helpers.spread import bootstrap


def test_the_interval_is_that_of_the_normal_approximation_where_that_is_good():
    values = np.random.default_rng(1).normal(3.0, 2.0, 400)
    margin = 1.96 * values.std() / np.sqrt(400)
    assert bootstrap(values) == pytest.approx((values.mean() - margin, values.mean() + margin), abs=0.02)


def test_a_smaller_share_is_narrower_and_constants_have_no_spread():
    values = [0.0, 1.0] * 20
    (low, high), (lower, higher) = bootstrap(values, 0.5), bootstrap(values, 0.95)
    assert lower < low < 0.5 < high < higher
    assert bootstrap([0.25] * 10) == (0.25, 0.25)


def test_progress_hands_on_what_it_is_given():
    assert list(progress(("a", "b"), "spelling", "letter")) == ["a", "b"]
