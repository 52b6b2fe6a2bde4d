"""The shift figure draws each model's scores over the amounts of shift."""

import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.colors import to_hex

from mcdrop.errors import InputError
from mcdrop.plots import plot_shift

ANGLES = np.array([60, 0, 30])
SCORES = {"softmax": [0.3, 0.98, 0.8], "MC dropout": [0.4, 0.97, 0.85]}


def test_draws_scores_in_order_of_the_shift():
    ax = plot_shift(SCORES, ANGLES)
    for drawn, scores in zip(ax.containers, SCORES.values(), strict=True):
        np.testing.assert_array_equal(drawn.lines[0].get_xdata(), [0, 30, 60])
        np.testing.assert_array_equal(drawn.lines[0].get_ydata(), np.array(scores)[[1, 2, 0]])
        assert not drawn.has_yerr
    assert [text.get_text() for text in ax.get_legend().get_texts()] == list(SCORES)


def test_bars_are_one_standard_error_to_either_side():
    ax = plot_shift(SCORES, ANGLES, errors={"MC dropout": [0.1, 0.2, 0.0]})
    plain, barred = ax.containers
    assert not plain.has_yerr and barred.has_yerr
    ends = [segment[:, 1] for segment in barred.lines[2][0].get_segments()]
    np.testing.assert_allclose(ends, [[0.77, 1.17], [0.85, 0.85], [0.3, 0.5]])
    assert to_hex(barred.lines[2][0].get_color()[0]) == to_hex(barred.lines[0].get_color())
    assert to_hex(barred.lines[0].get_color()) != to_hex(plain.lines[0].get_color())


def test_draws_on_the_given_axes_with_its_labels():
    ax = plt.figure().add_subplot()
    assert plot_shift(SCORES, ANGLES, ax=ax, xlabel="rotation (degrees)", ylabel="NLL (nats)", title="d") is ax
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title()) == ("rotation (degrees)", "NLL (nats)", "d")


def test_one_shift_is_enough():
    (drawn,) = plot_shift({"GP": [0.5]}, [30]).containers
    np.testing.assert_array_equal(drawn.lines[0].get_xydata(), [[30, 0.5]])


@pytest.mark.parametrize(
    ("scores", "shift", "options", "message"),
    [
        ({}, ANGLES, {}, "scores must map"),
        ([0.3, 0.9, 0.8], ANGLES, {}, "scores must map"),
        (SCORES, [0, 30], {}, r"scores\['softmax'\] must have shape \(2,\)"),
        (SCORES, [], {}, "shift must have shape"),
        (SCORES, [[0], [30, 60]], {}, "shift must be numbers"),
        (SCORES, ANGLES, {"errors": [1, 2]}, "errors must map the names of models .*, got list"),
        (SCORES, ANGLES, {"errors": []}, "errors must map the names of models .*, got list"),
        (SCORES, [0, 30, np.nan], {}, "shift must be finite"),
        ({"GP": [0.1, np.inf, 0.2]}, ANGLES, {}, r"scores\['GP'\] must be finite"),
        (SCORES, ANGLES, {"errors": {"GP": [0, 0, 0]}}, "errors must be of models in scores, got 'GP'"),
        (SCORES, ANGLES, {"errors": {"softmax": [0.1, -0.1, 0]}}, "errors of 'softmax' must be >= 0"),
        (SCORES, ANGLES, {"errors": {"softmax": [0.1]}}, r"errors\['softmax'\] must have shape"),
        (SCORES, ANGLES, {"colors": ["red"]}, "colors must hold 2"),
    ],
)
def test_bad_input_is_refused_before_a_figure_is_made(scores, shift, options, message):
    with pytest.raises(InputError, match=message):
        plot_shift(scores, shift, **options)
    assert not plt.get_fignums()
