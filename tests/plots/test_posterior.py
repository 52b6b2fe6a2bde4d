"""The posterior figures are the same under both generations of ArviZ: same panels, same labels, same numbers."""

import warnings

import numpy as np
import pytest
from matplotlib import pyplot as plt

from mcdrop.errors import InputError
from mcdrop.plots import plot_autocorrelation, plot_forest, plot_trace
from mcdrop.plots.draws import import_arviz, pack_draws

UNITS = {"lengthscale": "years", "noise": "ppm"}
FIGURES = pytest.mark.parametrize("plot", [plot_trace, plot_autocorrelation, plot_forest])


def made(values, diverging=None):
    """Return draws, {name: (chain, draw, ...)}, in the type of the ArviZ that is installed."""
    import xarray

    posterior = xarray.Dataset(
        {
            name: (("chain", "draw", *(f"{name}_{k}" for k in range(np.ndim(value) - 2))), value)
            for name, value in values.items()
        },
        coords={"chain": np.arange(len(next(iter(values.values()))))},
    )
    marks = None if diverging is None else xarray.DataArray(diverging, dims=("chain", "draw"))
    with import_arviz() as (az, _):
        return pack_draws(az, posterior, marks)


def walk(rho, chains=3, draws=200, seed=0):
    noise = np.random.default_rng(seed).normal(size=(chains, draws))
    for t in range(1, draws):
        noise[:, t] = rho * noise[:, t - 1] + np.sqrt(1 - rho**2) * noise[:, t]
    return noise


@pytest.fixture(scope="module")
def values():
    return {"lengthscale": np.exp(0.2 * walk(0.9)), "noise": np.exp(0.1 * walk(0.0, seed=1))}


@pytest.fixture(scope="module")
def draws(values):
    return made(values)


