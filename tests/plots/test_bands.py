"""Bands side by side: one panel a model, on one scale."""

import numpy as np
import pytest
from matplotlib import pyplot as plt

from mcdrop.errors import InputError
from mcdrop.plots import plot_bands
from mcdrop.predictive import RegressionPredictive

X = np.linspace(0, 1, 5)


def made(count, noise_std=0.5):
    return {
        f"model {k}": RegressionPredictive(np.sin(X) + k, np.full(5, 0.1 * (k + 1)), noise_std=noise_std)
        for k in range(count)
    }


def half_width(ax):
    vertices = ax.collections[0].get_paths()[0].vertices
    at = vertices[np.isclose(vertices[:, 0], X[2]), 1]
    return (at.max() - at.min()) / 2


def test_each_model_has_its_own_panel_on_one_scale():
    panels = plot_bands(made(4), X, xlabel="time (years)", ylabel="CO2 (ppm)")
    assert panels.shape == (4,)
    for ax, (name, pred) in zip(panels, made(4).items(), strict=True):
        assert ax.get_title() == name
        np.testing.assert_array_equal(ax.lines[0].get_ydata(), pred.mean)
        assert half_width(ax) == pytest.approx(2 * pred.std[2])
        assert (ax.get_xlim(), ax.get_ylim()) == (panels[0].get_xlim(), panels[0].get_ylim())
    assert len(panels[0].figure.axes) == 4


def test_outer_panels_alone_are_labelled_even_above_a_gap():
    panels = plot_bands(made(4), X, xlabel="time (years)", ylabel="CO2 (ppm)", columns=3)
    assert [ax.get_xlabel() for ax in panels] == ["", "time (years)", "time (years)", "time (years)"]
    assert [ax.get_ylabel() for ax in panels] == ["CO2 (ppm)", "", "", "CO2 (ppm)"]
    shown = [any(tick.label1.get_visible() for tick in ax.xaxis.get_major_ticks()) for ax in panels]
    assert shown == [False, True, True, True]


def test_noise_is_each_models_own():
    predictions = made(1, noise_std=0.3) | {"GP": RegressionPredictive(X, np.full(5, 0.4), noise_std=0.0)}
    first, second = plot_bands(predictions, X, noise=True, n_std=1)
    assert half_width(first) == pytest.approx(np.hypot(0.1, 0.3))
    assert half_width(second) == pytest.approx(0.4)


def test_the_legend_says_what_the_band_is():
    def texts(**options):
        (legend,) = plot_bands(made(2), X, **options)[0].figure.legends
        return [text.get_text() for text in legend.get_texts()]

    assert texts() == ["mean", "± 2 std without noise"]
    assert texts(noise=True, n_std=1.5, data=(X, X), truth=(X, X))[1:] == [
        "± 1.5 std with noise",
        "training data",
        "data not seen in training",
    ]


def test_data_are_drawn_in_every_panel_and_look_different():
    for ax in plot_bands(made(2), X, data=(X[:2], [7, 8]), truth=(X[2:, None], [1, 2, 3])):
        _, data, truth = ax.lines
        np.testing.assert_array_equal(data.get_xydata(), [[0, 7], [0.25, 8]])
        np.testing.assert_array_equal(truth.get_xydata(), [[0.5, 1], [0.75, 2], [1, 3]])
        assert data.get_marker() != truth.get_marker()


def test_limits_cut_off_a_model_that_runs_away():
    predictions = made(1) | {"runaway": RegressionPredictive(1e9 * X, np.ones(5))}
    assert plot_bands(predictions, X)[0].get_ylim()[1] > 1e8
    assert [ax.get_ylim() for ax in plot_bands(predictions, X, ylim=(-1, 3))] == [(-1, 3)] * 2


def test_draws_on_the_given_axes():
    _, axes = plt.subplots(2, 2)
    panels = plot_bands(made(3), X, axes=axes, xlabel="x", ylabel="y")
    assert list(panels) == list(axes.flat[:3])
    assert all((ax.get_xlabel(), ax.get_ylabel()) == ("x", "y") for ax in panels)
    assert panels[-1].get_legend() is not None and not axes[1, 1].lines
    (alone,) = plot_bands(made(1), X, axes=axes[1, 1])
    assert alone is axes[1, 1]


def test_one_output_of_several_is_drawn():
    pred = RegressionPredictive(np.stack([X, 2 * X], axis=1), np.ones((5, 2)))
    np.testing.assert_array_equal(plot_bands({"net": pred}, X, output=1)[0].lines[0].get_ydata(), 2 * X)


@pytest.mark.parametrize(
    ("predictions", "options", "message"),
    [
        ({}, {}, "predictions must map"),
        ({"GP": np.zeros(5)}, {}, "predictions must map .* RegressionPredictive, got ndarray for 'GP'"),
        (made(1), {"x": X[:3]}, "x must have shape"),
        (made(1, noise_std=None), {"noise": True}, r"got none in 'model 0'; set it with pred.with_noise\("),
        ({"GP": RegressionPredictive(np.zeros((5, 1, 1)), np.ones((5, 1, 1)))}, {}, "mean .N,. or .N, D."),
        (made(2), {"data": ([[1], [2, 3]], X)}, "x of data must be numbers"),
        (made(2), {"ylim": (1, 0)}, "ylim must be a lower and an upper end"),
        (made(2), {"ylim": (1, 2, 3)}, "ylim must have shape"),
        (made(2), {"data": X}, "data must be a pair"),
        (made(2), {"data": (X, X[:2])}, "y of data must have shape"),
        (made(2), {"truth": (X, [1, 2, 3, 4, np.nan])}, "y of truth must be finite"),
        (made(2), {"columns": 0}, "columns must be an integer of at least 1"),
        (made(2), {"axes": [None, None]}, "axes must be at least 2 Axes"),
        (made(2), {"output": 1}, "output must be"),
        (made(2), {"n_std": 0}, "n_std must be"),
    ],
)
def test_bad_input_is_refused_before_a_figure_is_made(predictions, options, message):
    with pytest.raises(InputError, match=message):
        plot_bands(predictions, **({"x": X} | options))
    assert not plt.get_fignums()


@pytest.mark.parametrize("field", ["mean", "std"])
def test_what_cannot_be_drawn_is_refused(field):
    predictions = made(2)
    getattr(predictions["model 1"], field)[[0, 3]] = np.nan  # written to after it was made
    with pytest.raises(InputError, match=r"predictions\['model 1'\] must have finite .* at 2 of 5 points"):
        plot_bands(predictions, X)
    assert not plt.get_fignums()


def test_too_few_axes_are_refused():
    with pytest.raises(InputError, match="at least 2 Axes"):
        plot_bands(made(2), X, axes=[plt.figure().add_subplot()])
