"""The error that is kept: what is drawn is what the scores hold, in proportion to the errors."""

import numpy as np
import pytest
from matplotlib import pyplot as plt

from mcdrop.errors import InputError
from mcdrop.plots import plot_refused_error
from mcdrop.scores import RefusedErrorCurve, refused_error_curve

RNG = np.random.default_rng(0)
ERRORS, DOUBT = RNG.normal(size=40), RNG.permutation(40).astype(float)
CURVES = {"std": refused_error_curve(ERRORS, DOUBT), "total std": refused_error_curve(ERRORS, -DOUBT)}


def test_draws_a_line_for_each_uncertainty_from_zero():
    ax = plt.figure().add_subplot()
    given = plot_refused_error(CURVES, ax=ax, ylabel="RMSE (m)", title="net")
    assert given is ax and (ax.get_ylabel(), ax.get_title(), ax.get_ylim()[0]) == ("RMSE (m)", "net", 0)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["std", "total std"]
    assert all(ax.get_ylim()[1] > drawn.get_ydata().max() for drawn in ax.lines)
    for drawn, curve in zip(ax.lines, CURVES.values(), strict=True):
        np.testing.assert_array_equal(drawn.get_xydata(), np.stack([curve.refused, curve.rmse], axis=1))


def test_shares_are_drawn_from_left_to_right():
    mixed = refused_error_curve(ERRORS, DOUBT, shares=[0.5, 0.0, 0.9])
    (line,) = plot_refused_error({"std": mixed}).lines
    np.testing.assert_array_equal(line.get_xdata(), [0.0, 0.5, 0.9])
    np.testing.assert_array_equal(line.get_ydata(), mixed.rmse[[1, 0, 2]])


def test_no_errors_at_all_are_drawn():
    (line,) = plot_refused_error({"std": refused_error_curve(np.zeros(3), [1, 2, 3])}).lines
    assert not line.get_ydata().any()


@pytest.mark.parametrize(
    ("curves", "options", "message"),
    [
        ({}, {}, "curves must map"),
        ({"std": DOUBT}, {}, "RefusedErrorCurve"),
        ({"std": RefusedErrorCurve(np.array([0, 2.0]), np.ones(2))}, {}, r"must lie in \[0, 1\]"),
        ({"std": RefusedErrorCurve(np.zeros(2), np.ones(3))}, {}, r"rmse of 'std' must be .* got shape \(3,\)"),
        ({"std": RefusedErrorCurve(np.zeros(2), np.full(2, np.nan))}, {}, "rmse of 'std' must be one finite error"),
        (CURVES, {"colors": []}, "colors must hold 2"),
    ],
)
def test_bad_input_is_refused_before_a_figure_is_made(curves, options, message):
    with pytest.raises(InputError, match=message):
        plot_refused_error(curves, **options)
    assert not plt.get_fignums()
