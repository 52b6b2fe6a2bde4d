"""The measures figure draws the prediction's own numbers."""

import numpy as np
import pytest
from matplotlib import pyplot as plt

from mcdrop.errors import InputError
from mcdrop.plots import plot_measures

X = np.array([60, 10, 50, 20, 40, 30])
ORDER = np.argsort(X)


def test_draws_the_three_measures_in_order_of_x(classification):
    ax = plot_measures(classification, X)
    names = ("entropy", "mutual_information", "variation_ratio")
    for line, name in zip(ax.lines, names, strict=True):
        np.testing.assert_array_equal(line.get_xdata(), np.sort(X))
        np.testing.assert_array_equal(line.get_ydata(), getattr(classification, name)[ORDER])


def test_the_legend_gives_units(classification):
    ax = plot_measures(classification, X, measures=["expected_entropy", "variation_ratio"])
    texts = [text.get_text().replace("\n", " ") for text in ax.get_legend().get_texts()]
    assert texts == ["expected entropy (nats)", "variation ratio (share)"]


def test_lines_differ_without_color(classification):
    ax = plot_measures(classification, X)
    assert len({(line.get_linestyle(), line.get_marker()) for line in ax.lines}) == 3


def test_draws_on_the_given_axes_with_its_labels(classification):
    ax = plt.figure().add_subplot()
    assert plot_measures(classification, X, ax=ax, xlabel="rotation (degrees)", title="LeNet") is ax
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title()) == (
        "rotation (degrees)",
        "uncertainty (nats; variation ratio: share)",
        "LeNet",
    )
    assert ax.get_ylim()[0] == 0


@pytest.mark.parametrize(
    ("x", "options"),
    [
        (X[:3], {}),
        (X, {"measures": []}),
        (X, {"measures": ["surprise"]}),
        (X, {"measures": "entropy"}),
        (X, {"colors": ["red"]}),
        (X, {"colors": "red"}),
    ],
)
def test_bad_input_is_refused_before_a_figure_is_made(classification, x, options):
    with pytest.raises(InputError, match="must"):
        plot_measures(classification, x, **options)
    assert not plt.get_fignums()


def test_other_types_are_refused(regression):
    with pytest.raises(InputError, match="ClassificationPredictive"):
        plot_measures(regression, X)
