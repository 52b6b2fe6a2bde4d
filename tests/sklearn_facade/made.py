"""Data and estimators for the tests: noisy sines, quick fits, a net of one's own."""

import numpy as np
import torch

from mcdrop.sklearn import MCDropoutClassifier, MCDropoutRegressor

SIGMA = 0.2
BOTH = [MCDropoutRegressor, MCDropoutClassifier]


def wave(rows=200, outputs=1, seed=0):
    """Return noisy sines on [-1.5, 1.5], the second of them a hundred times as high, on a slope of inputs."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1.5, 1.5, (rows, 1))
    y = np.hstack([np.sin(3 * x), 100 * np.cos(3 * x)][:outputs]) + [SIGMA, 50.0][:outputs] * rng.normal(
        size=(rows, outputs)
    )
    return x, y[:, 0] if outputs == 1 else y


def quick(kind=MCDropoutRegressor, **options):
    return kind(**{"steps": 30, "hidden_layer_sizes": (16,), **options})


def own_net(outputs=1, p=0.2):
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Linear(1, 32), torch.nn.ReLU(), torch.nn.Dropout(p), torch.nn.Linear(32, outputs)
    )
