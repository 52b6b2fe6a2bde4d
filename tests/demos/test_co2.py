"""The CO2 demo in its tiny form: what it writes, that it is reproducible, and that reuse gives the same."""

import json

import h5py
import numpy as np
import pytest
from scipy.stats import norm

import mcdrop
from mcdrop.datasets import load_co2
from mcdrop.demos import run_co2
from mcdrop.demos.co2 import PRESETS
from mcdrop.demos.co2.months import split_months
from mcdrop.demos.co2.results import GRID, NAMES
from mcdrop.errors import DataError, InputError, OutputError


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    folder = tmp_path_factory.mktemp("co2")
    return run_co2(folder, preset="tiny", passes=50), folder


def test_writes_figures_arrays_weights_and_summary(outcome):
    report, folder = outcome
    names = {path.name for path in folder.iterdir()}
    expected = {"net_relu.safetensors", "net_tanh.safetensors", "arrays.h5", "summary.json"}
    expected |= {f"gp_{kernel}.nc" for kernel in ("se", "structured", "arccos")}
    stems = ("panels", "ppm", "coverage", "crps")
    assert names == expected | {f"{stem}.{kind}" for stem in stems for kind in ("png", "svg")}
    assert names == {path.name for path in report.files}
    assert json.loads((folder / "summary.json").read_text()) == report.as_dict()


def test_arrays_hold_what_the_summary_says(outcome):
    report, folder = outcome
    with h5py.File(folder / "arrays.h5") as file:
        assert dict(file.attrs) == {"demo": "co2", "preset": "tiny", "seed": 0, "passes": 50}
        x, std = file["x"][:].ravel(), file["relu/std"][:].ravel()
        gp_total = np.hypot(file["gp_se/std"][:], file["gp_se/noise_std"][()]).ravel()
    at = int(np.argmin(np.abs(x - 3.5)))
    assert std[at] == pytest.approx(report.results["relu"]["std_at_3.5"])
    assert gp_total[at] == pytest.approx(report.results["gp_se"]["std_at_3.5"])
    np.testing.assert_allclose(x[: len(GRID)], np.arange(-1.72, 3.505, 0.01), atol=1e-9)


def test_the_summary_says_what_it_ran_with(outcome):
    settings = outcome[0].settings
    assert (settings["data"], settings["device"]) == ("bundled", "cpu")
    assert set(settings["versions"]) == {"mcdrop", "torch", "numpy"}


def test_the_grid_is_the_tutorials():
    assert len(GRID) == 523 and GRID[0] == -1.72 and GRID[-1] == 3.5
    paper = PRESETS["paper"]
    assert paper.relu.hidden == paper.tanh.hidden == (1024,) * 5
    assert (paper.relu.p, paper.relu.lr, paper.relu.weight_decay, paper.relu.steps) == (0.2, 1e-4, 1e-6, 1_000_000)
    assert PRESETS["default"].passes == PRESETS["paper"].passes == 10_000


def test_gp_is_the_published_one(outcome):
    results = outcome[0].results["gp_se"]
    assert 0.05 < results["std_median_inside"] < 0.3  # the tutorial: 0.1 to 0.3
    assert results["std_at_3.5"] == pytest.approx(1.14, abs=0.1)  # the tutorial: 1.14


def test_reuse_loads_weights_and_gives_the_same_numbers(outcome, unrendered):
    report, folder = outcome
    before = (folder / "net_relu.safetensors").stat().st_mtime_ns
    again = run_co2(folder, preset="tiny", passes=50, reuse=True)
    assert (folder / "net_relu.safetensors").stat().st_mtime_ns == before
    assert without_seconds(again.results) == without_seconds(report.results)
    assert again.verdict == report.verdict


def without_seconds(results):
    return {
        name: {key: value for key, value in numbers.items() if key != "fit_seconds"}
        for name, numbers in results.items()
    }


def test_no_month_serves_two_purposes_and_all_seasons_are_held_out():
    series = load_co2()
    split = split_months(series)
    parts = [split.train.x, split.validation.x, split.inside.x]
    assert [len(part) for part in parts] == [218, 28, 26]
    assert not set(split.train.x.ravel()) & set(split.after.x.ravel())
    np.testing.assert_array_equal(np.sort(np.concatenate(parts).ravel()), np.sort(series.x.ravel()))
    for held in (split.validation, split.inside):
        months = np.floor(series.scale.to_year(held.x) % 1 * 12)
        assert len(np.unique(months)) >= 11
    assert {name: len(months) for name, (months, _) in split.windows().items()} == {
        "the first year after": 12,
        "the first 5 years after": 60,
        "the first 20 years after": 240,
    }


