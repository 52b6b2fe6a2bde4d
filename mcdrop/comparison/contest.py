"""Compare models: score their predictions for the same points, and say which differences are more than noise."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mcdrop.arguments import check_count
from mcdrop.comparison.classification import classification_columns
from mcdrop.comparison.columns import Column, Unsampled
from mcdrop.comparison.entries import (
    check_predictions,
    check_probabilities,
    classification_cases,
    naming,
    number_groups,
    regression_cases,
    select_columns,
)
from mcdrop.comparison.judging import judge
from mcdrop.comparison.regression import RegressionCase, regression_columns
from mcdrop.comparison.resampling import replicate
from mcdrop.comparison.table import Comparison
from mcdrop.errors import InputError
from mcdrop.predictive import ClassificationPredictive, RegressionPredictive
from mcdrop.rng import check_seed

__all__ = ["compare"]

Floats = NDArray[np.float64]


def compare(
    predictions: Mapping[str, RegressionPredictive] | Mapping[str, ClassificationPredictive],
    y: ArrayLike,
    *,
    noise_std: ArrayLike | Mapping[str, ArrayLike] | None = None,
    shifted: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    levels: Sequence[float] = (0.5, 0.9, 0.95),
    refused: Sequence[float] = (0.1, 0.2),
    scores: Sequence[str] | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> Comparison:
    r"""Score the predictions of several models for the same points, in one table.

    Regressions are scored as Gaussians with the predictive mean and the total spread: epistemic and noise. Where a
    model knows no noise and none is given, its epistemic spread stands alone, and a note says so. The columns:

    - "RMSE", "CRPS" (units of y) and "NLL" (nats; of D outputs the mean, as everywhere);
    - "CRPS of samples" (units of y), shown if a model kept its passes: the passes themselves, each with a draw of the
      noise, by the fair estimator; a closed form such as a Gaussian process is scored as the Gaussian it is;
    - "interval score 95%", "width 95%" (units of y) and "coverage 95%" (share), for each of `levels`;
    - "calibration error" (share): the mean distance of the coverage from 5%, 10%, ... 95%.

    Classifications are scored by their mean probabilities, their measures by how well they rank the points:

    - "accuracy" (share), "NLL" (nats), "Brier" (sum over classes), "ECE" (share; 15 bins of equal mass);
    - "AUROC wrong, entropy" and so on for expected entropy, mutual information and variation ratio: telling wrong from
      right answers; with `shifted`, "AUROC shifted, entropy" and so on: telling shifted from other points;
    - "accuracy at 20% refused" (share), for each of `refused`: what is left without the answers of highest entropy.

    Standard errors come from a bootstrap over points. It takes them as independent unless `groups` says which belong
    together; in a time series neighbors do, and without groups the errors are too small. They do not cover the
    randomness of training or of the passes. A difference counts as noise up to about 2 standard errors of the
    difference: for n points (or groups) the two-sided 95% point of Student's t with n - 1 degrees of freedom, named in
    the legend. Two equally good models so differ by more in about 5% of the data sets; of many, the best differs from
    some more often. An AUROC of fewer than 10 points (or groups) of either kind has no error, and is not judged.

    Args:
        predictions: Name of each model -> its prediction at N points, all of one kind.
        y: Truth: shape (N,) or (N, D), in the units of the means; or classes, integers from 0 to K - 1, shape (N,).
        noise_std: Standard deviation of the observation noise, in units of y: for the models that know none of their
            own, or for the models that a mapping names, known or not.
        shifted: Which points are shifted (turned, foreign), True or 1, shape (N,); classification only.
        groups: Which points are no news of one another, such as the turns of one digit or the months of one year: any
            labels, equal within a group, shape (N,). Whole groups are resampled. Default: all points are independent.
        levels: Probabilities of the central intervals, in (0, 1); regression only.
        refused: Shares of answers to refuse, in (0, 1); classification only.
        scores: Names of the columns to compute, in this order. Default: all.
        resamples: Number of bootstrap resamples.
        seed: Start of the random stream of the resamples; the same ones serve all models.

    Returns:
        The table, a DataFrame with the models as rows; see `Comparison`.

    Raises:
        InputError: If there is nothing to compare, predictions are of different kinds or lengths, do not fit y, have no
            spread, or an option is not what is described here. The message names the model.

    Example:
        >>> y = np.random.default_rng(0).normal(size=200)
        >>> zero, one = np.zeros(200), np.ones(200)
        >>> right = RegressionPredictive(mean=zero, std=one, noise_std=0.0)
        >>> narrow = RegressionPredictive(mean=zero, std=0.5 * one, noise_std=0.0)
        >>> print(*compare({"right": right, "narrow": narrow}, y, scores=["NLL", "coverage 95%"]).verdict(), sep="\n")
        NLL: right is best, 1.381 ± 0.041; narrow (2.07 ± 0.16) is worse
        coverage 95%: right is closest to 0.95, 0.965 ± 0.013; narrow (0.650 ± 0.034) is farther
    """
    check_count("resamples", resamples, least=100, why="fewer give no usable standard error")
    kind, seed = check_predictions(predictions, y), check_seed(seed)
    numbered = number_groups(groups, np.shape(y)[0])
    inside, without = check_probabilities("levels", levels), check_probabilities("refused", refused)
    cases: Mapping[str, Any]
    columns: list[Column[Any]]
    if kind is RegressionPredictive:
        if shifted is not None:
            raise InputError("shifted is for classifications, got regressions; leave it out")
        cases = regression_cases(cast("Mapping[str, RegressionPredictive]", predictions), y, noise_std, seed=seed)
        sampled = any(case.samples is not None for case in cases.values())
        columns = select_columns(regression_columns(inside), scores, sampled=sampled)
    else:
        if noise_std is not None:
            raise InputError("noise_std is for regressions, got classifications; leave it out")
        classifiers = cast("Mapping[str, ClassificationPredictive]", predictions)
        cases = classification_cases(classifiers, y, shifted, numbered)
        columns = select_columns(classification_columns(without, shifted=shifted is not None), scores, sampled=False)
    return _contest(cases, columns, numbered, resamples=resamples, seed=seed)


def _contest(
    cases: Mapping[str, Any],
    columns: Sequence[Column[Any]],
    groups: NDArray[np.intp],
    *,
    resamples: int,
    seed: int,
) -> Comparison:
    """Compute every column for every model, in the same resamples, and judge each column."""
    values = np.full((len(cases), len(columns)), np.nan)
    replicates = np.full((*values.shape, resamples), np.nan)
    notes, places, statistics = _spread_notes(cases, columns), [], []
    for row, (name, case) in enumerate(cases.items()):
        for k, column in enumerate(columns):
            with naming(name):
                made = column.make(case)
            if isinstance(made, Unsampled):
                values[row, k] = np.nan if made.value is None else made.value
                notes.append(f"{name} {made.reason}.")
            else:
                places.append((row, k))
                statistics.append(made)
    if places:
        rows, ks = np.array(places).T
        values[rows, ks], replicates[rows, ks] = replicate(statistics, groups, resamples=resamples, seed=seed)
        notes += _undefined_notes(replicates[rows, ks], [(list(cases)[row], columns[k].name) for row, k in places])
    judgment = judge(values, replicates, [column.direction for column in columns], units=int(groups.max()) + 1)
    return Comparison(
        values,
        judgment.errors,
        best=judgment.best,
        tied=judgment.tied,
        models=list(cases),
        directions={column.name: column.direction for column in columns},
        notes=list(dict.fromkeys(notes)),
        attrs={
            "units": {column.name: column.unit for column in columns},
            "points": len(groups),
            "groups": int(groups.max()) + 1,
            "resamples": resamples,
            "seed": seed,
        },
    )


def _spread_notes(cases: Mapping[str, Any], columns: Sequence[Column[Any]]) -> list[str]:
    """Say which models are scored without observation noise."""
    if not any(column.of_spread for column in columns):
        return []
    return [
        f"{name}: no observation noise is known, so it is scored on its epistemic spread alone; pass noise_std."
        for name, case in cases.items()
        if isinstance(case, RegressionCase) and not case.noisy
    ]


def _undefined_notes(replicates: Floats, places: Sequence[tuple[str, str]]) -> list[str]:
    """Say which standard errors rest on fewer resamples, because some hold no wrong (or shifted, or right) point."""
    notes = []
    for (name, column), count in zip(places, np.isnan(replicates).sum(axis=1), strict=True):
        if count:
            share = f"{count:,} of {replicates.shape[1]:,} resamples"
            notes.append(f"{name}: {share} have no {column.split(',')[0]}; its standard errors rest on the others.")
    return notes
