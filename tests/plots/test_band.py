"""The band figure draws the mean, and the mean plus and minus a number of standard deviations."""

import numpy as np
import pytest
from matplotlib import pyplot as plt

from mcdrop.errors import InputError
from mcdrop.plots import plot_band
from mcdrop.predictive import RegressionPredictive

X = np.array([3.0, 1.0, 2.0, 7.0, 5.0, 6.0, 4.0])
ORDER = np.argsort(X)


def edges(band):
    """Lower and upper edge of a filled band over X."""
    vertices = band.get_paths()[0].vertices
    at = [vertices[np.isclose(vertices[:, 0], x), 1] for x in np.sort(X)]
    return np.array([y.min() for y in at]), np.array([y.max() for y in at])


@pytest.mark.parametrize("column", [False, True])
@pytest.mark.parametrize("output", [0, 1])
def test_draws_mean_and_two_std_in_order_of_x(regression, column, output):
    ax = plot_band(regression, X[:, None] if column else X, output=output)
    (line,), (band,) = ax.lines, ax.collections
    mean, std = regression.mean[ORDER, output], regression.std[ORDER, output]
    np.testing.assert_array_equal(line.get_xdata(), np.sort(X))
    np.testing.assert_array_equal(line.get_ydata(), mean)
    lower, upper = edges(band)
    np.testing.assert_allclose(lower, mean - 2 * std)
    np.testing.assert_allclose(upper, mean + 2 * std)


def test_several_widths_give_nested_bands_widest_first(regression):
    ax = plot_band(regression, X, n_std=(1, 3))
    for band, width in zip(ax.collections, (3, 1), strict=True):
        np.testing.assert_allclose(edges(band)[1], (regression.mean + width * regression.std)[ORDER, 0])


def test_noise_widens_the_band(regression):
    ax = plot_band(regression, X, n_std=1, noise_std=0.7)
    expected = regression.mean + np.hypot(regression.std, 0.7)
    np.testing.assert_allclose(edges(ax.collections[0])[1], expected[ORDER, 0])


def test_one_dimensional_predictions_work():
    pred = RegressionPredictive(mean=np.arange(7.0), std=np.ones(7))
    np.testing.assert_array_equal(plot_band(pred, X).lines[0].get_ydata(), np.arange(7.0)[ORDER])


def test_draws_on_the_given_axes_with_its_labels(regression):
    ax = plt.figure().add_subplot()
    assert plot_band(regression, X, ax=ax, label="net", xlabel="year", ylabel="CO2 (ppm)", title="a") is ax
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title()) == ("year", "CO2 (ppm)", "a")
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["net"]


def test_no_label_no_legend(regression):
    assert plot_band(regression, X).get_legend() is None


@pytest.mark.parametrize(
    ("x", "options"),
    [
        (X[:3], {}),
        (np.zeros((7, 2)), {}),
        (np.full(7, np.nan), {}),
        (["a"] * 7, {}),
        (X, {"n_std": 0}),
        (X, {"n_std": []}),
        (X, {"n_std": np.inf}),
        (X, {"output": 2}),
        (X, {"output": -1}),
        (X, {"output": 0.5}),
        (X, {"n_std": "wide"}),
        (X, {"n_std": [[1], [2, 3]]}),
        (X, {"noise_std": -1}),
    ],
)
def test_bad_input_is_refused_before_a_figure_is_made(regression, x, options):
    with pytest.raises(InputError, match="must"):
        plot_band(regression, x, **options)
    assert not plt.get_fignums()


@pytest.mark.parametrize(("mean", "std"), [(np.nan, 1.0), (np.inf, 1.0), (0.0, np.nan), (0.0, np.inf), (0.0, -1.0)])
def test_what_cannot_be_drawn_is_refused(mean, std):
    """Other outputs are not looked at."""
    pred = RegressionPredictive(np.zeros((7, 2)), np.ones((7, 2)))
    pred.mean[3, 1], pred.std[3, 1] = mean, std  # written to after it was made
    with pytest.raises(InputError, match=r"pred must have finite means .* at 1 of 7 points"):
        plot_band(pred, X, output=1)
    assert not plt.get_fignums()
    assert plot_band(pred, X, output=0).lines


def test_other_types_are_refused(classification):
    for wrong in (classification, np.zeros(7), None):
        with pytest.raises(InputError, match="RegressionPredictive"):
            plot_band(wrong, X)
