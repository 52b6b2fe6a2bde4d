"""The class probability figure sets MC dropout against the same net with dropout off."""

import numpy as np
import pytest
from matplotlib import pyplot as plt

from mcdrop.errors import InputError
from mcdrop.plots import plot_class_probs

X = np.array([60, 10, 50, 20, 40, 30])
ORDER = np.argsort(X)


def test_draws_mean_and_one_std_within_0_and_1_in_order_of_x(classification):
    ax = plot_class_probs(classification, X, classes=[2, 4])
    for line, band, k in zip(ax.lines, ax.collections, (2, 4), strict=False):
        mean, std = classification.probs[ORDER, k], classification.probs_std[ORDER, k]
        np.testing.assert_array_equal(line.get_xdata(), np.sort(X))
        np.testing.assert_array_equal(line.get_ydata(), mean)
        vertices = band.get_paths()[0].vertices
        for x, low, high in zip(np.sort(X), np.maximum(mean - std, 0), np.minimum(mean + std, 1), strict=True):
            at = vertices[vertices[:, 0] == x, 1]
            assert (at.min(), at.max()) == pytest.approx((low, high))


def test_deterministic_probabilities_are_dashed(classification):
    plain = np.full((6, 5), 0.1)
    plain[:, 4] = 0.6
    ax = plot_class_probs(classification, X, classes=[0, 4], deterministic=plain)
    dashed = [line for line in ax.lines if line.get_linestyle() == "--" and len(line.get_xdata())]
    assert [line.get_ydata()[0] for line in dashed] == [0.1, 0.6]
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert texts[:2] == ["class 0", "class 4"] and texts[-1] == "dropout off"


def test_by_default_the_classes_that_win_somewhere_are_drawn(classification):
    winners = sorted(set(classification.labels.tolist()))
    assert 4 not in winners
    ax = plot_class_probs(classification, X)
    assert len(ax.collections) == len(winners)
    plain = np.tile([0.0, 0.0, 0.0, 0.0, 1.0], (6, 1))
    assert len(plot_class_probs(classification, X, deterministic=plain).collections) == len(winners) + 1


def test_draws_on_the_given_axes_with_its_labels(classification):
    ax = plt.figure().add_subplot()
    assert plot_class_probs(classification, X, ax=ax, xlabel="rotation (degrees)", title="LeNet") is ax
    assert ax.get_xlabel() == "rotation (degrees)"
    assert ax.get_ylabel() == "class probability"
    assert ax.get_title() == "LeNet"


@pytest.mark.parametrize(
    ("x", "options"),
    [
        (X[:3], {}),
        (X, {"deterministic": np.zeros((6, 4))}),
        (X, {"deterministic": np.full((6, 5), np.nan)}),
        (X, {"classes": [5]}),
        (X, {"classes": []}),
        (X, {"classes": [0, 1], "colors": ["red"]}),
    ],
)
def test_bad_input_is_refused_before_a_figure_is_made(classification, x, options):
    with pytest.raises(InputError, match="must"):
        plot_class_probs(classification, x, **options)
    assert not plt.get_fignums()


def test_other_types_are_refused(regression):
    with pytest.raises(InputError, match="ClassificationPredictive"):
        plot_class_probs(regression, X)
