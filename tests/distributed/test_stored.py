"""Rows in the store are read by their numbers, over the borders of blocks, and what comes twice counts once."""

import pickle
from types import SimpleNamespace

import numpy as np
import pytest

from distributed.made import X, classification
from mcdrop import DataError
from mcdrop.bulk import Done
from mcdrop.distributed import Pool, execution, stored
from mcdrop.distributed.execution import run_items
from mcdrop.distributed.session import Crew
from mcdrop.distributed.splitting import cut
from mcdrop.distributed.stored import StoredRows


@pytest.fixture
def rows(monkeypatch):
    """Rows in blocks of 3, 0, 1 and 6; references are the blocks themselves."""
    taken = []

    def get(block):
        taken.append(len(block["x"]))
        return block

    monkeypatch.setattr(stored, "import_ray", lambda: SimpleNamespace(get=get))
    cuts = [X[:3].copy(), X[3:3].copy(), X[3:4].copy(), X[4:10].copy()]
    for part in cuts:
        part.flags.writeable = False
    made = StoredRows([{"x": part, "note": np.full(len(part), "n")} for part in cuts], [3, 3, 4, 10], ["x"])
    return made, taken


def test_any_rows_are_read_over_the_borders_of_blocks_and_may_be_written_to(rows):
    made, _ = rows
    assert len(made) == 10
    for start in range(10):
        for stop in range(start + 1, 11):
            block = made.read(start, stop)
            assert np.array_equal(block.x, X[start:stop]) and block.x.flags.writeable
            assert (block.start, block.gaps.sum()) == (start, 0)


def test_one_block_is_held_for_the_next_reading(rows):
    made, taken = rows
    for start in range(4, 10):
        made.read(start, start + 1)
    assert taken == [6]


def test_references_do_not_go_along_but_all_else_does(rows):
    made, _ = rows
    again = pickle.loads(pickle.dumps(made))
    assert again.blocks == [] and (again.ends, again.columns) == (made.ends, made.columns)


def test_rows_with_nan_are_named_by_their_numbers(rows):
    made, _ = rows
    made.blocks[3] = {"x": np.where(np.arange(6)[:, None] == 2, np.nan, X[4:10])}
    with pytest.raises(DataError, match="in row 6 "):
        made.read(1, 9)


@pytest.mark.parametrize("split", ["points", "passes"])
def test_what_comes_twice_or_in_another_order_counts_once(monkeypatch, split):
    prepared = classification().prepare(X, passes=100)
    blocks, told = [range(100), range(100, 230)], []
    items = cut(prepared, blocks, workers=2, split=split)

    def work(*arguments, **options):
        for item in [items[-1], items[-1], *items, *items]:
            x, whole = X[item.rows.start : item.rows.stop], len(item.passes) == 100
            made = prepared.predict(x) if whole else prepared.partial(x, passes=item.passes)
            yield Done(item.rows.start, np.zeros(len(x), bool), made)

    data = SimpleNamespace(context=SimpleNamespace(execution_options=SimpleNamespace()))
    ray = SimpleNamespace(
        data=SimpleNamespace(from_items=lambda table, **options: data), exceptions=SimpleNamespace(RayError=ValueError)
    )
    monkeypatch.setattr(execution, "import_ray", lambda: ray)
    monkeypatch.setattr(execution, "pack", lambda *what: b"")
    monkeypatch.setattr(execution, "work", work)
    rows = StoredRows([], [230], None)  # read by workers alone, unless something is wrong
    found = list(run_items(prepared, rows, items, Pool(), Crew(2, 1), told.append, ordered=True))
    assert sorted(done.start for done in found) == [0, 100]
    assert sum(told) == 230 * 100
    whole = classification().predict(X, passes=100)
    for done in found:
        expected = whole.probs_std[done.start : done.start + len(done.gaps)]
        np.testing.assert_allclose(done.prediction.probs_std, expected, rtol=1e-5, atol=1e-8)
