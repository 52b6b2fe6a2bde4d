"""Predictions made for tests: regressions and classifications with known faults."""

import numpy as np

from mcdrop import ClassificationPredictive, RegressionPredictive, measures

POINTS = 400


def truth(points=POINTS, seed=0):
    return np.random.default_rng(seed).normal(size=points)


def gaussian(std=1.0, *, shift=0.0, points=POINTS, noise=0.0, **options):
    return RegressionPredictive(np.full(points, shift), np.full(points, std), noise_std=noise, **options)


def labels(points=POINTS, seed=0):
    return np.random.default_rng(seed).integers(3, size=points)


def classifier(y, *, blur=1.0, passes=20, seed=1):
    """Passes whose logits favor the true class at easy points, with noise between passes."""
    rng = np.random.default_rng(seed)
    easy = np.linspace(0, 3, len(y))[:, None]
    logits = easy * np.eye(3)[y] + rng.normal(size=(len(y), 3)) + blur * rng.normal(size=(passes, len(y), 3))
    probs = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    return ClassificationPredictive(
        probs=probs.mean(0),
        probs_std=probs.std(0),
        logit_mean=logits.mean(0),
        logit_std=logits.std(0),
        votes=np.eye(3, dtype=np.int64)[probs.argmax(-1)].sum(0),
        expected_entropy=measures.expected_entropy(probs),
        passes=passes,
    )


def certain(probs):
    """One pass, and so no disagreement."""
    probs = np.asarray(probs, dtype=float)
    nothing = np.zeros_like(probs)
    votes = np.eye(probs.shape[-1], dtype=np.int64)[probs.argmax(-1)]
    return ClassificationPredictive(probs, nothing, nothing, nothing, votes, measures.entropy(probs), 1)
