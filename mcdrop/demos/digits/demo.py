"""The tutorial's classification demo: MC dropout on digits that are turned step by step.

Trains the 800-800 perceptron and the LeNet, turns a held-out "1" by 50 to 127 degrees, runs T passes of each net,
and draws the softmax inputs and outputs, the class probabilities with and without MC dropout, and the measures.
Then the shift protocol (`shift`): every held-out digit is turned by 0 to 180 degrees, and the nets with and
without MC dropout and a Gaussian process are scored at every angle.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from mcdrop.baselines import GPClassifier
from mcdrop.datasets import Digits, load_digits
from mcdrop.demos.artifacts import Artifacts
from mcdrop.demos.digits.brought import find_weights
from mcdrop.demos.digits.figures import draw_softmax, draw_strip, draw_uncertainty
from mcdrop.demos.digits.presets import PRESETS, Preset, get_net
from mcdrop.demos.digits.report import check_digits, tabulate_digits
from mcdrop.demos.digits.shift import Shift, describe_gp, fit_gp
from mcdrop.demos.digits.shift_figures import draw_auroc, draw_refusal, draw_reliability, draw_right_wrong, draw_shift
from mcdrop.demos.digits.shift_report import tabulate_shift, write_verdict
from mcdrop.demos.digits.shift_scores import ShiftScores, score_shift
from mcdrop.demos.digits.sweep import ANGLES, Sweep, pick_digit
from mcdrop.demos.report import Report
from mcdrop.demos.setup import Setup, set_up
from mcdrop.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["PRESETS", "Preset", "run_digits"]

GP_METHODS = ("none", "map")
"""Whether there is a Gaussian process: none, or one with its hyperparameters at their best value."""


def run_digits(
    out: str | Path = "runs/digits",
    *,
    preset: str = "default",
    seed: int = 0,
    passes: int | None = None,
    data: str | Path | None = None,
    digit: int | None = None,
    gp: str = "map",
    weights: str | Path | Sequence[str | Path] = (),
    reuse: bool = False,
    device: str = "cpu",
    progress: bool = False,
) -> Report:
    """Run the demo and write its files.

    Args:
        out: Folder for figures, arrays, weights and the summary.
        preset: "default", "paper" or "tiny" (see `PRESETS`).
        seed: Of initial weights, training noise and masks.
        passes: Number of passes T; default: the preset's.
        data: Folder with the four MNIST files to read instead of the bundled digits.
        digit: Number of the held-out digit to turn; default: the first "1" that leans to the
            right by 30 degrees or more, as the tutorial's does (9978 of the full test set).
        gp: "map" for a Gaussian process in the shift protocol, its hyperparameters at their best value; "none" to
            leave it out.
        weights: Files with weights of the nets, or folders that `demo regularization` or this demo wrote, whose
            nets are taken instead of training them; a net for which there is none is trained.
        reuse: Load weights that an earlier run with the same settings wrote, instead of training. The Gaussian
            process is fitted anew.
        device: Where to train the nets and predict, for example "cuda".
        progress: Whether to show progress bars.

    Returns:
        The report; its numbers are in `summary.json` too.

    Raises:
        InputError: If the preset, the digit, the kind of Gaussian process or the device is unknown, the folder has
            no name, the number of passes is below 2, or weights fit neither net.
        DataError: If the data files or the files of weights are unusable.
        OutputError: If the folder cannot be written to, or reused weights cannot be read.
        TrainingError: If training diverges or is interrupted.
    """
    setup = set_up(PRESETS, preset, seed=seed, passes=passes, device=device)
    if gp not in GP_METHODS:
        raise InputError(
            f"gp must be one of {', '.join(GP_METHODS)}, got {gp!r}; the GP classifier has no NUTS, its "
            "hyperparameters are taken at their best value"
        )
    artifacts = Artifacts.at(out)
    digits = load_digits(data)
    index = pick_digit(digits, digit)
    brought = find_weights(weights)
    artifacts.check()
    outcome = _Outcome.of(setup, digits, index)
    for name in setup.preset.recipes:
        net = get_net(name, digits, setup, artifacts, brought=brought.get(name), reuse=reuse, progress=progress)
        outcome.add_net(name, net, progress)
    if gp == "map":
        artifacts.saved("gp.nc", outcome.add_gp(digits, setup, progress).save)
    scores = score_shift(outcome.shift, resamples=setup.preset.resamples, seed=setup.seed, progress=progress)
    settings = setup.settings(data) | {"digit": index, "gp": gp} | setup.preset.sizes(digits, gp=gp == "map")
    settings["weights"] = {name: str(file) for name, file in brought.items()}
    settings["recipes"] = {name: recipe for name, recipe in settings["recipes"].items() if name not in brought}
    return _write(outcome, scores, settings, artifacts)


@dataclass(slots=True)
class _Outcome:
    """What the models say: of the tutorial's digit and of all turned digits; and the Gaussian process, if any."""

    sweep: Sweep
    shift: Shift
    gp: GPClassifier | None = None

    @classmethod
    def of(cls, setup: Setup[Preset], digits: Digits, index: int) -> "_Outcome":
        held_out = slice(setup.preset.tested_on)
        passes = min(setup.passes, setup.preset.shift_passes)
        shift = Shift(digits.test_images[held_out], digits.test_labels[held_out], seed=setup.seed, passes=passes)
        return cls(Sweep(digits, index, setup.seed, setup.passes), shift)

    def add_net(self, name: str, net: nn.Module, progress: bool) -> None:
        self.sweep.add_net(name, net)
        self.shift.add_net(name, net, progress=progress)

    def add_gp(self, digits: Digits, setup: Setup[Preset], progress: bool) -> GPClassifier:
        images, labels = setup.preset.digits_of_gp(digits)
        self.gp = fit_gp(images, labels, seed=setup.seed, progress=progress)
        self.shift.add_gp(self.gp, progress=progress)
        return self.gp


