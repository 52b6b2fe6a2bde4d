"""The learning curves draw the mean over repeats and a band of their spread."""

import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.colors import to_hex
from matplotlib.ticker import NullLocator

from mcdrop.errors import InputError
from mcdrop.plots import plot_curves

CURVES = {"plain": [[5, 3, 2], [7, 4, 6], [6, 2, 1]], "dropout": [[9.0, 4, 1], [8, 2, 1]]}


def band_of(collection):
    """Return x, lower and upper end of a band, in the order of x."""
    vertices = collection.get_paths()[0].vertices
    places = np.unique(vertices[:, 0])
    heights = [vertices[vertices[:, 0] == place, 1] for place in places]
    return places, [part.min() for part in heights], [part.max() for part in heights]


def test_lines_are_means_over_repeats_and_bands_reach_all_of_them():
    ax = plot_curves(CURVES)
    for line, band, values in zip(ax.lines, ax.collections, CURVES.values(), strict=True):
        table = np.array(values)
        np.testing.assert_array_equal(line.get_xdata(), [1, 2, 3])
        np.testing.assert_allclose(line.get_ydata(), table.mean(axis=0))
        places, lower, upper = band_of(band)
        np.testing.assert_array_equal(places, [1, 2, 3])
        np.testing.assert_allclose(lower, table.min(axis=0))
        np.testing.assert_allclose(upper, table.max(axis=0))
        assert to_hex(band.get_facecolor()[0]) == to_hex(line.get_color())
        assert band.get_facecolor()[0][3] < 0.5  # seen through where bands cross
    assert [text.get_text() for text in ax.get_legend().get_texts()] == list(CURVES)


def test_bands_of_one_standard_deviation():
    band = plot_curves(CURVES, band="std").collections[0]
    table = np.array(CURVES["plain"])
    _, lower, upper = band_of(band)
    np.testing.assert_allclose(lower, table.mean(axis=0) - table.std(axis=0, ddof=1))
    np.testing.assert_allclose(upper, table.mean(axis=0) + table.std(axis=0, ddof=1))


def test_no_band_where_none_is_wanted_or_there_is_one_repeat():
    assert not plot_curves(CURVES, band="none").collections
    for single in ([5, 3, 2], [[5, 3, 2]]):
        for band in ("range", "std"):
            ax = plot_curves({"plain": single}, band=band)
            assert not ax.collections
            np.testing.assert_array_equal(ax.lines[0].get_ydata(), [5, 3, 2])


def test_steps_are_drawn_in_their_order():
    ax = plot_curves({"plain": [[5, 3, 2], [7, 4, 6]]}, [30, 10, 20])
    np.testing.assert_array_equal(ax.lines[0].get_xydata(), [[10, 3.5], [20, 4], [30, 6]])
    places, lower, upper = band_of(ax.collections[0])
    np.testing.assert_array_equal(places, [10, 20, 30])
    np.testing.assert_array_equal([lower, upper], [[3, 2, 5], [4, 6, 7]])


def test_few_steps_have_their_numbers_on_a_logarithmic_axis():
    ax = plot_curves({"MC": np.ones((2, 4))}, [1, 2, 10, 100], log_x=True)
    assert ax.get_xscale() == "log"
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["1", "2", "10", "100"]
    assert isinstance(ax.xaxis.get_minor_locator(), NullLocator)
    many = plot_curves({"MC": np.ones(500)}, log_x=True)
    assert many.get_xscale() == "log"
    assert len(many.get_xticks()) < 20
    assert plot_curves(CURVES).get_xscale() == "linear"


def test_a_family_shares_its_color_and_differs_in_dashes():
    ax = plot_curves(CURVES, colors=["blue", "blue"], dashes=["--", "-"])
    assert [line.get_linestyle() for line in ax.lines] == ["--", "-"]
    assert [line.get_color() for line in ax.lines] == ["blue", "blue"]
    plain = plot_curves(CURVES)
    assert len({line.get_linestyle() for line in plain.lines}) == len({line.get_color() for line in plain.lines}) == 2


