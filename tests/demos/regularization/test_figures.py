"""What the figures draw: every line from its net, every cell at its rates, nothing cut off that matters."""

import matplotlib
import numpy as np
import pytest

from mcdrop.demos.regularization.figures import draw_connect, draw_decay, draw_errors, draw_rates, draw_variance

from .hand_made import DECAY_NAMES, DIGITS, FINALS, RATE_NAMES, curve, make_results, variance

matplotlib.use("Agg")

ON_DIGITS = "errors on 200 held-out digits"
UNITS = "50% of units (dropout, a mask for every digit)"
WEIGHTS = "50% of weights (DropConnect, a mask for every batch)"


@pytest.fixture(autouse=True)
def close_figures():
    from matplotlib import pyplot as plt

    yield
    plt.close("all")


@pytest.fixture(scope="module")
def results():
    return make_results()


def unfold(text):
    return text.replace("\n", " ")


def drawn(ax):
    """Return the heights of every line by its label, over which epochs 1 to E lie."""
    for line in ax.lines:
        np.testing.assert_array_equal(line.get_xdata(), np.arange(1, len(line.get_xdata()) + 1))
    return {unfold(line.get_label()): line.get_ydata() for line in ax.lines}


def bands(ax):
    """Return the lower and the upper end of every band, one row per epoch."""
    found = []
    for band in ax.collections:
        x, y = band.get_paths()[0].vertices.T
        found.append(np.array([(y[x == place].min(), y[x == place].max()) for place in np.unique(x)]))
    return found


def curves(name, repeats=3, epochs=4):
    return np.array([curve(name, final, epochs) for final in FINALS[name][:repeats]])


def check_lines(ax, expected):
    """Compare the lines with means over seeds, and the bands with the least and the greatest."""
    lines = drawn(ax)
    assert list(lines) == list(expected)
    for title, values in expected.items():
        np.testing.assert_allclose(lines[title], values.mean(axis=0))
    assert len(bands(ax)) == (len(expected) if len(next(iter(expected.values()))) > 1 else 0)
    for band, values in zip(bands(ax), expected.values(), strict=False):
        np.testing.assert_allclose(band, np.array([values.min(axis=0), values.max(axis=0)]).T)
    assert [unfold(text.get_text()) for text in ax.get_legend().get_texts()] == list(expected)


def data_axes(figure):
    return [ax for ax in figure.axes if ax.lines or ax.images]


def test_errors_of_both_families(results):
    figure = draw_errors(results)
    mlp, lenet = data_axes(figure)
    check_lines(mlp, {"MLP, no dropout": curves("mlp_none"), "MLP, 50% hidden": curves("mlp_hidden"),
                      "MLP, 50% hidden + 20% input": curves("mlp")})  # fmt: skip
    check_lines(lenet, {"LeNet, no dropout": curves("lenet_none"), "LeNet, 50%": curves("lenet")})
    assert mlp.get_title() == "MLP (3 seeds; bands: least to greatest)"
    assert lenet.get_title() == "LeNet (3 seeds; bands: least to greatest)"
    assert {ax.get_ylabel() for ax in (mlp, lenet)} == {ON_DIGITS}
    assert {ax.get_xlabel() for ax in (mlp, lenet)} == {"epoch"}


def test_rates_by_the_first_layer_down_and_the_second_across(results):
    grid = data_axes(draw_rates(results))[0]
    means = [[np.mean(FINALS[name]) for name in names] for names in RATE_NAMES]
    (image,) = grid.images
    np.testing.assert_allclose(image.get_array(), means)
    assert list(image.get_extent()) == [-0.5, 2.5, 2.5, -0.5]  # the first row at y = 0
    assert image.get_clim() == pytest.approx((np.min(means), np.max(means)))
    texts = {text.get_position(): text.get_text() for text in grid.texts}
    assert texts == {
        (j, i): f"{np.mean(FINALS[name]):.1f} ± {np.std(FINALS[name], ddof=1):.1f}"
        for i, names in enumerate(RATE_NAMES)
        for j, name in enumerate(names)
    }
    assert texts[2, 0] == "64.0 ± 3.6" and texts[0, 2] == "56.3 ± 3.1"
    assert [tick.get_text() for tick in grid.get_xticklabels()] == ["0%", "20%", "50%"]
    assert [tick.get_text() for tick in grid.get_yticklabels()] == ["0%", "20%", "50%"]
    assert grid.get_xticks().tolist() == grid.get_yticks().tolist() == [0, 1, 2]
    assert grid.get_xlabel() == "dropped after the second layer"
    assert grid.get_ylabel() == "dropped after the first layer"
    assert grid.get_title() == "Errors at the end (mean ± std of 3 seeds)"


