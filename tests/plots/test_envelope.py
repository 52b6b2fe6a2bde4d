"""The envelope draws quantiles of each stretch, and of one point per stretch just the band."""

import numpy as np
import pytest
from matplotlib import pyplot as plt

from mcdrop.errors import InputError
from mcdrop.plots import plot_envelope
from mcdrop.predictive import RegressionPredictive

RNG = np.random.default_rng(0)
X = RNG.uniform(0, 8, 3000)
PRED = RegressionPredictive(np.sin(X) + 0.1 * RNG.normal(size=3000), 0.1 + 0.05 * X, passes=10)


def edges(band):
    """Lower and upper edge of a filled band, by its places."""
    vertices = band.get_paths()[0].vertices
    places = np.unique(vertices[:, 0])
    at = [vertices[vertices[:, 0] == place, 1] for place in places]
    return np.array([y.min() for y in at]), np.array([y.max() for y in at])


@pytest.mark.parametrize("noise", [None, 0.4])
def test_each_stretch_is_summed_up_by_its_quantiles(noise):
    ax = plot_envelope(PRED, X, stretches=4, n_std=3, noise_std=noise)
    std = PRED.std if noise is None else np.hypot(PRED.std, noise)
    outer, inner = map(edges, ax.collections)
    for k, part in enumerate(np.argsort(X).reshape(4, 750)):
        mean = PRED.mean[part]
        assert ax.lines[0].get_xydata()[k] == pytest.approx([np.median(X[part]), np.median(mean)])
        assert [inner[0][k], inner[1][k]] == pytest.approx(np.quantile(mean, [0.05, 0.95]))
        assert outer[0][k] == pytest.approx(np.quantile(mean - 3 * std[part], 0.05))
        assert outer[1][k] == pytest.approx(np.quantile(mean + 3 * std[part], 0.95))


def test_points_alone_in_their_stretch_are_drawn_as_they_are():
    x = np.array([3.0, 0.0, 1.0])
    pred = RegressionPredictive(np.array([5.0, 7.0, 6.0]), np.ones(3))
    ax = plot_envelope(pred, x, stretches=30)
    np.testing.assert_array_equal(ax.lines[0].get_xydata(), [[0, 7], [1, 6], [3, 5]])
    np.testing.assert_allclose(edges(ax.collections[0]), [[5, 4, 3], [9, 8, 7]])


def test_points_far_away_leave_the_others_their_stretches():
    x = X.copy()
    x[::1000] = 1e12
    line = plot_envelope(PRED, x, stretches=100).lines[0].get_xydata()
    assert len(line) == 100 and 7.8 < line[-1, 0] < 8
    inside = plot_envelope(PRED, X, stretches=100).lines[0].get_xydata()
    assert np.abs(line - inside).max() < 0.2


@pytest.mark.parametrize("places", [[0.0, 1.0, 5.0], [0.0, 1e12]])
@pytest.mark.parametrize("rare", [0, -1])
@pytest.mark.parametrize("stretches", [2, 3, 10, 400])
def test_equal_x_are_one_stretch_however_many(places, rare, stretches):
    counts = np.full(len(places), 100)
    counts[rare] = 1
    x = np.repeat(places, counts)
    pred = RegressionPredictive(np.arange(len(x)) * 1.0, np.ones(len(x)))
    line = plot_envelope(pred, x, stretches=stretches).lines[0].get_xydata()
    assert len(line) >= 2
    if stretches >= 10:
        means = [pred.mean[x == place].mean() for place in places]
        np.testing.assert_array_equal(line, np.stack([places, means], axis=1))


def test_the_legend_says_how_much_is_summed_up():
    legend = plot_envelope(PRED, X, stretches=7, noise_std=1).get_legend()
    assert legend.get_title().get_text() == "7 stretches,\n3,000 points"
    assert "± 2 std with noise\naround it" in [text.get_text() for text in legend.get_texts()]


def test_draws_one_output_on_the_given_axes_with_its_labels(regression):
    ax = plt.figure().add_subplot()
    x = np.arange(7.0)
    given = plot_envelope(regression, x, ax=ax, output=1, xlabel="time (s)", ylabel="height (m)", title="a")
    assert given is ax
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title()) == ("time (s)", "height (m)", "a")
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), regression.mean[:, 1])


@pytest.mark.parametrize(
    ("x", "options"),
    [
        (X[:3], {}),
        (np.full(3000, np.nan), {}),
        (np.full(3000, 2.0), {}),
        (X, {"stretches": 1}),
        (X, {"stretches": 2.5}),
        (X, {"n_std": 0}),
        (X, {"n_std": True}),
        (X, {"n_std": (1, 2)}),
        (X, {"output": 1}),
    ],
)
def test_bad_input_is_refused_before_a_figure_is_made(x, options):
    with pytest.raises(InputError, match="must"):
        plot_envelope(PRED, x, **options)
    assert not plt.get_fignums()


def test_x_that_is_the_same_everywhere_is_refused_with_what_to_do():
    with pytest.raises(InputError, match="x must differ between points, got 2 at all 3,000; give what varies, such as"):
        plot_envelope(PRED, np.full(3000, 2.0))
