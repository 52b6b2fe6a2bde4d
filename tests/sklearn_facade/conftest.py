"""Regressors that have found their noise, of one output and of two; tests do not change them."""

import pytest

from mcdrop.sklearn import MCDropoutRegressor

from .made import wave


@pytest.fixture(scope="package")
def one():
    return MCDropoutRegressor(noise_std="fit", steps=600).fit(*wave())


@pytest.fixture(scope="package")
def two():
    return MCDropoutRegressor(noise_std="fit", steps=600).fit(*wave(outputs=2))
