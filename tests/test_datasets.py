"""What the data sets promise: published numbers, an undoable standardization, and clear refusals."""

import gzip
import hashlib
import re
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from mcdrop.datasets import Standardizer, load_co2, load_digits, rotate
from mcdrop.errors import DataError, InputError

DATA = Path(__file__).parents[1] / "data"


def write_h5(path, **arrays):
    with h5py.File(path, "w") as file:
        for name, values in arrays.items():
            file.create_dataset(name.replace("__", "/"), data=values)
    return path


def stored_co2():
    with h5py.File(DATA / "co2.h5", "r") as file:
        return {name: file[name][()] for name in file}


def idx(array):
    header = (0x0800 + array.ndim).to_bytes(4, "big")
    return header + b"".join(n.to_bytes(4, "big") for n in array.shape) + array.tobytes()


IDX_NAMES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def mnist_parts():
    rng = np.random.default_rng(0)
    arrays = []
    for count in (12, 5):
        arrays.append(rng.integers(0, 256, (count, 28, 28), dtype=np.uint8))
        arrays.append(rng.integers(0, 10, count, dtype=np.uint8))
    return arrays


def write_idx(root, arrays, *, dot=False, zipped=False):
    for name, array in zip(IDX_NAMES, arrays, strict=True):
        name = name.replace("-idx", ".idx") if dot else name
        raw = idx(array)
        (root / f"{name}{'.gz' if zipped else ''}").write_bytes(gzip.compress(raw) if zipped else raw)
    return root


def one_line(error):
    text = str(error.value)
    assert "\n" not in text
    assert "expected" in text or "must" in text or "need" in text
    assert "got" in text
    return text


# The files themselves


@pytest.mark.parametrize("name", ["co2.h5", "digits.h5"])
def test_checksum_is_the_one_in_the_readme(name):
    stated = re.search(rf"`{name}` \| `([0-9a-f]{{64}})`", (DATA / "README.md").read_text()).group(1)
    assert hashlib.sha256((DATA / name).read_bytes()).hexdigest() == stated


@pytest.mark.parametrize("name", ["co2.h5", "digits.h5"])
def test_every_data_set_states_its_units(name):
    def check(_, item):
        if isinstance(item, h5py.Dataset):
            assert item.attrs["units"] and item.attrs["description"]

    with h5py.File(DATA / name, "r") as file:
        assert file.attrs["license"] and file.attrs["source"]
        file.visititems(check)


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


# Carbon dioxide


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


@pytest.mark.parametrize("load", [load_co2, load_digits])
@pytest.mark.parametrize("kind", ["missing", "not hdf5", "empty", "cut", "cut late"])
def test_unreadable_files_are_refused(tmp_path, load, kind):
    path = tmp_path / "bad.h5"
    whole = (DATA / ("co2.h5" if load is load_co2 else "digits.h5")).read_bytes()
    content = {
        "not hdf5": b"year,ppm\n1958,315\n",
        "empty": b"",
        "cut": whole[:3000],
        "cut late": whole[:-500],
    }
    if kind != "missing":
        path.write_bytes(content[kind])
    with pytest.raises(DataError) as error:
        load(path)
    assert str(path) in one_line(error)


def test_a_folder_is_not_a_co2_file(tmp_path):
    with pytest.raises(DataError, match="folder"):
        load_co2(tmp_path)


def test_a_damaged_chunk_is_refused(tmp_path):
    raw = bytearray((DATA / "digits.h5").read_bytes())
    raw[400_000:400_400] = bytes(400)
    path = tmp_path / "bad.h5"
    path.write_bytes(raw)
    with pytest.raises(DataError) as error:
        load_digits(path)
    one_line(error)


# Digits


