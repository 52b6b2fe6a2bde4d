"""The carbon dioxide record: published numbers, an undoable standardization, and clear refusals."""

import numpy as np
import pytest

from mcdrop.datasets import Standardizer, load_co2
from mcdrop.errors import DataError, InputError

from .made import one_line, stored_co2, write_h5

# The file


def test_co2_file_covers_the_record_without_a_hole():
    stored = stored_co2()
    assert len(stored["year"]) == 526
    assert (stored["year"][0], stored["month"][0]) == (1958, 3)
    assert (stored["year"][-1], stored["month"][-1]) == (2001, 12)
    np.testing.assert_array_equal(np.diff(stored["year"] * 12 + stored["month"]), 1)
    np.testing.assert_allclose(stored["decimal_year"], stored["year"] + (stored["month"] - 0.5) / 12)
    assert stored["weeks"].sum() == 2225  # weekly values in the source that are not missing


def test_co2_file_flags_exactly_the_months_without_a_week():
    stored = stored_co2()
    flagged = [
        (int(y), int(m))
        for y, m in zip(stored["year"][stored["interpolated"]], stored["month"][stored["interpolated"]], strict=True)
    ]
    assert flagged == [(1958, 6), (1958, 10), (1964, 2), (1964, 3), (1964, 4)]
    np.testing.assert_array_equal(stored["interpolated"], stored["weeks"] == 0)
    march = np.flatnonzero((stored["year"] == 1964) & (stored["month"] == 3))[0]
    np.testing.assert_allclose(
        stored["co2_ppm"][march], (stored["co2_ppm"][march - 2] + stored["co2_ppm"][march + 2]) / 2, atol=1e-3
    )


def test_co2_file_agrees_with_published_means():
    stored = stored_co2()
    # Monthly means in the statsmodels documentation of this record.
    np.testing.assert_allclose(stored["co2_ppm"][:3], [316.1, 317.2, 317.4333], atol=1e-4)
    # Annual means published by Scripps and NOAA from the continuous record, in ppm.
    for year, published in ((1959, 315.98), (1970, 325.68), (1980, 338.76), (1990, 354.45), (2000, 369.71)):
        assert stored["co2_ppm"][stored["year"] == year].mean() == pytest.approx(published, abs=0.5)


def test_co2_trains_on_the_first_272_months():
    data = load_co2()
    assert data.x.shape == data.y.shape == (272, 1)
    assert data.x_future.shape == data.y_future.shape == (254, 1)
    assert data.x.dtype == data.y.dtype == np.float64
    assert data.interpolated.sum() == 5
    assert not data.interpolated_future.any()
    assert data.year[-1, 0] < data.year_future[0, 0]


def test_co2_is_standardized_on_the_training_months_only():
    data = load_co2()
    for values in (data.x, data.y):
        assert values.mean() == pytest.approx(0, abs=1e-12)
        assert values.std() == pytest.approx(1, abs=1e-12)
    # Equally spaced points with standard deviation 1 end at sqrt(3 (N - 1) / (N + 1)); the tutorial's grid
    # of -1.72 to 3.5 starts just inside.
    assert data.x[-1, 0] == pytest.approx(np.sqrt(3 * 271 / 273), abs=1e-9)
    assert data.x[0, 0] == pytest.approx(-data.x[-1, 0], abs=1e-9)
    assert abs(data.y_future.mean()) > 1  # the future runs away from the training trend


def test_no_quadratic_is_left_in_the_training_values():
    data = load_co2()
    powers = np.vander(data.x[:, 0], 3)
    np.testing.assert_allclose(powers.T @ data.y / len(data.y), 0, atol=1e-10)


def test_undoing_the_standardization_gives_the_file_back():
    data, stored = load_co2(), stored_co2()
    np.testing.assert_allclose(np.vstack([data.year, data.year_future])[:, 0], stored["decimal_year"], atol=1e-9)
    np.testing.assert_allclose(np.vstack([data.ppm, data.ppm_future])[:, 0], stored["co2_ppm"], atol=1e-9)
    scale = data.scale
    np.testing.assert_allclose(scale.to_x(data.year_future), data.x_future, atol=1e-12)
    np.testing.assert_allclose(scale.to_y(data.x_future, data.ppm_future), data.y_future, atol=1e-12)


def test_spread_in_ppm_is_the_spread_of_values_in_ppm():
    data = load_co2()
    rng = np.random.default_rng(1)
    passes = data.y + rng.normal(size=(500, 272, 1))
    np.testing.assert_allclose(
        data.scale.to_ppm(data.x, passes).std(axis=0), data.scale.std_to_ppm(passes.std(axis=0)), rtol=1e-9
    )


