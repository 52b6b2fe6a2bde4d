"""The shift protocol against brute force, and what is said of it."""

import json

import numpy as np
import pytest
import torch

from mcdrop import ClassificationPredictive, MCDropout
from mcdrop.datasets import load_digits, rotate
from mcdrop.demos.digits.shift import MODELS, SHIFT_ANGLES, Shift, fit_gp, turn_all
from mcdrop.demos.digits.shift_figures import draw_auroc, draw_shift
from mcdrop.demos.digits.shift_report import _angles, tabulate_shift, write_verdict
from mcdrop.demos.digits.shift_scores import score_shift
from mcdrop.scores import reliability_curve

COUNT = 24
TURNS = len(SHIFT_ANGLES)


def little_net():
    torch.manual_seed(0)
    layers = (
        torch.nn.Flatten(),
        torch.nn.Linear(784, 32),
        torch.nn.ReLU(),
        torch.nn.Dropout(),
        torch.nn.Linear(32, 10),
    )
    return torch.nn.Sequential(*layers).eval()


@pytest.fixture(scope="module")
def shift():
    digits = load_digits()
    shift = Shift(digits.test_images[:COUNT], digits.test_labels[:COUNT], seed=3, passes=8)
    shift.add_net("mlp", little_net(), progress=False)
    shift.add_gp(fit_gp(digits.train_images[:80], digits.train_labels[:80], seed=0, progress=False), progress=False)
    return shift


@pytest.fixture(scope="module")
def scores(shift):
    return score_shift(shift, resamples=200, seed=0, progress=False)


@pytest.fixture
def figures():
    import matplotlib.pyplot as plt

    yield
    plt.close("all")


def test_the_protocol_turns_every_digit_by_every_angle():
    images = load_digits().test_images[:5]
    turned = turn_all(images).reshape(TURNS, 5, 1, 28, 28)
    assert SHIFT_ANGLES.tolist() == [0, 15, 30, 45, 60, 75, 90, 105, 120, 135, 150, 165, 180]
    np.testing.assert_array_equal(turned[0], images)
    for k, angle in enumerate(SHIFT_ANGLES):
        np.testing.assert_allclose(turned[k, 3], rotate(images[3], float(angle)), atol=1e-5)
    np.testing.assert_allclose(turned[6], np.rot90(images, axes=(-2, -1)), atol=1e-5)
    np.testing.assert_allclose(turned[-1], images[..., ::-1, ::-1], atol=1e-5)
    assert turned.dtype == np.float32


def test_every_model_sees_the_digits_of_each_angle(shift):
    net = little_net()
    model = MCDropout(net, task="classification")
    for k in (0, 4, 12):
        images = shift.images[k * COUNT : (k + 1) * COUNT]
        with torch.no_grad():
            softmax = net(torch.as_tensor(images)).softmax(dim=1).numpy()
        alone = model.predict(images, passes=8, seed=3)
        at = shift.at(k)
        np.testing.assert_allclose(at[MODELS["softmax_mlp"]].probs, softmax, atol=1e-6)
        np.testing.assert_allclose(at[MODELS["mc_dropout_mlp"]].probs, alone.probs, atol=1e-6)
        np.testing.assert_array_equal(at[MODELS["mc_dropout_mlp"]].votes, alone.votes)
        np.testing.assert_allclose(at[MODELS["mc_dropout_mlp"]].expected_entropy, alone.expected_entropy, atol=1e-6)
    both = shift.at(0, 4)[MODELS["gp"]]
    np.testing.assert_array_equal(both.probs[COUNT:], shift.at(4)[MODELS["gp"]].probs)
    assert list(shift.predictions) == ["softmax, MLP 800-800", "MC dropout, MLP 800-800", "GP"]


