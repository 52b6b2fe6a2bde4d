"""How work is cut: all of it, once, in parts of about one size, and no smaller than it has to be."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from distributed.made import X, make_net
from mcdrop import InputError, MCDropout
from mcdrop.distributed.splitting import block_rows, cut, cut_passes


def prepared(**options):
    return MCDropout(make_net()).prepare(X[:4], **options)


@given(passes=some.integers(1, 5000), block=some.sampled_from([1, 25]), parts=some.integers(1, 100))
def test_passes_are_cut_once_each_in_whole_blocks_of_about_one_size(passes, block, parts):
    cuts = cut_passes(passes, block, parts)
    assert [number for part in cuts for number in part] == list(range(passes))
    assert all(part.start % block == 0 and len(part) > 0 for part in cuts)
    assert len(cuts) == min(parts, -(-passes // block))
    sizes = [-(-len(part) // block) for part in cuts]
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("split", ["auto", "points", "passes"])
@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("count", [1, 5, 40])
def test_items_are_every_pass_of_every_row_once(split, workers, count):
    blocks = [range(10 * number, 10 * number + 10) for number in range(count)]
    items = cut(prepared(passes=200), blocks, workers=workers, split=split)
    found = sorted((row, number) for item in items for row in item.rows for number in item.passes)
    assert found == [(row, number) for row in range(10 * count) for number in range(200)]


def test_auto_cuts_passes_only_where_points_are_too_few():
    ready = prepared(passes=1000)
    few, many = ([range(number, number + 1) for number in range(count)] for count in (2, 12))
    assert len(cut(ready, few, workers=3, split="auto")) == 12  # four for each worker
    assert len(cut(ready, many, workers=3, split="auto")) == 12
    assert len(cut(ready, many, workers=3, split="passes")) == 36
    assert len(cut(ready, few, workers=3, split="points")) == 2


@pytest.mark.parametrize(
    ("options", "split"),
    [({"passes": 100}, "points"), ({"passes": "auto"}, "auto"), ({"passes": 50}, "auto"), ({"passes": 100}, "passes")],
)
@pytest.mark.parametrize("workers", [1, 2, 8])
def test_few_rows_keep_all_workers_busy(options, split, workers):
    ready, rows = prepared(**options), 12_000
    assert ready.block_rows > rows  # one block would do
    size = block_rows(ready, rows, workers=workers, split=split)
    blocks = [range(first, min(first + size, rows)) for first in range(0, rows, size)]
    assert len(cut(ready, blocks, workers=workers, split=split)) >= 4 * workers


def test_blocks_are_no_smaller_than_they_have_to_be():
    ready = prepared(passes=1000)
    assert block_rows(ready, 10**7, workers=8, split="points") == ready.block_rows
    assert block_rows(ready, 600, workers=4, split="auto") == 600  # the passes are enough for all
    assert block_rows(ready, 2, workers=4, split="points") == 1


def test_passes_that_stay_together_are_not_split():
    auto = prepared(passes="auto")
    assert len(cut(auto, [range(5)], workers=2, split="auto")) == 1
    with pytest.raises(InputError, match="use split='points'"):
        cut(auto, [range(5)], workers=2, split="passes")
    with pytest.raises(InputError, match="split"):
        cut(auto, [range(5)], workers=2, split="rows")
