"""The distributions of right and wrong answers each add up to one, in the same bins."""

import numpy as np
import pytest
from matplotlib import pyplot as plt

from mcdrop.errors import InputError
from mcdrop.plots import plot_measure_distribution

RNG = np.random.default_rng(0)
VALUES = RNG.gamma(1, 0.1, size=200)
RIGHT = RNG.random(200) > 0.3


@pytest.mark.parametrize("kind", [bool, int, float])
def test_each_histogram_holds_the_shares_of_its_own_answers(kind):
    edges = np.linspace(0, VALUES.max(), 9)
    ax = plot_measure_distribution(VALUES, RIGHT.astype(kind), bins=edges)
    for drawn, chosen in zip(ax.patches, (RIGHT, ~RIGHT), strict=True):
        shares, places, _ = drawn.get_data()
        np.testing.assert_array_equal(places, edges)
        np.testing.assert_allclose(shares, np.histogram(VALUES[chosen], edges)[0] / chosen.sum())
        assert shares.sum() == pytest.approx(1.0)


def test_without_right_and_wrong_one_histogram_holds_all_answers():
    ax = plot_measure_distribution(VALUES, bins=9)
    (every,) = ax.patches
    shares, edges, _ = every.get_data()
    np.testing.assert_allclose(shares, np.histogram(VALUES, edges)[0] / 200)
    assert ax.get_legend() is None and ax.get_ylabel() == "share of all answers"
    assert plot_measure_distribution(VALUES, ylabel="share").get_ylabel() == "share"


def test_a_number_of_bins_spans_the_values():
    right, wrong = plot_measure_distribution(VALUES, RIGHT, bins=7).patches
    assert len(right.get_data().edges) == 8
    np.testing.assert_array_equal(right.get_data().edges, wrong.get_data().edges)
    assert right.get_data().edges[[0, -1]].tolist() == [VALUES.min(), VALUES.max()]


def test_the_kinds_differ_without_color():
    right, wrong = plot_measure_distribution(VALUES, RIGHT).patches
    assert right.get_hatch() is None and wrong.get_hatch()
    assert wrong.get_facecolor()[3] == 0 < right.get_facecolor()[3]


@pytest.mark.parametrize(("right", "texts"), [(1, ["(200 answers)", "(none)"]), (0, ["(none)", "(200 answers)"])])
def test_answers_of_one_kind_are_drawn_alone_and_the_legend_says_so(right, texts):
    ax = plot_measure_distribution(VALUES, np.full(200, right))
    found = [text.get_text().split("\n")[1] for text in ax.get_legend().get_texts()]
    assert found == texts
    assert [len(patch.get_path()) > 1 for patch in ax.patches].count(True) == 1
    ax.figure.canvas.draw()


def test_values_that_are_all_the_same_fill_one_bin():
    right = plot_measure_distribution(np.zeros(3), [1, 1, 0], bins=10).patches[0]
    assert sorted(right.get_data().values)[-2:] == [0, 1]


LOG10 = np.log(10)


@pytest.mark.parametrize(
    ("values", "ends"),
    [
        ([LOG10, np.nextafter(LOG10, 3), LOG10], (0, LOG10)),
        ([LOG10, LOG10 + 1e-14, LOG10], (0, LOG10)),
        ([0, 0, 0], (0, 1)),
        ([0, 0, 5e-324], (0, 1)),
        ([-2, -2, -2], (-2, 0)),
        ([1, 1, 1 + 1e-6], (1, 1 + 1e-6)),
        ([0, 0, 1e-20], (0, 1e-20)),
    ],
)
@pytest.mark.parametrize("bins", [1, 30, 301])
def test_values_that_differ_by_rounding_alone_are_seen_from_zero(values, ends, bins):
    right, wrong = (
        patch.get_data() for patch in plot_measure_distribution(values, [True, True, False], bins=bins).patches
    )
    assert right.edges[[0, -1]] == pytest.approx(ends, rel=1e-12)
    assert len(right.edges) == bins + 1 and (np.diff(right.edges) > 0).all()
    assert right.values.max() == wrong.values.max() == 1


def test_draws_on_the_given_axes_with_its_labels():
    ax = plt.figure().add_subplot()
    given = plot_measure_distribution(VALUES, RIGHT, ax=ax, xlabel="entropy (nats)", title="LeNet")
    assert given is ax
    assert (ax.get_xlabel(), ax.get_title(), ax.get_ylim()[0]) == ("entropy (nats)", "LeNet", 0)


@pytest.mark.parametrize(
    ("values", "right", "options", "message"),
    [
        (VALUES[:3], RIGHT, {}, "values must have shape"),
        ([], [], {}, "values must have shape"),
        ([np.nan, 1], [0, 1], {}, "values must be finite"),
        ([0.1, 0.2], [0.5, 1], {}, "right must be True or False"),
        ([0.1, 0.2], ["yes", "no"], {}, "right must be True or False"),
        (VALUES, RIGHT, {"bins": 0}, "bins must be an integer of at least 1"),
        (VALUES, RIGHT, {"bins": 2.5}, "bins must be an integer"),
        (VALUES, RIGHT, {"bins": "auto"}, "bins must be an integer"),
        (VALUES, RIGHT, {"bins": None}, "bins must be an integer"),
        (VALUES, RIGHT, {"bins": ["low", "high"]}, "rising edges"),
        (VALUES, RIGHT, {"bins": [[0], [1, 2]]}, "rising edges"),
        ([0.1, 0.2], [[1], [0, 1]], {}, "right must be True or False"),
        (VALUES, RIGHT, {"bins": [0, 1, 1]}, "rising edges"),
        (VALUES, RIGHT, {"bins": [0, 0.01]}, "bins must hold all values"),
        (VALUES, RIGHT, {"colors": ["red"]}, "colors must hold 2"),
        (VALUES, None, {"colors": ["red", "blue"]}, "colors must hold 1"),
        ([np.nan, 1], None, {}, "values must be finite"),
    ],
)
def test_bad_input_is_refused_before_a_figure_is_made(values, right, options, message):
    with pytest.raises(InputError, match=message):
        plot_measure_distribution(values, right, **options)
    assert not plt.get_fignums()
