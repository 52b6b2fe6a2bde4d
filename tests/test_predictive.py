"""Result types: intervals, noise, shapes, files, and what they refuse."""

from dataclasses import FrozenInstanceError, fields, replace
from statistics import NormalDist

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mcdrop import ClassificationPredictive, DataError, InputError, RegressionPredictive, load, storage
from mcdrop.predictive import in_order
from mcdrop.predictive.axes import name_axes

MEAN, STD = np.array([[0.0, 10.0], [-3.0, 1.0], [2.0, 5.0]]), np.array([[1.0, 2.0], [0.5, 0.0], [3.0, 1.0]])


def gaussian(**options):
    return RegressionPredictive(mean=MEAN, std=STD, **({"passes": 100} | options))


@settings(deadline=None)  # the first call imports SciPy
@given(st.floats(0.001, 0.999))
def test_quantiles_of_a_gaussian(q):
    expected = [
        [NormalDist(m, s).inv_cdf(q) if s else m for m, s in zip(*row, strict=True)]
        for row in zip(MEAN, STD, strict=True)
    ]
    np.testing.assert_allclose(gaussian().quantile(q), expected, rtol=1e-9)


def test_quantiles_of_many_probabilities_come_first_in_shape():
    assert gaussian().quantile([0.1, 0.5, 0.9]).shape == (3, 3, 2)
    assert gaussian().quantile(np.full((4, 5), 0.5)).shape == (4, 5, 3, 2)
    np.testing.assert_array_equal(gaussian().quantile(0.5), MEAN)


def test_ends_of_the_range_are_infinite_but_never_nan():
    lower, upper = gaussian().quantile([0.0, 1.0])
    assert (lower[STD > 0] == -np.inf).all()
    assert (upper[STD > 0] == np.inf).all()
    assert lower[1, 1] == upper[1, 1] == 1.0


@settings(deadline=None)
@given(st.floats(0.01, 0.98), st.floats(0.005, 0.015))
def test_intervals_are_central_and_nested(level, more):
    inner, outer = gaussian().interval(level), gaussian().interval(level + more)
    np.testing.assert_allclose(inner[0] + inner[1], 2 * MEAN, atol=1e-9)
    assert (outer[0] <= inner[0]).all()
    assert (outer[1] >= inner[1]).all()


def test_an_interval_of_95_percent_is_1_96_standard_deviations_wide():
    lower, upper = gaussian().interval()
    np.testing.assert_allclose((upper - lower)[STD > 0] / (2 * STD[STD > 0]), 1.959963984540054)


def test_kept_samples_give_their_own_quantiles_and_noise_the_gaussians():
    samples = np.random.default_rng(0).exponential(size=(101, 4, 1))
    pred = RegressionPredictive(samples.mean(0), samples.std(0, ddof=1), passes=101, samples=samples)
    np.testing.assert_allclose(pred.quantile(0.5), np.sort(samples, axis=0)[50])
    lower, upper = pred.interval(0.8)
    inside = ((samples >= lower) & (samples <= upper)).mean(0)
    np.testing.assert_allclose(inside, 0.8, atol=0.02)
    assert (lower >= 0).all()  # a Gaussian would go below
    noisy = pred.quantile(0.5, noise_std=0.0)
    np.testing.assert_allclose(noisy, pred.mean)


def test_noise_adds_in_variance():
    np.testing.assert_allclose(gaussian().total_std(2.0) ** 2, STD**2 + 4)
    np.testing.assert_allclose(gaussian(noise_std=2.0).total_std(), gaussian().total_std(2.0))
    np.testing.assert_allclose(gaussian(noise_std=2.0).total_std(0.0), STD)
    np.testing.assert_allclose(gaussian().total_std([1.0, 0.0]) ** 2, STD**2 + [1, 0])
    wide = gaussian().interval(0.5, noise_std=2.0)
    np.testing.assert_allclose((wide[1] - wide[0]) / gaussian().total_std(2.0), 2 * NormalDist().inv_cdf(0.75))


def test_standard_error_falls_with_the_root_of_t_and_vanishes_for_a_closed_form():
    np.testing.assert_allclose(gaussian(passes=400).mcse, STD / 20)
    assert (gaussian(passes=None).mcse == 0).all()


