"""The error that is kept: by brute force, whatever the order of the points, in proportion to the errors."""

from itertools import permutations

import numpy as np
import pytest
from matplotlib import pyplot as plt

from mcdrop.errors import InputError
from mcdrop.plots import plot_refused_error

RNG = np.random.default_rng(0)
ERRORS, DOUBT = RNG.normal(size=40), RNG.permutation(40).astype(float)


def line(errors, doubt, **options):
    return plot_refused_error(errors, {"std": doubt}, **options).lines[0].get_ydata()


def test_what_is_kept_are_the_most_certain():
    shares = [0, 0.29, 0.5, 0.975]
    kept = [40, 29, 20, 1]  # 40 - floor(0.29 * 40) = 40 - 11
    ranked = ERRORS[np.argsort(DOUBT)]
    expected = [np.sqrt(np.mean(ranked[:count] ** 2)) for count in kept]
    np.testing.assert_allclose(line(ERRORS, DOUBT, shares=shares), expected)


def test_equally_uncertain_points_count_by_their_average_over_all_orders():
    errors, doubt = np.array([3.0, 1.0, 2.0, 5.0]), np.array([1.0, 2.0, 2.0, 2.0])
    squares = [np.mean(errors[[0, *order]][:2] ** 2) for order in permutations([1, 2, 3])]
    assert line(errors, doubt, shares=[0.5]) == pytest.approx(np.sqrt(np.mean(squares)))
    shuffled = [2, 0, 3, 1]
    np.testing.assert_allclose(line(errors[shuffled], doubt[shuffled]), line(errors, doubt))


def test_an_uncertainty_that_knows_all_makes_the_line_fall_and_a_constant_leaves_it_flat():
    assert (np.diff(line(ERRORS, np.abs(ERRORS))) < 0).all()
    np.testing.assert_allclose(line(ERRORS, np.ones(40)), np.sqrt(np.mean(ERRORS**2)))
    assert line(10 * ERRORS, DOUBT) == pytest.approx(10 * line(ERRORS, DOUBT))


def test_draws_a_line_for_each_uncertainty_from_zero():
    ax = plt.figure().add_subplot()
    given = plot_refused_error(ERRORS, {"std": DOUBT, "total std": -DOUBT}, ax=ax, ylabel="RMSE (m)", title="net")
    assert given is ax and (ax.get_ylabel(), ax.get_title(), ax.get_ylim()[0]) == ("RMSE (m)", "net", 0)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["std", "total std"]
    assert all(ax.get_ylim()[1] > drawn.get_ydata().max() for drawn in ax.lines)


def test_no_errors_at_all_are_drawn():
    assert not line(np.zeros(3), [1, 2, 3]).any()


@pytest.mark.parametrize(
    ("errors", "uncertainties", "options", "message"),
    [
        (ERRORS, {}, {}, "uncertainties must map"),
        (ERRORS, {"std": DOUBT[:3]}, {}, "std must have shape"),
        (ERRORS, {"std": np.full(40, np.nan)}, {}, "std must be finite"),
        (np.full(40, np.inf), {"std": DOUBT}, {}, "errors must be finite"),
        (ERRORS, {"std": DOUBT}, {"shares": [0, 1]}, "shares must lie from 0 to below 1"),
        (ERRORS, {"std": DOUBT}, {"colors": []}, "colors must hold 1"),
    ],
)
def test_bad_input_is_refused_before_a_figure_is_made(errors, uncertainties, options, message):
    with pytest.raises(InputError, match=message):
        plot_refused_error(errors, uncertainties, **options)
    assert not plt.get_fignums()
