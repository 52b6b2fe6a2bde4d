"""What must not matter: batches, chunks, row order, other passes; and what must: the seed, the row, the pass."""

import weakref

import pytest
import torch
from laws import BATCH_DEPENDENT, NETS, mlp, randn, rows_of, with_weights

from mcdrop import MCDropout
from mcdrop.execution import Options, Run
from mcdrop.inputs import open_stream

STABLE = [name for name in NETS if name not in BATCH_DEPENDENT]
every_net = pytest.mark.parametrize("name", STABLE)
every_masks = pytest.mark.parametrize("masks", ["shared", "independent"])


def draw(name, x=None, **options):
    case = NETS[name]
    return MCDropout(case.build()).sample(case.x() if x is None else x, **({"passes": 4} | options))


@every_net
@every_masks
@pytest.mark.parametrize("sizes", [{"batch_size": 1}, {"batch_size": 3}, {"batch_size": 100}, {"chunk_size": 1}])
def test_batches_and_chunks_change_nothing(name, masks, sizes):
    torch.testing.assert_close(draw(name, masks=masks, **sizes), draw(name, masks=masks), **NETS[name].tolerance)


@every_net
def test_row_order_changes_nothing_with_shared_masks(name):
    order = torch.tensor([3, 0, 6, 2, 5, 1, 4])
    permuted = draw(name, rows_of(NETS[name].x(), order))
    torch.testing.assert_close(permuted, draw(name)[:, order], **NETS[name].tolerance)


@every_net
def test_a_row_alone_gives_what_it_gives_among_others(name):
    alone = draw(name, rows_of(NETS[name].x(), slice(5, 6)))
    torch.testing.assert_close(alone, draw(name)[:, 5:6], **NETS[name].tolerance)


@every_net
def test_equal_rows_give_equal_outputs_in_each_pass_with_shared_masks(name):
    same = draw(name, rows_of(NETS[name].x(), torch.zeros(5, dtype=torch.long)))
    torch.testing.assert_close(same, same[:, :1].expand_as(same), **NETS[name].tolerance)


@pytest.mark.parametrize("name", [n for n in STABLE if n not in ("weights dropped", "everything dropped")])
def test_equal_rows_differ_with_independent_masks(name):
    same = draw(name, rows_of(NETS[name].x(), torch.zeros(5, dtype=torch.long)), masks="independent", passes=8)
    for a in range(5):
        for b in range(a):
            assert (same[:, a] != same[:, b]).any()


@every_net
@every_masks
def test_first_passes_do_not_depend_on_how_many_follow(name, masks):
    torch.testing.assert_close(
        draw(name, passes=9, masks=masks)[:3], draw(name, passes=3, masks=masks), **NETS[name].tolerance
    )


@every_masks
def test_first_ten_of_a_hundred_passes_are_those_of_ten(masks):
    hundred, ten = (draw("mlp", passes=passes, masks=masks, execution="loop") for passes in (100, 10))
    assert torch.equal(hundred[:10], ten)


@every_net
@every_masks
def test_same_seed_same_result_to_the_bit(name, masks):
    assert torch.equal(draw(name, seed=7, masks=masks), draw(name, seed=7, masks=masks))


@pytest.mark.parametrize("name", [name for name in STABLE if name != "everything dropped"])
@every_masks
def test_seeds_and_passes_differ(name, masks):
    zero, one = draw(name, seed=0, masks=masks, passes=8), draw(name, seed=1, masks=masks, passes=8)
    assert (zero != one).any()
    assert (zero[0] != zero[1:]).any()


@every_masks
@pytest.mark.parametrize("batch_size", [None, 2, 5])
def test_loader_batches_count_rows_over_the_whole_input(masks, batch_size):
    x = randn(11, 3, seed=1)
    whole = draw("mlp", x, masks=masks)
    loader = torch.utils.data.DataLoader(x, batch_size=4)
    torch.testing.assert_close(draw("mlp", loader, masks=masks, batch_size=batch_size), whole)


def test_statistics_do_not_depend_on_batches_or_chunks():
    model, x = MCDropout(with_weights(mlp())), randn(9, 3)
    whole = model.predict(x, passes=30)
    for sizes in ({"batch_size": 2}, {"chunk_size": 7}, {"execution": "loop"}, {"keep_samples": True}):
        part = model.predict(x, passes=30, **sizes)
        for a, b in ((part.mean, whole.mean), (part.std, whole.std)):
            torch.testing.assert_close(torch.as_tensor(a), torch.as_tensor(b), rtol=1e-5, atol=1e-6)


def test_progress_goes_to_standard_error_and_only_when_asked(capsys):
    model, x = MCDropout(mlp()), randn(6, 3)
    quiet = model.predict(x, passes=10)
    assert capsys.readouterr() == ("", "")
    shown = model.predict(x, passes=10, progress=True, batch_size=2)
    out, err = capsys.readouterr()
    assert out == ""
    assert "Predicting" in err
    assert "30/30" in err
    assert shown.mean.shape == quiet.mean.shape
    model.sample(torch.utils.data.DataLoader(x, batch_size=4), passes=3, progress=True)
    assert "Sampling" in capsys.readouterr().err


# States: what streams


class Rows:
    """Adds up which rows and how many passes were seen."""

    def __init__(self, passes, rows):
        self.passes, self.rows = passes, rows

    def merge(self, other):
        assert self.rows == other.rows
        return Rows(self.passes + other.passes, self.rows)


def started(x, **options):
    net = with_weights(mlp())
    stream = open_stream(x, device=torch.device("cpu"), dtype=torch.float32)
    return Run(net, stream, options=Options(**({"passes": 7} | options)))


@pytest.mark.parametrize("sizes", [{}, {"batch_size": 4}, {"batch_size": 4, "chunk_size": 3}, {"execution": "loop"}])
@pytest.mark.parametrize("loader", [False, True])
def test_states_know_their_rows(sizes, loader):
    x = randn(11, 3)
    run = started(torch.utils.data.DataLoader(x, batch_size=5) if loader else x, **sizes)
    states = list(run.states(lambda output, rows: Rows(len(output), rows)))
    assert [row for state in states for row in state.rows] == list(range(11))
    assert {state.passes for state in states} == {7}


def test_states_hold_no_outputs():
    """However many passes there are, at most two chunks of outputs are alive at once."""
    alive, most = [], 0

    def of(output, rows):
        nonlocal most
        alive.append(weakref.ref(output))
        most = max(most, sum(ref() is not None for ref in alive))
        return Rows(len(output), rows)

    list(started(randn(6, 3), passes=40, chunk_size=2, batch_size=3).states(of))
    assert len(alive) == 40
    assert most <= 2


def test_the_same_passes_run_again_without_another_survey():
    x, calls = randn(6, 3), []
    run = started(x)
    outputs = [run.samples()]
    run._twin.module.register_forward_pre_hook(lambda *_: calls.append(1))
    again = run.again(open_stream(x, device=torch.device("cpu"), dtype=torch.float32))
    outputs.append(again.samples())
    assert torch.equal(*outputs)
    assert len(calls) <= 7
    assert again.sites is run.sites


def test_a_run_shows_its_sites():
    assert [(site.index, site.rate) for site in started(randn(6, 3)).sites.live] == [(0, 0.2), (1, 0.5)]