def legend_texts(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_trace_has_a_density_and_a_trace_per_variable_with_units(draws, values):
    figure = plot_trace(draws, units=UNITS, title="SE kernel")
    names = ["lengthscale (years)", "noise (ppm)"]
    assert [ax.get_xlabel() for ax in figure.axes] == [names[0], "draw", names[1], "draw"]
    assert [ax.get_ylabel() for ax in figure.axes] == ["density", "lengthscale\n(years)", "density", "noise\n(ppm)"]
    assert not any(ax.get_title() for ax in figure.axes)
    assert figure.get_suptitle() == "SE kernel"
    for ax, value in zip(figure.axes[1::2], values.values(), strict=True):
        for line, chain in zip(ax.lines, value, strict=True):
            np.testing.assert_array_equal(line.get_ydata(), chain)


def test_units_come_from_the_draws_unless_given(values):
    posterior = made(values)["posterior"]
    posterior = posterior.to_dataset() if hasattr(posterior, "to_dataset") else posterior.copy()
    posterior["noise"].attrs["units"] = "ppm"
    posterior["lengthscale"].attrs["units"] = "1"
    labels = [ax.get_xlabel() for ax in plot_trace({"posterior": posterior}, units={"lengthscale": "days"}).axes[::2]]
    assert labels == ["lengthscale (days)", "noise (ppm)"]
    labels = [ax.get_xlabel() for ax in plot_trace({"posterior": posterior}, units={"noise": "1"}).axes[::2]]
    assert labels == ["lengthscale", "noise"]


def test_densities_of_the_chains_differ_without_color(draws):
    figure = plot_trace(draws)
    keys = [(line.get_color(), line.get_linestyle()) for line in figure.legends[0].get_lines()]
    for ax in figure.axes[::2]:
        assert [(line.get_color(), line.get_linestyle()) for line in ax.lines] == keys
    assert len({dash for _, dash in keys}) == 3
    assert legend_texts(figure) == ["chain 0", "chain 1", "chain 2"]


def test_divergences_are_marked_and_explained(values):
    diverging = np.zeros((3, 200), dtype=bool)
    assert legend_texts(plot_trace(made(values, diverging)))[-1] == "chain 2"
    diverging[1, 17] = True
    figure = plot_trace(made(values, diverging))
    assert legend_texts(figure)[-1] == "diverged here"
    ax = figure.axes[1]
    rugs = [np.asarray(line.get_xdata()) for line in ax.lines if line.get_linestyle() == "None"]
    rugs += [np.asarray(marks.get_offsets())[:, 0] for marks in ax.collections]
    assert 17 in np.concatenate(rugs)


def drawn_autocorrelation(ax):
    """Return the heights by lag, of the line (ArviZ 1.x) or the bars (0.23)."""
    long = [line.get_ydata() for line in ax.lines if len(set(np.ravel(line.get_ydata()))) > 2]
    if long:
        return np.asarray(long[0])
    bars = [marks for marks in ax.collections if hasattr(marks, "get_segments")]
    return np.array([segment[1, 1] for segment in bars[0].get_segments()])


def test_autocorrelation_has_a_row_per_variable_and_a_column_per_chain(draws, values):
    figure = plot_autocorrelation(draws, max_lag=20)
    grid = np.array(figure.axes).reshape(2, 3)
    assert [ax.get_title() for ax in grid.flat] == ["chain 0", "chain 1", "chain 2", "", "", ""]
    assert [ax.get_ylabel() for ax in grid[:, 0]] == ["lengthscale", "noise"]
    assert [ax.get_xlabel() for ax in grid[1]] == ["lag (draws)"] * 3
    for row, value in zip(grid, values.values(), strict=True):
        for ax, chain in zip(row, value, strict=True):
            centered = chain - chain.mean()
            expected = [centered[: 200 - lag] @ centered[lag:] / (centered @ centered) for lag in range(20)]
            np.testing.assert_allclose(drawn_autocorrelation(ax), expected, atol=1e-10)


def test_the_band_of_chance_is_that_of_the_number_of_draws(draws):
    for ax in plot_autocorrelation(draws, max_lag=20).axes:
        bands = [patch.get_bbox().intervaly for patch in ax.patches]
        bands += [marks.get_paths()[0].vertices[:, 1] for marks in ax.collections if not hasattr(marks, "get_segments")]
        (band,) = bands
        assert (band.min(), band.max()) == pytest.approx((-1.96 / np.sqrt(200), 1.96 / np.sqrt(200)))


def test_more_lags_than_draws_are_cut_to_the_draws():
    (ax,) = plot_autocorrelation(made({"a": walk(0.5, chains=1, draws=30)}), max_lag=100).axes
    assert len(drawn_autocorrelation(ax)) == 30


def test_forest_names_each_variable_with_its_unit_and_says_what_the_lines_are(draws):
    figure = plot_forest(draws, units=UNITS, level=0.9, title="SE kernel")
    figure.canvas.draw()
    texts = [text.get_text() for ax in figure.axes for text in (*ax.texts, *ax.get_yticklabels())]
    assert {"lengthscale (years)", "noise (ppm)"} <= set(texts)
    ax = figure.axes[-1]
    assert "90% highest-density interval" in ax.get_xlabel()
    assert not ax.get_title() and figure.get_suptitle() == "SE kernel"


def segments(ax):
    """Return the ends of every line, each of shape (2 or more, 2)."""
    lines = [line.get_xydata() for line in ax.lines]
    return lines + [part for marks in ax.collections if hasattr(marks, "get_segments") for part in marks.get_segments()]


def test_forest_draws_the_interval_of_each_chain(draws, values):
    """The longest line of a chain covers `level` of its draws."""
    ax = plot_forest(draws, var_names="noise", level=0.9).axes[-1]
    spans = [(part[:, 0].min(), part[:, 0].max()) for part in segments(ax)]
    spans = sorted(spans, key=lambda span: span[0] - span[1])[:3]
    for chain in values["noise"]:
        shares = [((chain >= low) & (chain <= high)).mean() for low, high in spans]
        assert min(abs(share - 0.9) for share in shares) < 0.02


@FIGURES
def test_every_component_of_an_array_is_drawn_with_its_place(plot):
    figure = plot(made({"lengthscale": np.stack([walk(0.1), walk(0.2, seed=1)], axis=-1)}))
    figure.canvas.draw()
    texts = {
        text.get_text()
        for ax in figure.axes
        for text in (ax.xaxis.label, ax.yaxis.label, *ax.texts, *ax.get_yticklabels())
    }
    assert {"lengthscale[0]", "lengthscale[1]"} <= texts


@FIGURES
@pytest.mark.parametrize("chains", [1, 9])
def test_any_number_of_chains_will_do(plot, chains):
    figure = plot(made({"a": walk(0.5, chains=chains), "b": walk(0.5, chains=chains)}), var_names=["b"])
    figure.canvas.draw()


@FIGURES
def test_draws_may_be_numbered_from_anywhere(plot, draws):
    """A sampler may count its warm-up, or thin: ArviZ would look for draws 0 to 99."""
    late = {
        "posterior": draws["posterior"].to_dataset()
        if hasattr(draws["posterior"], "to_dataset")
        else draws["posterior"]
    }
    late["posterior"] = late["posterior"].assign_coords(draw=range(1000, 1400, 2))
    for ax, expected in zip(plot(late).axes, plot(draws).axes, strict=True):
        assert ax.get_xlim() == expected.get_xlim()
        assert len(ax.lines) == len(expected.lines) and len(ax.collections) == len(expected.collections)


@FIGURES
def test_all_text_lies_inside_the_figure(plot, draws):
    figure = plot(draws)
    figure.canvas.draw()
    box = figure.get_tightbbox()  # in inches
    assert box.x0 > -0.01 and box.y0 > -0.01
    assert box.x1 < figure.get_figwidth() + 0.01 and box.y1 < figure.get_figheight() + 0.01


@FIGURES
def test_the_datasets_of_a_plain_mapping_are_enough(plot, draws):
    assert plot({"posterior": draws["posterior"]}).axes


@FIGURES
@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        (None, {}, "draws must have a group 'posterior'"),
        ({"a": np.zeros((2, 3))}, {}, "at least 4 draws, got 3"),
        ({"a": np.full((2, 9), np.nan)}, {}, "draws of a must be finite"),
        ({"a": walk(0.5)}, {"var_names": ["b"]}, "var_names must be some of a, got"),
        ({"a": walk(0.5)}, {"var_names": []}, "var_names must be some of a, got"),
        ({"a": walk(0.5)}, {"var_names": 3}, "var_names must be some of a, got 3"),
        ({"a": walk(0.5)}, {"var_names": [["a"]]}, "var_names must be some of a, got"),
        ({"a": walk(0.5)}, {"var_names": ["a", "a"]}, "name each once"),
        ({"a": walk(0.5) > 0}, {}, "draws of a must be real numbers by .*, got bool"),
        ({"a": np.full((2, 9), "b")}, {}, "draws of a must be real numbers by .*, got <U1"),
        ({"a": walk(0.5) + 1j}, {}, "draws of a must be real numbers by .*, got complex128"),
    ],
)
def test_bad_input_is_refused_before_a_figure_is_made(plot, values, options, message):
    with pytest.raises(InputError, match=message):
        plot(None if values is None else made(values), **options)
    assert not plt.get_fignums()


