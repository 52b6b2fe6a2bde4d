"""`mcdrop plot` draws the numbers of the file."""

import numpy as np
import pytest
from comparison.made import gaussian
from matplotlib import pyplot as plt
from typer.testing import CliRunner

import mcdrop
from cli.made import POINTS, saved, with_rows
from mcdrop.cli import app
from mcdrop.errors import InputError, McdropError, OutputError
from mcdrop.scores import refusal_curve


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    saved(tmp_path)
    yield tmp_path
    plt.close("all")


@pytest.fixture
def drawn(monkeypatch):
    """The figures that were drawn, kept from being closed."""
    from mcdrop.cli import figures

    kept = []
    draw = figures.draw
    monkeypatch.setattr(
        "mcdrop.cli.plot.draw", lambda *args, **options: kept.append(draw(*args, **options)) or kept[-1]
    )
    return kept


def plot(*args):
    done = CliRunner().invoke(app, ["plot", *map(str, args)])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.output


def wave(points, **options):
    x = np.random.default_rng(0).uniform(0, 10, points)
    mean = np.stack([np.sin(x), np.cos(x)], axis=1)
    return x, mcdrop.RegressionPredictive(mean, 0.1 + 0.02 * np.stack([x, x], axis=1), passes=50, **options)


def test_a_band_goes_along_x_with_the_truth_over_it(folder, drawn):
    x, pred = wave(200, noise_std=0.3)
    pred.save("wave.h5")
    np.savez("data.npz", **{"time": x[:, None], "y": pred.mean + 1})
    args = ("--x", "data.npz::time", "--truth", "data.npz::y", "--output", "1", "--ylabel", "height (m)")
    assert plot("wave.h5", "--kind", "band", *args) == "Written to wave_band.png\n"
    (ax,) = drawn[0].axes
    order = np.argsort(x)
    mean, truth = ax.lines
    np.testing.assert_array_equal(mean.get_xydata(), np.stack([x, pred.mean[:, 1]], axis=1)[order])
    np.testing.assert_array_equal(truth.get_xydata(), np.stack([x, pred.mean[:, 1] + 1], axis=1)[order])
    for band, std in zip(ax.collections, (pred.total_std(), pred.std), strict=True):
        top = band.get_paths()[0].vertices[:, 1].max()
        assert top == pytest.approx((pred.mean + 2 * std)[:, 1].max())
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title()) == ("time", "height (m)", "wave")
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert sorted(texts) == ["mean", "truth", "± 2 std", "± 2 std with noise"]
    assert (folder / "wave_band.png").read_bytes().startswith(b"\x89PNG")


def test_without_x_the_points_lie_at_the_rows_of_the_input(folder, drawn):
    rows = np.array([3, 8, 1000])
    with_rows(folder / "few.h5", gaussian(points=3, noise=None), rows)
    plot("few.h5", "--kind", "band")
    np.testing.assert_array_equal(drawn[0].axes[0].lines[0].get_xdata(), rows)
    assert drawn[0].axes[0].get_xlabel() == "row of the input"
    np.save("x.npy", np.arange(1001.0) ** 2)
    plot("few.h5", "--kind", "band", "--x", "x.npy", "--overwrite")
    np.testing.assert_array_equal(drawn[1].axes[0].lines[0].get_xdata(), rows**2)


def test_many_points_are_summed_up_and_the_legend_says_so(folder, drawn):
    x, pred = wave(5000)
    pred.save("wave.h5")
    np.save("x.npy", x)
    np.save("y.npy", pred.mean)
    plot("wave.h5", "--kind", "band", "--x", "x.npy", "--truth", "y.npy")
    (ax,) = drawn[0].axes
    line, truth = ax.lines
    assert len(line.get_xdata()) == 400 and len(truth.get_xdata()) == 2000
    np.testing.assert_allclose(line.get_ydata(), np.sin(line.get_xdata()), atol=0.02)
    np.testing.assert_array_equal(truth.get_ydata(), np.sin(truth.get_xdata()))
    assert ax.get_legend().get_title().get_text() == "400 stretches,\n5,000 points"
    assert "truth: 2,000\nof the points" in [text.get_text() for text in ax.get_legend().get_texts()]


def test_refusal_of_a_classification_draws_the_curves_of_its_measures(folder, drawn):
    plot("sharp.h5", "--kind", "refusal", "--truth", "y.npy")
    pred, (ax,) = mcdrop.load("sharp.h5"), drawn[0].axes
    names = ("entropy", "mutual_information", "variation_ratio")
    for line, name in zip(ax.lines, names, strict=True):
        curve = refusal_curve(pred.labels == np.load("y.npy"), getattr(pred, name))
        np.testing.assert_array_equal(line.get_ydata(), curve.accuracy)
        assert line.get_label() == name.replace("_", " ")


def test_refusal_of_a_regression_draws_the_error_that_is_kept(folder, drawn):
    x, pred = wave(100, noise_std=np.full(100, 0.3)[:, None])
    pred.save("wave.h5")
    y = pred.mean + np.random.default_rng(1).normal(size=(100, 2))
    np.save("two.npy", y)
    plot("wave.h5", "--kind", "refusal", "--truth", "two.npy", "--output", "1", "--ylabel", "height (m)")
    (ax,) = drawn[0].axes
    assert [line.get_label() for line in ax.lines] == ["std", "total std"]
    least = np.argsort(x)[:50]
    half = ax.lines[0].get_ydata()[np.argmin(abs(ax.lines[0].get_xdata() - 0.5))]
    assert half == pytest.approx(np.sqrt(np.mean((y - pred.mean)[least, 1] ** 2)))
    assert ax.get_ylabel().endswith("(m)")


