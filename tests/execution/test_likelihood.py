"""The noise is fitted by three rounds of the same passes over inputs read three times."""

import numpy as np
import pytest
import torch
from laws import mlp, randn, with_weights

from mcdrop import InputError
from mcdrop.execution import Options, Run, fit_precision, log_likelihood, read_targets
from mcdrop.inputs import open_stream
from mcdrop.precision import LogLikelihood, predictive_log_likelihood

X, Y = randn(9, 3), randn(9, 2, seed=1)


def opened(x=X):
    return open_stream(x, device=torch.device("cpu"), dtype=torch.float32)


def run(**options):
    sizes = {"batch_size": 4, "chunk_size": 3} | options
    return Run(with_weights(mlp()), opened(), options=Options(passes=8, **sizes))


def test_three_rounds_of_the_same_passes():
    readings = []
    truth = read_targets(Y, labels=False)
    best = fit_precision(run(), truth, lambda: readings.append(1) or opened())
    assert len(readings) == 2  # and the first is the run's own
    samples = run().samples()
    expected = [predictive_log_likelihood(samples, Y, tau=tau).mean() for tau in best.taus]
    np.testing.assert_allclose(best.log_likelihoods, expected, rtol=1e-4)


def test_every_row_meets_its_own_truth():
    truth = read_targets(Y, labels=False)
    values = log_likelihood(run(), truth, lambda output, y: LogLikelihood.of(output, y, 2.0))
    np.testing.assert_allclose(values, predictive_log_likelihood(run().samples(), Y, tau=2.0), rtol=1e-5)


@pytest.mark.parametrize("rows", [8, 10])
def test_truth_of_another_length_is_refused(rows):
    truth = read_targets(randn(rows, 2), labels=False)
    with pytest.raises(InputError, match=f"x and y must have one row per example each, got .*9 and {rows}"):
        fit_precision(run(), truth, opened)


def test_each_round_has_a_bar_that_says_what_it_is(capsys):
    fit_precision(run(progress=True), read_targets(Y, labels=False), opened)
    shown = capsys.readouterr().err
    assert "Bounding tau" in shown
    assert "Fitting tau" in shown