def test_length_is_the_number_of_points():
    assert len(gaussian()) == 3
    assert len(classification()) == 4


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p: p.total_std(), "pass noise_std"),
        (lambda p: p.total_std(-1.0), "noise_std must be >= 0 and finite, got -1"),
        (lambda p: p.total_std(float("nan")), "noise_std must be >= 0 and finite, got nan"),
        (lambda p: p.total_std(np.ones(3)), r"must broadcast to the mean's shape \(3, 2\), got shape \(3,\)"),
        (lambda p: p.total_std(np.ones((5, 3, 2))), r"must broadcast to the mean's shape"),
        (lambda p: p.quantile(1.1), r"q must lie in \[0, 1\]"),
        (lambda p: p.quantile([0.5, float("nan")]), r"q must lie in \[0, 1\]"),
        (lambda p: p.interval(0.0), "strictly between 0 and 1"),
        (lambda p: p.interval(1.0), "strictly between 0 and 1"),
        (lambda p: p.interval(95), "strictly between 0 and 1"),
        (lambda p: RegressionPredictive(MEAN, STD[:2]), r"must have one shape, got \(3, 2\) and \(2, 2\)"),
    ],
)
def test_bad_arguments_are_refused(call, message):
    with pytest.raises(InputError, match=message) as caught:
        call(gaussian())
    assert "\n" not in str(caught.value)


def test_noise_of_one_column_does_not_spread_over_points_by_accident():
    """(N,) noise with (N, 1) means would broadcast to (N, N)."""
    pred = RegressionPredictive(np.zeros((3, 1)), np.ones((3, 1)))
    with pytest.raises(InputError, match="must broadcast"):
        pred.total_std(np.ones(3))


def test_results_are_frozen_and_compare_by_identity():
    pred = gaussian()
    with pytest.raises(FrozenInstanceError):
        pred.mean = MEAN
    assert pred == pred
    assert pred != gaussian()
    assert len({pred, pred, classification()}) == 2


def classification(samples=None, seed=0):
    logits = 2 * np.random.default_rng(seed).standard_normal((30, 4, 3)) if samples is None else samples
    probs = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    return ClassificationPredictive(
        probs=probs.mean(0),
        probs_std=probs.std(0, ddof=1),
        logit_mean=logits.mean(0),
        logit_std=logits.std(0, ddof=1),
        votes=np.stack([np.bincount(column, minlength=3) for column in logits.argmax(-1).T]),
        expected_entropy=-(probs * np.log(probs)).sum(-1).mean(0),
        passes=len(logits),
        samples=logits,
    )


def test_classification_measures_follow_from_the_passes():
    pred = classification()
    probs = np.exp(pred.samples) / np.exp(pred.samples).sum(-1, keepdims=True)
    np.testing.assert_allclose(pred.prob_samples, probs)
    entropy = -(pred.probs * np.log(pred.probs)).sum(-1)
    np.testing.assert_allclose(pred.entropy, entropy)
    # The mutual information is the mean Kullback-Leibler divergence of the passes from their mean.
    np.testing.assert_allclose(pred.mutual_information, (probs * np.log(probs / pred.probs)).sum(-1).mean(0))
    np.testing.assert_allclose(pred.mutual_information + pred.expected_entropy, entropy)
    winners = pred.samples.argmax(-1)
    mode = np.array([np.bincount(column).argmax() for column in winners.T])
    np.testing.assert_allclose(pred.variation_ratio, (winners != mode).mean(0))
    np.testing.assert_array_equal(pred.labels, pred.probs.argmax(-1))
    np.testing.assert_allclose(pred.mcse, pred.probs_std / np.sqrt(30))


def test_huge_logits_give_probabilities_not_nan():
    pred = classification()
    huge = ClassificationPredictive(
        pred.probs,
        pred.probs_std,
        pred.logit_mean,
        pred.logit_std,
        pred.votes,
        pred.expected_entropy,
        30,
        1e4 * pred.samples,
    )
    np.testing.assert_allclose(huge.prob_samples.sum(-1), 1)


def test_without_samples_there_are_no_probability_samples():
    pred = classification()
    bare = ClassificationPredictive(
        pred.probs, pred.probs_std, pred.logit_mean, pred.logit_std, pred.votes, pred.expected_entropy, 30
    )
    assert bare.prob_samples is None


RNG = np.random.default_rng(3)


def drawn(trail, dtype="f8", **options):
    """Return a regression of 12 passes of the shape."""
    samples = RNG.normal(size=(12, *trail)).astype(dtype)
    mean, std = samples.mean(0, dtype=np.float64), samples.std(0, ddof=1, dtype=np.float64)
    return RegressionPredictive(mean, std, **({"passes": 12, "samples": samples} | options))