def _write(outcome: _Outcome, scores: ShiftScores, settings: dict[str, Any], artifacts: Artifacts) -> Report:
    sweep, shift = outcome.sweep, outcome.shift
    numbers = {
        name: {"test_accuracy": shift.upright_accuracy(name)} | sweep.numbers(name) for name in sweep.predictions
    }
    gp = {} if outcome.gp is None else {"gp": describe_gp(outcome.gp, settings["gp_trained_on"])}
    report = Report(
        demo="digits",
        settings=settings,
        results={"label": sweep.label, "angles": ANGLES.tolist()} | numbers | {"shift": scores.numbers()} | gp,
        checks=check_digits(numbers),
        tables=(*tabulate_digits(numbers), *tabulate_shift(scores)),
        verdict=write_verdict(
            scores,
            trained_on=settings["trained_on"],
            gp_trained_on=settings["gp_trained_on"],
            brought=tuple(settings["weights"]),
        ),
    )
    for name, figure in _figures(sweep, shift, scores):
        artifacts.figure(name, figure)
    artifacts.arrays("arrays", sweep.arrays() | scores.arrays(), units=_UNITS, attributes=report.attributes())
    artifacts.summary(report.as_dict())
    return replace(report, files=tuple(artifacts.written))


def _figures(sweep: Sweep, shift: Shift, scores: ShiftScores) -> Iterator[tuple[str, "Figure"]]:
    """Yield every figure with its name, each drawn when its turn comes."""
    for name in sweep.predictions:
        yield f"softmax_{name}", draw_softmax(sweep, name)
        yield f"uncertainty_{name}", draw_uncertainty(sweep, name)
    yield "strip", draw_strip(sweep)
    yield "shift", draw_shift(scores)
    yield "auroc", draw_auroc(scores)
    yield "reliability", draw_reliability(shift)
    yield "refusal", draw_refusal(shift)
    yield "right_wrong", draw_right_wrong(shift)


_NATS = ("entropy", "expected_entropy", "mutual_information", "nll", "nll_error", "mean_entropy", "mean_entropy_error")
_UNITS = {"angle": "degree"} | dict.fromkeys(_NATS, "nat")
