"""The last layer in closed form: exact where it is all that is stochastic, unbiased and closer where it is not."""

import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from laws import LIMIT, NETS, Call, lenet, mlp, randn, with_weights
from torch import Tensor, nn

from mcdrop import ExecutionError, InputError, MCDropout, load
from mcdrop.execution.noise import NoiseSource

every_masks = pytest.mark.parametrize("masks", ["shared", "independent"])
every_execution = pytest.mark.parametrize("execution", ["auto", "loop", "vectorized"])
X = randn(6, 3)


def one_site(rate: float = 0.3, *after: nn.Module, inplace: bool = False) -> nn.Sequential:
    head = [nn.Dropout(rate, inplace=inplace), nn.Linear(8, 2), *after]
    return with_weights(nn.Sequential(nn.Linear(3, 8), nn.Tanh(), *head)).eval()


def by_hand(net: nn.Sequential, x: Tensor, rate: float) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation of `one_site`, summed up unit by unit in float64."""
    units = net[1](net[0](x)).detach().double().numpy()
    weight, bias = (parameter.detach().double().numpy() for parameter in net[3].parameters())
    if rate == 1:
        return np.broadcast_to(bias, (len(x), 2)), np.zeros((len(x), 2))
    variance = rate / (1 - rate) * (units[:, None, :] ** 2 * weight[None] ** 2).sum(-1)
    return units @ weight.T + bias, np.sqrt(variance)


def function(forward, **members) -> nn.Module:
    layers = {"first": nn.Linear(3, 8), "last": nn.Linear(8, 2)}
    return with_weights(Call(forward, **layers | members)).eval()


# The only site


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("inplace", [False, True])
@every_masks
@every_execution
def test_the_only_site_is_exact_whatever_the_passes(rate, inplace, masks, execution):
    net = one_site(rate, inplace=inplace)
    mean, std = by_hand(net, X, rate)
    for passes, seed in ((1, 0), (2, 1), (100, 2)):
        options = {"passes": passes, "seed": seed, "masks": masks, "execution": execution}
        pred = MCDropout(net).predict(X, last_layer="exact", **options)
        np.testing.assert_allclose(pred.mean, mean, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(pred.std, std, rtol=1e-5, atol=1e-6)
        assert pred.passes == passes
        assert (pred.mcse == 0).all()


def test_all_masks_of_a_small_net_give_these_moments():
    """Every one of the 2^8 masks, weighed by its probability."""
    net, rate = one_site(0.3), 0.3
    masks = torch.tensor(list(itertools.product([0.0, 1.0], repeat=8)), dtype=torch.float64)
    weights = (masks * (1 - rate) + (1 - masks) * rate).prod(1)[:, None, None]
    with torch.no_grad():
        units = net[1](net[0](X)).double()
        outputs = F.linear(masks[:, None] * units / (1 - rate), *(p.double() for p in net[3].parameters()))
    mean = (weights * outputs).sum(0)
    std = (weights * (outputs - mean) ** 2).sum(0).sqrt()
    pred = MCDropout(net).predict(X, passes=1, last_layer="exact")
    np.testing.assert_allclose(pred.mean, mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(pred.std, std, rtol=1e-5, atol=1e-6)


def test_the_only_site_runs_once_for_every_batch():
    calls = []

    def count(self, x):
        calls.append(len(x))
        return self.last(F.dropout(self.first(x), 0.5))

    net = function(count)
    MCDropout(net).predict(randn(20, 3), passes=1000, last_layer="exact", batch_size=10)
    assert calls.count(10) == 2


@pytest.mark.filterwarnings("ignore::mcdrop.errors.UncountedDrawsWarning")
def test_draws_past_the_counter_are_no_less_stochastic():
    """They need passes, and add their spread: the units are those of a permutation with replacement."""

    def forward(self, x):
        units = self.first(x) * torch.multinomial(torch.ones(8), 8, replacement=True)
        return self.last(F.dropout(units, 0.5))

    model = MCDropout(function(forward))
    with pytest.raises(InputError, match="more than the last dropout is live, got 1 for 2 live sites"):
        model.predict(X, passes=1, last_layer="exact")
    exact = model.predict(X, passes=1500, last_layer="exact")
    sampled = model.predict(X, passes=1500)
    assert (np.abs(exact.mean - sampled.mean) / np.hypot(exact.mcse, sampled.mcse)).max() < LIMIT
    np.testing.assert_allclose(exact.std, sampled.std, rtol=0.15)
    assert (exact.mcse > 0).all()


@every_masks
def test_nothing_is_drawn_for_the_last_site(masks, monkeypatch):
    drawn = set()
    draw = NoiseSource.draw

    def noted(self, site, *args, **kwargs):
        drawn.add(site)
        return draw(self, site, *args, **kwargs)

    monkeypatch.setattr(NoiseSource, "draw", noted)
    for execution in ("loop", "vectorized"):
        MCDropout(with_weights(mlp())).predict(X, passes=3, last_layer="exact", masks=masks, execution=execution)
    assert drawn == {0}


def test_loaders_and_batches_change_nothing():
    net = one_site()
    whole = MCDropout(net).predict(X, passes=3, last_layer="exact")
    batches = MCDropout(net).predict([X[:4], X[4:]], passes=3, last_layer="exact", batch_size=3)
    np.testing.assert_allclose(batches.mean, whole.mean, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(batches.std, whole.std, rtol=1e-6, atol=1e-7)


# Several sites


class Sequence(nn.Module):
    """What a transformer for sequences ends in: the first token, a pooler, dropout and a head, in an object."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.mix, self.drop = nn.Linear(3, 8), nn.Linear(8, 8), nn.Dropout(0.2)
        self.pooler, self.head, self.after = nn.Linear(8, 8), nn.Linear(8, 1), nn.Dropout(0.4)

    def forward(self, x: Tensor) -> dict[str, Tensor | tuple[Tensor]]:
        tokens = self.embed(x.unsqueeze(1) * torch.arange(1, 5)[None, :, None] / 4)
        tokens = tokens + self.drop(torch.tanh(self.mix(tokens)))
        pooled = torch.tanh(self.pooler(tokens[:, 0]))
        logits = self.head(self.after(pooled))
        return {"logits": logits, "hidden_states": (tokens,)}