def assert_equal_to_the_bit(one, other):
    """Every field: type, shape and bits."""
    assert type(one) is type(other)
    for field in fields(one):
        left, right = getattr(one, field.name), getattr(other, field.name)
        if isinstance(left, np.ndarray):
            assert (left.dtype, left.shape) == (right.dtype, right.shape), field.name
            assert left.tobytes() == right.tobytes(), field.name
        else:
            assert left == right, field.name
            assert type(left) is type(right), field.name


def saved(pred, tmp_path):
    return type(pred).from_archive(storage.read(pred.save(tmp_path / "a.nc")))


PROVENANCE = {"seed": 7, "model": "Sequential", "sites": [{"name": "2", "p": 0.1}], "masks": "shared", "none": None}


@pytest.mark.parametrize("trail", [(5,), (5, 1), (5, 2), (5, 4, 3), (5, 2, 2, 2), (5, 5), (1, 1), (0, 1), ()])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"samples": None},
        {"passes": None, "samples": None},
        {"noise_std": 0.1, "provenance": PROVENANCE},
        {"noise_std": np.full((), 2.0)[()]},
    ],
    ids=["plain", "no samples", "closed form", "noise and provenance", "numpy number"],
)
def test_saved_regressions_come_back_to_the_bit(tmp_path, trail, options):
    pred = drawn(trail, **options)
    expected = replace(pred, noise_std=None if pred.noise_std is None else float(pred.noise_std))
    assert_equal_to_the_bit(saved(pred, tmp_path), expected)


@pytest.mark.parametrize("shape", [(1,), (3,), (4, 3), (1, 3), (5, 4, 3), (5, 1, 1), (1, 1, 1)])
def test_saved_noise_of_any_shape_comes_back_to_the_bit(tmp_path, shape):
    pred = drawn((5, 4, 3), noise_std=RNG.uniform(size=shape))
    assert_equal_to_the_bit(saved(pred, tmp_path), pred)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_saved_passes_keep_their_type(tmp_path, dtype):
    pred = drawn((50, 2), dtype)
    assert saved(pred, tmp_path).samples.dtype == dtype
    assert_equal_to_the_bit(saved(pred, tmp_path), pred)


@pytest.mark.parametrize("trail", [(5, 2), (5, 3), (5, 4, 4, 3), (1, 2)])
@pytest.mark.parametrize("kept", [True, False])
def test_saved_classifications_come_back_to_the_bit(tmp_path, trail, kept):
    logits = RNG.normal(size=(12, *trail))
    probs = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    votes = np.eye(trail[-1], dtype=np.int64)[logits.argmax(-1)].sum(0)
    moments = (probs.mean(0), probs.std(0, ddof=1), logits.mean(0), logits.std(0, ddof=1), votes)
    entropy = -(probs * np.log(probs)).sum(-1).mean(0)
    samples = logits.astype("f4") if kept else None
    pred = ClassificationPredictive(*moments, entropy, 12, samples, PROVENANCE)
    assert_equal_to_the_bit(saved(pred, tmp_path), pred)


def test_files_name_their_axes_and_hold_passes_as_draws(tmp_path):
    import xarray

    path = drawn((5, 2), noise_std=np.ones((5, 1)), provenance=PROVENANCE).save(tmp_path / "a.nc")
    with xarray.open_datatree(path) as file:
        assert dict(file["predictions"].sizes) == {"chain": 1, "draw": 12, "point": 5, "output": 2}
        assert file["predictions/samples"].dims == ("chain", "draw", "point", "output")
        assert file["predictions/mean"].dims == ("point", "output")
        assert file["predictions_constant_data/noise_std"].dims == ("point", "shared_output")
        np.testing.assert_allclose(file["predictions/samples"].mean(("chain", "draw")), file["predictions/mean"])
        assert file.attrs["seed"] == 7
        assert file.attrs["sites"] == '[{"name": "2", "p": 0.1}]'
    path = classification(RNG.normal(size=(12, 5, 4, 3))[:, :, 0]).save(tmp_path / "b.nc")
    with xarray.open_datatree(path) as file:
        assert file["predictions/samples"].dims == ("chain", "draw", "point", "class")
        assert file["predictions/votes"].dims == ("point", "class")
        assert file["predictions/expected_entropy"].dims == ("point",)
        assert file["predictions/expected_entropy"].attrs["units"] == "nat"


