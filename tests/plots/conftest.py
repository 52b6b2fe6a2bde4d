"""Figures without a screen, closed after every test."""

import matplotlib
import numpy as np
import pytest

from mcdrop import measures
from mcdrop.predictive import ClassificationPredictive, RegressionPredictive

matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def close_figures():
    from matplotlib import pyplot as plt

    yield
    plt.close("all")


@pytest.fixture
def regression():
    rng = np.random.default_rng(0)
    return RegressionPredictive(mean=rng.normal(size=(7, 2)), std=rng.uniform(0.5, 1.0, (7, 2)), passes=10)


@pytest.fixture
def classification():
    rng = np.random.default_rng(1)
    logits = 2 * rng.normal(size=(40, 6, 5))
    logits[:, :, 4] -= 9  # never wins
    probs = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    winners = logits.argmax(axis=-1)
    return ClassificationPredictive(
        probs=probs.mean(axis=0),
        probs_std=probs.std(axis=0, ddof=1),
        logit_mean=logits.mean(axis=0),
        logit_std=logits.std(axis=0, ddof=1),
        votes=np.stack([(winners == k).sum(axis=0) for k in range(5)], axis=1),
        expected_entropy=measures.expected_entropy(probs),
        passes=40,
        samples=logits,
    )
