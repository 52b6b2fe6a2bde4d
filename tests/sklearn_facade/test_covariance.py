"""Covariances of points: those of the passes, with the variances of the prediction."""

import copy

import numpy as np
import pytest


@pytest.mark.parametrize("outputs", [1, 2])
def test_the_diagonal_of_the_covariance_is_the_variance(outputs, one, two):
    model = (one, two)[outputs - 1]
    grid = np.linspace(-2, 2, 7)[:, None]
    _, std = model.predict(grid, return_std=True)
    _, covariance = model.predict(grid, return_cov=True)
    np.testing.assert_allclose(np.sqrt(np.einsum("ii...->i...", covariance)), std, rtol=1e-10)
    for one_output in np.moveaxis(covariance.reshape(7, 7, -1), 2, 0):
        np.testing.assert_allclose(one_output, one_output.T)
        assert np.linalg.eigvalsh(one_output).min() > 0


def test_covariances_are_those_of_the_passes(one):
    grid = np.linspace(-2, 2, 6)[:, None]
    model = copy.copy(one).set_params(passes=1000)
    samples = model.predictive(grid, keep_samples=True).samples[:, :, 0]
    _, covariance = model.predict(grid, return_cov=True)
    expected = np.cov(samples, rowvar=False) + one.noise_std_**2 * np.eye(6)
    np.testing.assert_allclose(covariance, expected, rtol=0.01, atol=1e-4)
    assert covariance[0, 1] > 10 * abs(covariance[0, 1] - expected[0, 1])  # neighbors move together