def several_heads(self, x):
    units = self.after(F.relu(self.middle(self.drop(torch.tanh(self.first(x))))))
    return torch.cat([self.last(units), self.other(units)], dim=-1)


def rescaled(self, x):
    return self.last(self.after(self.middle(self.drop(self.first(x)).tanh()))) * self.scale + self.shift


def tokens_first(self, x):
    """Drop whole sequences and take the first step afterwards."""
    units = self.drop(self.first(torch.stack([x, x * 2, x - 1], dim=1)).tanh())
    return self.last(self.after(self.middle(units))[:, 0])


def rectified(self, x):
    return self.last(F.relu(self.after(self.middle(self.drop(self.first(x)).tanh())), inplace=True))


def with_plain_product(self, x):
    return self.after(self.middle(self.drop(self.first(x)).tanh())) @ self.last.weight.T + self.last.bias


def with_addmm(self, x):
    units = self.after(self.middle(self.drop(self.first(x)).tanh()))
    return torch.addmm(self.last.bias, units, self.last.weight.t())


def with_noise_of_its_own(self, x):
    units = self.first(x).tanh()
    return self.last(self.after(units * (1 + 0.3 * torch.randn_like(units))))


def written_into_before(self, x):
    """Write into what was dropped a copy of: the copy stays."""
    units = self.middle(self.drop(self.first(x)).tanh())
    dropped = self.after(units)
    units.add_(1)
    return self.last(dropped)


def unstandardized(self, x):
    """Scale and shift by views of constants, made before and after, also of the type and in the shape of the output."""
    mean = self.mean[None]
    out = self.last(self.after(self.middle(self.drop(self.first(x)).tanh())))
    return (out * self.spread.to(out).view(1, 1) + mean.expand_as(out)).view(-1, 2)


def rows_in_the_middle(self, x):
    """Fold tokens into rows before the last dropout, and mix the tokens after it."""
    units = self.after(self.middle(self.drop(self.first(x)).tanh()).reshape(-1, 4))
    return (self.mix.weight @ units.view(-1, 2, 4)).flatten(1)