@pytest.mark.parametrize(
    ("ndim", "last", "names"),
    [
        (0, "output", ()),
        (1, "output", ("point",)),
        (2, "output", ("point", "output")),
        (4, "output", ("point", "output_0", "output_1", "output_2")),
        (2, "class", ("point", "class")),
        (4, "class", ("point", "place_0", "place_1", "class")),
    ],
)
def test_axes_are_named_by_what_they_hold(ndim, last, names):
    assert name_axes(ndim, last) == names


def archive_of(pred, tmp_path, **changes):
    """Return the archive of a prediction with other arrays in it."""
    archive = storage.read(pred.save(tmp_path / "a.nc"))
    predictions = {name: v for name, v in archive.groups["predictions"].items() if changes.get(name, v) is not None}
    for name, values in changes.items():
        if values is not None:
            predictions[name] = replace(predictions[name], values=values)
    return replace(archive, groups=dict(archive.groups) | {"predictions": predictions})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"std": None}, "expected 'std' in group 'predictions' of a saved RegressionPredictive, got none"),
        ({"std": np.ones((4, 2))}, "expected arrays that fit together, got others: mean and std must have one shape"),
    ],
)
def test_files_with_other_contents_are_refused(tmp_path, changes, message):
    with pytest.raises(DataError, match=message):
        RegressionPredictive.from_archive(archive_of(drawn((5, 2)), tmp_path, **changes))
    with pytest.raises(DataError, match=r"a\.nc: expected arrays that fit together, got others: probs and votes"):
        ClassificationPredictive.from_archive(archive_of(classification(), tmp_path, votes=np.ones((4, 2))))
    with pytest.raises(DataError, match="of a saved ClassificationPredictive, got none"):
        RegressionPredictive.from_archive(archive_of(classification(), tmp_path))


def test_provenance_that_is_no_plain_data_is_refused(tmp_path):
    with pytest.raises(InputError, match="attribute 'net' must be plain data"):
        drawn((5, 1), provenance={"net": object()}).save(tmp_path / "a.nc")
    assert not list(tmp_path.iterdir())


def test_a_copy_knows_its_noise():
    pred = drawn((5, 2), provenance=PROVENANCE)
    noisy = pred.with_noise(2)
    assert (pred.noise_std, noisy.noise_std) == (None, 2.0)
    assert isinstance(noisy.noise_std, float)
    assert_equal_to_the_bit(replace(noisy, noise_std=None), pred)
    np.testing.assert_array_equal(noisy.total_std(), pred.total_std(2.0))
    np.testing.assert_array_equal(pred.with_noise([1.0, 3.0]).total_std(), pred.total_std([1.0, 3.0]))
    np.testing.assert_array_equal(noisy.with_noise(0.0).total_std(), pred.std)


@pytest.mark.parametrize(
    ("noise", "message"),
    [
        (-1.0, "noise_std must be >= 0 and finite, got -1"),
        (float("nan"), "noise_std must be >= 0 and finite, got nan"),
        (None, "noise_std must be >= 0 and finite, got nan"),
        (np.ones(3), r"must broadcast to the mean's shape \(5, 2\), got shape \(3,\)"),
        (float("inf"), "noise_std must be >= 0 and finite, got inf"),
        ([0.5, -2.0], r"noise_std must be >= 0 and finite, got -2 \(1 such of 2 value\(s\)\)"),
        ("loud", "noise_std must be an array of numbers, got str"),
        (1j, "noise_std must be an array of numbers, got complex"),
    ],
)
def test_noise_that_cannot_be_is_refused_wherever_it_is_given(noise, message):
    with pytest.raises(InputError, match=message):
        drawn((5, 2)).with_noise(noise)
    if noise is not None:
        with pytest.raises(InputError, match=message):
            drawn((5, 2), noise_std=noise)


PROBS = np.array([[0.5, 0.25, 0.25], [1.0, 0.0, 0.0], [0.1, 0.2, 0.7], [0.0, 0.5, 0.5]])


