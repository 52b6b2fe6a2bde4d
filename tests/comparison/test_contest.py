"""Compare: every column equals its score, noise goes where it belongs, and what does not fit is refused by name."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

import mcdrop
from comparison.made import POINTS, certain, classifier, gaussian, labels, truth
from mcdrop import ClassificationPredictive, InputError, RegressionPredictive, compare, scores
from mcdrop.comparison import classification

FEW = {"resamples": 100}
Y, LABELS = truth(), labels()


def samples(std, passes=50, seed=3):
    return std * np.random.default_rng(seed).normal(size=(passes, POINTS))


def test_every_score_of_a_regression_is_the_average_of_its_points():
    pred = gaussian(0.6, shift=0.1, noise=0.8)  # total standard deviation 1
    table = compare({"A": pred}, Y, **FEW)
    got, mean = table.loc["A"], np.full(POINTS, 0.1)
    assert got["RMSE"] == pytest.approx(math.sqrt(((Y - 0.1) ** 2).mean()))
    assert got["NLL"] == pytest.approx(scores.gaussian_nll(Y, mean, std=1.0).mean())
    assert got["CRPS"] == pytest.approx(scores.crps_gaussian(Y, mean, std=1.0).mean())
    for level in (0.5, 0.9, 0.95):
        lower, upper = pred.interval(level, noise_std=0.8)
        percent = f"{100 * level:g}%"
        assert got[f"coverage {percent}"] == scores.covered(Y, lower=lower, upper=upper).mean()
        assert got[f"width {percent}"] == pytest.approx(upper[0] - lower[0])
        expected = scores.interval_score(Y, lower=lower, upper=upper, level=level).mean()
        assert got[f"interval score {percent}"] == pytest.approx(expected)
    assert got["calibration error"] == pytest.approx(scores.coverage_curve(scores.pit(Y, mean, std=1.0)).error)
    assert set(table.columns) == set(table.attrs["units"])


def test_every_score_of_a_classification_is_that_of_its_points():
    pred, shifted = classifier(LABELS), np.arange(POINTS) < 100
    got = compare({"A": pred}, LABELS, shifted=shifted, refused=[0.25], **FEW).loc["A"]
    right = scores.correct(LABELS, pred.probs)
    assert got["accuracy"] == right.mean()
    assert got["NLL"] == pytest.approx(scores.categorical_nll(LABELS, pred.probs).mean())
    assert got["Brier"] == pytest.approx(scores.brier(LABELS, pred.probs).mean())
    assert got["ECE"] == pytest.approx(scores.reliability_curve(LABELS, pred.probs).error)
    for measure in ("entropy", "expected_entropy", "mutual_information", "variation_ratio"):
        values, name = getattr(pred, measure), measure.replace("_", " ")
        assert got[f"AUROC wrong, {name}"] == pytest.approx(scores.auroc(values, ~right))
        assert got[f"AUROC shifted, {name}"] == pytest.approx(scores.auroc(values, shifted))
    kept = scores.refusal_curve(right, pred.entropy, shares=[0.25]).accuracy[0]
    assert got["accuracy at 25% refused"] == pytest.approx(kept)
    assert len(got) == 4 + 8 + 1


def test_the_right_spread_is_best_and_wrong_ones_are_not_within_noise():
    models = {"narrow": gaussian(0.5), "right": gaussian(1.0), "wide": gaussian(2.0)}
    table = compare(models, Y)
    for score in ("NLL", "CRPS", "interval score 95%", "coverage 95%", "calibration error"):
        assert table.best[score].tolist() == [False, True, False], score
        assert not table.tied[score].any(), score
    assert table.best["RMSE"].all()  # all means are equal
    assert not table.best["width 95%"].any()
    coverage, error = table.at["right", "coverage 95%"], table.errors.at["right", "coverage 95%"]
    assert abs(coverage - 0.95) < 3 * math.sqrt(0.95 * 0.05 / POINTS)
    assert error == pytest.approx(math.sqrt(coverage * (1 - coverage) / POINTS), rel=0.15)


def test_models_that_differ_by_chance_are_tied():
    rng = np.random.default_rng(5)
    models = {
        name: RegressionPredictive(0.05 * rng.normal(size=POINTS), np.ones(POINTS), noise_std=0.0) for name in "AB"
    }
    table = compare(models, Y, scores=["RMSE", "CRPS", "NLL"])
    assert (table.best.sum() == 1).all()
    assert (table.tied.sum() == 1).all()


def test_noise_is_the_models_own_or_the_one_given_to_those_without_or_the_one_given_by_name():
    models = {"own": gaussian(0.6, noise=0.8), "none": gaussian(0.6, noise=None)}
    width = 2 * 1.959963984540054

    def widths(**options):
        return compare(models, Y, scores=["width 95%"], **FEW, **options)["width 95%"].tolist()

    assert widths() == pytest.approx([width, 0.6 * width])
    assert widths(noise_std=0.45) == pytest.approx([width, 0.75 * width])
    assert widths(noise_std=np.full(POINTS, 0.45)) == pytest.approx([width, 0.75 * width])
    assert widths(noise_std={"own": 0.45}) == pytest.approx([0.75 * width, 0.6 * width])


def test_a_model_without_noise_is_noted_unless_its_spread_does_not_count():
    models = {"own": gaussian(0.6, noise=0.8), "none": gaussian(0.6, noise=None)}
    (note,) = compare(models, Y, **FEW).notes
    assert note.startswith("none: no observation noise is known")
    assert "pass noise_std" in note
    assert compare(models, Y, noise_std=1.0, **FEW).notes == []
    assert compare(models, Y, scores=["RMSE"], **FEW).notes == []


def test_several_outputs_are_averaged_before_points_are_drawn():
    rng = np.random.default_rng(6)
    y = np.repeat(rng.normal(size=(POINTS, 1)), 3, axis=1)  # one output, three times
    three = RegressionPredictive(np.zeros((POINTS, 3)), np.ones((POINTS, 3)), noise_std=0.0)
    one = RegressionPredictive(np.zeros(POINTS), np.ones(POINTS), noise_std=0.0)
    a, b = compare({"A": three}, y, **FEW), compare({"A": one}, y[:, 0], **FEW)
    np.testing.assert_allclose(a, b)
    np.testing.assert_allclose(a.errors, b.errors)


def test_one_column_is_the_same_as_none_and_tensors_are_arrays():
    flat, column = gaussian(), RegressionPredictive(np.zeros((POINTS, 1)), np.ones((POINTS, 1)), noise_std=0.0)
    table = compare({"flat": flat, "column": column}, torch.as_tensor(Y), **FEW)
    np.testing.assert_array_equal(table.loc["flat"], table.loc["column"])
    np.testing.assert_array_equal(table, compare({"flat": flat, "column": column}, Y[:, None], **FEW))


def test_kept_passes_are_scored_with_the_noise_added_and_a_closed_form_as_its_gaussian():
    kept = gaussian(0.6, noise=0.8, passes=200, samples=samples(0.6, passes=200))
    models = {"MC": kept, "GP": gaussian(0.6, noise=0.8), "lost": gaussian(0.6, noise=0.8, passes=50)}
    table = compare(models, Y, scores=["CRPS", "CRPS of samples"], **FEW)
    assert table.at["MC", "CRPS of samples"] == pytest.approx(table.at["GP", "CRPS"], rel=0.02)
    assert table.at["GP", "CRPS of samples"] == table.at["GP", "CRPS"]
    assert table.at["lost", "CRPS of samples"] is pd.NA
    assert any(note.startswith("lost kept no passes") for note in table.notes)
    assert "CRPS of samples" in compare({"MC": kept}, Y, **FEW)
    assert "CRPS of samples" not in compare({"GP": models["GP"]}, Y, **FEW)


def test_without_noise_the_passes_are_scored_as_they_are():
    kept = gaussian(0.6, noise=None, passes=50, samples=samples(0.6))
    table = compare({"MC": kept}, Y, scores=["CRPS of samples"], **FEW)
    expected = scores.crps_samples(Y, kept.samples, estimator="fair").mean()
    assert table.at["MC", "CRPS of samples"] == pytest.approx(expected)


def test_one_pass_kept_has_no_fair_score():
    kept = gaussian(0.6, passes=1, samples=samples(0.6, passes=1))
    table = compare({"MC": kept}, Y, scores=["CRPS of samples"], **FEW)
    assert table.at["MC", "CRPS of samples"] is pd.NA
    assert table.notes == ["MC has one pass only, so it has no CRPS of samples."]


def test_a_measure_without_disagreement_has_no_auroc_and_says_so():
    pred = classifier(LABELS)
    table = compare({"MC": pred, "softmax": certain(pred.probs)}, LABELS, **FEW)
    for measure in ("mutual information", "variation ratio"):
        assert table.at["softmax", f"AUROC wrong, {measure}"] is pd.NA
        assert table.errors.at["softmax", f"AUROC wrong, {measure}"] is pd.NA
        assert f"softmax has the same {measure} at every point, so that has no AUROC." in table.notes
    assert table.at["softmax", "AUROC wrong, entropy"] == table.at["MC", "AUROC wrong, entropy"]
    assert not table.best["AUROC wrong, mutual information"].any()  # nobody to compare with
    assert table["AUROC wrong, mutual information"].sum(skipna=False) is pd.NA


@pytest.mark.parametrize(("kind", "turned"), [("right", 0), ("wrong", 1)])
def test_a_model_that_is_always_right_or_wrong_has_no_auroc_wrong(kind, turned):
    pred = classifier(LABELS)
    table = compare({"A": pred}, (pred.labels + turned) % 3, **FEW)
    assert table.filter(like="AUROC").isna().all(axis=None)
    assert f"A gives {kind} answers only, so it has no AUROC wrong." in table.notes


def test_few_wrong_answers_leave_resamples_without_any_and_a_note(monkeypatch):
    monkeypatch.setattr(classification, "_FEW", 1)
    pred = classifier(LABELS)
    y = pred.labels.copy()
    y[7] = (y[7] + 1) % 3
    table = compare({"A": pred}, y, scores=["accuracy", "AUROC wrong, entropy"])
    assert table.at["A", "AUROC wrong, entropy"] == pytest.approx(scores.auroc(pred.entropy, np.arange(POINTS) == 7))
    assert table.errors.at["A", "AUROC wrong, entropy"] > 0
    (note,) = table.notes
    assert "of 1,000 resamples have no AUROC wrong; its standard errors rest on the others" in note


def test_a_truth_that_was_given_no_probability_is_infinitely_bad_and_noted():
    probs = np.tile([1.0, 0.0, 0.0], (POINTS, 1))
    table = compare({"MC": classifier(LABELS), "sure": certain(probs)}, LABELS, scores=["NLL", "Brier"], **FEW)
    assert table.at["sure", "NLL"] == math.inf
    assert table.errors.at["sure", "NLL"] is pd.NA
    assert table.best["NLL"].tolist() == [True, False]
    assert f"probability 0 at {np.count_nonzero(LABELS)} of {POINTS} points" in table.notes[0]


def test_one_seed_gives_one_table_and_another_seed_other_errors_only():
    models = {"A": gaussian(), "B": gaussian(0.5)}
    one, same, other = (compare(models, Y, seed=seed, **FEW) for seed in (0, 0, 1))
    pd.testing.assert_frame_equal(one.errors, same.errors)
    np.testing.assert_array_equal(one, other)
    assert not np.allclose(one.errors["NLL"], other.errors["NLL"])


def test_standard_errors_do_not_depend_on_the_other_models_or_columns():
    models = {"A": gaussian(), "B": gaussian(0.5)}
    both = compare(models, Y, **FEW).errors
    alone = compare({"B": models["B"]}, Y, scores=["CRPS", "NLL"], **FEW).errors
    assert list(alone) == ["CRPS", "NLL"]
    np.testing.assert_allclose(alone.loc["B"], both.loc["B", ["CRPS", "NLL"]])


def test_levels_and_shares_name_their_columns():
    table = compare({"A": gaussian()}, Y, levels=[0.683], **FEW)
    assert {"interval score 68.3%", "coverage 68.3%", "width 68.3%"} <= set(table)
    assert "coverage 95%" not in table
    assert table.directions["coverage 68.3%"] == 0.683
    assert "accuracy at 5% refused" in compare({"A": classifier(LABELS)}, LABELS, refused=[0.05], **FEW)


def test_it_is_a_name_of_the_package():
    assert mcdrop.compare is compare


def spoiled(pred, field):
    """Return a prediction in which a number was lost after it was made."""
    getattr(pred, field)[3] = np.nan
    return pred


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: compare({}, Y), "must map the name of each model to its prediction, got an empty mapping"),
        (lambda: compare([gaussian()], Y), "must map the name of each model to its prediction, got list"),
        (lambda: compare({1: gaussian()}, Y), r"names of type str, got \[1\]"),
        (lambda: compare({"A": gaussian(), "B": classifier(LABELS)}, Y), "B: ClassificationPredictive"),
        (lambda: compare({"A": np.zeros(POINTS)}, Y), "A: ndarray; compare each kind"),
        (lambda: compare({"A": gaussian(), "B": gaussian(points=5)}, Y), "400 in y and A: 400, B: 5"),
        (lambda: compare({"A": gaussian()}, Y[:7]), "got 7 in y and A: 400"),
        (lambda: compare({"A": gaussian()}, 1.0), "got 0 in y"),
        (lambda: compare({"A": gaussian(points=1)}, Y[:1]), "at least 2 points, got 1"),
        (lambda: compare({"A": gaussian(points=0)}, Y[:0]), "at least 2 points, got 0"),
        (lambda: compare({"A": gaussian()}, [[1.0], [1.0, 2.0]]), r"y must be a rectangular array, got list"),
        (lambda: compare({"A": gaussian()}, Y, scores=[["NLL"]]), "list of different columns"),
        (lambda: compare({"A": gaussian()}, Y, scores=5), "list of different columns"),
        (
            lambda: compare({"A": gaussian()}, Y, levels=[1 / 3, 0.333333]),
            r"differ in their headings, got 33.3333%, 33",
        ),
        (lambda: compare({"A": classifier(LABELS)}, LABELS, refused=[1 / 3, 0.333333]), "refused must differ in their"),
        (lambda: compare({"A": gaussian(shift=1e200)}, Y), "A: mean must lie within 1e\\+100 of 0"),
        (lambda: compare({"A": gaussian()}, np.where(Y > 1, np.nan, Y)), "y must be finite"),
        (lambda: compare({"A": gaussian()}, Y[:, None] + np.zeros(2)), r"A: y must have the shape of the predicted"),
        (lambda: compare({"A": spoiled(gaussian(), "mean")}, Y), "A: mean must be finite"),
        (
            lambda: compare({"A": spoiled(gaussian(), "std")}, Y),
            "A: the total standard deviation must be finite and above 0",
        ),
        (lambda: compare({"A": gaussian(0.0, noise=None)}, Y), r"A: the standard deviation .* pass noise_std"),
        (lambda: compare({"A": gaussian(0.0)}, Y), "A: the total standard deviation must be finite and above 0, got 0"),
        (lambda: compare({"A": gaussian(noise=None)}, Y, noise_std=-1.0), "A: noise_std must be >= 0"),
        (lambda: compare({"A": gaussian()}, Y, noise_std={"B": 1.0}), r"noise_std must name models .* got \['B'\]"),
        (lambda: compare({"A": gaussian()}, Y, shifted=Y > 0), "shifted is for classifications"),
        (lambda: compare({"A": gaussian()}, Y, levels=[95]), r"levels must be a list of numbers .* got \[95\]"),
        (lambda: compare({"A": gaussian()}, Y, levels=0.95), "levels must be a list of numbers"),
        (lambda: compare({"A": gaussian()}, Y, levels=[0.5, 0.5]), "levels must be different numbers"),
        (lambda: compare({"A": gaussian()}, Y, scores=["rmse"]), "out of .*'RMSE'.* got .'rmse'"),
        (lambda: compare({"A": gaussian()}, Y, scores="RMSE"), "list of different columns"),
        (lambda: compare({"A": gaussian()}, Y, scores=[]), "list of different columns"),
        (lambda: compare({"A": gaussian()}, Y, scores=["RMSE", "RMSE"]), "list of different columns"),
        (lambda: compare({"A": gaussian()}, Y, resamples=10), "resamples must be an integer of at least 100"),
        (lambda: compare({"A": gaussian()}, Y, seed=-1), "seed must be an integer"),
        (lambda: compare({"A": classifier(LABELS)}, LABELS + 1), "A: y must hold labels from 0 to 2.*got 1 to 3"),
        (lambda: compare({"A": classifier(LABELS)}, Y), "A: y must hold integer labels"),
        (lambda: compare({"A": classifier(LABELS)}, LABELS, noise_std=1.0), "noise_std is for regressions"),
        (lambda: compare({"A": classifier(LABELS)}, LABELS, refused=[0.0]), "refused must be a list of numbers"),
        (lambda: compare({"A": classifier(LABELS)}, LABELS, shifted=Y > 99), "shifted must say of each of 400 points"),
        (lambda: compare({"A": classifier(LABELS)}, LABELS, shifted=[0, 1]), "shifted must say of each of 400 points"),
        (lambda: compare({"A": classifier(LABELS)}, LABELS, shifted=Y), "shifted must be True or False"),
        (
            lambda: compare({"A": certain(np.full((4, 2, 2, 3), 1 / 3))}, np.zeros((4, 2, 2), dtype=int)),
            r"A: probs must have shape \(N, K\), got \(4, 2, 2, 3\)",
        ),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(InputError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_a_prediction_without_spread_still_has_an_rmse():
    assert compare({"A": gaussian(0.0, noise=None)}, Y, scores=["RMSE"], **FEW).at["A", "RMSE"] > 0


def test_groups_widen_the_errors_and_leave_the_values():
    y = np.repeat(np.random.default_rng(0).normal(size=60), 5)
    zero = np.zeros(300)
    models = {
        "one": RegressionPredictive(mean=zero, std=zero + 1.0),
        "two": RegressionPredictive(mean=zero, std=zero + 2.0),
    }
    plain, grouped = (compare(models, y, groups=groups) for groups in (None, np.repeat(np.arange(60), 5)))
    np.testing.assert_allclose(grouped.to_numpy(), plain.to_numpy(), rtol=1e-12)
    ratio = grouped.errors.at["one", "NLL"] / plain.errors.at["one", "NLL"]
    assert ratio == pytest.approx(np.sqrt(5), rel=0.15)
    assert "300 points in 60 groups" in str(grouped) and "groups" not in str(plain)


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([1, 2], r"one label per point, shape \(4,\), got \(2,\)"),
        (["a"] * 4, "groups must be at least 2, got 1"),
        ([0.0, 1.0, np.nan, 2.0], "NaN, NaT or infinity among them"),
        ([0.0, 1.0, np.inf, 2.0], "NaN, NaT or infinity among them"),
        (["a", None, "b", "c"], "groups must be labels, got None"),
        (np.array(["2020", "2021", "NaT", "2022"], dtype="M8[Y]"), "groups must be labels, got None, NaN, NaT"),
        ([1, "1", 2, "a"], "labels of one type, got int, str; number them"),
        (np.array([1, "a", 2, "b"], dtype=object), "labels of one type, got int, str"),
        ([[1], [1, 2], 3, 4], "groups must hold one label per point, got list: "),
        (np.array([{}, {}, {}, {}]), "labels that can be sorted"),
    ],
)
def test_bad_groups_are_refused(groups, message):
    model = {"GP": RegressionPredictive(mean=np.zeros(4), std=np.ones(4))}
    with pytest.raises(InputError, match=message):
        compare(model, np.arange(4.0), groups=groups)


def test_groups_are_any_labels_of_one_type():
    model, y = {"GP": RegressionPredictive(mean=np.zeros(4), std=np.ones(4))}, np.arange(4.0)
    numbered = compare(model, y, groups=[0, 0, 1, 2], **FEW)
    days = np.array(["2020-01-01", "2020-01-01", "2020-01-02", "2020-01-03"], dtype="M8[D]")
    for groups in (["a", "a", "b", "c"], pd.Series(list("aabc")), np.array(list("aabc"), dtype=object), days):
        pd.testing.assert_frame_equal(compare(model, y, groups=groups, **FEW).errors, numbered.errors)


@pytest.mark.parametrize("field", ["expected_entropy", "mutual information"])
def test_a_measure_that_is_not_finite_is_refused_by_name(field):
    made = spoiled(classifier(LABELS), "expected_entropy")
    with pytest.raises(InputError, match="MC: expected_entropy must be finite, got 1 NaN"):
        compare({"MC": made}, LABELS, scores=[f"AUROC wrong, {field.replace('_', ' ')}"], **FEW)


def test_two_models_of_infinite_nll_are_not_equally_best():
    probs = np.tile([1.0, 0.0, 0.0], (POINTS, 1))
    table = compare({"one": certain(probs), "two": certain(probs)}, LABELS, scores=["NLL"], **FEW)
    assert not table.best.any(axis=None)
    assert table.verdict() == ["NLL: one inf, two inf"]
    third = compare({"one": certain(probs), "two": classifier(LABELS)}, LABELS, scores=["NLL"], **FEW)
    assert third.verdict()[0].endswith("one (inf) is worse")


def wrong_at(pred, where):
    y = pred.labels.copy()
    y[where] = (y[where] + 1) % 3
    return y


@pytest.mark.parametrize(("count", "judged"), [(1, False), (9, False), (10, True)])
def test_an_auroc_of_few_wrong_answers_has_no_error_and_is_not_judged(count, judged):
    pred, score = classifier(LABELS), "AUROC wrong, entropy"
    doubt = np.random.default_rng(0).uniform(0, 0.9, size=(POINTS, 1))
    other = ClassificationPredictive.from_probs((1 - doubt) * np.eye(3)[pred.labels] + doubt / 3)  # the same answers
    table = compare({"A": pred, "B": other}, wrong_at(pred, np.arange(count)), scores=[score], resamples=200)
    assert table.at["A", score] == pytest.approx(scores.auroc(pred.entropy, np.arange(POINTS) < count))
    assert table.errors[score].notna().all() == judged
    assert table.best[score].any() == judged
    assert any(word in table.verdict()[0] for word in (" best, ", " worse", " within noise")) == judged
    rests = f"rests on {count} wrong answer{'s' * (count > 1)}: too few for a standard error."
    assert [note.endswith(rests) for note in table.notes] == [True] * 2 * (not judged)


def test_an_auroc_counts_the_groups_that_hold_wrong_answers():
    pred, score = classifier(LABELS), "AUROC wrong, entropy"
    y, groups = wrong_at(pred, np.arange(20)), np.arange(POINTS) // 20
    table = compare({"A": pred}, y, groups=groups, scores=[score], **FEW)
    assert table.errors.at["A", score] is pd.NA
    assert table.notes == [
        "A has an AUROC wrong that rests on 20 wrong answers in 1 group: too few for a standard error."
    ]


def test_a_model_that_is_not_judged_beside_others_is_said_to_be_so():
    y, score = LABELS, "AUROC wrong, entropy"
    few = wrong_at(ClassificationPredictive.from_probs(np.eye(3)[y]), np.arange(5))
    doubt = np.linspace(0, 0.9, POINTS)[:, None]
    rare = ClassificationPredictive.from_probs((1 - doubt) * np.eye(3)[few] + doubt / 3)
    models = {"rare": rare, "A": classifier(y), "B": classifier(y, seed=5)}
    table = compare(models, y, scores=[score], **FEW)
    assert table.best[score].sum() == 1 and not table.best.at["rare", score]
    assert table.verdict()[0].endswith(f"; rare ({table.at['rare', score]:.4g}) is not judged")


@pytest.mark.parametrize("points", [10, 50])
def test_two_equally_good_models_differ_beyond_noise_in_5_percent_of_the_data_sets(points):
    rng, differ, repeats = np.random.default_rng(points), 0, 300
    for seed in range(repeats):
        y = rng.normal(size=points)
        models = {name: gaussian(points=points) for name in "AB"}
        models = {name: replace(pred, mean=rng.normal(size=points)) for name, pred in models.items()}
        table = compare(models, y, scores=["NLL"], resamples=200, seed=seed)
        differ += not table.tied["NLL"].any()
    assert abs(differ / repeats - 0.05) < 3.5 * math.sqrt(0.05 * 0.95 / repeats)


def test_equal_squares_at_every_point_have_no_error_of_rounding():
    probs = np.array([np.roll([0.7, 0.2, 0.1], k) for k in LABELS])
    table = compare({"A": certain(probs)}, LABELS, scores=["Brier"], **FEW)
    assert table.errors.at["A", "Brier"] == 0


def test_refusing_nearly_all_keeps_one_answer():
    pred = classifier(LABELS)
    table = compare({"A": pred}, LABELS, refused=[1 - 1e-12, 0.9999999, 1 / 3], **FEW)
    names = [name for name in table if "refused" in name]
    assert names == [f"accuracy at {share}% refused" for share in ("99.9999999999", "99.99999", "33.3333")]
    surest = pred.entropy.argmin()
    assert table.at["A", names[0]] == float(pred.labels[surest] == LABELS[surest])
    assert table.notna().all(axis=None)


@pytest.mark.parametrize(("mean", "noise"), [((POINTS,), (POINTS, 1)), ((POINTS, 1), (POINTS,))])
def test_noise_of_one_column_is_the_same_as_of_none(mean, noise):
    sigma = np.linspace(0.5, 1.5, POINTS)
    pred = RegressionPredictive(np.zeros(mean), np.full(mean, 0.6))
    expected = compare({"A": gaussian(0.6, noise=None)}, Y, noise_std=sigma, **FEW)
    for given in (sigma.reshape(noise), {"A": sigma.reshape(noise)}):
        np.testing.assert_array_equal(compare({"A": pred}, Y, noise_std=given, **FEW), expected)
