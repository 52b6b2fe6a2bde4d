"""The image strip puts every pixel of every image where it belongs."""

import numpy as np
import pytest
from matplotlib import pyplot as plt

from mcdrop.errors import InputError
from mcdrop.plots import plot_image_strip

IMAGES = np.random.default_rng(0).normal(size=(3, 4, 5))


@pytest.mark.parametrize("channel", [False, True])
def test_images_stand_side_by_side_on_one_scale(channel):
    ax = plot_image_strip(IMAGES[:, None] if channel else IMAGES)
    (strip,) = ax.images
    shown = np.asarray(strip.get_array())
    assert shown.shape == (4, 15)
    for n in range(3):
        np.testing.assert_array_equal(shown[:, 5 * n : 5 * n + 5], IMAGES[n])
    assert strip.get_clim() == (IMAGES.min(), IMAGES.max())
    assert strip.get_cmap().name == "gray"


def test_image_n_is_centered_at_n_and_pixels_are_square():
    ax = plot_image_strip(IMAGES)
    left, right, bottom, top = ax.images[0].get_extent()
    assert (left, right, bottom) == (0.5, 3.5, 0.0)
    assert (top - bottom) / 4 == pytest.approx((right - left) / 15)
    assert ax.get_aspect() == 1.0


def test_titles_stand_under_their_images():
    ax = plot_image_strip(IMAGES, titles=np.array([50, 57, 64]), xlabel="rotation (degrees)")
    np.testing.assert_array_equal(ax.get_xticks(), [1, 2, 3])
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["50", "57", "64"]
    assert ax.get_xlabel() == "rotation (degrees)"
    assert not any(spine.get_visible() for spine in ax.spines.values())


def test_a_shared_axis_keeps_the_ticks_of_its_neighbor():
    _, (top, bottom) = plt.subplots(2, 1, sharex=True)
    bottom.set_xticks([1, 2, 3])
    assert plot_image_strip(IMAGES, ax=top) is top
    assert [tick.get_text() for tick in bottom.get_xticklabels()] == ["1", "2", "3"]
    assert not any(label.get_visible() for label in top.get_xticklabels())


@pytest.mark.parametrize(
    ("images", "titles"),
    [
        (np.zeros((4, 5)), None),
        (np.zeros((2, 3, 4, 5)), None),
        (np.zeros((0, 4, 5)), None),
        (np.full((2, 4, 5), np.nan), None),
        (np.zeros((2, 4, 5), complex), None),
        (IMAGES, ["a"]),
    ],
)
def test_bad_input_is_refused_before_a_figure_is_made(images, titles):
    with pytest.raises(InputError, match="must"):
        plot_image_strip(images, titles=titles)
    assert not plt.get_fignums()