def test_scores_by_angle_equal_their_formulas_digit_by_digit(shift, scores):
    for k in range(TURNS):
        for row, pred in enumerate(shift.at(k).values()):
            right, loss, brier, entropy = [], [], [], []
            for probs, label in zip(pred.probs, shift.labels, strict=True):
                right.append(np.argmax(probs) == label)
                loss.append(-np.log(probs[label]))
                brier.append(sum((p - (c == label)) ** 2 for c, p in enumerate(probs)))
                entropy.append(-sum(p * np.log(p) for p in probs if p > 0))
            expected = {"accuracy": right, "NLL": loss, "Brier": brier, "mean entropy": entropy}
            for score, values in expected.items():
                assert scores.curves[score].values[row, k] == pytest.approx(np.mean(values), abs=1e-9)
                spread = np.std(values) / np.sqrt(COUNT)
                assert scores.curves[score].errors[row, k] == pytest.approx(spread, rel=0.2, abs=1e-3)
            assert scores.curves["ECE"].values[row, k] == pytest.approx(
                reliability_curve(shift.labels, pred.probs).error
            )


def win_rate(positive, negative):
    """Return the share of pairs in which the positive is more uncertain, a tie counting half."""
    positive, negative = np.round(positive, 12), np.round(negative, 12)
    return ((positive[:, None] > negative).mean() + (positive[:, None] >= negative).mean()) / 2


@pytest.mark.parametrize("measure", ["entropy", "mutual information", "variation ratio"])
def test_auroc_is_the_share_of_pairs_told_apart(shift, scores, measure):
    turned, wrong = scores.curves[f"AUROC shifted, {measure}"], scores.curves[f"AUROC wrong, {measure}"]
    upright = shift.at(0)
    for row, name in ((1, MODELS["mc_dropout_mlp"]), (2, MODELS["gp"])):
        assert np.isnan(turned.values[row, 0])
        for k in range(1, TURNS):
            pred = shift.at(k)[name]
            values, before = (getattr(p, measure.replace(" ", "_")) for p in (pred, upright[name]))
            assert turned.values[row, k] == pytest.approx(win_rate(values, before), abs=1e-9)
            right = pred.labels == shift.labels
            if 0 < right.sum() < COUNT:
                assert wrong.values[row, k] == pytest.approx(win_rate(values[~right], values[right]), abs=1e-9)
            else:
                assert np.isnan(wrong.values[row, k])


def test_all_angles_together_weigh_the_same(scores):
    for score in ("accuracy", "NLL", "Brier"):
        means = scores.curves[score].values.mean(axis=1)
        np.testing.assert_allclose(scores.overall[score].to_numpy(dtype=float), means, rtol=1e-9)


def test_numbers_are_plain_data_without_gaps_passed_over(scores):
    numbers = scores.numbers()
    assert json.loads(json.dumps(numbers, allow_nan=False)) == numbers
    assert list(numbers["models"]) == ["softmax_mlp", "mc_dropout_mlp", "gp"]
    gp = numbers["models"]["gp"]
    assert gp["by_angle"]["auroc_turned_entropy"][0] is None
    assert None not in gp["by_angle"]["auroc_turned_entropy"][1:]
    assert len(gp["by_angle"]["nll_error"]) == TURNS
    assert gp["all_angles"]["accuracy_at_20_percent_refused"]["value"] >= 0
    assert gp["all_angles"]["accuracy"]["error"] > 0
    softmax = numbers["models"]["softmax_mlp"]
    assert set(softmax["by_angle"]["auroc_turned_mutual_information"]) == {None}  # its one pass cannot disagree
    assert softmax["all_angles"]["auroc_wrong_variation_ratio"] == {"value": None, "error": None}


def contest():
    """Return a protocol in which the GP is right and sure up to 45 degrees, and wrong and sure from there on."""
    labels = np.arange(40) % 10
    shift = Shift(np.zeros((40, 1, 28, 28), dtype=np.float32), labels, seed=0, passes=2)
    truth, early = np.tile(labels, TURNS), np.repeat(SHIFT_ANGLES <= 45, 40)
    sure = np.full((len(truth), 10), 0.01)
    sure[np.arange(len(truth)), np.where(early, truth, (truth + 1) % 10)] = 0.91
    wide = np.full((len(truth), 10), 0.09)
    wide[np.arange(len(truth)), np.where(np.arange(len(truth)) % 2, truth, (truth + 1) % 10)] = 0.19
    shift.predictions = {
        MODELS["softmax_lenet"]: ClassificationPredictive.from_probs(wide),
        MODELS["gp"]: ClassificationPredictive.from_probs(sure),
    }
    return score_shift(shift, resamples=100, seed=0, progress=False)


