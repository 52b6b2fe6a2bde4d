"""Data sets on Ray: the same as in one process, however they are cut, read and shared, and whoever dies."""

import time
from types import SimpleNamespace

import numpy as np
import pytest

from distributed.made import (
    ROWS,
    Failing,
    Killed,
    X,
    assert_equal,
    classification,
    columns,
    make_net,
    two_heads,
    uneven,
)
from mcdrop import ClusterError, DataError, InputError, MCDropout, NetError
from mcdrop.bulk import Done
from mcdrop.distributed import Pool, datasets, predict, stream
from mcdrop.distributed.session import Crew
from mcdrop.predictive import joined

ABC = ["a", "b", "c"]


def wait_for_cpus(ray, seconds=20):
    """Wait until no worker holds a CPU."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if ray.available_resources().get("CPU", 0) == 3:
            return True
        time.sleep(0.2)
    return False


def test_rows_stream_through_two_workers_in_order_and_the_users_settings_stay(cluster):
    dataset = uneven(cluster)
    before = dataset.context.copy(), cluster.data.DataContext.get_current().copy()
    dataset.context.enable_progress_bars = before[0].enable_progress_bars = True
    model = classification()
    blocks = list(stream(model, dataset, columns=ABC, workers=2, passes=50, seed=2, batch_size=13, split="points"))
    assert len(blocks) > 8 and max(map(len, blocks)) <= 13
    assert_equal(joined(blocks), model.predict(X, passes=50, seed=2))
    assert datasets._own(dataset).context.execution_options.preserve_order  # chance may keep it, too
    after = dataset.context, cluster.data.DataContext.get_current()
    for one, other in zip(before, after, strict=True):
        assert one.execution_options.preserve_order == other.execution_options.preserve_order
        assert one.enable_progress_bars == other.enable_progress_bars


def test_one_block_of_a_table_keeps_workers_busy_and_one_that_is_killed_is_made_up_for(cluster, tmp_path):
    import pandas as pd

    x = X[:200]
    pd.DataFrame(columns(x)).to_csv(tmp_path / "rows.csv", index=False, float_format="%.9g")
    net, options = Killed(10, str(tmp_path / "killed")), {"passes": 50, "batch_size": 10, "execution": "loop"}
    dataset = cluster.data.read_csv(str(tmp_path / "rows.csv"))
    made = predict(net, dataset, columns=["c", "a", "b"], workers=2, **options)
    assert (tmp_path / "killed").exists()
    assert_equal(made, MCDropout(net).predict(x[:, [2, 0, 1]], **options))


def test_passes_of_several_targets_are_shared_by_rows_with_masks_of_their_own_and_inputs_by_name(cluster):
    arrays = {"left": X[:, :2], "right": X[:, 2]}
    dataset = cluster.data.from_numpy(X).map_batches(
        lambda batch: {"left": batch["data"][:, :2], "right": batch["data"][:, 2]}
    )
    options = {"passes": 110, "seed": 5, "masks": "independent"}
    made = predict(two_heads(), dataset, workers=2, split="passes", batch_size=100, **options)
    assert_equal(made, two_heads().predict(arrays, **options))


def test_one_worker_may_take_all_cpus_and_what_it_warns_of_is_told(cluster):
    options = {"passes": "auto", "tolerance": 1e-4, "max_passes": 200}
    told = "20 of 20 points should have a Monte Carlo error within"
    with pytest.warns(UserWarning, match=told):
        expected = MCDropout(make_net()).predict(X[:20], **options)
    with pytest.warns(UserWarning, match=told):
        made = predict(make_net(), cluster.data.from_numpy(X[:20]), workers=1, cpus_per_worker=3, **options)
    assert_equal(made, expected)


def test_errors_of_the_net_in_workers_come_back_at_once(cluster):
    with pytest.raises(NetError, match=r"no more.*\(here rows are counted from row [1-9]?0 of the data set on"):
        predict(Failing(10), cluster.data.from_numpy(X), workers=1, passes=50, batch_size=10, execution="loop")
    assert wait_for_cpus(cluster)


def test_rows_that_hold_nan_are_named(cluster):
    x = np.tile(X, (6, 1))
    x[[1200, 1203], 1] = np.nan  # beyond the rows that the net is surveyed with
    with pytest.raises(DataError, match=r"NaN, got it in rows 1,200, 1,203 \(counted from 0\).*dataset.filter"):
        predict(make_net(), cluster.data.from_numpy(x), workers=1, passes=25, batch_size=250)


def test_a_stream_that_is_left_leaves_no_workers(cluster):
    blocks = stream(make_net(), uneven(cluster), columns=ABC, workers=1, passes=50, batch_size=10)
    assert len(next(blocks)) <= 10
    blocks.close()
    assert wait_for_cpus(cluster)
    assert cluster.is_initialized()


def test_an_error_of_the_net_says_which_row_a_block_begins_with(monkeypatch):
    def work(*arguments, **options):
        yield Done(0, np.zeros(25, bool), "made")
        raise NetError("NaN in row 3")

    monkeypatch.setattr(datasets, "work", work)
    monkeypatch.setattr(datasets, "pack", lambda *what: b"")
    dataset = SimpleNamespace(repartition=lambda **options: None)
    found = datasets._streamed(SimpleNamespace(passes=2), dataset, None, Pool(), Crew(1, 1), 25, lambda count: None)
    assert next(found) == "made"
    with pytest.raises(NetError, match=r"NaN in row 3 \(here rows are counted from row 25 of the data set on\)"):
        next(found)


def test_refuses_what_it_cannot_use_before_workers_start(cluster):
    dataset = cluster.data.from_numpy(X)
    for wrong, message in [
        ({"columns": ["z"]}, "some of the data set's, data, got z"),
        ({"columns": "data"}, "columns must be different names"),
        ({"split": "rows"}, "split"),
        ({"workers": 0}, "workers"),
        ({"passes": 50, "last_layer": "exact", "split": "passes"}, "split='passes' needs"),
    ]:
        with pytest.raises(InputError, match=message):
            predict(make_net(), dataset, **wrong)
    with pytest.raises(InputError, match="task must be that of the MCDropout, 'classification'"):
        predict(classification(), dataset, task="regression")
    with pytest.raises(InputError, match=r"must be a ray\.data\.Dataset, got ndarray"):
        predict(make_net(), X)
    with pytest.raises(InputError, match="dataset must hold rows, got none"):
        predict(make_net(), dataset.filter(lambda row: False))
    with pytest.raises(DataError, match=r"in row 2 \(counted from 0\)"):
        predict(make_net(), cluster.data.from_numpy(np.where(np.arange(ROWS)[:, None] == 2, np.nan, X)))
    with pytest.raises(ClusterError, match="expected Ray to read the data set"):
        predict(make_net(), dataset.map_batches(lambda batch: 1 / 0))
    with pytest.raises(ClusterError, match="room for 4 worker"):
        predict(make_net(), dataset, workers=4)
