"""The digits demo in its tiny form."""

import json

import h5py
import numpy as np
import pytest

from mcdrop.datasets import load_digits, rotate
from mcdrop.demos import run_digits
from mcdrop.demos.digits import PRESETS, _lean, _leaning_one
from mcdrop.demos.digits_sweep import ANGLES
from mcdrop.errors import InputError


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    folder = tmp_path_factory.mktemp("digits")
    return run_digits(folder, preset="tiny", passes=40), folder


def test_writes_figures_arrays_weights_and_summary(outcome):
    report, folder = outcome
    stems = ("strip", "softmax_mlp", "softmax_lenet", "uncertainty_mlp", "uncertainty_lenet")
    expected = {f"{stem}.{kind}" for stem in stems for kind in ("png", "svg")}
    names = {path.name for path in folder.iterdir()}
    assert names == expected | {"net_mlp.pt", "net_lenet.pt", "arrays.h5", "summary.json"}
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


def test_the_digit_leans_to_the_right():
    digits = load_digits()
    upright = np.zeros((28, 28))
    upright[4:24, 13:15] = 1.0
    assert _lean(upright) == pytest.approx(0.0, abs=1e-6)
    assert _lean(rotate(upright, -30)) == pytest.approx(30.0, abs=1.0)  # scipy turns counterclockwise
    assert _lean(digits.test_images[_leaning_one(digits), 0]) >= 30


def test_reuse_gives_the_same_numbers_and_another_digit_can_be_turned(outcome):
    report, folder = outcome
    again = run_digits(folder, preset="tiny", passes=40, reuse=True)
    assert again.results == report.results
    seven = int(np.flatnonzero(load_digits().test_labels == 7)[0])
    assert run_digits(folder, preset="tiny", passes=5, digit=seven, reuse=True).results["label"] == 7


@pytest.mark.parametrize(
    ("options", "message"),
    [({"preset": "huge"}, "preset must"), ({"digit": 1000}, "digit must"), ({"digit": -1}, "digit must")],
)
def test_bad_options_stop_before_training(tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        run_digits(tmp_path, **{"preset": "tiny"} | options)
    assert not list(tmp_path.iterdir())