def unfolded(self, x):
    return self.last(self.after(self.middle(self.drop(self.first(x)).tanh()).unflatten(1, (2, 4))).flatten(1)).float()


def middle(forward, **members) -> nn.Module:
    given = {"middle": nn.Linear(8, 8), "drop": nn.Dropout(0.3), "after": nn.Dropout(0.5)}
    return function(forward, **given | members)


MANY = {
    "mlp": lambda: with_weights(mlp()),
    "in place": lambda: NETS["mlp, in-place dropout"].build(),
    "one value a row": lambda: with_weights(
        nn.Sequential(mlp()[:-1], nn.Linear(16, 1), Call(lambda _, x: x.squeeze(-1)))
    ),
    "sequence": lambda: with_weights(Sequence()),
    "several heads": lambda: middle(several_heads, other=nn.Linear(8, 1)),
    "rescaled": lambda: middle(rescaled, scale=nn.Parameter(torch.ones(2)), shift=torch.tensor([1.0, -2.0])),
    "unstandardized": lambda: middle(unstandardized, mean=torch.tensor([3.0, 1.0]), spread=nn.Parameter(torch.ones(1))),
    "rows in the middle": lambda: middle(rows_in_the_middle, mix=nn.Linear(2, 3)),
    "tokens": lambda: middle(tokens_first),
    "rectified": lambda: middle(rectified),
    "plain product": lambda: middle(with_plain_product),
    "addmm": lambda: middle(with_addmm),
    "noise of its own": lambda: function(with_noise_of_its_own, after=nn.Dropout(0.4)),
    "unfolded": lambda: middle(unfolded),
    "written into before": lambda: middle(written_into_before),
    "residual": lambda: Call(lambda self, x: self.net(x.reshape(-1, 1, 5, 5)), net=NETS["residual"].build()),
    "lenet": lambda: Call(lambda self, x: self.net(x.reshape(-1, 1, 12, 12)), net=with_weights(lenet())),
    "weights dropped last": lambda: NETS["weights dropped"].build(),
}
WIDTHS = {"residual": 25, "lenet": 144}
every_net = pytest.mark.parametrize("name", MANY)


def inputs(name: str) -> Tensor:
    return randn(4, WIDTHS.get(name, 3), seed=5)


def kurtosis(samples: np.ndarray) -> np.ndarray:
    deviations = samples - samples.mean(0)
    return (deviations**4).mean(0) / (deviations**2).mean(0) ** 2


@every_net
@every_masks
def test_long_runs_agree_with_sampled_ones(name, masks):
    """Mean and variance of two runs with other seeds, within `LIMIT` standard errors of the difference."""
    model, x, passes = MCDropout(MANY[name]()), inputs(name), 3000
    exact = model.predict(x, passes=passes, seed=1, masks=masks, last_layer="exact")
    sampled = model.predict(x, passes=passes, seed=2, masks=masks, keep_samples=True)
    error = np.hypot(exact.mcse, sampled.mcse) + 1e-6
    assert (np.abs(exact.mean - sampled.mean) / error).max() < LIMIT
    # The error of a variance is at most about sqrt((kurtosis - 1) / T) of it; that of the exact one is smaller.
    share = np.sqrt(2 * (kurtosis(sampled.samples.astype(float)) - 1) / passes)
    assert (np.abs(exact.std**2 - sampled.std**2) / (share * sampled.std**2 + 1e-9)).max() < LIMIT


