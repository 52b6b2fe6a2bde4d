"""Handwritten digits: the published statistics of MNIST, its own file format, clear refusals, and rotation."""

import gzip

import numpy as np
import pytest

from mcdrop.datasets import load_digits, rotate
from mcdrop.errors import DataError, InputError

from .made import IDX_NAMES, idx, mnist_parts, one_line, write_h5, write_idx


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
