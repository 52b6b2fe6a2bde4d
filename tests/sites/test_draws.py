"""Random numbers that a forward draws itself: counted, of the right law, and without noise their average.

A Kolmogorov-Smirnov distance above 2.2 / sqrt(n) comes up in about 1 of 8,000 samples; the seeds are fixed.
"""

import pytest
import torch
from laws import LIMIT, Call, randn
from scipy import stats
from torch import Tensor, nn

from mcdrop import MCDropout
from mcdrop.sites import DrawCall, Interception

PASSES = 400
SHAPE = (3, 5)
aten = torch.ops.aten

LAWS = {
    "rand": (lambda x: torch.rand(x.shape), stats.uniform()),
    "rand, sizes": (lambda x: torch.rand(len(x), 5), stats.uniform()),
    "rand, size by name": (lambda x: torch.rand(size=x.shape), stats.uniform()),
    "rand_like": (torch.rand_like, stats.uniform()),
    "aten.rand": (lambda x: aten.rand.default(list(x.shape)), stats.uniform()),
    "uniform_": (lambda x: torch.empty_like(x).uniform_(-1, 3), stats.uniform(-1, 4)),
    "uniform_, by name": (lambda x: torch.empty_like(x).uniform_(to=2.0), stats.uniform(0, 2)),
    "randn": (lambda x: torch.randn(x.shape), stats.norm()),
    "randn_like": (torch.randn_like, stats.norm()),
    "normal_": (lambda x: torch.empty_like(x).normal_(2.0, std=0.5), stats.norm(2, 0.5)),
    "normal, numbers": (lambda x: torch.normal(1.0, 2.0, x.shape), stats.norm(1, 2)),
    "normal, tensors": (lambda x: torch.normal(torch.ones_like(x), 2 * torch.ones_like(x)), stats.norm(1, 2)),
    "normal, tensor and number": (lambda x: torch.normal(torch.ones_like(x), 2.0), stats.norm(1, 2)),
    "exponential_": (lambda x: torch.empty_like(x).exponential_(2.0), stats.expon(scale=0.5)),
    "generator": (lambda x: torch.rand(x.shape, generator=GENERATOR), stats.uniform()),
}
GENERATOR = torch.Generator().manual_seed(0)

BERNOULLI = {
    "bernoulli_": lambda x: torch.empty_like(x).bernoulli_(0.7),
    "bernoulli_, by name": lambda x: torch.empty_like(x).bernoulli_(p=0.7),
    "bernoulli_, tensor": lambda x: torch.empty_like(x).bernoulli_(torch.full_like(x, 0.7)),
    "bernoulli, probabilities": lambda x: torch.bernoulli(torch.full_like(x, 0.7)),
    "bernoulli, number": lambda x: torch.bernoulli(x, 0.7),
    "method": lambda x: torch.full_like(x, 0.7).bernoulli(),
    "aten.bernoulli": lambda x: aten.bernoulli.p(x, 0.7),
    "compared": lambda x: (torch.rand_like(x) < 0.7).float(),
}


def net_of(draw):
    return Call(lambda self, x: draw(x) + 0 * x)


def samples_of(draw, **options):
    return MCDropout(net_of(draw)).sample(torch.zeros(SHAPE), passes=PASSES, **options)


every_execution = pytest.mark.parametrize("execution", ["loop", "vectorized"])


@pytest.mark.parametrize("name", LAWS)
@every_execution
def test_draws_follow_their_law(name, execution):
    draw, law = LAWS[name]
    values = samples_of(draw, masks="independent", execution=execution).double()
    distance = stats.kstest(values.flatten().numpy(), law.cdf).statistic
    assert distance < 2.2 / values.numel() ** 0.5


@pytest.mark.parametrize("name", BERNOULLI)
@every_execution
@pytest.mark.parametrize("masks", ["shared", "independent"])
def test_bernoulli_variables_are_0_or_1_with_their_probability(name, execution, masks):
    values = samples_of(BERNOULLI[name], masks=masks, execution=execution)
    assert set(values.unique().tolist()) == {0.0, 1.0}
    draws = values.numel() if masks == "independent" else values[:, 0].numel()
    assert abs(values.mean().item() - 0.7) < LIMIT * (0.21 / draws) ** 0.5
    rows_agree = bool((values == values[:, :1]).all())
    assert rows_agree == (masks == "shared")


@pytest.mark.parametrize("name", [*LAWS, *BERNOULLI])
def test_draws_do_not_depend_on_batches_chunks_or_strategy(name):
    net = net_of((LAWS.get(name) or (BERNOULLI.get(name),))[0])
    x = torch.zeros(7, 5)
    for masks in ("shared", "independent"):
        whole = MCDropout(net).sample(x, passes=6, masks=masks, execution="loop")
        parts = MCDropout(net).sample(x, passes=6, masks=masks, batch_size=3, chunk_size=4)
        torch.testing.assert_close(whole, parts)
        assert not torch.equal(whole, MCDropout(net).sample(x, passes=6, masks=masks, seed=1))