@pytest.mark.parametrize("wrong", [np.zeros((2, 9)), {"a": 1}, {"posterior": np.zeros(3)}, "posterior"])
def test_what_holds_no_posterior_is_refused(wrong):
    with pytest.raises(InputError, match="draws must have a group 'posterior'"):
        plot_trace(wrong)


@pytest.mark.parametrize("plot", [plot_trace, plot_autocorrelation])
@pytest.mark.parametrize("wobble", [0.0, 1e-15])
def test_a_chain_that_does_not_move_is_refused(plot, wobble):
    stuck = walk(0.5)
    stuck[1] = 3.0 * (1 + wobble * np.sign(stuck[1]))
    with pytest.raises(InputError, match="a must vary within each chain"):
        plot(made({"a": stuck}))
    assert not plt.get_fignums()
    plot(made({"a": 3.0 + 1e-9 * walk(0.5)})).canvas.draw()


def test_a_variable_without_chains_is_refused(draws):
    posterior = made({"a": walk(0.5)})["posterior"]
    posterior = posterior.to_dataset() if hasattr(posterior, "to_dataset") else posterior
    with pytest.raises(InputError, match="draws of once must be real numbers by \\(chain, draw\\)"):
        plot_trace({"posterior": posterior.assign(once=("draw", np.zeros(200)))})
    with pytest.raises(InputError, match="draws must have a group 'posterior' of variables"):
        plot_trace({"posterior": posterior.drop_vars("a")})


@pytest.mark.parametrize("plot", [plot_trace, plot_forest])
@pytest.mark.parametrize(
    ("units", "message"),
    [
        (["a"], "units must map names of variables"),
        ({"noise": 3}, "units must map names of variables"),
        ({"zz": "ppm", "noise": "ppm"}, "units must be of variables among lengthscale, noise, got 'zz'"),
    ],
)
def test_units_of_something_else_are_refused(plot, draws, units, message):
    with pytest.raises(InputError, match=message):
        plot(draws, units=units)
    assert not plt.get_fignums()


def test_units_of_variables_that_are_not_drawn_do_no_harm(draws):
    assert plot_trace(draws, var_names="noise", units=UNITS).axes[0].get_xlabel() == "noise (ppm)"


@FIGURES
def test_whole_numbers_are_drawn_like_others(plot):
    whole = np.random.default_rng(0).poisson(4, size=(2, 60))
    for ax, expected in zip(plot(made({"a": whole})).axes, plot(made({"a": whole.astype(float)})).axes, strict=True):
        assert ax.get_xlim() == expected.get_xlim() and ax.get_ylim() == expected.get_ylim()
        assert len(ax.lines) == len(expected.lines) and len(ax.collections) == len(expected.collections)


