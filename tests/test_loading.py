"""Loading: every kind of file goes to its class, and nothing else is accepted."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

import mcdrop
from mcdrop import DataError, InputError, baselines, storage
from mcdrop.storage import Variable


class Restored:
    """Stands in for a baseline: keeps what `load` calls it with."""

    def __init__(self, archive, options):
        self.archive, self.options = archive, options

    @classmethod
    def from_archive(cls, archive, **options):
        return cls(archive, options)


def write(tmp_path, kind):
    return storage.write(tmp_path / "a.nc", kind, {}, {"seed": 7})


def test_a_prediction_comes_back_as_what_it_was(tmp_path):
    ones = np.ones((3, 1))
    regression = mcdrop.RegressionPredictive(ones, ones, passes=9, noise_std=0.5, provenance={"seed": 7})
    loaded = mcdrop.load(regression.save(tmp_path / "a.nc"))
    assert isinstance(loaded, mcdrop.RegressionPredictive)
    assert (loaded.passes, loaded.noise_std, loaded.provenance) == (9, 0.5, {"seed": 7})
    np.testing.assert_array_equal(loaded.total_std(), regression.total_std())
    classes = mcdrop.load(mcdrop.ClassificationPredictive.from_probs([[0.2, 0.8]]).save(str(tmp_path / "b.nc")))
    assert isinstance(classes, mcdrop.ClassificationPredictive)
    assert classes.labels.tolist() == [1]


def test_a_derived_prediction_can_be_saved_like_any_other(tmp_path):
    ones = np.ones((3, 1))
    pred = mcdrop.RegressionPredictive(ones, ones).with_noise(2.0)
    again = mcdrop.load(mcdrop.load(pred.save(tmp_path / "a.nc")).save(tmp_path / "b.nc"))
    assert again.noise_std == replace(pred).noise_std == 2.0
    assert (tmp_path / "a.nc").read_bytes() == (tmp_path / "b.nc").read_bytes()


@pytest.mark.parametrize("kind", ["GPRegressor", "GPClassifier"])
def test_a_baseline_is_restored_by_its_class(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(baselines, kind, Restored, raising=False)
    path = write(tmp_path, kind)
    loaded = mcdrop.load(path)
    assert (loaded.archive.kind, loaded.archive.path, loaded.archive.attributes) == (kind, path, {"seed": 7})
    assert loaded.options == {}


def test_a_kernel_of_ones_own_is_passed_on(tmp_path, monkeypatch):
    monkeypatch.setattr(baselines, "GPRegressor", Restored)
    kernel = object()
    assert mcdrop.load(write(tmp_path, "GPRegressor"), kernel=kernel).options == {"kernel": kernel}


@pytest.mark.parametrize("kind", ["RegressionPredictive", "ClassificationPredictive", "GPClassifier"])
def test_a_kernel_for_anything_else_is_refused(tmp_path, kind):
    with pytest.raises(InputError, match=f"kernel is for a saved GPRegressor only, got one for a {kind}; leave it out"):
        mcdrop.load(write(tmp_path, kind), kernel="se")


@pytest.mark.parametrize("kind", ["Example", "MCDropout", "gpregressor", ""])
def test_an_unknown_kind_is_refused(tmp_path, kind):
    path = write(tmp_path, kind)
    with pytest.raises(DataError) as caught:
        mcdrop.load(path)
    assert f"{path}: expected a saved RegressionPredictive, " in str(caught.value)
    assert f"got {kind!r}; read it with mcdrop.storage" in str(caught.value)


@pytest.mark.parametrize("content", [None, b"", b"text", b"\x89HDF\r\n\x1a\n" + bytes(2000)])
def test_what_is_no_saved_result_is_one_clear_error(tmp_path, content):
    path = tmp_path / "a.nc"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        mcdrop.load(path)
    assert "expected a result that mcdrop saved, got" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_loading_a_prediction_loads_no_baseline(tmp_path):
    path = mcdrop.ClassificationPredictive.from_probs([[0.2, 0.8]]).save(tmp_path / "a.nc")
    code = (
        "import sys, mcdrop\n"
        "assert not {'xarray', 'h5py', 'h5netcdf', 'pandas'} & set(sys.modules)\n"
        "mcdrop.load(sys.argv[1])\n"
        "assert not {'pymc', 'gpytorch', 'arviz', 'mcdrop.baselines'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


ONES = Variable(("point", "output"), np.ones((3, 1)))
FIELDS = {name: Variable(("point", "class"), np.full((3, 2), 0.5)) for name in ("probs", "probs_std", "logit_mean")}
FIELDS |= {"logit_std": FIELDS["probs"], "votes": FIELDS["probs"], "expected_entropy": Variable(("point",), np.ones(3))}


@pytest.mark.parametrize(
    ("kind", "groups"),
    [
        ("RegressionPredictive", {}),
        ("RegressionPredictive", {"predictions": {"mean": ONES}}),
        ("RegressionPredictive", {"predictions": {"mean": ONES, "std": replace(ONES, values=np.array([["a"]] * 3))}}),
        ("RegressionPredictive", {"predictions": {"mean": ONES, "std": replace(ONES, values=-np.ones((3, 1)))}}),
        ("RegressionPredictive", {"predictions": {"mean": ONES, "std": ONES, "samples": Variable((), np.ones(()))}}),
        ("ClassificationPredictive", {}),
        ("ClassificationPredictive", {"predictions": FIELDS}),
        ("GPRegressor", {}),
        ("GPClassifier", {}),
    ],
)
def test_a_whole_file_without_what_its_kind_needs_is_a_data_error(tmp_path, kind, groups):
    path = storage.write(tmp_path / "a.nc", kind, groups, {})
    with pytest.raises(DataError) as caught:
        mcdrop.load(path)
    assert str(caught.value).startswith(f"{path}: expected ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("passes", [np.ones(3), np.asarray(2.5), np.asarray(0), np.asarray("nine")])
def test_a_file_with_an_odd_number_of_passes_is_a_data_error(tmp_path, passes):
    dims = ("pass",) * passes.ndim
    constants = {"predictions_constant_data": {"passes": Variable(dims, passes)}}
    kinds = {"RegressionPredictive": {"mean": ONES, "std": ONES}, "ClassificationPredictive": FIELDS}
    for kind, fields in kinds.items():
        with pytest.raises(DataError, match=r"a\.nc: expected"):
            mcdrop.load(storage.write(tmp_path / "a.nc", kind, {"predictions": fields} | constants, {}))


@pytest.mark.parametrize("fault", ["attribute", "data", "trailing"])
def test_a_fitted_baseline_whose_file_lacks_something_is_a_data_error(tmp_path, fault):
    x = np.linspace(0, 1, 6)
    archive = storage.read(baselines.GPRegressor().fit(x, np.sin(6 * x)).save(tmp_path / "gp.nc"))
    groups, attributes = {name: dict(group) for name, group in archive.groups.items()}, dict(archive.attributes)
    if fault == "attribute":
        del attributes["fit_seconds"]
    elif fault == "data":
        groups["constant_data"]["x"] = Variable((), np.asarray(1.0))
    else:
        attributes["trailing"] = 3
    path = storage.write(tmp_path / "a.nc", "GPRegressor", groups, attributes)
    with pytest.raises(DataError, match=r"a\.nc: expected what a saved GPRegressor is made of, got .*; save it again"):
        mcdrop.load(path)


@pytest.mark.parametrize("error", [InputError("kernel is missing"), DataError("too old")])
def test_what_mcdrop_says_of_a_file_is_passed_on(tmp_path, monkeypatch, error):
    class Failing:
        @classmethod
        def from_archive(cls, archive, **options):
            raise error

    monkeypatch.setattr(baselines, "GPRegressor", Failing)
    with pytest.raises(type(error)) as caught:
        mcdrop.load(write(tmp_path, "GPRegressor"))
    assert caught.value is error


def test_a_kernel_of_ones_own_that_fails_is_named_as_a_reason(tmp_path, monkeypatch):
    class Failing:
        @classmethod
        def from_archive(cls, archive, *, kernel):
            raise TypeError("two\nlines")

    monkeypatch.setattr(baselines, "GPRegressor", Failing)
    with pytest.raises(DataError, match=r"\(TypeError: two lines\); check that the kernel is the fitted one"):
        mcdrop.load(write(tmp_path, "GPRegressor"), kernel=object())