def test_a_plain_softmax_is_a_prediction_whose_passes_agree():
    pred = ClassificationPredictive.from_probs(PROBS, provenance={"model": "LeNet"})
    np.testing.assert_array_equal(pred.probs, PROBS)
    np.testing.assert_array_equal(pred.labels, [0, 0, 2, 1])
    np.testing.assert_array_equal(pred.votes, [[1, 0, 0], [1, 0, 0], [0, 0, 1], [0, 1, 0]])
    assert (pred.mutual_information == 0).all()
    assert (pred.variation_ratio == 0).all()
    assert (pred.probs_std == 0).all()
    assert (pred.logit_std == 0).all()
    assert (pred.mcse == 0).all()
    np.testing.assert_allclose(pred.entropy, np.log(2) * np.array([1.5, 0, 0, 1]) + [0, 0, 0.801818552543, 0])
    assert np.isfinite(pred.logit_mean).all()
    np.testing.assert_allclose(np.exp(pred.logit_mean), PROBS, atol=1e-300)
    assert (pred.passes, pred.samples, pred.provenance) == (1, None, {"model": "LeNet"})


def test_a_plain_softmax_can_be_single_precision_dense_and_saved(tmp_path):
    logits = RNG.normal(size=(6, 4, 1000)).astype(np.float32)
    probs = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    pred = ClassificationPredictive.from_probs(probs)
    assert (pred.probs.dtype, len(pred)) == (np.float64, 6)
    np.testing.assert_array_equal(pred.votes.sum(-1), 1)
    assert_equal_to_the_bit(saved(pred, tmp_path), pred)


def test_a_plain_softmax_is_a_copy():
    given = PROBS.copy()
    pred = ClassificationPredictive.from_probs(given)
    given[:] = 0
    np.testing.assert_array_equal(pred.probs, PROBS)


@pytest.mark.parametrize(
    ("probs", "message"),
    [
        ([[0.5, 0.6]], "must sum to 1 over the classes .*, got a sum of 1.1; normalize them"),
        ([[0.5, 0.5], [0.2, 0.2]], "got a sum of 0.4"),
        ([[2.0, -1.0]], r"must lie in \[0, 1\], .*pass softmax outputs, not logits"),
        ([[float("nan"), 1.0]], r"must lie in \[0, 1\], got nan"),
        ([[float("inf"), 0.0]], r"must lie in \[0, 1\], got inf"),
        ([0.5, 0.5], r"must have shape \(N, K\), .* got \(2,\); for two classes stack"),
        (np.zeros((3, 0)), r"must have shape \(N, K\)"),
        ("ab", "must be an array of numbers"),
        ([[0.5, 0.5], [1.0]], "must be an array of numbers"),
    ],
)
def test_what_is_no_softmax_is_refused(probs, message):
    with pytest.raises(InputError, match=message) as caught:
        ClassificationPredictive.from_probs(probs)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["probs_std", "logit_mean", "logit_std", "votes", "expected_entropy", "samples"])
def test_classification_arrays_that_do_not_fit_are_refused(name):
    pred = classification()
    with pytest.raises(InputError, match=f"{name} must h") as caught:
        replace(pred, **{name: getattr(pred, name)[..., :-1]})
    assert "(4, 3)" in str(caught.value) or "(4,)" in str(caught.value)


def test_regression_passes_that_do_not_fit_are_refused():
    with pytest.raises(
        InputError, match=r"samples must hold .* mean, \(5, 2\), per pass, got \(5, 2\); put the passes"
    ):
        drawn((5, 2), samples=np.ones((5, 2)))