def test_the_verdict_names_the_angles_at_which_each_model_wins():
    verdict = write_verdict(contest(), trained_on=4000, gp_trained_on=1500)
    assert "a 6 and a 9 turn into each other" in verdict[0]
    assert verdict[1] == (
        "MLP 800-800: learned from 4,000 digits; LeNet: learned from 4,000 digits; GP: learned from 1,500 digits."
    )
    expected = "best or within noise of the best: softmax, LeNet at 60° to 180°; GP at 0° to 45°."
    for score in ("accuracy", "NLL", "Brier", "ECE"):
        assert f"{score}, {expected}" in verdict
    assert any(text.startswith("Over all angles, best: accuracy softmax, LeNet 50.0%; NLL (nats) ") for text in verdict)
    brought = write_verdict(contest(), trained_on=4000, gp_trained_on=None, brought=("lenet",))
    assert brought[1] == "LeNet: brought with its weights; MLP 800-800: learned from 4,000 digits."


def test_tables_mark_the_best():
    by_angle, overall, *_, refusal = tabulate_shift(contest())
    assert by_angle.rows[0] == ("accuracy", "softmax, LeNet", "50.0% ", "50.0% ", "50.0%*", "50.0%*")
    assert by_angle.rows[1] == ("accuracy", "GP", "100.0%*", "100.0%*", "0.0% ", "0.0% ")
    assert overall.columns == ("model", "accuracy", "NLL (nats)", "Brier", "ECE")
    assert overall.rows[0][:2] == ("softmax, LeNet", "50.0%*")
    assert refusal.columns[1:4] == ("0% refused", "10% refused", "20% refused")


@pytest.mark.parametrize(
    ("places", "text"), [([0], "0°"), ([0, 1, 2], "0° to 30°"), ([0, 2, 3, 12], "0°, 30° to 45°, 180°")]
)
def test_neighboring_angles_are_ranges(places, text):
    assert _angles(np.array(places)) == text


@pytest.mark.usefixtures("figures")
def test_a_model_has_the_same_line_in_every_panel(scores):
    looks = {}
    for figure in (draw_shift(scores), draw_auroc(scores)):
        for ax in figure.axes:
            for drawn in ax.containers:
                line = drawn.lines[0]
                looks.setdefault(drawn.get_label(), set()).add((line.get_color(), line.get_marker()))
    assert set(looks) == set(scores.models)
    assert all(len(styles) == 1 for styles in looks.values())
    assert len(set().union(*looks.values())) == len(looks)


@pytest.mark.usefixtures("figures")
def test_figures_leave_out_what_does_not_exist(scores):
    by_information = draw_auroc(scores).axes[1]
    assert [drawn.get_label() for drawn in by_information.containers] == ["MC dropout, MLP 800-800", "GP"]
    assert by_information.containers[0].lines[0].get_xdata().tolist() == SHIFT_ANGLES[1:].tolist()
    curve = scores.curves["AUROC wrong, entropy"]
    judged = SHIFT_ANGLES[np.isfinite(curve.values[1]) & np.isfinite(curve.errors[1])].tolist()
    drawn = [line for line in draw_auroc(scores).axes[3].containers if line.get_label().startswith("MC")]
    assert [line.lines[0].get_xdata().tolist() for line in drawn] == [judged] * bool(judged)
    panels = draw_shift(scores).axes
    assert [ax.get_ylabel() for ax in panels[:2]] == ["accuracy (share of right answers)", "NLL (nats)"]
    assert all(ax.get_legend() is None for ax in panels[:5])
    assert [text.get_text() for text in panels[5].get_legend().get_texts()] == [
        "MC dropout, MLP 800-800",
        "GP",
        "softmax, MLP 800-800",
    ]