def test_texts_stand_out_from_the_cells_behind_them(results):
    """The contrast that WCAG 2.1 (https://www.w3.org/TR/WCAG21/) asks of large text is 3 to 1."""
    grid = data_axes(draw_rates(results))[0]
    (image,) = grid.images
    for text in grid.texts:
        j, i = text.get_position()
        color = image.to_rgba(image.get_array())[i, j, :3]
        linear = np.where(color <= 0.03928, color / 12.92, ((color + 0.055) / 1.055) ** 2.4)
        luminance = linear @ [0.2126, 0.7152, 0.0722]
        contrast = 1.05 / (luminance + 0.05) if text.get_color() == "w" else (luminance + 0.05) / 0.05
        assert contrast > 3


def test_curves_of_the_rates_and_of_the_same_swapped(results):
    figure = draw_rates(results)
    right = data_axes(figure)[1]
    check_lines(right, {"no dropout": curves("rates_0_0"), "20%, then 50%": curves("rates_20_50"),
                        "50%, then 20%": curves("rates_50_20")})  # fmt: skip
    assert right.get_ylabel() == ON_DIGITS
    assert figure.get_suptitle() == "256-256 perceptron, trained on 1,000 digits"


@pytest.mark.parametrize("epochs", [4, 12])
def test_variances_of_both_layers_are_all_in_the_frame(epochs):
    def expected(name, layer):
        return np.array([variance(name, layer, seed, epochs) for seed in range(3)])

    figure = draw_variance(make_results(epochs=epochs))
    axes = data_axes(figure)
    for ax, layer in zip(axes, ("relu1", "relu2"), strict=True):
        known = {
            "no dropout": expected("rates_0_0", layer),
            "50% dropout, off to predict": expected("rates_50_50", layer),
            "50% dropout, on": expected("rates_50_50", f"{layer}/on"),
        }
        lines = drawn(ax)
        assert list(lines) == list(known)
        for title, values in known.items():
            np.testing.assert_allclose(lines[title], values.mean(axis=0))
        for band, values in zip(bands(ax), known.values(), strict=True):
            np.testing.assert_allclose(band, np.array([values.min(axis=0), values.max(axis=0)]).T)
        bottom, top = ax.get_ylim()
        assert bottom == 0
        assert top > max(values.max() for values in known.values())
        assert ax.get_ylabel() == "variance of an activation"
    assert [ax.get_title() for ax in axes] == ["First hidden layer", "Second hidden layer"]
    legends = [ax.get_legend() for ax in axes]
    assert legends[0] is None and [unfold(text.get_text()) for text in legends[1].get_texts()] == list(known)


ADDED = "both, if their effects added up"


def by_decay(repeats):
    """Return the errors at the end, shape (decays, without and with dropout, R)."""
    return np.array([[FINALS[name][:repeats] for name in names] for names in DECAY_NAMES], dtype=float)


