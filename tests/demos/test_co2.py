"""The CO2 demo in its tiny form: what it writes, that it is reproducible, and that reuse gives the same."""

import json

import h5py
import numpy as np
import pytest

from mcdrop.demos import run_co2
from mcdrop.demos.co2 import PRESETS
from mcdrop.demos.co2_results import GRID
from mcdrop.errors import DataError, InputError, OutputError


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    folder = tmp_path_factory.mktemp("co2")
    return run_co2(folder, preset="tiny", passes=50), folder


def test_writes_figures_arrays_weights_and_summary(outcome):
    report, folder = outcome
    names = {path.name for path in folder.iterdir()}
    expected = {"net_relu.pt", "net_tanh.pt", "arrays.h5", "summary.json"}
    assert names == expected | {f"{stem}.{kind}" for stem in ("panels", "ppm") for kind in ("png", "svg")}
    assert names == {path.name for path in report.files}
    assert json.loads((folder / "summary.json").read_text()) == report.as_dict()


def test_arrays_hold_what_the_summary_says(outcome):
    report, folder = outcome
    with h5py.File(folder / "arrays.h5") as file:
        assert dict(file.attrs) == {"demo": "co2", "preset": "tiny", "seed": 0, "passes": 50}
        x, std = file["x"][:].ravel(), file["relu/std"][:].ravel()
        gp_total = np.hypot(file["gp/std"][:], file["gp/noise_std"][()]).ravel()
    at = int(np.argmin(np.abs(x - 3.5)))
    assert std[at] == pytest.approx(report.results["relu"]["std_at_3.5"])
    assert gp_total[at] == pytest.approx(report.results["gp"]["std_at_3.5"])
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
    results = outcome[0].results["gp"]
    assert 0.05 < results["std_median_inside"] < 0.3  # the tutorial: 0.1 to 0.3
    assert results["std_at_3.5"] == pytest.approx(1.14, abs=0.1)  # the tutorial: 1.14


def test_reuse_loads_weights_and_gives_the_same_numbers(outcome):
    report, folder = outcome
    before = (folder / "net_relu.pt").stat().st_mtime_ns
    again = run_co2(folder, preset="tiny", passes=50, reuse=True)
    assert (folder / "net_relu.pt").stat().st_mtime_ns == before
    assert again.results == report.results


def test_reads_the_tutorials_own_file(tmp_path):
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
