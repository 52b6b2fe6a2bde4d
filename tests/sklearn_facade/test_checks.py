"""Every check that scikit-learn has for estimators; none is expected to fail."""

import pytest
from sklearn.utils.estimator_checks import estimator_checks_generator

from mcdrop.sklearn import MCDropoutClassifier, MCDropoutRegressor

ESTIMATORS = [MCDropoutRegressor(steps=100), MCDropoutClassifier(steps=100)]
NOT_FOR_NUMPY = "check_array_api_input"  # runs only where SciPy was told of other arrays before it was imported


def name_of(check):
    return check.func.__name__ if hasattr(check, "func") else check.__name__


CHECKS = [
    pytest.param(estimator, check, id=f"{type(estimator).__name__}-{name_of(check)}")
    for one in ESTIMATORS
    for estimator, check in estimator_checks_generator(one)
    if name_of(check) != NOT_FOR_NUMPY
]


@pytest.mark.filterwarnings("ignore:X has feature names, but")
@pytest.mark.parametrize(("estimator", "check"), CHECKS)
def test_scikit_learn_finds_nothing_amiss(estimator, check):
    check(estimator)


def test_there_are_many_checks():
    assert len(CHECKS) > 90