def test_scores_of_the_summary_follow_from_the_arrays(outcome):
    """RMSE, CRPS and coverage in ppm, recomputed from the arrays, for the months after the data."""
    report, folder = outcome
    scale = load_co2().scale
    with h5py.File(folder / "arrays.h5") as file:
        x, y = file["after/x"][:60], file["after/y"][:60]
        for key, name in NAMES.items():
            mean, std = file[f"{key}/after/mean"][:60], file[f"{key}/after/std"][:60]
            total = np.hypot(std, file[f"{key}/noise_std"][()])
            z = (y - mean) / total
            crps = total * (z * (2 * norm.cdf(z) - 1) + 2 * norm.pdf(z) - 1 / np.sqrt(np.pi))
            scores = report.results["scores"]["the first 5 years after"][name]
            assert scores["RMSE"]["value"] == pytest.approx(scale.ppm_std * np.sqrt(np.mean((y - mean) ** 2)))
            assert scores["CRPS"]["value"] == pytest.approx(scale.ppm_std * crps.mean())
            assert scores["coverage 95%"]["value"] == pytest.approx(np.mean(np.abs(z) <= norm.ppf(0.975)))
    assert len(x) == 60


def test_the_verdict_names_the_winner_of_every_window(outcome):
    report, _ = outcome
    for window, scores in report.results["scores"].items():
        winner = min(scores, key=lambda name: scores[name]["CRPS"]["value"])
        assert any(text.startswith(f"{window.capitalize()}: {winner} wins (CRPS ") for text in report.verdict)


def test_every_gp_is_saved_as_it_was_fitted(outcome):
    report, folder = outcome
    for name in ("gp_se", "gp_structured", "gp_arccos"):
        assert mcdrop.load(folder / f"{name}.nc").hyperparameters_ == report.results[name]["hyperparameters"]
    assert mcdrop.load(folder / "gp_structured.nc").period == pytest.approx(1 / load_co2().scale.year_std)


def test_without_gps_the_nets_run_alone(tmp_path, unrendered):
    report = run_co2(tmp_path, preset="tiny", passes=20, gp="none")
    assert not [path for path in report.files if path.name.startswith("gp")]
    assert set(report.results) == {"relu", "tanh", "scores"}


@pytest.mark.xdist_group("nuts")  # see tests/baselines/test_nuts.py
def test_nuts_leaves_its_diagnosis_and_plots(tmp_path, monkeypatch, unrendered):
    """The shortest chains on a short series: not converged, and the report says which number failed."""
    series = load_co2(train_months=40)
    monkeypatch.setattr("mcdrop.demos.co2.demo.load_co2", lambda data: series)
    monkeypatch.setattr("mcdrop.demos.co2.demo._kernels", lambda series: {"gp_se": ("se", None)})
    report = run_co2(tmp_path, preset="tiny", passes=20, gp="nuts")
    names = {path.name for path in report.files}
    assert {f"gp_se_{kind}.png" for kind in ("trace", "autocorrelation", "forest")} <= names
    assert any("the chains have not converged" in text and "GP (SE)" in text for text in report.verdict)
    assert len(mcdrop.load(tmp_path / "gp_se.nc").to_arviz()["posterior"]["noise"]) == 2


def test_reads_the_tutorials_own_file(tmp_path, unrendered):
    x = np.linspace(-1.7, 1.7, 40)[:, None]
    with h5py.File(tmp_path / "co2_data.h5", "w") as file:
        file["data"], file["label"] = x, np.sin(6 * x)
    report = run_co2(tmp_path / "out", preset="tiny", passes=10, data=tmp_path / "co2_data.h5")
    assert "panels.png" in {path.name for path in report.files}
    assert "ppm.png" not in {path.name for path in report.files}  # no calendar to draw it with


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"preset": "huge"}, InputError, "preset must be one of"),
        ({"passes": 1}, InputError, "passes must be an integer of at least 2"),
        ({"seed": -1}, InputError, "seed must be"),
        ({"gp": "maybe"}, InputError, "gp must be one of 'none', 'map', 'nuts'"),
        ({"device": "abacus"}, InputError, "device must be one that torch can use"),
        ({"out": ""}, InputError, "out must name a folder"),
        ({"data": "nowhere.h5"}, DataError, r"nowhere\.h5"),
    ],
)
def test_bad_options_stop_before_training(tmp_path, options, error, message):
    with pytest.raises(error, match=message):
        run_co2(**{"out": tmp_path, "preset": "tiny"} | options)
    assert not list(tmp_path.iterdir())


def test_unwritable_folder_stops_before_training(tmp_path):
    (tmp_path / "out").write_text("a file, not a folder")
    with pytest.raises(OutputError, match="choose a writable folder"):
        run_co2(tmp_path / "out", preset="tiny")
