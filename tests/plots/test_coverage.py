"""The coverage figure draws the curves it is given, and the band that chance alone fills."""

import numpy as np
import pytest
from matplotlib import pyplot as plt
from scipy.stats import binom

from mcdrop.errors import InputError
from mcdrop.plots import plot_coverage
from mcdrop.scores import CoverageCurve

NOMINAL = np.array([0.5, 0.9, 0.1])
CURVES = {
    "MC dropout": CoverageCurve(NOMINAL, np.array([0.4, 0.7, 0.05]), 50),
    "GP": CoverageCurve(NOMINAL, np.array([0.5, 0.9, 0.1]), 80),
}


def test_draws_observed_against_nominal_in_order():
    ax = plot_coverage(CURVES)
    for line, curve in zip(ax.lines, CURVES.values(), strict=False):
        np.testing.assert_array_equal(line.get_xdata(), [0.1, 0.5, 0.9])
        np.testing.assert_array_equal(line.get_ydata(), curve.observed[[2, 0, 1]])
    np.testing.assert_array_equal(ax.lines[2].get_xydata(), [[0, 0], [1, 1]])


def test_the_band_is_binomial_for_the_fewest_points():
    ax = plot_coverage(CURVES)
    (band,) = ax.collections
    vertices = band.get_paths()[0].vertices
    for share in (0.1, 0.5, 0.9, 1.0):
        at = vertices[np.isclose(vertices[:, 0], share), 1]
        assert at.max() == pytest.approx(binom.ppf(0.975, 50, share) / 50)
        assert at.min() == pytest.approx(binom.ppf(0.025, 50, share) / 50)
    assert vertices[:, 1].min() == 0
    assert "N = 50" in ax.get_legend().get_texts()[-1].get_text()


def test_the_band_holds_a_calibrated_model_95_times_of_100():
    levels = np.linspace(0.05, 0.95, 19)
    vertices = plot_coverage({"GP": CoverageCurve(levels, levels, 400)}).collections[0].get_paths()[0].vertices
    bounds = [vertices[np.isclose(vertices[:, 0], level), 1] for level in levels]
    lower, upper = (np.array([end(bound) for bound in bounds]) for end in (np.min, np.max))

    def share_within(inside):  # 300 data sets of 400 points, each at the level where its interval first holds it
        observed = (inside[:, :, None] <= levels).mean(axis=1)
        return ((observed >= lower) & (observed <= upper)).mean()

    inside = np.random.default_rng(0).uniform(size=(300, 400))
    assert 0.94 < share_within(inside) < 0.98  # above 95%: counts are whole
    assert share_within(np.sqrt(inside)) < 0.3


def test_both_axes_are_in_percent():
    ax = plot_coverage(CURVES)
    assert ax.xaxis.get_major_formatter()(0.5, 0) == ax.yaxis.get_major_formatter()(0.5, 0) == "50%"


def test_lines_differ_without_color_and_names_are_folded():
    long = "a deep ensemble of five networks with weight decay"
    ax = plot_coverage({long + str(k): CURVES["GP"] for k in range(7)})
    assert len({(line.get_linestyle(), line.get_marker()) for line in ax.lines[:7]}) == 7
    for text in ax.get_legend().get_texts():
        assert max(map(len, text.get_text().split("\n"))) <= 26


def test_draws_on_the_given_axes_with_its_labels():
    ax = plt.figure().add_subplot()
    assert plot_coverage(CURVES, ax=ax, xlabel="nominal", ylabel="observed", title="CO2", colors=["r", "b"]) is ax
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title()) == ("nominal", "observed", "CO2")
    assert [line.get_color() for line in ax.lines[:2]] == ["r", "b"]


@pytest.mark.parametrize(
    "curves",
    [
        {},
        CURVES["GP"],
        [CURVES["GP"]],
        {"GP": np.zeros(3)},
        {1: CURVES["GP"]},
        {"GP": CoverageCurve(NOMINAL, np.array([0.5, 0.9]), 80)},
        {"GP": CoverageCurve(np.array([]), np.array([]), 80)},
        {"GP": CoverageCurve(100 * NOMINAL, NOMINAL, 80)},
        {"GP": CoverageCurve(NOMINAL, np.full(3, np.nan), 80)},
        {"GP": CoverageCurve(NOMINAL, NOMINAL, 0)},
        {"GP": CoverageCurve(NOMINAL, NOMINAL, -3)},
        {"GP": CoverageCurve(NOMINAL, NOMINAL, np.nan)},
    ],
)
def test_bad_input_is_refused_before_a_figure_is_made(curves):
    with pytest.raises(InputError, match="must"):
        plot_coverage(curves)
    assert not plt.get_fignums()


def test_one_color_per_model():
    with pytest.raises(InputError, match="2 colors"):
        plot_coverage(CURVES, colors=["red"])