def test_arrays_of_floats_are_taken_as_they_are():
    mean, std = MEAN.astype(np.float32), STD.astype(np.float32)
    samples, noise = np.zeros((2, 3, 2), np.float16), np.ones(2)
    pred = RegressionPredictive(mean, std, passes=2, noise_std=noise, samples=samples)
    assert pred.mean is mean and pred.std is std and pred.samples is samples and pred.noise_std is noise
    classes = classification()
    again = replace(classes, passes=30)
    for field in fields(classes):
        assert getattr(again, field.name) is getattr(classes, field.name)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "convert",
    [
        list,
        lambda values: values.astype(int),
        pd.Series,
        torch.from_numpy,
        lambda values: torch.tensor(values, dtype=torch.bfloat16, requires_grad=True),
        lambda values: np.ma.masked_array(values, mask=False),
        lambda values: np.array(values, dtype=object),
    ],
    ids=["list", "whole numbers", "series", "tensor", "bfloat16 with gradient", "nothing masked", "object"],
)
def test_other_numbers_become_arrays_of_floats(tmp_path, convert):
    mean, std, noise, samples = np.arange(3.0), np.ones(3), np.full(3, 2.0), np.ones((2, 3))
    kept = torch.from_numpy(samples).requires_grad_()
    pred = RegressionPredictive(convert(mean), convert(std), passes=2, noise_std=convert(noise), samples=kept)
    for name, expected in {"mean": mean, "std": std, "noise_std": noise, "samples": samples}.items():
        assert type(getattr(pred, name)) is np.ndarray
        assert getattr(pred, name).dtype.kind == "f"
        np.testing.assert_array_equal(getattr(pred, name), expected)
    assert_equal_to_the_bit(saved(pred, tmp_path), pred)
    np.testing.assert_array_equal(pred.with_noise(convert(noise)).total_std(), np.sqrt(np.full(3, 5.0)))
    np.testing.assert_array_equal(pred.total_std(convert(noise)), np.sqrt(np.full(3, 5.0)))
    assert pred.quantile(convert(np.ones(3)), noise_std=convert(noise)).shape == (3, 3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mean": np.where(MEAN > 5, np.nan, MEAN)}, r"mean must be finite, got nan \(1 such of 6 value\(s\)\); leave"),
        ({"mean": MEAN - np.inf}, r"mean must be finite, got -inf \(6 such of 6"),
        ({"std": STD - 1}, r"std must be >= 0 and finite, got -0.5 \(2 such of 6 value\(s\)\); give standard dev"),
        ({"std": STD * np.nan}, "std must be >= 0 and finite, got nan"),
        ({"std": STD + np.inf}, "std must be >= 0 and finite, got inf"),
        (
            {"mean": [["a", "b"]] * 3},
            r"mean must be an array of numbers, got list \(dtype .*; convert it to real numbers",
        ),
        ({"mean": [[1.0], [1.0, 2.0]]}, "mean must be an array of numbers, got list"),
        ({"std": STD + 1j}, r"std must be an array of numbers, got ndarray \(dtype complex128\)"),
        ({"mean": MEAN.astype("M8[D]")}, r"mean must be an array of numbers, got ndarray \(dtype datetime64"),
        ({"mean": {"a": 1}}, "mean must be an array of numbers, got dict"),
        ({"mean": np.ma.masked_less(MEAN, 0)}, r"number everywhere, got 1 masked value\(s\); drop those"),
        ({"mean": torch.empty(3, 2, device="meta")}, "mean must be an array of numbers, got Tensor"),
        ({"passes": 0}, r"passes must be an integer of at least 1 .*, got 0"),
        ({"passes": 2.0}, "passes must be an integer of at least 1 .*, got 2.0"),
        ({"passes": True}, "passes must be an integer of at least 1 .*, got True"),
        ({"samples": np.zeros((7, 3, 2))}, "number of samples where they are kept, 7, got 100; give passes=7"),
        ({"samples": np.zeros((7, 3, 2)), "passes": None}, "number of samples .*, 7, got None; give passes=7"),
        ({"samples": np.full((100, 3, 2), np.nan)}, "samples must not hold NaN"),
        ({"samples": 3.0}, r"samples must hold one array .* got \(\); put the passes on axis 0"),
        ({"samples": np.zeros((2, 3, 2)) * 1j}, "samples must be an array of numbers"),
    ],
)
def test_what_is_no_prediction_is_refused_when_it_is_made(changes, message):
    with pytest.raises(InputError, match=message) as caught:
        replace(gaussian(), **changes)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"probs": np.full((4, 3), np.nan)}, r"probs must lie in \[0, 1\], got nan"),
        ({"probs": np.full((4, 3), 2.0)}, r"probs must lie in \[0, 1\], got 2 .*; pass softmax outputs, not logits"),
        ({"probs": np.ones(3)}, r"probs must have shape \(N, K\)"),
        ({"probs_std": np.full((4, 3), -1e-9)}, "probs_std must be >= 0 and finite, got -1e-09"),
        ({"votes": np.full((4, 3), -1)}, "votes must be >= 0 and finite, got -1"),
        ({"votes": [["a"] * 3] * 4}, "votes must be an array of numbers"),
        ({"expected_entropy": np.full(4, -1.0)}, "expected_entropy must be >= 0 and finite, got -1"),
        ({"expected_entropy": np.full(4, np.nan)}, "expected_entropy must be >= 0 and finite, got nan"),
        ({"logit_mean": "text"}, "logit_mean must be an array of numbers"),
        ({"passes": 0}, "passes must be an integer of at least 1"),
        ({"passes": None, "samples": None}, "passes must be an integer of at least 1 .* got None"),
        ({"passes": 7}, "number of samples where they are kept, 30, got 7"),
        ({"samples": np.full((30, 4, 3), np.nan)}, "samples must not hold NaN"),
    ],
)
def test_what_is_no_classification_is_refused_when_it_is_made(changes, message):
    with pytest.raises(InputError, match=message) as caught:
        replace(classification(), **changes)
    assert "\n" not in str(caught.value)


