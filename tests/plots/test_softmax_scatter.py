"""The softmax scatter draws one dash per pass, image and class."""

import numpy as np
import pytest
from matplotlib import pyplot as plt

from mcdrop.errors import InputError
from mcdrop.plots import plot_softmax_scatter


@pytest.mark.parametrize("field", ["samples", "prob_samples"])
def test_every_pass_of_the_chosen_classes_is_drawn(classification, field):
    samples = getattr(classification, field)
    ax = plot_softmax_scatter(samples, [3, 0], dodge=0)
    assert len(ax.collections) == 2
    for dashes, k in zip(ax.collections, (3, 0), strict=True):
        offsets = np.asarray(dashes.get_offsets())
        assert len(offsets) == 40 * 6
        for n in range(6):
            drawn = offsets[offsets[:, 0] == n + 1, 1]
            np.testing.assert_allclose(np.sort(drawn), np.sort(samples[:, n, k]))
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["3", "0"]


def test_classes_stand_side_by_side_within_their_image(classification):
    ax = plot_softmax_scatter(classification.samples, [0, 1, 2], dodge=0.6)
    first = [np.asarray(dashes.get_offsets())[0, 0] for dashes in ax.collections]
    np.testing.assert_allclose(first, [0.8, 1.0, 1.2])


def test_x_is_sorted_and_paired_with_its_image(classification):
    angles = [60, 10, 50, 20, 40, 30]
    ax = plot_softmax_scatter(classification.samples, [2], x=angles)
    offsets = np.asarray(ax.collections[0].get_offsets())
    for n, angle in enumerate(angles):
        drawn = offsets[offsets[:, 0] == angle, 1]
        np.testing.assert_allclose(np.sort(drawn), np.sort(classification.samples[:, n, 2]))


def test_draws_on_the_given_axes_with_its_labels(classification):
    ax = plt.figure().add_subplot()
    assert plot_softmax_scatter(classification.samples, [0], ax=ax, ylabel="logit", title="in") is ax
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title()) == ("image", "logit", "in")
    np.testing.assert_array_equal(ax.get_xticks(), range(1, 7))


def test_colors_are_per_class(classification):
    from matplotlib.colors import to_rgb

    ax = plot_softmax_scatter(classification.samples, [0, 1], colors=["red", "blue"])
    assert [tuple(c.get_facecolor()[0][:3]) for c in ax.collections] == [to_rgb("red"), to_rgb("blue")]


def test_one_image_is_enough(classification):
    ax = plot_softmax_scatter(classification.samples[:, :1], [0, 1])
    assert len(ax.collections[0].get_offsets()) == 40


@pytest.mark.parametrize(
    ("samples", "classes", "options"),
    [
        (None, [0], {}),
        (np.zeros((6, 5)), [0], {}),
        (np.zeros((0, 6, 5)), [0], {}),
        (np.full((4, 6, 5), np.nan), [0], {}),
        (np.zeros((4, 6, 5)), [], {}),
        (np.zeros((4, 6, 5)), [5], {}),
        (np.zeros((4, 6, 5)), [-1], {}),
        (np.zeros((4, 6, 5)), [1, 1], {}),
        (np.zeros((4, 6, 5)), [0.5], {}),
        (np.zeros((4, 6, 5)), [0], {"x": [1, 2]}),
        (np.zeros((4, 6, 5)), [0, 1], {"colors": ["red"]}),
        (np.zeros((4, 6, 5)), [0], {"dodge": 2}),
    ],
)
def test_bad_input_is_refused_before_a_figure_is_made(samples, classes, options):
    with pytest.raises(InputError, match="must"):
        plot_softmax_scatter(samples, classes, **options)
    assert not plt.get_fignums()