def test_digits_are_balanced_scaled_and_typed():
    digits = load_digits()
    for images, labels, count in (
        (digits.train_images, digits.train_labels, 4000),
        (digits.test_images, digits.test_labels, 1000),
    ):
        assert images.shape == (count, 1, 28, 28) and images.dtype == np.float32
        assert labels.shape == (count,) and labels.dtype == np.int64
        assert images.min() == 0.0 and images.max() == 1.0
        np.testing.assert_array_equal(np.bincount(labels), count // 10)
        np.testing.assert_array_equal(labels[:10], range(10))


def test_digits_have_the_published_mean_and_spread_of_mnist():
    images = load_digits().train_images.astype(np.float64)
    assert images.mean() == pytest.approx(0.1307, abs=0.003)
    assert images.std() == pytest.approx(0.3081, abs=0.003)


def test_no_digit_is_in_both_parts():
    digits = load_digits()
    train = {image.tobytes() for image in digits.train_images}
    assert len(train) == 4000
    assert train.isdisjoint(image.tobytes() for image in digits.test_images)


@pytest.mark.parametrize("dot", [False, True])
@pytest.mark.parametrize("zipped", [False, True])
def test_idx_files_come_back_as_written(tmp_path, dot, zipped):
    arrays = mnist_parts()
    digits = load_digits(write_idx(tmp_path, arrays, dot=dot, zipped=zipped))
    np.testing.assert_array_equal(np.rint(digits.train_images[:, 0] * 255), arrays[0])
    np.testing.assert_array_equal(digits.train_labels, arrays[1])
    np.testing.assert_array_equal(np.rint(digits.test_images[:, 0] * 255), arrays[2])
    np.testing.assert_array_equal(digits.test_labels, arrays[3])
    assert digits.train_images.dtype == np.float32 and digits.test_labels.dtype == np.int64


def test_a_missing_idx_file_is_named(tmp_path):
    write_idx(tmp_path, mnist_parts())
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(DataError, match="t10k-labels-idx1-ubyte") as error:
        load_digits(tmp_path)
    one_line(error)


LABELS = np.arange(12, dtype=np.uint8) % 10
BAD_IDX = {
    "empty": (0, b""),
    "labels for images": (0, idx(LABELS)),
    "header only": (0, idx(np.zeros((12, 28, 28), np.uint8))[:16]),
    "cut header": (0, idx(np.zeros((12, 28, 28), np.uint8))[:9]),
    "cut": (0, idx(np.zeros((12, 28, 28), np.uint8))[:-1]),
    "too long": (0, idx(np.zeros((12, 28, 28), np.uint8)) + b"0"),
    "wrong size": (0, idx(np.zeros((12, 20, 20), np.uint8))),
    "no image": (0, idx(np.zeros((0, 28, 28), np.uint8))),
    "count differs": (1, idx(LABELS[:-1])),
    "label 10": (1, idx(LABELS + 1)),
    "float type": (1, b"\x00\x00\x0d\x01" + idx(LABELS)[4:]),
    "cut gzip": (1, gzip.compress(idx(LABELS))[:-9]),
    "damaged gzip": (1, gzip.compress(idx(LABELS))[:12] + b"\xff" * 9),
}


@pytest.mark.parametrize(("which", "raw"), BAD_IDX.values(), ids=BAD_IDX.keys())
def test_bad_idx_files_are_refused(tmp_path, which, raw):
    write_idx(tmp_path, mnist_parts())
    (tmp_path / IDX_NAMES[which]).write_bytes(raw)
    with pytest.raises(DataError) as error:
        load_digits(tmp_path)
    assert str(tmp_path) in one_line(error)


def digits_h5(**changes):
    images, labels = np.zeros((4, 28, 28), np.uint8), np.arange(4, dtype=np.uint8)
    good = {"train__images": images, "train__labels": labels, "test__images": images, "test__labels": labels}
    return good | changes


@pytest.mark.parametrize(
    "changes",
    [
        {"train__images": np.zeros((4, 28, 28), np.float32)},
        {"train__images": np.zeros((4, 784), np.uint8)},
        {"train__images": np.zeros((0, 28, 28), np.uint8), "train__labels": np.zeros(0, np.uint8)},
        {"test__labels": np.zeros(3, np.uint8)},
        {"test__labels": np.zeros(4)},
        {"test__labels": np.array([0, 1, 2, -1])},
    ],
)
def test_bad_digit_files_are_refused(tmp_path, changes):
    with pytest.raises(DataError) as error:
        load_digits(write_h5(tmp_path / "bad.h5", **digits_h5(**changes)))
    one_line(error)


def test_wrongly_keyed_digit_file_lists_what_it_holds(tmp_path):
    path = write_h5(tmp_path / "bad.h5", images=np.zeros((4, 28, 28), np.uint8))
    with pytest.raises(DataError, match="got images") as error:
        load_digits(path)
    assert "train/images" in one_line(error)


def test_own_digit_file_is_read(tmp_path):
    assert len(load_digits(write_h5(tmp_path / "d.h5", **digits_h5())).test_images) == 4


# Rotation

IMAGE = load_digits().test_images[1]


def test_no_rotation_is_the_identity():
    np.testing.assert_allclose(rotate(IMAGE, 0), IMAGE, atol=1e-6)


@pytest.mark.parametrize("turns", [1, 2, 3, -1])
def test_quarter_turns_are_exact_and_counterclockwise(turns):
    expected = np.rot90(IMAGE, turns, axes=(-2, -1))
    np.testing.assert_allclose(rotate(IMAGE, 90 * turns), expected, atol=1e-6)


def test_rotation_is_scipys():
    from scipy import ndimage

    np.testing.assert_array_equal(rotate(IMAGE[0], 57), ndimage.rotate(IMAGE[0], 57, reshape=False))


def test_a_sequence_of_angles_makes_a_stack():
    angles = range(50, 130, 7)
    sweep = rotate(IMAGE, angles)
    assert sweep.shape == (12, 1, 28, 28) and sweep.dtype == np.float32
    for turned, angle in zip(sweep, angles, strict=True):
        np.testing.assert_array_equal(turned, rotate(IMAGE, angle))
    assert rotate(IMAGE, [50]).shape == (1, 1, 28, 28)


def test_each_image_of_a_batch_turns_alone():
    batch = load_digits().test_images[:3]
    np.testing.assert_array_equal(rotate(batch, 33)[2, 0], rotate(batch[2, 0], 33))


def test_splines_overshoot_and_bytes_do_not_wrap():
    turned = rotate(np.uint8(np.rint(IMAGE * 255)), 45)
    assert turned.min() < 0 and turned.dtype == np.float32
    np.testing.assert_allclose(turned / 255, rotate(IMAGE, 45), atol=1e-5)


@pytest.mark.parametrize(
    ("image", "degrees"),
    [
        (np.zeros(28), 10),
        (np.zeros((0, 28, 28)), 10),
        (np.full((28, 28), np.nan), 10),
        (np.zeros((28, 28), complex), 10),
        (np.zeros((28, 28)), np.nan),
        (np.zeros((28, 28)), []),
        (np.zeros((28, 28)), [[10, 20]]),
        (np.zeros((28, 28)), "ten"),
    ],
)
def test_bad_rotations_are_refused(image, degrees):
    with pytest.raises(InputError) as error:
        rotate(image, degrees)
    one_line(error)


def test_importing_the_module_is_light():
    code = "import sys, mcdrop.datasets; sys.exit('h5py' in sys.modules or 'matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=DATA.parent, check=False).returncode == 0