def test_long_lines_have_few_markers():
    line = plot_curves({"plain": np.zeros((2, 1500))}).lines[0]
    start, step = line.get_markevery()
    assert len(range(start, 1500, step)) < 20
    assert line.get_linewidth() < plot_curves({"plain": [1, 2]}).lines[0].get_linewidth()


def test_markers_are_spread_evenly_along_a_logarithmic_axis():
    lines = plot_curves({"a": np.zeros(1500), "b": np.zeros(1500)}, log_x=True).lines
    for line in lines:
        decades = np.log10(line.get_xdata()[line.get_markevery()])
        assert 8 <= len(decades) <= 12
        assert np.diff(decades).max() < 0.5
    assert not set(lines[0].get_markevery()) & set(lines[1].get_markevery()[3:])


def test_draws_on_the_given_axes_with_its_labels():
    ax = plt.figure().add_subplot()
    assert plot_curves(CURVES, ax=ax, xlabel="passes", ylabel="NLL (nats)", title="d") is ax
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title()) == ("passes", "NLL (nats)", "d")
    plot_curves(CURVES, ax=ax, xlabel=None, ylabel=None)
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title()) == ("passes", "NLL (nats)", "d")


def test_curves_of_other_lengths_are_drawn_by_a_second_call():
    ax = plot_curves({"short": [1.0, 2.0]})
    plot_curves({"long": [1.0, 2.0, 3.0]}, ax=ax)
    assert [len(line.get_xdata()) for line in ax.lines] == [2, 3]


@pytest.mark.parametrize(
    ("curves", "x", "options", "message"),
    [
        ({}, None, {}, "curves must map the name of each model .*, got nothing"),
        ([[1, 2]], None, {}, "curves must map"),
        ({1: [1, 2]}, None, {}, "curves must map"),
        ({"a": "no"}, None, {}, r"curves\['a'\] must be numbers, got str; pass one row per repeat"),
        ({"a": [[1, 2], [3]]}, None, {}, r"curves\['a'\] must be numbers, got list"),
        ({"a": []}, None, {}, r"curves\['a'\] must have shape \(R, S\) or \(S,\), .*, got \(0,\)"),
        ({"a": 1.0}, None, {}, r"curves\['a'\] must have shape .*, got \(\)"),
        ({"a": np.zeros((2, 2, 2))}, None, {}, r"must have shape .*, got \(2, 2, 2\)"),
        ({"a": [1, np.nan]}, None, {}, r"curves\['a'\] must be finite, got NaN or infinite values; drop those"),
        ({"a": [[1, 2], [3, np.inf]]}, None, {}, r"curves\['a'\] must be finite"),
        ({"a": [1, 2], "b": [1, 2, 3]}, None, {}, r"curves\['b'\] must have one number per step, got 3 where "
         r"curves\['a'\] has 2; draw"),
        (CURVES, [1, 2], {}, r"curves\['plain'\] must have one number per step, got 3 where x has 2"),
        (CURVES, [1, 2, np.nan], {}, "x must be finite"),
        (CURVES, [0, 1, 2], {"log_x": True}, "x must be above 0 on a logarithmic axis, got 0; leave out log_x"),
        (CURVES, None, {"colors": ["red"]}, "colors must hold 2"),
        (CURVES, None, {"dashes": ["-"]}, r"dashes must hold 2 line styles, one per curve, got \['-'\]"),
        (CURVES, None, {"dashes": "--"}, "dashes must hold 2"),
        (CURVES, None, {"band": "sem"}, "band must be one of 'range', 'std', 'none', got 'sem'"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_before_a_figure_is_made(curves, x, options, message):
    with pytest.raises(InputError, match=message):
        plot_curves(curves, x, **options)
    assert not plt.get_fignums()