@every_net
@every_masks
def test_vectorized_equals_the_loop(name, masks):
    model, x = MCDropout(MANY[name]()), inputs(name)
    options = {"passes": 7, "seed": 3, "masks": masks, "last_layer": "exact"}
    loop = model.predict(x, execution="loop", **options)
    for others in ({"execution": "vectorized"}, {"execution": "vectorized", "chunk_size": 3}, {"batch_size": 3}):
        pred = model.predict(x, **options | others)
        np.testing.assert_allclose(pred.mean, loop.mean, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(pred.std, loop.std, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(pred.mcse, loop.mcse, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["mlp", "sequence", "rescaled"])
def test_short_runs_are_unbiased_and_closer_than_sampled_ones(name):
    """Over seeds, the mean of the estimates is that of a long run, and their variance is below that of sampled ones."""
    model, x, seeds = MCDropout(MANY[name]()), inputs(name), range(200)
    long = model.predict(x, passes=20_000, seed=999, last_layer="exact")
    runs = {
        last_layer: [model.predict(x, passes=10, seed=seed, last_layer=last_layer, sampling="iid") for seed in seeds]
        for last_layer in ("exact", "sampled")
    }
    means = {key: np.stack([run.mean for run in found]) for key, found in runs.items()}
    variances = {key: np.stack([run.std**2 for run in found]) for key, found in runs.items()}
    errors = np.stack([run.mcse**2 for run in runs["exact"]])
    scale = means["exact"].std(0, ddof=1) / np.sqrt(len(seeds))
    assert (np.abs(means["exact"].mean(0) - long.mean) / np.hypot(scale, long.mcse)).max() < LIMIT
    scale = variances["exact"].std(0, ddof=1) / np.sqrt(len(seeds))
    assert (np.abs(variances["exact"].mean(0) - long.std**2) / (1.1 * scale)).max() < LIMIT
    assert (means["exact"].var(0) < 0.9 * means["sampled"].var(0)).all()
    assert (variances["exact"].var(0) < variances["sampled"].var(0)).all()
    # The error that a run tells of itself: 200 variances of 10 passes each, against the variance of 200 means.
    np.testing.assert_allclose(errors.mean(0), means["exact"].var(0, ddof=1), rtol=0.5)


def test_it_goes_with_stratified_passes():
    """Blocks of passes give the error; over seeds the estimates agree with a long run and are closer still."""
    model, seeds = MCDropout(with_weights(mlp())), range(60)
    long = model.predict(X, passes=20_000, seed=999, last_layer="exact")
    options = {"passes": 100, "last_layer": "exact"}
    runs = [model.predict(X, seed=seed, sampling="stratified", **options) for seed in seeds]
    plain = [model.predict(X, seed=seed, sampling="iid", **options) for seed in seeds]
    means, stds = np.stack([run.mean for run in runs]), np.stack([run.std**2 for run in runs])
    for values, expected, error in ((means, long.mean, long.mcse), (stds, long.std**2, 0.01 * long.std**2)):
        scale = np.hypot(values.std(0, ddof=1) / np.sqrt(len(seeds)), error)
        assert (np.abs(values.mean(0) - expected) / scale).max() < LIMIT
    assert means.var(0).mean() < 0.8 * np.stack([run.mean for run in plain]).var(0).mean()
    errors = np.stack([run.mcse**2 for run in runs]).mean(0)
    np.testing.assert_allclose(errors.mean(), means.var(0, ddof=1).mean(), rtol=0.5)


def test_it_goes_with_as_many_passes_as_it_takes():
    pred = MCDropout(with_weights(mlp())).predict(X, passes="auto", tolerance=0.03, last_layer="exact")
    assert (pred.mcse <= 0.03 * pred.std).all()
    assert (pred.passes >= 100).all()
    once = MCDropout(one_site()).predict(X, passes="auto", last_layer="exact")
    np.testing.assert_allclose(once.std, by_hand(one_site(), X, 0.3)[1], rtol=1e-5)
    assert (once.passes == 1).all()


def test_the_same_masks_as_sampled_passes_have_elsewhere():
    """With the last dropout off, its own passes are the means."""
    net = with_weights(mlp())
    exact = MCDropout(net).predict(X, passes=5, seed=4, last_layer="exact")
    net[5].p = 0.0
    off = MCDropout(net).predict(X, passes=5, seed=4)
    np.testing.assert_allclose(exact.mean, off.mean, rtol=1e-5, atol=1e-6)
    assert (exact.std > off.std).all()


# What it says of itself


def test_provenance_tells_it_and_files_keep_it(tmp_path):
    model = MCDropout(with_weights(mlp()))
    pred = model.predict(X, passes=4, last_layer="exact")
    assert pred.provenance["last_layer"] == "exact"
    assert "last_layer" not in model.predict(X, passes=4).provenance
    again = load(pred.save(tmp_path / "pred.h5"))
    assert again.provenance["last_layer"] == "exact"
    np.testing.assert_array_equal(again.mcse, pred.mcse)


def test_half_precision_has_room_for_squares():
    net = one_site(0.5)
    with torch.no_grad():
        net[0].weight.mul_(0)
        net[0].bias.fill_(100)
        net[1] = nn.ReLU()
        net[3].weight.fill_(10.0)  # squares beyond 65504, the largest number of float16
    pred = MCDropout(net.half()).predict(X, passes=1, last_layer="exact")
    np.testing.assert_allclose(pred.std, np.sqrt(8 * 1000.0**2), rtol=1e-3)


def test_the_net_stays_as_it_is():
    net = one_site(1.0, inplace=True)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    x = X.clone()
    MCDropout(net).predict(x, passes=3, last_layer="exact")
    assert torch.equal(x, X)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


# Refusals


def shortcut(self, x):
    units = F.dropout(self.first(x), 0.5)
    return self.last(units) + units[:, :2]


def stays_near(self, x):
    return self.last(F.dropout(self.first(x), 0.5)) + x[:, :2]


def written_into(self, x):
    out = self.last(F.dropout(self.first(x), 0.5))
    out.view(-1).relu_()
    return out


def written_by_entry(self, x):
    out = self.last(F.dropout(self.first(x), 0.5))
    out[:, 0] = 0
    return out


def units_written_into(self, x):
    units = F.dropout(self.first(x), 0.5)
    units.view(-1).add_(1)
    return self.last(F.relu(units))


def units_raised(self, x):
    units = F.dropout(self.first(x), 0.5)
    units.add_(1)
    return self.last(units)


def units_raised_by_another_name(self, x):
    units = F.dropout(self.first(x), 0.5)
    units.view(-1).add_(1)
    return self.last(units)


def with_themselves(self, x):
    units = F.dropout(self.first(x), 0.5)
    return units @ units.T[:, :2]


def divides(self, x):
    return torch.div(self.scale, self.last(F.dropout(self.first(x), 0.5)))


def doubled(self, x):
    out = self.last(F.dropout(self.first(x), 0.5))
    return out + out


def joined_with_inputs(self, x):
    return torch.cat([self.last(F.dropout(self.first(x), 0.5)), x[:, :1]], dim=1)


def amplified(self, x):
    return torch.addmm(self.last.bias, F.dropout(self.first(x), 0.5), self.last.weight.t(), alpha=3)


def picks_twice(self, x):
    units = F.dropout(self.first(x), 0.5)
    return self.last(units[:, [0, 0, 1, 2, 3, 4, 5, 6]])


def its_own_weights(self, x):
    units = F.dropout(self.first(x), 0.5)
    return units @ units.tanh().T[:, :2]


def looks(self, x):
    units = F.dropout(self.first(x), 0.5)
    return self.last(units) if units.sum() > 0 else self.last(units) * 2


def cached(self, x):
    """Keep the dropped units as an attribute, which is no constant."""
    self.kept = F.dropout(self.first(x), 0.5)
    return self.last(self.kept) * self.kept[:, :2]


def both(self, x):
    units = F.dropout(self.first(x), 0.5)
    return self.last(units) + self.last(units)


def inverse(self, x):
    return 1.0 / self.last(F.dropout(self.first(x), 0.5))


def bits(self, x):
    return self.last(F.dropout(self.first(x), 0.5)).view(torch.int32).float()


def whole_numbers(self, x):
    return self.last(F.dropout(self.first(x), 0.5)).to(torch.int64)


def spread_over_a_graph(self, x):
    """Sum over rows, which share their masks."""
    near = torch.softmax(x @ x.T, dim=1)
    return near @ F.dropout(self.last(self.first(x)), 0.5)


def over_rows(self, x):
    return F.linear(F.dropout(self.first(x), 0.5).T, x @ x.T).T


def rows_side_by_side(self, x):
    """All rows as one: fits no other number of rows."""
    return self.wide(F.dropout(self.first(x), 0.5).reshape(1, -1)).reshape(len(x), 1)


def both_ways(self, x):
    units = F.dropout(self.first(x)[:, :2], 0.5)
    return torch.addmm(units, units, self.last.weight[:, :2])


def as_bias(self, x):
    units = F.dropout(self.last.bias, 0.5)
    return F.linear(units, self.last.weight[:, :2], units).expand(len(x), 2)


def earlier_name(self, x):
    units = self.first(x)[:, :2]
    same = units[:]
    F.dropout(units, 0.5, inplace=True)
    return torch.addmm(same, units, self.last.weight[:, :2])


def data_written_into(self, x):
    out = self.last(F.dropout(self.first(x), 0.5))
    out.data.mul_(3.0)
    return out


def data_set(self, x):
    out = self.last(F.dropout(self.first(x), 0.5))
    out.data = out * 3
    return out


def array_written_into(self, x):
    out = self.last(F.dropout(self.first(x), 0.5))
    array = np.from_dlpack(out)
    array *= 3
    return out


def handed_on(self, x):
    out = self.last(F.dropout(self.first(x), 0.5))
    np.from_dlpack(out)
    return out


def written_unseen(self, x):
    """Write as a function of another language may."""
    out = self.last(F.dropout(self.first(x), 0.5))
    with torch._C.DisableTorchFunction():
        out.data.mul_(3)
    return out


def units_written_unseen(self, x):
    units = F.dropout(self.first(x), 0.5)
    with torch._C.DisableTorchFunction():
        units.data.mul_(3)
    return self.last(units)


def constant_written_into(self, x):
    out = self.last(F.dropout(self.first(x), 0.5))
    self.scale.data.copy_(out[0])
    return out * self.scale


def constant_picked(self, x):
    out = self.last(F.dropout(self.first(x), 0.5))
    return out * self.scale[out.argmax(1)][:, None]


def only_its_shape(self, x):
    """Give what is no output its shape and type."""
    return x[:, :2].to(self.last(F.dropout(self.first(x), 0.5)))


def only_their_shape(self, x):
    return self.last(self.first(x).view_as(F.dropout(self.first(x), 0.5)))


REFUSED = {
    "activation after the layer": (lambda: one_site(0.3, nn.Softplus()), "softplus follows the Linear layer"),
    "two layers": (lambda: one_site(0.3, nn.Linear(2, 2)), "linear follows the Linear layer"),
    "activation before the layer": (
        lambda: nn.Sequential(nn.Dropout(0.3), nn.Tanh(), nn.Linear(3, 2)),
        "tanh follows the last dropout",
    ),
    "no layer": (lambda: nn.Sequential(nn.Linear(3, 2), nn.Dropout(0.3)), "no Linear layer follows the last dropout"),
    "residual of the units": (lambda: function(shortcut), "add follows the Linear layer"),
    "residual of the inputs": (lambda: function(stays_near), "add follows the Linear layer"),
    "written into": (lambda: function(written_into), "relu_ follows the Linear layer"),
    "written by entry": (lambda: function(written_by_entry), "__setitem__ follows the Linear layer"),
    "units written into": (lambda: function(units_written_into), "add_ follows the last dropout"),
    "units raised": (lambda: function(units_raised), "add_ follows the last dropout"),
    "units raised by another name": (lambda: function(units_raised_by_another_name), "add_ follows the last dropout"),
    "over a graph": (lambda: function(spread_over_a_graph), "matmul sums over units that share a mask"),
    "over rows": (lambda: function(over_rows), "linear sums over units that share a mask"),
    "rows side by side": (
        lambda: function(rows_side_by_side, wide=nn.Linear(48, 6)),
        "linear sums over units that share a mask",
    ),
    "both ways": (lambda: function(both_ways), "addmm follows the last dropout"),
    "as bias": (lambda: function(as_bias), "linear follows the last dropout"),
    "earlier name": (lambda: function(earlier_name), "addmm follows the last dropout"),
    "data written into": (lambda: function(data_written_into), "mul_ follows the Linear layer"),
    "data set": (lambda: function(data_set), "__set__ follows the Linear layer"),
    "array written into": (lambda: function(array_written_into), "what the Linear layer gives is written over"),
    "handed on": (lambda: function(handed_on), r"the forward looks at values .* \(__dlpack__\)"),
    "written unseen": (lambda: function(written_unseen), "what the Linear layer gives is written over"),
    "units written unseen": (lambda: function(units_written_unseen), "linear follows the last dropout"),
    "constant written into": (
        lambda: function(constant_written_into, scale=torch.ones(2)),
        "mul follows the Linear layer",
    ),
    "constant picked": (
        lambda: function(constant_picked, scale=torch.tensor([1.0, 2.0])),
        "argmax follows the Linear layer",
    ),
    "only its shape": (lambda: function(only_its_shape), "to follows the Linear layer"),
    "only their shape": (lambda: function(only_their_shape), "view_as follows the last dropout"),
    "with themselves": (lambda: function(with_themselves), "matmul follows the last dropout"),
    "divides": (lambda: function(divides, scale=nn.Parameter(torch.ones(2))), "div follows the Linear layer"),
    "doubled": (lambda: function(doubled), "add follows the Linear layer"),
    "joined with inputs": (lambda: function(joined_with_inputs), "cat follows the Linear layer"),
    "amplified": (lambda: function(amplified), "addmm follows the last dropout"),
    "units picked twice": (lambda: function(picks_twice), "__getitem__ follows the last dropout"),
    "bilinear": (lambda: function(its_own_weights), "tanh follows the last dropout"),
    "looks at values": (lambda: function(looks), "the forward looks at values"),
    "cached": (lambda: function(cached), "mul follows the Linear layer"),
    "correlated": (lambda: function(both), "add follows the Linear layer"),
    "inverse": (lambda: function(inverse), "(mul|reciprocal|__rdiv__|__rtruediv__) follows the Linear layer"),
    "bits": (lambda: function(bits), "view follows the Linear layer"),
    "whole numbers": (lambda: function(whole_numbers), "to follows the Linear layer"),
    "sum": (lambda: NETS["one value a row"].build(), "sum follows the Linear layer"),
    "Dropout1d": (
        lambda: nn.Sequential(nn.Unflatten(1, (1, 3)), nn.Dropout1d(0.3), nn.Flatten(), nn.Linear(3, 2)),
        "the last noise is dropout1d in 1, not plain dropout",
    ),
    "Dropout2d": (lambda: NETS["image out"].build(), "the last noise is dropout2d in 1, not plain dropout"),
    "AlphaDropout": (lambda: with_weights(mlp(drop=nn.AlphaDropout)), "the last noise is alpha_dropout in 5"),
    "random numbers last": (
        lambda: Call(lambda _, x: F.dropout(x, 0.5) + torch.randn(x.shape)),
        r"the last noise is randn in \(net\), not plain dropout",
    ),
    "another output": (
        lambda: Call(lambda self, x: (F.dropout(x, 0.5), self.last(x))[1], last=nn.Linear(3, 2)),
        "what is predicted does not come from the last dropout",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
@every_execution
def test_refusals_say_what_came_between(name, execution):
    make, reason = REFUSED[name]
    x = randn(5, 1, 6, 5) if name == "Dropout2d" else X
    with pytest.raises(ExecutionError, match=f"a Linear layer.*got one in which {reason}") as caught:
        MCDropout(make().eval()).predict(x, passes=3, last_layer="exact", execution=execution)
    assert str(caught.value).endswith("use last_layer='sampled'")
    assert "\n" not in str(caught.value)


def test_writing_is_noticed_in_inference_mode_too():
    """There torch does not count what is written to a tensor."""
    with torch.inference_mode(), pytest.raises(ExecutionError, match="relu_ follows the Linear layer"):
        MCDropout(function(written_into)).predict(X, passes=3, last_layer="exact")
    with torch.inference_mode(), pytest.raises(ExecutionError, match="what the Linear layer gives is written over"):
        MCDropout(function(written_unseen)).predict(X, passes=3, last_layer="exact")


def test_refusals_name_the_site_that_was_taken():
    """Dropout at rate 0 behind it is not the last."""
    net = nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.3), nn.Linear(8, 8), nn.ReLU(), nn.Dropout(0.0), nn.Linear(8, 2))
    with pytest.raises(ExecutionError, match=r"relu follows .* \(the last dropout above rate 0 is 1, p=0.3\);"):
        MCDropout(net.eval()).predict(X, last_layer="exact")


def test_dropout_at_rate_0_behind_the_layer_changes_nothing():
    plain, behind = (MCDropout(one_site(0.3, *after)) for after in ((), (nn.Dropout(0.0),)))
    exact = behind.predict(X, last_layer="exact")
    np.testing.assert_array_equal(exact.std, plain.predict(X, last_layer="exact").std)


@every_masks
def test_units_of_a_row_may_be_summed_wherever_they_lie(masks):
    """A row's tokens and units have masks of their own, so any product within the row is exact."""

    def forward(self, x):
        return self.last(F.dropout(self.first(x).view(-1, 2, 4), 0.5).transpose(1, 2).flatten(1))

    net = function(forward)
    with torch.no_grad():
        units = net.first(X).view(-1, 2, 4).transpose(1, 2).flatten(1)
        std = (units.square() @ net.last.weight.square().T).sqrt()
    pred = MCDropout(net).predict(X, passes=1, last_layer="exact", masks=masks)
    np.testing.assert_allclose(pred.std, std, rtol=1e-5)


def test_an_output_may_be_reshaped_after_a_shift_that_spreads_it():
    """The variance is then the same memory over and over, which has no other view."""

    def forward(self, x):
        return (self.last(F.dropout(self.first(x), 0.5))[:, :, None] + self.shift).view(-1, 6)

    pred = MCDropout(function(forward, shift=torch.arange(3.0))).predict(X, passes=1, last_layer="exact")
    plain = MCDropout(function(lambda self, x: self.last(F.dropout(self.first(x), 0.5))))
    np.testing.assert_array_equal(pred.std, plain.predict(X, passes=1, last_layer="exact").std.repeat(3, axis=1))


def test_refusal_comes_before_the_passes():
    calls = []

    def count(self, x):
        calls.append(len(x))
        return self.last(F.dropout(self.first(x), 0.5)).exp()

    with pytest.raises(ExecutionError, match="exp follows the Linear layer"):
        MCDropout(function(count)).predict(randn(50, 3), passes=3, last_layer="exact")
    assert max(calls) <= 3


def test_calls_that_vary_are_refused():
    """A site that wakes in a later batch only: with one pass for all, its spread would be missing."""

    def forward(self, x):
        units = F.dropout(self.first(x), 0.5 if x[0, 0] < 0 else 0.0)
        return self.last(F.dropout(units, 0.5))

    x = torch.tensor([[1.0], [-1.0]]).expand(2, 3)
    with pytest.raises(ExecutionError, match="dropout calls vary"):
        MCDropout(function(forward)).predict(x, passes=9, last_layer="exact", batch_size=1)


@pytest.mark.parametrize(
    ("task", "said"),
    [("classification", "'?classification"), ("heteroscedastic", "'?heteroscedastic"), ({0: "regression"}, "several")],
)
def test_other_tasks_are_refused(task, said):
    with pytest.raises(InputError, match=f"last_layer='exact' must go with task='regression', got {said}"):
        MCDropout(one_site(), task=task).predict(X, last_layer="exact")


def test_options_that_do_not_go_with_it():
    model = MCDropout(with_weights(mlp()))
    with pytest.raises(InputError, match="keep_samples must be False with last_layer='exact'"):
        model.predict(X, last_layer="exact", keep_samples=True)
    with pytest.raises(InputError, match=r"execution must be .* with last_layer='exact', got 'thinned'"):
        model.predict(X, last_layer="exact", execution="thinned")
    with pytest.raises(InputError, match="passes must be at least 2 where more than the last dropout is live, got 1"):
        model.predict(X, last_layer="exact", passes=1)
    with pytest.raises(InputError, match="last_layer must be one of 'sampled', 'exact', got 'closed'"):
        model.predict(X, last_layer="closed")
    with pytest.raises(InputError, match="passes must be an integer of at least 2"):
        model.predict(X, passes=1)
