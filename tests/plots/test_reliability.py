"""The reliability diagram draws its bins, and says how large they are."""

import numpy as np
import pytest
from matplotlib import pyplot as plt

from mcdrop.errors import InputError
from mcdrop.plots import plot_reliability
from mcdrop.scores import ReliabilityCurve

CURVES = {
    "MC dropout": ReliabilityCurve(np.array([0.5, 0.99, 0.8]), np.array([0.4, 0.9, 0.85]), np.full(3, 1200), 0.0789),
    "softmax": ReliabilityCurve(np.array([1.0]), np.array([0.0]), np.array([1]), 1.0),
}


def test_draws_accuracy_against_confidence_in_order():
    ax = plot_reliability(CURVES)
    np.testing.assert_array_equal(ax.lines[0].get_xydata(), [[0.5, 0.4], [0.8, 0.85], [0.99, 0.9]])
    np.testing.assert_array_equal(ax.lines[1].get_xydata(), [[1, 0]])
    np.testing.assert_array_equal(ax.lines[2].get_xydata(), [[0, 0], [1, 1]])
    assert ax.get_xlim()[0] < 0 and ax.get_xlim()[1] > 1  # markers at the ends are whole


def test_the_legend_gives_the_error_and_the_size_of_the_bins():
    texts = [text.get_text() for text in plot_reliability(CURVES).get_legend().get_texts()]
    assert texts == ["MC dropout\n(ECE 7.9%; 1,200 per bin)", "softmax\n(ECE 100.0%; 1 per bin)", "calibrated"]
    uneven = ReliabilityCurve(np.array([0.5, 0.9]), np.array([0.5, 0.9]), np.array([867, 866]), 0.0)
    assert "866 to 867 per bin" in plot_reliability({"a": uneven}).get_legend().get_texts()[0].get_text()


def test_the_figure_grows_with_its_legend():
    few = plot_reliability(CURVES).figure.get_figheight()
    many = plot_reliability({f"model {k}": CURVES["softmax"] for k in range(28)}).figure
    assert many.get_figheight() > few
    many.canvas.draw()
    box = many.axes[0].get_legend().get_window_extent()
    assert box.y0 > 0 and box.x1 < many.bbox.x1


def test_draws_on_the_given_axes_with_its_labels():
    ax = plt.figure().add_subplot()
    assert plot_reliability(CURVES, ax=ax, xlabel="c", ylabel="a", title="digits") is ax
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title()) == ("c", "a", "digits")


@pytest.mark.parametrize(
    "curves",
    [
        {},
        {"softmax": 0.1},
        {"softmax": ReliabilityCurve(np.array([0.5, 2.0]), np.array([0.5, 0.9]), np.array([1, 1]), 0.0)},
        {"softmax": ReliabilityCurve(np.array([0.5, 0.6]), np.array([0.5]), np.array([1, 1]), 0.0)},
    ],
)
def test_bad_input_is_refused_before_a_figure_is_made(curves):
    with pytest.raises(InputError, match="must"):
        plot_reliability(curves)
    assert not plt.get_fignums()
