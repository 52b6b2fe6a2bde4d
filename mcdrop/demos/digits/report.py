"""What the tutorial's digit shows: tables for the screen, and checks of what the tutorial says."""

from collections.abc import Mapping
from typing import Any

from mcdrop.demos.digits.sweep import ANGLES, TITLES
from mcdrop.demos.report import Check, Table

__all__ = ["check_digits", "tabulate_digits"]


def check_digits(numbers: Mapping[str, Mapping[str, Any]]) -> tuple[Check, ...]:
    """Return the checks: the nets know upright digits, and doubt the digit in mid-sweep.

    Args:
        numbers: `Sweep.numbers` of each net, with its test accuracy.
    """
    checks = []
    for name, bound in (("lenet", 0.965), ("mlp", 0.92)):
        accuracy = numbers[name]["test_accuracy"]["weight_averaging"]
        checks.append(Check(f"{TITLES[name]}: test accuracy", accuracy, bound, at_least=True))
    for name, values in numbers.items():
        gain = values["middle_mutual_information"] - values["as_written_mutual_information"]
        title = f"{TITLES[name]}: mutual information in mid-sweep minus unturned (nats)"
        checks.append(Check(title, gain, 0.1, at_least=True))
    return tuple(checks)


def tabulate_digits(numbers: Mapping[str, Mapping[str, Any]]) -> tuple[Table, ...]:
    """Return the tables: accuracy, and each net on the turned digit.

    Args:
        numbers: `Sweep.numbers` of each net, with its test accuracy.
    """
    return (_accuracy_table(numbers), *(_sweep_table(name, values) for name, values in numbers.items()))


def _accuracy_table(numbers: Mapping[str, Mapping[str, Any]]) -> Table:
    rows = tuple(
        (
            TITLES[name],
            f"{values['test_accuracy']['weight_averaging']:.1%}",
            f"{values['test_accuracy']['mc_dropout']:.1%}",
        )
        for name, values in numbers.items()
    )
    return Table("Accuracy on the held-out digits", ("net", "weight averaging", "MC dropout"), rows)


def _sweep_table(name: str, values: Mapping[str, Any]) -> Table:
    columns = ("angle", "label", "MC label", "entropy", "mutual information", "variation ratio")
    keys = ("entropy", "mutual_information", "variation_ratio")
    rows = tuple(
        (
            f"{angle}°",
            str(values["labels_weight_averaging"][i]),
            str(values["labels_mc_dropout"][i]),
            *(f"{values[key][i]:.2f}" for key in keys),
        )
        for i, angle in enumerate(ANGLES)
    )
    return Table(f"{TITLES[name]} on the turned digit (measures in nats)", columns, rows)
