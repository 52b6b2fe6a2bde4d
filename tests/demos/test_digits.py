"""The digits demo, smaller than its tiny form."""

import copy
import json
from dataclasses import replace
from types import MappingProxyType

import h5py
import numpy as np
import pytest

import mcdrop
from mcdrop.datasets import load_digits, rotate
from mcdrop.demos import run_digits
from mcdrop.demos.digits import PRESETS
from mcdrop.demos.digits.sweep import ANGLES, _lean, _leaning_one
from mcdrop.errors import InputError

FIGURES = (
    *("strip", "softmax_mlp", "softmax_lenet", "uncertainty_mlp", "uncertainty_lenet"),
    *("shift", "auroc", "reliability", "refusal", "right_wrong"),
)
SMALL = replace(PRESETS["tiny"], trained_on=400, tested_on=30, gp_trained_on=60, shift_passes=4)


@pytest.fixture(scope="module", autouse=True)
def small():
    """Run on few digits, so that it takes seconds; whatever else a preset says stays as it is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mcdrop.demos.digits.demo.PRESETS", MappingProxyType(PRESETS | {"tiny": SMALL}))
        yield


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    folder = tmp_path_factory.mktemp("digits")
    return run_digits(folder, preset="tiny", passes=40), folder


def untimed(results):
    """Return the results without the seconds, which no two runs share."""
    results = copy.deepcopy(results)
    for name in ("fit_seconds", "predict_seconds"):
        assert results["gp"].pop(name) > 0
    return results


def test_writes_figures_arrays_weights_and_summary(outcome):
    report, folder = outcome
    expected = {f"{stem}.{kind}" for stem in FIGURES for kind in ("png", "svg")}
    names = {path.name for path in folder.iterdir()}
    assert names == expected | {"net_mlp.safetensors", "net_lenet.safetensors", "gp.nc", "arrays.h5", "summary.json"}
    assert {path.name for path in report.files} == names
    assert json.loads((folder / "summary.json").read_text()) == report.as_dict()


def test_the_sweep_is_the_tutorials(outcome):
    report, folder = outcome
    assert report.results["angles"] == list(range(50, 130, 7)) == ANGLES.tolist()
    assert report.results["label"] == 1
    with h5py.File(folder / "arrays.h5") as file:
        assert file["images"].shape == (12, 1, 28, 28)
        assert file["mlp/logit_samples"].shape == (40, 12, 10)
        samples, probs = file["lenet/logit_samples"][:].astype(float), file["lenet/probs"][:]
    exp = np.exp(samples - samples.max(axis=-1, keepdims=True))
    np.testing.assert_allclose((exp / exp.sum(axis=-1, keepdims=True)).mean(axis=0), probs, atol=1e-6)
    assert PRESETS["default"].passes == 1000


def test_the_protocols_upright_digits_are_those_of_the_accuracy_table(outcome):
    report = outcome[0]
    for name in ("mlp", "lenet"):
        accuracy = report.results[name]["test_accuracy"]
        for what, key in (("weight_averaging", "softmax"), ("mc_dropout", "mc_dropout")):
            upright = report.results["shift"]["models"][f"{key}_{name}"]["by_angle"]["accuracy"][0]
            assert upright == pytest.approx(accuracy[what])
            assert f"{upright:.1%}" in [cell for row in report.tables[0].rows for cell in row]


def test_the_protocols_numbers_are_in_the_arrays(outcome):
    report, folder = outcome
    with h5py.File(folder / "arrays.h5") as file:
        assert file["shift/angle"][:].tolist() == list(range(0, 181, 15)) == report.results["shift"]["angles"]
        assert file["shift/angle"].attrs["units"] == "degree"
        assert file["shift/gp/nll"].attrs["units"] == file["shift/gp/mean_entropy_error"].attrs["units"] == "nat"
        for key, model in report.results["shift"]["models"].items():
            for score, values in model["by_angle"].items():
                expected = [np.nan if value is None else value for value in values]
                np.testing.assert_array_equal(file[f"shift/{key}/{score}"][:], expected)


def test_the_gaussian_process_is_kept(outcome):
    report, folder = outcome
    gp = mcdrop.load(folder / "gp.nc")
    assert gp.hyperparameters_ == pytest.approx(report.results["gp"]["hyperparameters"])
    assert report.results["gp"]["trained_on"] == report.settings["gp_trained_on"] == 60
    assert report.settings["trained_on"] == 400
    upright = gp.predict(load_digits().test_images[:30], passes=4)
    accuracy = (upright.labels == load_digits().test_labels[:30]).mean()
    assert report.results["shift"]["models"]["gp"]["by_angle"]["accuracy"][0] == pytest.approx(accuracy)


def test_the_report_says_who_wins(outcome):
    report = outcome[0]
    for score in ("accuracy", "NLL", "Brier", "ECE"):
        (sentence,) = [text for text in report.verdict if text.startswith(f"{score}, best")]
        assert "0°" in sentence
        assert "180°" in sentence
    assert (
        "MLP 800-800: learned from 400 digits; LeNet: learned from 400 digits; GP: learned from 60 digits."
        in report.verdict
    )
    assert any("Telling turned from upright" in text for text in report.verdict)
    assert any("Telling wrong from right" in text for text in report.verdict)
    (by_angle,) = [table for table in report.tables if table.columns[0] == "score"]
    assert by_angle.columns[2:] == ("0°", "45°", "90°", "180°")
    for column in zip(*(row[2:] for row in by_angle.rows if row[0] == "accuracy"), strict=True):
        best = max(float(cell.rstrip("*~ %")) for cell in column)
        assert all(("*" in cell) == (float(cell.rstrip("*~ %")) == best) for cell in column)


def test_the_digit_leans_to_the_right():
    digits = load_digits()
    upright = np.zeros((28, 28))
    upright[4:24, 13:15] = 1.0
    assert _lean(upright) == pytest.approx(0.0, abs=1e-6)
    assert _lean(rotate(upright, -30)) == pytest.approx(30.0, abs=1.0)  # scipy turns counterclockwise
    assert _lean(digits.test_images[_leaning_one(digits), 0]) >= 30


def test_reuse_gives_the_same_numbers(outcome, unrendered):
    report, folder = outcome
    again = run_digits(folder, preset="tiny", passes=40, reuse=True)
    assert untimed(again.results) == untimed(report.results)
    assert again.verdict == report.verdict


def test_another_digit_can_be_turned_and_the_gaussian_process_left_out(outcome, tmp_path, unrendered):
    for net in outcome[1].glob("*.safetensors"):
        (tmp_path / net.name).write_bytes(net.read_bytes())
    seven = int(np.flatnonzero(load_digits().test_labels == 7)[0])
    report = run_digits(tmp_path, preset="tiny", passes=5, digit=seven, gp="none", reuse=True)
    assert report.results["label"] == 7
    assert "gp" not in report.results
    assert "gp" not in report.results["shift"]["models"]
    assert report.settings["gp"] == "none"
    assert report.settings["gp_trained_on"] is None
    assert not (tmp_path / "gp.nc").exists()
    assert not any("GP" in text for text in report.verdict)
    assert (tmp_path / "right_wrong.png").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"preset": "huge"}, "preset must"),
        ({"digit": 1000}, "digit must"),
        ({"digit": -1}, "digit must"),
        ({"gp": "nuts"}, "gp must be one of none, map, got 'nuts'; the GP classifier has no NUTS"),
        ({"gp": None}, "gp must be one of none, map, got None"),
    ],
)
def test_bad_options_stop_before_training(tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        run_digits(tmp_path, **{"preset": "tiny"} | options)
    assert not list(tmp_path.iterdir())
