"""How passes run: how many side by side, and by which strategy."""

from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from laws import Call, randn, with_weights
from torch import nn

from mcdrop import InputError, MCDropout
from mcdrop.execution import make_twin, strategy, survey
from mcdrop.execution.strategy import default_batch_size, default_chunk_size, pieces
from mcdrop.execution.thinning import Thinned
from mcdrop.inputs import Batch
from mcdrop.networks import co2_mlp, lenet
from mcdrop.outputs import one_tensor

MEBIBYTE = 2**20
sizes = st.floats(0, 1e12)


@given(sizes, sizes, sizes, st.integers(1, 10**7))
def test_sizes_are_at_least_one_and_within_memory(prefix, suffix, widest, rows):
    plan = SimpleNamespace(prefix_bytes=prefix, suffix_bytes=suffix, widest_noisy_bytes=widest, widest_bytes=widest)
    chunk, batch = default_chunk_size(plan, rows), default_batch_size(plan)
    assert chunk >= 1
    assert batch >= 1
    assert chunk == 1 or chunk * widest * rows <= 256 * MEBIBYTE
    assert batch == 1 or batch * widest <= 256 * MEBIBYTE


@pytest.mark.parametrize("rows", [1, 10])
def test_a_long_prefix_is_shared_by_more_passes(rows):
    def chunk(prefix):
        return default_chunk_size(
            SimpleNamespace(prefix_bytes=prefix, suffix_bytes=MEBIBYTE, widest_noisy_bytes=MEBIBYTE), rows
        )

    assert chunk(0) <= 6
    assert chunk(100 * MEBIBYTE) > chunk(0)


@given(sizes, st.integers(1, 10**5), st.integers(1, 2**40), st.booleans())
def test_a_limit_of_memory_holds_for_rows_and_passes_together(widest, rows, limit, is_cpu):
    plan = SimpleNamespace(prefix_bytes=widest, suffix_bytes=1.0, widest_noisy_bytes=widest, widest_bytes=widest)
    if max(widest * 8, 1.0) > limit:
        with pytest.raises(
            InputError, match=r"memory_limit must let one row of one pass in, which takes about [\d,]+ bytes"
        ):
            default_batch_size(plan, limit)
        return
    rows = min(rows, default_batch_size(plan, limit))
    chunk = default_chunk_size(plan, rows, memory_limit=limit, is_cpu=is_cpu)
    assert chunk * rows * widest * 8 <= limit * (1 + 1e-9) or chunk == 1


def test_an_accelerator_is_kept_busy():
    plan = SimpleNamespace(prefix_bytes=0.0, suffix_bytes=1.0, widest_noisy_bytes=4096.0, widest_bytes=4096.0)
    assert default_chunk_size(plan, 100, is_cpu=False) > 10 * default_chunk_size(plan, 100)


@given(st.integers(0, 200), st.integers(1, 300), st.integers(1, 60), st.integers(1, 40))
def test_pieces_hold_whole_blocks_or_lie_within_one(first, count, chunk, block):
    passes = range(first, first + count)
    cut = list(pieces(passes, chunk, block))
    assert [number for piece in cut for number in piece] == list(passes)
    for piece in cut:
        assert 1 <= len(piece) <= chunk
        is_last = piece.stop == passes.stop
        starts, ends = piece.start % block == 0, piece.stop % block == 0
        assert (starts and (ends or is_last)) or piece.start // block == (piece.stop - 1) // block


# What "auto" picks


def used(net, x, monkeypatch, **options):
    """Return the strategies that run, and the draws."""
    names = []

    def watch(owner, attribute, name):
        run = getattr(owner, attribute)
        monkeypatch.setattr(owner, attribute, lambda *args, **kwargs: (names.append(name), run(*args, **kwargs))[1])

    watch(strategy, "run_loop", "loop")
    watch(strategy, "run_vectorized", "vectorized")
    watch(Thinned, "run", "thinned")
    monkeypatch.setattr("mcdrop.execution.thinning.thinned._compare", lambda *args: None)
    samples = MCDropout(net, task="regression").sample(x, **options)
    monkeypatch.undo()
    return set(names), samples


