"""What workers find and warn of comes back, and so does what is raised, whatever it is."""

import pickle
import warnings
from types import SimpleNamespace

import numpy as np
import pytest

from distributed.made import X, heteroscedastic
from mcdrop import DataError, ExecutionError, NetError, SilentDropoutWarning, UnsettledRowsWarning
from mcdrop.alerts import alert
from mcdrop.bulk import Done, Rows
from mcdrop.distributed.execution import _whole
from mcdrop.distributed.packing import pack
from mcdrop.distributed.worker import BatchWorker, ItemWorker, _Worker, opened

DONE = Done(3, np.zeros(2, bool), None)


@pytest.fixture
def worker():
    made = object.__new__(_Worker)
    made.failed = None
    return made


def raising(error):
    def run():
        raise error

    return run


def test_what_is_found_comes_back(worker):
    done = opened(worker.sealed(lambda row: Done(row, DONE.gaps, "made"), 7))
    assert (done.start, done.prediction) == (7, "made")


def test_warnings_are_given_again_once_for_each_text(worker):
    class Own(Warning):
        pass

    def run():
        for _ in range(3):
            alert("quiet", SilentDropoutWarning)
            warnings.warn("odd", Own, stacklevel=1)
        warnings.warn("old", FutureWarning, stacklevel=1)
        return DONE

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        opened(worker.sealed(run))
    found = sorted((str(each.message), each.category) for each in told)
    assert found == [("odd", UserWarning), ("old", FutureWarning), ("quiet", SilentDropoutWarning)]


def test_a_warning_that_holds_more_than_words_comes_back_whole(worker):
    with pytest.warns(UnsettledRowsWarning) as told:
        opened(worker.sealed(lambda: alert(UnsettledRowsWarning(2, 9, 100, 1.5)) or DONE))
    (found,) = told
    assert (found.message.rows, found.message.total, found.message.excess) == (2, 9, 1.5)


def test_errors_come_back_as_they_are(worker):
    with pytest.raises(DataError, match="no rows") as caught:
        opened(worker.sealed(raising(DataError("no rows"))))
    assert not hasattr(caught.value, "__notes__")
    with pytest.raises(KeyError) as caught:
        opened(worker.sealed(raising(KeyError("x"))))
    assert "in a Ray worker" in caught.value.__notes__[0] and "raise error" in caught.value.__notes__[0]


def test_errors_that_do_not_pickle_are_told_in_words(worker):
    class Own(Exception):
        def __init__(self, one, two):
            super().__init__(f"{one} {two}")

    with pytest.raises(ExecutionError, match="a worker failed: Own: 1 2"):
        opened(worker.sealed(raising(Own(1, 2))))


def test_a_worker_that_could_not_be_made_tells_so_at_every_call(worker):
    worker.failed = ModuleNotFoundError("No module named 'theirs'")
    for _ in range(2):
        with pytest.raises(ModuleNotFoundError, match="theirs"):
            opened(worker.sealed(raising(AssertionError("must not run"))))


def test_a_net_that_cannot_be_made_there_is_told_of_when_rows_come(monkeypatch):
    monkeypatch.setattr("ray.get", lambda ref: ref)
    monkeypatch.setattr("torch.set_num_threads", lambda count: None)
    (made,) = BatchWorker([(b"no net", [])], 1, None)({"x": X[:4]})["made"]
    with pytest.raises(pickle.UnpicklingError) as caught:
        opened(made)
    assert "in a Ray worker" in caught.value.__notes__[0]


def test_rows_that_are_brought_are_predicted_unless_they_hold_nan(monkeypatch):
    monkeypatch.setattr("ray.get", lambda ref: ref)
    threads = []
    monkeypatch.setattr("torch.set_num_threads", threads.append)
    prepared = heteroscedastic().prepare(X, passes=50)
    worker = BatchWorker([(pack(prepared, None), [])], 3, None)
    done = opened(worker({"x": X[:9]})["made"][0])
    assert np.array_equal(done.prediction.mean, prepared.predict(X[:9]).mean) and threads == [3]
    gaps = np.arange(9) == 2
    done = opened(worker({"x": np.where(gaps[:, None], np.nan, X[:9])})["made"][0])
    assert done.prediction is None and np.array_equal(done.gaps, gaps)


def test_an_error_of_the_net_counts_rows_over_all_inputs_and_advises_on_infinite_ones():
    made = object.__new__(ItemWorker)
    made.failed, made.prepared = None, heteroscedastic().prepare(X, passes=50)
    reader = SimpleNamespace(read=lambda start, stop: Rows(start, infinite, np.zeros(stop - start, bool)))
    made.others, infinite = [reader], X[:9].copy()
    infinite[[2, 5], 1] = np.inf
    items = {"start": [40, 40, 40], "stop": [49] * 3, "first": [0, 0, 25], "last": [50, 25, 50]}
    whole, *parts = made({name: np.array(values) for name, values in items.items()})["made"]
    together = _whole(map(opened, parts), made.prepared, reader, lambda count: None)
    for failing in (lambda: opened(whole), lambda: list(together)):
        with pytest.raises(
            NetError, match=r"2 of 9 rows \(42, 45\).*2 of these rows hold inf.* the first .* row 42: bound"
        ):
            failing()


def test_only_what_workers_give_is_opened():
    with pytest.raises(AssertionError):
        opened(pickle.dumps(("something", [])))


def test_items_go_by_the_numbers_of_their_rows_and_passes():
    made = object.__new__(ItemWorker)
    made.failed = None
    made.prepared = heteroscedastic().prepare(X, passes=50, masks="independent")
    made.others = [SimpleNamespace(read=lambda start, stop: Rows(start, X[start:stop], np.zeros(stop - start, bool)))]
    items = {"start": [40, 40, 40], "stop": [90] * 3, "first": [0, 25, 0], "last": [50, 50, 25]}
    found = made({name: np.array(values) for name, values in items.items()})["made"]
    whole, *parts = [opened(data).prediction for data in found]
    expected = heteroscedastic().predict(X, passes=50, masks="independent")
    for got in (whole, made.prepared.finish(parts)):
        np.testing.assert_allclose(got.mean, expected.mean[40:90], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(got.std, expected.std[40:90], rtol=1e-5, atol=1e-6)