def test_integers_are_even_over_their_range():
    draws = {
        "one end": lambda x: torch.randint(6, x.shape),
        "two ends": lambda x: torch.randint(0, 6, x.shape),
        "by name": lambda x: torch.randint(high=6, size=x.shape),
        "like": lambda x: torch.randint_like(x, 6),
    }
    for draw in draws.values():
        values = samples_of(draw, masks="independent").long().flatten()
        counts = torch.bincount(values, minlength=6).double()
        assert len(counts) == 6
        expected = len(values) / 6
        assert (counts - expected).abs().max() < LIMIT * (expected * 5 / 6) ** 0.5


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_numbers_keep_their_type_and_never_reach_1(dtype):
    net = Call(lambda self, x: torch.rand(len(x), 20_000, dtype=dtype) + 0 * x.to(dtype))
    values = MCDropout(net).sample(torch.zeros(1, 1, dtype=dtype), passes=2)
    assert values.dtype == dtype
    assert 0 <= values.min() < values.max() < 1


def test_numbers_of_a_scalar_shape_are_one_site_for_the_whole_batch():
    net = Call(lambda self, x: x * torch.rand([]))
    assert MCDropout(net).sites(torch.ones(2, 3))[0].mask_shape == ()
    samples = MCDropout(net).sample(torch.ones(2, 3), passes=4, masks="independent")
    assert (samples == samples[:, :1, :1]).all()
    assert samples[:, 0, 0].unique().numel() == 4


def test_what_is_drawn_may_be_written_to():
    def forward(self, x):
        noise = torch.rand(len(x), 1)
        noise.ge_(0.5)
        kept = torch.empty(len(x), 1).bernoulli_(0.5)
        kept.div_(0.5)
        return x * (kept + noise)

    for execution in ("loop", "vectorized"):
        values = MCDropout(Call(forward)).sample(torch.ones(4, 3), passes=30, execution=execution)
        assert set(values.unique().tolist()) == {0.0, 1.0, 2.0, 3.0}


def test_a_filled_tensor_that_is_read_by_its_old_name_runs_in_the_loop():
    def forward(self, x):
        kept = torch.empty(len(x), 1)
        kept.bernoulli_(0.5)
        return x * kept

    values = MCDropout(Call(forward)).sample(torch.ones(4, 3), passes=30)
    assert set(values.unique().tolist()) == {0.0, 1.0}


@pytest.mark.parametrize(
    ("draw", "mean"),
    [
        (lambda: torch.rand(2), 0.5),
        (lambda: torch.randn(2), 0.0),
        (lambda: torch.empty(2).bernoulli_(0.7), 0.7),
        (lambda: torch.bernoulli(torch.full((2,), 0.7)), 0.7),
        (lambda: torch.empty(2).uniform_(1, 4), 2.5),
        (lambda: torch.empty(2).normal_(3, 2), 3.0),
        (lambda: torch.empty(2).exponential_(4.0), 0.25),
        (lambda: torch.empty(2, dtype=torch.int64).bernoulli_(0.7), 1),
    ],
)
def test_without_noise_a_draw_is_its_average(draw, mean):
    calls: list[DrawCall] = []
    state = torch.get_rng_state()
    with Interception(lambda call: calls.append(call) or call.identity()):
        value = draw()
    assert len(calls) == 1
    assert isinstance(value, Tensor)
    assert value.tolist() == pytest.approx([mean] * 2)
    assert torch.equal(torch.get_rng_state(), state)


def test_the_gumbel_softmax_is_a_draw_of_its_logits_distribution():
    """The winner is class k with probability softmax(logits)_k, whatever the temperature."""
    logits = torch.tensor([[0.0, 1.0, 2.0]])
    net = Call(lambda self, x: torch.nn.functional.gumbel_softmax(x, tau=0.5, hard=True))
    shares = MCDropout(net).sample(logits, passes=4000).mean(dim=(0, 1))
    probs = logits[0].softmax(-1)
    assert ((shares - probs).abs() < LIMIT * (probs * (1 - probs) / 4000).sqrt()).all()


def test_a_survival_rate_of_1_is_silent():
    net = nn.Sequential(Call(lambda self, x: x * torch.empty(len(x), 1).bernoulli_(1.0)), nn.Dropout(0.5))
    table = MCDropout(net).sites(randn(2, 3))
    assert [(site.kind, site.rate, site.live) for site in table] == [("bernoulli", 0, False), ("dropout", 0.5, True)]