PICKS = {
    "wide layers, many rows": (co2_mlp(hidden=(768,) * 3, p=0.5), (300, 1), 50, "thinned"),
    "convolutions": (lenet(), (12, 1, 28, 28), 80, "thinned"),
    "wide layers, few rows": (co2_mlp(hidden=(768,) * 3, p=0.5), (4, 1), 50, "vectorized"),
    "narrow layers": (co2_mlp(hidden=(64,) * 3, p=0.5), (300, 1), 50, "vectorized"),
    "few passes": (lenet(), (4, 1, 28, 28), 3, "vectorized"),
    "dropout after the convolutions": (
        nn.Sequential(nn.Conv2d(1, 8, 5), nn.ReLU(), nn.Flatten(), nn.Dropout(0.5), nn.Linear(4608, 10)),
        (12, 1, 28, 28),
        100,
        "vectorized",
    ),
    "dropout of whole channels": (
        nn.Sequential(nn.Conv2d(1, 64, 5), nn.Dropout2d(0.5), nn.Conv2d(64, 64, 5), nn.Flatten(), nn.Linear(25600, 10)),
        (12, 1, 28, 28),
        50,
        "thinned",
    ),
}


@pytest.mark.parametrize("name", PICKS)
def test_auto_thins_where_that_pays(name, monkeypatch):
    net, shape, passes, expected = PICKS[name]
    net, x = with_weights(net).eval(), randn(*shape)
    picked, samples = used(net, x, monkeypatch, passes=passes)
    assert picked == {expected}
    few = MCDropout(net).sample(x, passes=2, execution="loop")
    torch.testing.assert_close(samples[:2], few, rtol=0, atol=1e-5 * float(few.abs().max()))


def test_rows_with_masks_of_their_own_are_not_thinned(monkeypatch):
    net, x = with_weights(co2_mlp(hidden=(768,) * 3, p=0.5)), randn(300, 1)
    assert used(net, x, monkeypatch, passes=50, masks="independent")[0] == {"vectorized"}


def test_what_thinning_meets_on_the_way_is_run_otherwise(monkeypatch):
    """Auto goes on where the form of the inputs changes between batches."""
    net = nn.Sequential(nn.Conv2d(1, 32, 3, padding=1), nn.Dropout2d(0.5), nn.Conv2d(32, 8, 3), nn.MaxPool2d(2))
    net = with_weights(nn.Sequential(net, nn.AdaptiveAvgPool2d(1), nn.Flatten())).eval()
    sizes = [randn(20, 1, 28, 28), randn(20, 1, 20, 20)]
    picked, samples = used(net, sizes, monkeypatch, passes=60)
    assert picked == {"thinned", "vectorized"}
    expected = MCDropout(net).sample(sizes, passes=60, execution="loop")
    torch.testing.assert_close(samples, expected, rtol=0, atol=1e-5 * float(expected.abs().max()))


def test_the_same_call_gives_the_same_bits():
    net, x = with_weights(lenet()).eval(), randn(12, 1, 28, 28)
    first, again = (MCDropout(net).sample(x, passes=30) for _ in range(2))
    assert torch.equal(first, again)


# What a clock picks


def test_fastest_tries_all_and_gives_the_same_passes(monkeypatch):
    net, x = with_weights(lenet()).eval(), randn(4, 1, 28, 28)
    picked, samples = used(net, x, monkeypatch, passes=150, execution="fastest", chunk_size=5)
    assert picked == {"thinned", "vectorized", "loop"}
    expected = MCDropout(net).sample(x, passes=150, execution="loop")
    torch.testing.assert_close(samples, expected, rtol=0, atol=1e-5 * float(expected.abs().max()))


@pytest.mark.parametrize("name", ["shared", "independent"])
def test_fastest_leaves_out_what_cannot_run(name):
    x = randn(6, 3)
    net = Call(lambda self, x: F.dropout(x, 0.5) if x.sum() > 100 else F.dropout(2 * x, 0.5))  # no vmap, no trace
    fastest, loop = (MCDropout(net).sample(x, passes=20, masks=name, execution=way) for way in ("fastest", "loop"))
    torch.testing.assert_close(fastest, loop)


# Products in another type


