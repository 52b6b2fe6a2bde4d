"""Counted masks: addressing, the published generator, uniformity, independence, and values that must never change."""

import hashlib
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mcdrop.errors import InputError
from mcdrop.masks import CountedBits, RowLayout, kept, mask_words

UINT64 = 2**64 - 1
GOLDEN_SHARED = [[149215387, 49592932, 2628306354, 1037445899]]
GOLDEN_ROW = [[[807788954, 878603625, 41964147, 980644142]]]
GOLDEN_HASH = "85f81be15ad74700ba0c262cc7bad35b640138d9ff84882dc6bc1eddc1c3f2b4"


def philox(counter, key):
    """Return four 64-bit words of Philox4x64-10, as printed by Salmon et al. (2011)."""
    words, keys = list(counter), list(key)
    for _ in range(10):
        high0, low0 = divmod(0xD2E7470EE14C6C93 * words[0], 2**64)
        high1, low1 = divmod(0xCA5A826395121157 * words[2], 2**64)
        words = [high1 ^ words[1] ^ keys[0], low1, high0 ^ words[3] ^ keys[1], low0]
        keys = [(keys[0] + 0x9E3779B97F4A7C15) & UINT64, (keys[1] + 0xBB67AE8584CAA73B) & UINT64]
    return words


def halves(words):
    return [half for word in words for half in (word & 0xFFFFFFFF, word >> 32)]


def test_oracle_gives_the_published_answers():
    """Known answers of the Random123 library for philox4x64-10."""
    assert philox([0] * 4, [0] * 2) == [0x16554D9ECA36314C, 0xDB20FE9D672D0FDC, 0xD7E772CEE186176B, 0x7E68B68AEC7BA23B]
    assert philox([UINT64] * 4, [UINT64] * 2) == [
        0x87B092C3013FE90B,
        0x438C3C67BE8D0224,
        0x9CC7D7C69CD777B6,
        0xA09CAEBF594F0BA0,
    ]


@given(st.integers(0, 2**63 - 1), st.integers(0, 1000), st.integers(0, 2**40))
@settings(max_examples=20, deadline=None)
def test_words_are_philox_of_seed_site_and_pass(seed, site, number):
    words = CountedBits(seed=seed, site=site).shared(range(number, number + 1), 11)[0]
    blocks = [halves(philox([block, 0, number, 0], [seed, site])) for block in (1, 2)]  # numpy counts up, then draws
    assert words.tolist() == (blocks[0] + blocks[1])[:11]