def test_a_masked_class_may_have_logits_of_minus_infinity():
    samples = RNG.normal(size=(5, 4, 3))
    samples[..., 2] = -np.inf
    mean, std = np.tile([0.0, 0.0, -np.inf], (4, 1)), np.tile([1.0, 1.0, np.nan], (4, 1))
    pred = ClassificationPredictive.from_probs([[0.5, 0.5, 0.0]] * 4)
    masked = replace(pred, logit_mean=mean, logit_std=std, passes=5, samples=samples)
    assert (masked.prob_samples[..., 2] == 0).all()
    assert np.isneginf(masked.logit_mean[:, 2]).all()


def test_a_classification_of_lists_is_one_of_arrays():
    pred = classification()
    listed = {field.name: getattr(pred, field.name).tolist() for field in fields(pred)[:6]}
    given = replace(pred, **listed)
    assert given.votes.dtype == np.int64
    assert_equal_to_the_bit(given, pred)


@pytest.mark.parametrize("scale", [1e200, 1e-200])
def test_spreads_of_any_size_add(scale):
    pred = RegressionPredictive([0.0], [3 * scale])
    np.testing.assert_allclose(pred.total_std(4 * scale), [5 * scale])


@pytest.mark.filterwarnings("error")
def test_rounding_beyond_certainty_is_cut_off_and_gradients_are_left_behind():
    pred = ClassificationPredictive.from_probs([[1 + 9e-7, -9e-10], [0.5, 0.5]])
    assert pred.probs[0].tolist() == [1.0, 0.0]
    soft = torch.softmax(torch.zeros(2, 4, requires_grad=True), dim=-1)
    np.testing.assert_array_equal(ClassificationPredictive.from_probs(soft).probs, np.full((2, 4), 0.25))
    q = torch.tensor([0.1, 0.9], requires_grad=True)
    np.testing.assert_allclose(gaussian().quantile(q), gaussian().quantile([0.1, 0.9]), rtol=1e-5)


class Regression(RegressionPredictive):
    """A user's own."""


class Classification(ClassificationPredictive):
    """A user's own."""


def test_predictions_of_a_subclass_come_back_as_the_class_that_is_known(tmp_path):
    loaded = load(Regression(MEAN, STD).save(tmp_path / "a.nc"))
    assert type(loaded) is RegressionPredictive
    np.testing.assert_array_equal(loaded.mean, MEAN)
    assert type(load(Classification.from_probs(PROBS).save(tmp_path / "b.nc"))) is ClassificationPredictive


def test_samples_in_a_file_are_the_draws_of_one_chain(tmp_path):
    archive = storage.read(drawn((5, 2)).save(tmp_path / "a.nc"))
    given = archive.variable("predictions", "samples")
    for dims, values in [(given.dims, given.values.repeat(2, 0)), (("p", *given.dims[1:]), given.values)]:
        changed = dict(archive.groups["predictions"]) | {"samples": replace(given, dims=dims, values=values)}
        with pytest.raises(DataError, match=r"a\.nc: expected samples that are the draws of one chain, got the axes"):
            RegressionPredictive.from_archive(replace(archive, groups=dict(archive.groups) | {"predictions": changed}))


def test_samples_of_one_number_need_an_axis_of_passes():
    with pytest.raises(InputError, match=r"samples must hold one array of the shape of mean, \(\), per pass, got \(\)"):
        RegressionPredictive(0.0, 1.0, passes=1, samples=3.0)


# Passes that differ from point to point, and errors that are known


def auto(**options):
    given = {"passes": np.array([100, 400, 25]), "mean_error": STD / 50}
    return gaussian(**(given | options))


def auto_classes(**options):
    pred = replace(classification(), samples=None)
    return replace(pred, **({"passes": [30, 400, 25, 100], "probs_error": pred.probs_std / 50} | options))