@pytest.mark.parametrize("execution", ["loop", "vectorized", "fastest", "auto"])
@pytest.mark.parametrize("net", [lenet(), co2_mlp(hidden=(64, 64), p=0.2)])
def test_products_in_bfloat16_are_close(net, execution, monkeypatch):
    """Eight binary digits: an error of up to 2**-8 in every product, of either sign."""
    monkeypatch.setattr(strategy, "_check_products", lambda *args: None)
    net = with_weights(net).eval()
    x = randn(8, 1, 28, 28) if isinstance(next(net.children()), nn.Conv2d) else randn(8, 1)
    model = MCDropout(net)
    exact = model.sample(x, passes=5, execution=execution)
    short = model.sample(x, passes=5, execution=execution, dtype=torch.bfloat16)
    assert short.dtype == exact.dtype == torch.float32
    error = (short - exact).abs().max() / exact.abs().max()
    assert 1e-6 < error < 0.03


def test_types_that_the_machine_has_no_products_in_are_refused(monkeypatch):
    with pytest.raises(InputError, match=r"dtype must be a type that this machine .* got torch.float16, which its cpu"):
        MCDropout(co2_mlp(hidden=(4,))).predict(randn(3, 1), dtype=torch.float16)
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)
    with pytest.raises(InputError, match=r"got torch.bfloat16, which its cpu does not have, or only slowly"):
        MCDropout(co2_mlp(hidden=(4,))).predict(randn(3, 1), dtype=torch.bfloat16)


def test_masks_of_their_own_count_for_the_limit():
    sites = SimpleNamespace(live=(SimpleNamespace(mask_shape=(1, 1000)),))
    plan = SimpleNamespace(
        sites=sites, widest_bytes=100.0, widest_noisy_bytes=100.0, prefix_bytes=0.0, suffix_bytes=1.0
    )
    shared, own = (default_batch_size(plan, 10**7, independent=independent) for independent in (False, True))
    assert shared == 10**7 // 800
    assert own == 10**7 // (800 + 32_000)
    assert default_chunk_size(plan, own, independent=True, memory_limit=10**7) == 1


@pytest.mark.parametrize(("chunk", "sizes"), [(24, [13, 12]), (25, [25]), (26, [25]), (10, [9, 8, 8]), (60, [50])])
def test_parts_of_a_block_are_of_about_one_size(chunk, sizes):
    assert [len(piece) for piece in pieces(range(100), chunk, 25)][: len(sizes)] == sizes


def test_products_in_another_type_are_in_the_provenance(monkeypatch):
    monkeypatch.setattr(strategy, "_check_products", lambda *args: None)
    model = MCDropout(with_weights(co2_mlp(hidden=(4,))))
    assert model.predict(randn(3, 1), passes=4, dtype=torch.bfloat16).provenance["dtype"] == "torch.bfloat16"
    assert "dtype" not in model.predict(randn(3, 1), passes=4).provenance


@pytest.mark.parametrize("kind", ["pre-hook", "global hook"])
def test_hooks_meet_plain_tensors(kind, monkeypatch):
    net, seen = with_weights(co2_mlp(hidden=(8,))).eval(), []
    if kind == "pre-hook":
        handle = net[0].register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    else:
        handle = nn.modules.module.register_module_forward_hook(lambda module, args, output: seen.append(output))
    try:
        assert used(net, randn(3, 1), monkeypatch, passes=4)[0] == {"loop"}
    finally:
        handle.remove()
    assert all(float(tensor.mean()) < 1e9 for tensor in seen)


def test_weight_norm_is_no_watcher(monkeypatch):
    net = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(3, 8)), nn.Dropout(0.5), nn.Linear(8, 1)).eval()
    assert used(net, randn(3, 3), monkeypatch, passes=4)[0] == {"vectorized"}


def test_weights_that_are_made_on_the_way_are_of_no_row():
    """2,048 x 2,048 weights take 16 MB, a row of them 8 KB."""
    net = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(2048, 2048)), nn.Dropout(0.5)).eval()
    plan = survey(make_twin(net, one_tensor), Batch((randn(4, 2048),), {}, 0, 4))
    assert plan.widest_bytes < 100_000
    assert default_batch_size(plan, 2 * 10**6) > 10


@pytest.mark.parametrize(
    ("net", "options", "message"),
    [
        (co2_mlp(hidden=(4,)), {"execution": "thinned"}, "dtype must be None with execution='thinned'"),
        (co2_mlp(hidden=(4,)).double(), {}, "dtype is for nets in float32, got torch.bfloat16 for one without"),
    ],
)
def test_products_in_another_type_that_would_not_be_are_refused(net, options, message):
    with pytest.raises(InputError, match=message):
        MCDropout(net).predict(randn(3, 1), dtype=torch.bfloat16, **options)
