"""Single images: options, modes, sizes, depth, and which side is up."""

import sys

import numpy as np
import pytest
from PIL import Image

from mcdrop.errors import DependencyError, InputError
from mcdrop.sources import ImageOptions
from mcdrop.sources.images import read_image

PIXELS = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.png"


def test_pixels_are_channels_first_in_the_unit_interval(path):
    Image.fromarray(PIXELS).save(path)
    array = read_image(path, ImageOptions())
    np.testing.assert_allclose(array, PIXELS.transpose(2, 0, 1) / 255, rtol=1e-6)
    assert array.dtype == np.float32
    assert array.flags.c_contiguous


def test_white_is_one_and_black_is_zero_in_every_mode(path):
    for mode, white in [("1", 1), ("L", 255), ("RGB", (255,) * 3), ("RGBA", (255,) * 4), ("LA", (255, 255))]:
        for color, value in [(white, 1), (0, 0)]:
            Image.new(mode, (2, 2), color).save(path)
            for options in (ImageOptions(), ImageOptions(mode="L")):
                array = read_image(path, options)
                assert array.shape == (options.channels, 2, 2)
                assert (array == value).all()
    Image.new("RGB", (2, 2), (255,) * 3).convert("CMYK").save(path.with_suffix(".jpg"))
    assert (read_image(path.with_suffix(".jpg"), ImageOptions()) == 1).all()


def test_mean_and_std_standardize_each_channel(path):
    Image.fromarray(PIXELS).save(path)
    plain = read_image(path, ImageOptions())
    mean, std = (0.1, 0.2, 0.3), (0.5, 2.0, 4.0)
    for m, s in [(mean, None), (None, std), (mean, std)]:
        expected = (plain - np.reshape(m or (0,) * 3, (3, 1, 1))) / np.reshape(s or (1,) * 3, (3, 1, 1))
        np.testing.assert_allclose(read_image(path, ImageOptions(mean=m, std=s)), expected, atol=1e-6)


def test_size_is_height_and_width_and_resizing_is_bilinear(path):
    Image.fromarray(PIXELS).save(path)
    assert read_image(path, ImageOptions(size=(5, 9))).shape == (3, 5, 9)
    expected = np.asarray(Image.fromarray(PIXELS).resize((9, 5), Image.Resampling.BILINEAR)).transpose(2, 0, 1) / 255
    np.testing.assert_allclose(read_image(path, ImageOptions(size=(5, 9))), expected, rtol=1e-6)
    ramp = np.repeat(np.arange(0, 256, 17, dtype=np.uint8)[None], 4, 0)  # is linear, and stays so where it is enlarged
    Image.fromarray(ramp).save(path)
    large = read_image(path, ImageOptions(size=(4, 32), mode="L"))[0, 0, 1:-1] * 255
    np.testing.assert_allclose(np.diff(large), 8.5, atol=1)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_camera_s_orientation_is_obeyed(tmp_path, orientation):
    """The eight ways to store one picture, as the standard (Exif 2.32, tag 0x0112) numbers them."""
    turns = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
        8: lambda a: np.rot90(a, -1),
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.ascontiguousarray(turns[orientation](PIXELS))
    Image.fromarray(stored).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_allclose(
        read_image(tmp_path / "a.png", ImageOptions()), PIXELS.transpose(2, 0, 1) / 255, rtol=1e-6
    )


@pytest.mark.parametrize("size", [None, (4, 6), (2, 3)])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_sixteen_bits_keep_their_depth(path, size, mode):
    gray = np.full((4, 6), 12345, np.uint16)
    Image.fromarray(gray).save(path)
    array = read_image(path, ImageOptions(size=size, mode=mode))
    assert array.shape == (1 if mode == "L" else 3, *(size or (4, 6)))
    np.testing.assert_allclose(array, 12345 / 65535, rtol=1e-6)


def test_pixels_of_unknown_range_are_refused(tmp_path):
    Image.fromarray(np.zeros((2, 2), np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(ValueError, match="32 bits, of which nobody knows what is white"):
        read_image(tmp_path / "a.tif", ImageOptions())


def test_a_palette_with_transparency(path):
    image = Image.fromarray(PIXELS).quantize(4)
    image.save(path, transparency=b"\x00\x80")
    np.testing.assert_allclose(
        read_image(path, ImageOptions()), np.asarray(image.convert("RGB")).transpose(2, 0, 1) / 255, rtol=1e-6
    )


def test_the_first_picture_of_several(tmp_path):
    frames = [Image.new("L", (2, 2), color) for color in (0, 255)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert (read_image(tmp_path / "a.gif", ImageOptions()) == 0).all()


@pytest.mark.parametrize(
    "options, message",
    [
        ({"mode": "CMYK"}, "mode must be one of 'RGB', 'L', got 'CMYK'"),
        ({"size": 32}, "size must be a height and a width in pixels, got 32"),
        ({"size": (1, 2, 3)}, "size must be a height and a width"),
        ({"size": (0, 2)}, "size must be an integer of at least 1"),
        ({"size": (2.5, 2)}, "size must be an integer of at least 1"),
        ({"mean": 0.5}, "mean must be 3 finite numbers, one for each channel of RGB, got 0.5"),
        ({"mean": (0.5,)}, "mean must be 3 finite numbers"),
        ({"mean": (0.5, 0.5, float("nan"))}, "mean must be 3 finite numbers"),
        ({"std": (1, 1, 0)}, "std must be 3 positive numbers"),
        ({"std": ("1", 1, 1)}, "std must be 3 positive numbers"),
        ({"std": (1, 1, 1), "mode": "L"}, "std must be 1 positive number, one for each channel of L"),
    ],
)
def test_options_that_make_no_sense(options, message):
    with pytest.raises(InputError) as caught:
        ImageOptions(**options)
    assert message in str(caught.value)


def test_lists_become_tuples():
    options = ImageOptions(size=[2, 3], mean=[0, 0, 0])
    assert options == ImageOptions(size=(2, 3), mean=(0.0, 0.0, 0.0))
    assert hash(options)


def test_without_pillow_it_is_named(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(DependencyError, match="images need Pillow, which is not installed; pip install pillow"):
        read_image(path, ImageOptions())