def test_measures_are_histograms_of_all_or_of_right_and_wrong_answers(folder, drawn):
    plot("sharp.h5", "--kind", "measures")
    plot("sharp.h5", "--kind", "measures", "--truth", "y.npy", "--overwrite")
    pred, y = mcdrop.load("sharp.h5"), np.load("y.npy")
    right = pred.labels == y
    for k, name in enumerate(("entropy", "mutual_information", "variation_ratio")):
        (every,), both = drawn[0].axes[k].patches, drawn[1].axes[k].patches
        values = getattr(pred, name)
        for patch, chosen in zip((every, *both), (np.full(POINTS, True), right, ~right), strict=True):
            shares, edges, _ = patch.get_data()
            np.testing.assert_allclose(shares, np.histogram(values[chosen], edges)[0] / chosen.sum())
        assert drawn[0].axes[k].get_xlabel().startswith(name.replace("_", " "))


def test_measures_of_a_regression_are_its_standard_deviations(folder, drawn):
    _, pred = wave(100)
    pred.save("wave.h5")
    plot("wave.h5", "--kind", "measures", "--output", "1", "--ylabel", "height (m)")
    (ax,) = drawn[0].axes
    shares, edges, _ = ax.patches[0].get_data()
    np.testing.assert_allclose(shares, np.histogram(pred.std[:, 1], edges)[0] / 100)
    assert ax.get_xlabel() == "std (m)"


@pytest.mark.parametrize(("name", "start"), [("a.png", b"\x89PNG"), ("a.pdf", b"%PDF"), ("new/a.svg", b"<?xml")])
def test_the_ending_says_the_format_and_an_old_file_stays(folder, name, start):
    args = ("right.h5", "--kind", "measures", "--out", name)
    assert plot(*args) == f"Written to {name}\n"
    assert (folder / name).read_bytes().startswith(start)
    with pytest.raises(OutputError, match="it is there already; pass --overwrite"):
        plot(*args)
    (folder / name).write_text("old")
    plot(*args, "--overwrite")
    assert (folder / name).read_bytes().startswith(start)
    assert not plt.get_fignums()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("sharp.h5", "--kind", "band"), "--kind band draws regressions, got a classification .* choose refusal"),
        (("sharp.h5", "--kind", "refusal"), "--kind refusal needs the truth"),
        (("right.h5", "--kind", "refusal"), "--kind refusal needs the truth"),
        (("right.h5", "--kind", "measures", "--truth", "t.npy"), "is for classifications"),
        (("right.h5", "--kind", "measures", "--x", "t.npy"), "--x is for --kind band"),
        (("sharp.h5", "--kind", "measures", "--output", "0"), "--output is for regressions"),
        (("right.h5", "--kind", "band", "--output", "1"), "--output must be 0 to 0, got 1"),
        (("right.h5", "--kind", "bands"), "--kind must be one of 'band', 'refusal', 'measures', got 'bands'"),
        (("right.h5", "--kind", "band", "--x", "short.npy"), "got 3 in short.npy, while right.h5 has 60 points"),
        (("right.h5", "--kind", "band", "--truth", "short.npy"), "got 3 in short.npy"),
        (("right.h5", "--kind", "band", "--truth", "wide.npy"), "truth must have the shape of the predicted mean"),
        (("right.h5", "--kind", "band", "--x", "wide.npy"), r"x must have shape \(60,\)"),
        (("right.h5", "--kind", "band", "--x", "words.npy"), "--x: .*expected numbers in"),
        (("sharp.h5", "--kind", "refusal", "--truth", "high.npy"), "truth does not fit .* labels from 0 to 2"),
        (("right.h5", "--kind", "band", "--out", "a.jpg"), "--out must end in .png, .pdf, .svg, got a.jpg"),
        (
            ("right.h5", "--kind", "band", "--out", "t.npy/a.png"),
            r"cannot write .*t\.npy: .*; choose another",
        ),
        (("nowhere.h5", "--kind", "band"), "nowhere.h5: expected a result that mcdrop saved, got no such file"),
    ],
)
def test_what_does_not_fit_is_said_plainly_and_nothing_is_written(folder, args, message):
    np.save("short.npy", np.zeros(3))
    np.save("wide.npy", np.zeros((POINTS, 2)))
    np.save("words.npy", np.full(POINTS, "a"))
    np.save("high.npy", np.full(POINTS, 3))
    before = sorted(folder.iterdir())
    with pytest.raises(McdropError, match=message):
        plot(*args)
    assert sorted(folder.iterdir()) == before
    assert not plt.get_fignums()


def test_a_fitted_model_is_no_prediction(folder):
    x = np.linspace(0, 1, 6)
    mcdrop.baselines.GPRegressor().fit(x, np.sin(x)).save("gp.h5")
    with pytest.raises(McdropError, match="expected a prediction, got a GPRegressor"):
        plot("gp.h5", "--kind", "band")


def test_dense_predictions_have_no_band(folder):
    mcdrop.RegressionPredictive(np.zeros((3, 2, 2)), np.ones((3, 2, 2))).save("maps.h5")
    with pytest.raises(InputError, match=r"mean \(N,\) or \(N, D\)"):
        plot("maps.h5", "--kind", "band")