def test_errors_follow_from_each_points_passes_or_are_those_that_are_known():
    np.testing.assert_array_equal(auto().mcse, STD / 50)
    np.testing.assert_allclose(auto(mean_error=None).mcse, STD / np.array([[10], [20], [5]]))
    np.testing.assert_array_equal(auto_classes().mcse, auto_classes().probs_std / 50)
    roots = np.sqrt([30, 400, 25, 100])[:, None]
    np.testing.assert_allclose(auto_classes(probs_error=None).mcse, auto_classes().probs_std / roots)
    image = drawn((5, 4, 3), samples=None, passes=torch.arange(1, 6))
    assert image.passes.dtype == np.int64
    np.testing.assert_allclose(image.mcse[4], image.std[4] / np.sqrt(5))


@pytest.mark.parametrize("error", [True, False])
def test_passes_of_each_point_and_errors_come_back_from_files_to_the_bit(tmp_path, error):
    for make, name in ((auto, "mean_error"), (auto_classes, "probs_error")):
        pred = make() if error else make(**{name: None})
        assert_equal_to_the_bit(saved(pred, tmp_path), pred)
    one = RegressionPredictive([1.0], [0.1], passes=[7], mean_error=[0.01])
    assert_equal_to_the_bit(saved(one, tmp_path), one)
    everywhere = gaussian(mean_error=STD / 7)
    assert_equal_to_the_bit(saved(everywhere, tmp_path), everywhere)


def test_copies_keep_passes_and_errors():
    assert (auto().with_noise(0.5).passes == auto().passes).all()
    np.testing.assert_array_equal(auto().with_noise(0.5).mcse, auto().mcse)
    assert "passes=array([100, 400,  25])" in repr(auto())


@pytest.mark.parametrize("noise", [None, 2.0, np.ones(2), np.ones((1, 2)), np.arange(6.0).reshape(3, 2), STD[:, :1]])
def test_points_can_be_put_in_another_order(noise):
    pred = auto(noise_std=noise)
    turned = in_order(pred, np.array([20, 0, 10]))
    order = [1, 2, 0]
    for name in ("mean", "std", "passes", "mean_error", "mcse"):
        np.testing.assert_array_equal(getattr(turned, name), getattr(pred, name)[order])
    if noise is not None:
        np.testing.assert_array_equal(turned.total_std(), pred.total_std()[order])


def test_points_of_kept_passes_and_of_several_targets_can_be_put_in_another_order():
    pred = drawn((3, 2))
    made = in_order({"a": pred, 0: classification_of_three()}, np.array([2, 1, 0]))
    np.testing.assert_array_equal(made["a"].samples, pred.samples[:, ::-1])
    np.testing.assert_array_equal(made[0].votes, classification_of_three().votes[::-1])
    assert made[0].provenance == classification_of_three().provenance


def classification_of_three():
    return ClassificationPredictive.from_probs(PROBS[:3], provenance={"seed": 1})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"passes": [100, 100]}, r"passes must be one number, or one per point, shape \(3,\), got shape \(2,\)"),
        ({"passes": [[100], [100], [100]]}, r"passes must be one number, or one per point, .* got shape \(3, 1\)"),
        ({"passes": [100, 0, 100]}, "passes must be integers of at least 1, got 0; give the number"),
        ({"passes": [1.0, 2.0, 3.0]}, "passes must be integers of at least 1, got dtype float64"),
        ({"passes": [True, True, True]}, "passes must be integers of at least 1, got dtype bool"),
        ({"passes": "many"}, "passes must be an integer of at least 1"),
        ({"passes": ["a", "b", "c"]}, "passes must be an array of numbers"),
        ({"samples": np.zeros((100, 3, 2))}, "number of samples where they are kept, 100, got one per point"),
        ({"mean_error": STD[:2]}, r"mean_error must have one standard error per value, .* got shape \(2, 2\)"),
        ({"mean_error": -STD}, "mean_error must be >= 0 and finite, got -"),
        ({"mean_error": STD * np.nan}, "mean_error must be >= 0 and finite, got nan"),
        ({"mean_error": "small"}, "mean_error must be an array of numbers"),
    ],
)
def test_passes_and_errors_that_cannot_be_are_refused(changes, message):
    with pytest.raises(InputError, match=message) as caught:
        auto(**changes)
    assert "\n" not in str(caught.value)
    if "samples" not in changes and "mean_error" not in changes and changes["passes"] != "many":
        with pytest.raises(InputError, match="passes must be"):
            auto_classes(**changes)


def test_errors_of_classes_that_cannot_be_are_refused():
    with pytest.raises(InputError, match="probs_error must have one standard error per value"):
        auto_classes(probs_error=np.zeros(3))