@given(st.integers(0, 2**40), st.integers(0, 2**40), st.integers(1, 20))
@settings(max_examples=20, deadline=None)
def test_row_words_are_philox_of_the_row_too(number, row, width):
    words = CountedBits(seed=5, site=6).by_row(range(number, number + 1), range(row, row + 1), width)[0, 0]
    first = row * -(-width // 8) + 1
    blocks = [halves(philox([first + i, width, number, 1], [5, 6])) for i in range(3)]
    assert words.tolist() == list(itertools.chain(*blocks))[:width]


def test_draws_never_change_between_releases():
    """Pinned: whoever changes these changes every result that anyone has published with a seed."""
    bits = CountedBits(seed=0, site=0)
    assert bits.shared(range(1), 4).tolist() == GOLDEN_SHARED
    assert bits.by_row(range(3, 4), range(7, 8), 4).tolist() == GOLDEN_ROW
    words = [
        mask_words(
            CountedBits(seed=seed, site=site),
            (6, 5, 3),
            passes=range(2, 5),
            rows=range(4, 7),
            layout=RowLayout(0, 2),
            independent=independent,
        )
        for seed, site, independent in itertools.product((0, 2**63 - 1), (0, 9), (False, True))
    ]
    assert hashlib.sha256(np.stack(words).astype("<u4").tobytes()).hexdigest() == GOLDEN_HASH


@given(st.integers(0, 50), st.integers(1, 30), st.integers(1, 8), st.integers(1, 8))
@settings(max_examples=30, deadline=None)
def test_any_window_of_passes_rows_and_units_is_cut_from_the_same_whole(start, width, passes, rows):
    bits = CountedBits(seed=1, site=2)
    window = bits.by_row(range(3, 3 + passes), range(start, start + rows), width)
    for i, j in itertools.product(range(passes), range(rows)):
        alone = CountedBits(seed=1, site=2).by_row(range(3 + i, 4 + i), range(start + j, start + j + 1), width)
        assert (alone[0, 0] == window[i, j]).all()
    shared = bits.shared(range(3, 3 + passes), width)
    assert (shared == bits.shared(range(3 + passes), width + 9)[3:, :width]).all()


def test_seed_site_pass_row_and_width_each_make_other_words():
    def row(seed=0, site=0, number=0, row=0, width=64):
        return CountedBits(seed=seed, site=site).by_row(range(number, number + 1), range(row, row + 1), width)[0, 0]

    variants = [row(), row(seed=1), row(site=1), row(number=1), row(row=1), row(width=65)[:64], row(seed=1, site=1)]
    variants += [row(seed=1, number=1), row(site=1, number=1), row(seed=2, site=1), row(seed=1, site=2)]
    variants += [CountedBits(seed=0, site=0).shared(range(1), 64)[0]]
    for a, b in itertools.combinations(variants, 2):
        assert (a != b).mean() > 0.9


@pytest.mark.parametrize("way", ["units", "passes", "sites", "seeds", "rows"])
def test_words_are_uniform_along_every_axis(way):
    """Chi-square over 256 bins for either end of the word; a false alarm for 2 seeds in a million."""
    words = stream(way)
    for bits in (words >> 24, words & 0xFF):
        counts = np.bincount(bits, minlength=256)
        assert stats.chisquare(counts).pvalue > 1e-6


def stream(way, count=2**15):
    if way == "units":
        return CountedBits(seed=0, site=0).shared(range(1), count)[0]
    if way == "passes":
        return CountedBits(seed=0, site=0).shared(range(count // 4), 4).ravel()
    if way == "rows":
        return CountedBits(seed=0, site=0).by_row(range(1), range(count // 2), 2).ravel()
    made = (CountedBits(**({"seed": 0, "site": 0} | {way[:-1]: i})) for i in range(count // 32))
    return np.concatenate([bits.shared(range(1), 32)[0] for bits in made])


def test_masks_of_different_sites_passes_rows_and_seeds_are_uncorrelated():
    """Correlations of n = 2^14 signs lie within 5.5 / sqrt(n); a false alarm for 1 seed in 50,000 over 500 pairs."""
    n, limit = 2**14, 5.5 / 2**7
    shared = [CountedBits(seed=s, site=k).shared(range(3), n) for s in range(2) for k in range(3)]
    rows = CountedBits(seed=0, site=0).by_row(range(3), range(4), n).reshape(-1, n)
    signs = 2.0 * kept(np.concatenate([*shared, rows]), 0.5) - 1
    correlations = signs @ signs.T / n
    assert len(signs) == 30
    assert np.abs(correlations - np.eye(len(signs))).max() < limit
    for lag in (1, 2, 4, 8):
        assert abs((signs[:, lag:] * signs[:, :-lag]).mean(axis=1)).max() < limit


@pytest.mark.parametrize("rate", [0.0, 1e-3, 0.1, 0.5, 0.9, 1.0])
def test_share_of_dropped_units_is_the_rate(rate):
    words = CountedBits(seed=3, site=1).shared(range(16), 2**12)
    dropped = 1 - kept(words, rate).mean()
    assert abs(dropped - rate) <= 5.2 * np.sqrt(rate * (1 - rate) / words.size)


def test_rate_meets_the_words_exactly():
    edge = np.array([0, 2**30 - 1, 2**30, 2**32 - 1], dtype=np.uint32)
    assert kept(edge, 0.25).tolist() == [False, False, True, True]
    assert kept(edge, 0.0).all()
    assert not kept(edge, 1.0).any()
    assert not kept(edge, 1 - 1e-12).any()


@given(st.floats(0, 1), st.floats(0, 1))
@settings(max_examples=30, deadline=None)
def test_a_higher_rate_drops_a_superset(a, b):
    words = CountedBits(seed=0, site=0).shared(range(1), 500)
    low, high = sorted((a, b))
    assert (kept(words, low) >= kept(words, high)).all()


LAYOUTS = [
    ((4, 5), RowLayout(0, 1)),
    ((5, 4), RowLayout(1, 1)),
    ((8, 3), RowLayout(0, 2)),
    ((3, 8, 2), RowLayout(1, 2)),
    ((3, 2, 4), RowLayout(2, 1)),
    ((8, 3), RowLayout(0, 2, interleaved=True)),
    ((3, 12, 2), RowLayout(1, 3, interleaved=True)),
]


@pytest.mark.parametrize(("shape", "layout"), LAYOUTS)
@pytest.mark.parametrize("independent", [False, True])
def test_rows_keep_their_masks_in_any_batch(shape, layout, independent):
    """Cutting four rows in batches of one, in any layout, cuts the mask and nothing else."""
    bits = CountedBits(seed=0, site=0)

    def words(rows):
        cut = list(shape)
        cut[layout.axis] = len(rows) * layout.repeats
        got = mask_words(bits, tuple(cut), passes=range(3), rows=rows, layout=layout, independent=independent)
        return np.broadcast_to(got, (3, *cut))

    whole = words(range(10, 14))
    parts = [words(range(row, row + 1)) for row in range(10, 14)]
    axis = 1 + layout.axis
    by_entry = [np.split(part, layout.repeats, axis=axis) for part in parts]
    order = itertools.chain.from_iterable(zip(*by_entry, strict=True) if layout.interleaved else by_entry)
    assert (np.concatenate(list(order), axis=axis) == whole).all()
    same = [(part == parts[0]).all() for part in parts]
    assert same == [True, *[not independent] * 3]


def test_noise_without_rows_is_drawn_whole():
    words = [
        mask_words(
            CountedBits(seed=0, site=0),
            (3, 5),
            passes=range(2),
            rows=range(9),
            layout=None,
            independent=independent,
        )
        for independent in (False, True)
    ]
    assert words[0].shape == (2, 3, 5)
    assert (words[0] == words[1]).all()
    assert len(np.unique(words[0])) == 30


def test_empty_masks_are_empty():
    bits = CountedBits(seed=0, site=0)
    assert bits.shared(range(2), 0).shape == (2, 0)
    assert bits.by_row(range(2), range(3), 0).shape == (2, 3, 0)


def test_global_numpy_generator_is_not_moved():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    CountedBits(seed=0, site=0).shared(range(3), 10)
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002


@pytest.mark.parametrize("seed", [-1, 2**63, 0.5, "0", None])
def test_bad_seeds_are_refused(seed):
    with pytest.raises(InputError, match="seed must be an integer from 0"):
        CountedBits(seed=seed, site=0)