LONG = {
    "trend_amplitude": "units of y",
    "trend_lengthscale": "units of x",
    "season_amplitude": "units of y",
    "season_decay": "units of x",
    "season_smoothness": "1",
    "short_amplitude": "units of y",
    "short_lengthscale": "units of x",
    "amplitude": "units of y / units of x",
    "noise": "units of y",
}


@pytest.fixture(scope="module")
def many():
    return {name: 2 * k + np.exp(0.1 * walk(0.5, seed=k, chains=2, draws=60)) for k, name in enumerate(LONG)}


@pytest.fixture(scope="module")
def many_draws(many):
    posterior = made(many)["posterior"]
    posterior = posterior.to_dataset() if hasattr(posterior, "to_dataset") else posterior.copy()
    for name, unit in LONG.items():
        posterior[name].attrs["units"] = unit
    return {"posterior": posterior}


@pytest.mark.parametrize("plot", [plot_trace, plot_autocorrelation])
def test_labels_stay_within_the_height_of_their_row(plot, many_draws):
    figure = plot(many_draws)
    figure.canvas.draw()
    for ax in figure.axes:
        label, room = ax.yaxis.label.get_window_extent(), ax.get_window_extent()
        assert room.height + 8 > label.height  # pixels, of which there are 100 an inch
    named = [ax.get_ylabel().split("\n")[0] for ax in figure.axes[1 if plot is plot_trace else 0 :: 2]]
    assert named == list(LONG)


def test_rows_keep_the_order_of_the_variables(many_draws, many):
    for ax, value in zip(plot_trace(many_draws).axes[1::2], many.values(), strict=True):
        np.testing.assert_array_equal(ax.lines[0].get_ydata(), value[0])


def test_units_may_hold_a_slash(many_draws):
    """ArviZ 1.x refuses it in the name of a variable."""
    figure = plot_trace(many_draws, var_names="amplitude")
    assert figure.axes[0].get_xlabel() == "amplitude (units of y / units of x)"
    assert figure.axes[1].get_ylabel() == "amplitude\n(units of y /\nunits of x)"


def names_beside(figure):
    """Return the names of a forest, from the top, each at the height where it is written."""
    figure.canvas.draw()
    texts = [text for ax in figure.axes for text in (*ax.texts, *ax.get_yticklabels()) if text.get_text()]
    return {
        text.get_text(): text.get_window_extent() for text in sorted(texts, key=lambda t: -t.get_window_extent().y0)
    }


def test_forest_has_each_name_beside_its_intervals_and_no_other_words(many_draws, many):
    figure = plot_forest(many_draws)
    found = names_beside(figure)
    assert list(found) == [name if unit == "1" else f"{name} ({unit})" for name, unit in LONG.items()]
    for box, value in zip(found.values(), many.values(), strict=True):
        height = figure.axes[-1].transData.inverted().transform((0, (box.y0 + box.y1) / 2))[1]
        nearest = min(segments(figure.axes[-1]), key=lambda part: abs(part[:, 1].mean() - height))
        assert nearest[:, 0].mean() == pytest.approx(value.mean(), abs=0.5)
    for ax in figure.axes[:-1]:
        assert not ax.get_xlabel() and not [text for text in ax.get_xticklabels() if text.get_text()]
        assert not any(spine.get_visible() for spine in ax.spines.values())


def test_forest_folds_names_that_would_leave_no_room():
    figure = plot_forest(made({"a_" * 40: walk(0.5), "b": walk(0.1)}))
    longest = max(names_beside(figure), key=len)
    assert max(map(len, longest.split("\n"))) <= 36 and longest.count("\n") == 2
    boxes = list(names_beside(figure).values())
    assert boxes[0].y0 > boxes[1].y1
    assert figure.axes[-1].get_position().width > 0.4


@pytest.mark.parametrize("level", [0.5, 1, 95, "95%"])
def test_levels_outside_are_refused(draws, level):
    with pytest.raises(InputError, match="level must lie"):
        plot_forest(draws, level=level)


def test_lags_are_counted(draws):
    with pytest.raises(InputError, match="max_lag must be an integer of at least 1"):
        plot_autocorrelation(draws, max_lag=0)


def test_other_warnings_are_not_hidden():
    with pytest.warns(UserWarning, match="mine"), import_arviz():
        warnings.warn("mine", stacklevel=1)
