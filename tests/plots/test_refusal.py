"""The refusal figure draws the accuracy kept, and does not promise more than 100%."""

import numpy as np
import pytest
from matplotlib import pyplot as plt

from mcdrop.errors import InputError
from mcdrop.plots import plot_refusal
from mcdrop.scores import RefusalCurve

SHARES = np.linspace(0, 0.95, 96)


def test_draws_accuracy_against_share_refused_in_order():
    curve = RefusalCurve(np.array([0.5, 0.0, 0.2]), np.array([0.9, 0.7, 0.8]))
    ax = plot_refusal({"entropy": curve})
    np.testing.assert_array_equal(ax.lines[0].get_xydata(), [[0, 0.7], [0.2, 0.8], [0.5, 0.9]])
    assert ax.yaxis.get_major_formatter()(0.9, 0).startswith("90")


@pytest.mark.parametrize("accuracy", [np.ones(96), np.zeros(96), np.linspace(0.8, 1.0, 96), np.full(96, 0.999)])
def test_the_axis_ends_at_all_right(accuracy):
    ax = plot_refusal({"entropy": RefusalCurve(SHARES, accuracy)})
    bottom, top = ax.get_ylim()
    assert bottom < accuracy.min() and accuracy.max() < top  # markers are whole
    assert not [tick for tick in ax.get_yticks() if 1 < tick <= top]


def test_long_lines_get_few_markers_at_different_places():
    ax = plot_refusal({name: RefusalCurve(SHARES, SHARES) for name in "ab"})
    starts, steps = zip(*(line.get_markevery() for line in ax.lines), strict=True)
    assert starts == (0, 1) and all(96 / step <= 15 for step in steps)


def test_draws_on_the_given_axes_with_its_labels():
    ax = plt.figure().add_subplot()
    curve = RefusalCurve(SHARES, SHARES)
    assert plot_refusal({"GP": curve}, ax=ax, xlabel="refused", ylabel="kept", title="digits") is ax
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title()) == ("refused", "kept", "digits")
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["GP"]


@pytest.mark.parametrize(
    "curves",
    [
        {},
        {"GP": (SHARES, SHARES)},
        {"GP": RefusalCurve(SHARES, 100 * SHARES)},
        {"GP": RefusalCurve(SHARES, SHARES[:3])},
    ],
)
def test_bad_input_is_refused_before_a_figure_is_made(curves):
    with pytest.raises(InputError, match="must"):
        plot_refusal(curves)
    assert not plt.get_fignums()