def test_the_future_does_not_reach_the_fit(tmp_path):
    stored = stored_co2()
    stored["co2_ppm"][272:] += 50.0
    path = write_h5(tmp_path / "other.h5", **stored)
    changed, data = load_co2(path), load_co2()
    assert changed.standardizer == data.standardizer
    np.testing.assert_array_equal(changed.y, data.y)
    assert not np.allclose(changed.y_future, data.y_future)


def test_standardizer_recovers_a_known_quadratic():
    year = np.linspace(1990, 2000, 400)
    x = (year - year.mean()) / year.std()
    wiggle = np.sin(7 * x)
    wiggle -= np.polyval(np.polyfit(x, wiggle, 2), x)
    scale = Standardizer.fit(year, 300 + 5 * x + 2 * x**2 + wiggle)
    np.testing.assert_allclose(scale.trend, (300, 5, 2), atol=1e-9)
    assert scale.ppm_std == pytest.approx(wiggle.std())


def test_training_length_is_a_choice():
    data = load_co2(train_months=526)
    assert data.x.shape == (526, 1)
    assert data.x_future.shape == data.ppm_future.shape == (0, 1)


@pytest.mark.parametrize("months", [3, 527, -1, 10.5])
def test_impossible_training_lengths_are_refused(months):
    with pytest.raises(InputError) as error:
        load_co2(train_months=months)
    assert "526" in one_line(error)


def test_tutorial_format_is_read_as_it_stands(tmp_path):
    x, y = np.linspace(-1.7, 1.7, 9)[:, None], np.arange(9.0)[:, None]
    data = load_co2(write_h5(tmp_path / "co2_data.h5", data=x, label=y))
    np.testing.assert_array_equal(data.x, x)
    np.testing.assert_array_equal(data.y, y)
    assert data.x_future.shape == data.y_future.shape == (0, 1)
    assert data.standardizer is None
    for name in ("scale", "year", "ppm", "year_future", "ppm_future"):
        with pytest.raises(InputError) as error:
            getattr(data, name)
        assert "standardized" in one_line(error)


GOOD = {
    "decimal_year": np.arange(300) / 12,
    "co2_ppm": np.sin(np.arange(300.0)),
    "interpolated": np.zeros(300, bool),
}
BAD_CO2 = {
    "wrong keys": {"time": np.zeros(3)},
    "one key of two": {"data": np.zeros((3, 1))},
    "no data set at all": {},
    "wrong shape": {"data": np.zeros(3), "label": np.zeros(3)},
    "two columns": {"data": np.zeros((3, 2)), "label": np.zeros((3, 1))},
    "scalar": {"data": 1.0, "label": 2.0},
    "lengths differ": {"data": np.zeros((3, 1)), "label": np.zeros((4, 1))},
    "empty": {"data": np.zeros((0, 1)), "label": np.zeros((0, 1))},
    "nan": {"data": np.full((3, 1), np.nan), "label": np.zeros((3, 1))},
    "infinite": {"data": np.zeros((3, 1)), "label": np.full((3, 1), np.inf)},
    "text": {"data": np.array([[b"a"]]), "label": np.zeros((1, 1))},
    "group for a data set": {"data__x": np.zeros(3), "label": np.zeros((3, 1))},
    "three distinct x": {"data": np.array([[0.0], [0.5], [1.0], [1.0]]), "label": np.arange(4.0)[:, None]},
    "constant label": {"data": np.linspace(-1, 1, 9)[:, None], "label": np.ones((9, 1))},
    "years for x": {"data": np.linspace(1958, 1980, 9)[:, None], "label": np.arange(9.0)[:, None]},
    "huge label": {"data": np.linspace(-1, 1, 9)[:, None], "label": 1e7 * np.arange(9.0)[:, None]},
    "months out of order": GOOD | {"decimal_year": GOOD["decimal_year"][::-1]},
    "no spread": GOOD | {"co2_ppm": np.full(300, 315.0)},
    "short column": GOOD | {"interpolated": np.zeros(299, bool)},
}


@pytest.mark.parametrize("arrays", BAD_CO2.values(), ids=BAD_CO2.keys())
def test_bad_co2_files_are_refused(tmp_path, arrays):
    path = write_h5(tmp_path / "bad.h5", **arrays)
    with pytest.raises(DataError) as error:
        load_co2(path)
    assert str(path) in one_line(error)


def test_a_folder_is_not_a_co2_file(tmp_path):
    with pytest.raises(DataError, match="folder"):
        load_co2(tmp_path)