@pytest.mark.parametrize("repeats", [1, 3])
def test_errors_by_weight_decay_and_where_both_would_add_up(repeats):
    ax = data_axes(draw_decay(make_results(repeats=repeats)))[0]
    lines = {unfold(bar.get_label()): bar.lines[0] for bar in ax.containers}
    plain, dropped = by_decay(repeats).mean(axis=2).T
    expected = {"no dropout": plain, "dropout, 20% and 50%": dropped, ADDED: plain + dropped[0] - plain[0]}
    assert list(lines) == list(expected)
    for title, values in expected.items():
        np.testing.assert_array_equal(lines[title].get_xdata(), [0, 1, 2])
        np.testing.assert_allclose(lines[title].get_ydata(), values)
    if repeats == 3:  # 72.3, 71.3 and 54.3 without dropout, 50.7 with it and no decay
        assert lines[ADDED].get_ydata() == pytest.approx([50 + 2 / 3, 49 + 2 / 3, 32 + 2 / 3])
    assert ax.get_xticks().tolist() == [0, 1, 2]
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["0", "0.001", "0.01"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("weight decay", ON_DIGITS)


def test_bars_are_standard_deviations_of_what_was_measured(results):
    ax = data_axes(draw_decay(results))[0]
    bars = {unfold(bar.get_label()): bar for bar in ax.containers}
    spreads = by_decay(3).std(axis=2, ddof=1).T
    for title, spread in zip(("no dropout", "dropout, 20% and 50%"), spreads, strict=True):
        segments = np.array(bars[title].lines[2][0].get_segments())
        np.testing.assert_allclose(np.ptp(segments[:, :, 1], axis=1), 2 * spread)
        np.testing.assert_allclose(segments[:, :, 1].mean(axis=1), bars[title].lines[0].get_ydata())
    assert not bars[ADDED].has_yerr
    assert ax.get_title().endswith("(3 seeds; bars: one standard deviation)")


def test_one_seed_has_neither_bars_nor_bands():
    few = make_results(repeats=1)
    ax = data_axes(draw_decay(few))[0]
    assert [bar.has_yerr for bar in ax.containers] == [False] * 3
    assert ax.get_title() == "256-256 perceptron, trained on 1,000 digits\n(one seed)"
    check_lines(data_axes(draw_connect(few))[0], {"nothing": curves("rates_0_0", 1), UNITS: curves("rates_50_50", 1),
                                                  WEIGHTS: curves("weights", 1)})  # fmt: skip
    grid = data_axes(draw_rates(few))[0]
    assert grid.get_title() == "Errors at the end (one seed)"
    assert {text.get_position(): text.get_text() for text in grid.texts}[2, 1] == "48"


def test_units_or_weights(results):
    ax = data_axes(draw_connect(results))[0]
    check_lines(
        ax, {"nothing": curves("rates_0_0"), UNITS: curves("rates_50_50"), WEIGHTS: curves("weights")}
    )  # fmt: skip
    assert ax.get_title() == "256-256 perceptron, trained on 1,000 digits\n(3 seeds; bands: least to greatest)"
    assert ax.get_ylabel() == ON_DIGITS


CURVED = {
    "errors": (draw_errors, [("mlp_none", "mlp_hidden", "mlp"), ("lenet_none", "lenet")]),
    "rates": (draw_rates, [("rates_0_0", "rates_20_50", "rates_50_20")]),
    "connect": (draw_connect, [("rates_0_0", "rates_50_50", "weights")]),
}
"""Figure -> its function, and the nets whose curves are in each of its panels."""


def panels(name, **options):
    """Yield every panel with curves, and all that is in it, shape (nets, R, E)."""
    draw, families = CURVED[name]
    known = [np.array([curves(net, **options) for net in nets]) for nets in families]
    axes = [ax for ax in draw(make_results(**options)).axes if ax.lines]
    return list(zip(axes, known, strict=True))


@pytest.mark.parametrize("name", CURVED)
@pytest.mark.parametrize("repeats", [1, 3])
def test_long_trainings_leave_out_the_top_of_their_beginning_alone(name, repeats):
    for ax, values in panels(name, repeats=repeats, epochs=12):
        bottom, top = ax.get_ylim()
        assert 0 <= bottom < values.min()
        assert values[:, :, 6:].max() < top < values[:, :, 0].min()


@pytest.mark.parametrize("name", CURVED)
def test_short_trainings_are_drawn_whole(name):
    for ax, values in panels(name, epochs=4):
        bottom, top = ax.get_ylim()
        assert bottom < values.min() and values.max() < top


def test_no_errors_at_all_are_in_the_frame():
    finals = dict.fromkeys(FINALS, (0, 0, 0))
    ax = data_axes(draw_connect(make_results(epochs=12, finals=finals)))[0]
    assert ax.get_ylim()[0] == 0 < ax.get_ylim()[1] < DIGITS


@pytest.mark.parametrize("draw", [draw_errors, draw_rates, draw_variance, draw_connect])
@pytest.mark.parametrize("epochs", [2, 3, 12])
def test_epochs_are_counted_in_whole_numbers(draw, epochs):
    figure = draw(make_results(epochs=epochs))
    for ax in figure.axes:
        ticks = ax.get_xticks()
        assert len(ticks) >= 2
        np.testing.assert_array_equal(ticks, np.round(ticks))
