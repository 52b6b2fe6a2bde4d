"""Dropout hidden in eval mode is woken, and nothing else of training mode comes with it."""

import pytest
import torch
import torch.nn.functional as F
from laws import LIMIT, Call, randn, with_weights
from torch import nn

from mcdrop import MCDropout, NoDropoutError, SilentDropoutWarning

X = randn(6, 8)


def hidden(self, x):
    return F.dropout(self.layer(x), 0.3) if self.training else self.layer(x)


def bare(self, x):
    return F.dropout(self.layer(x), 0.3)


def layer():
    return with_weights(nn.Linear(8, 8))


def live(net, x=X):
    return [(site.module, site.kind, site.rate) for site in MCDropout(net).sites(x).live]


def assert_same_draws(net, reference, x=X):
    for masks in ("shared", "independent"):
        ours = MCDropout(net).sample(x, passes=5, masks=masks)
        torch.testing.assert_close(ours, MCDropout(reference).sample(x, passes=5, masks=masks))


def attention(self, x):
    q = self.layer(x).view(len(x), 2, 1, 4).transpose(1, 2)
    return F.scaled_dot_product_attention(q, q, q, dropout_p=self.rate(self)).flatten(1)


FORMS = {
    "if self.training": hidden,
    "rate or 0": lambda self, x: F.dropout(self.layer(x), 0.3 if self.training else 0.0),
    "gated module": lambda self, x: self.drop(self.layer(x)) if self.training else self.layer(x),
    "passed down": lambda self, x: self.inner(self.layer(x), self.training),
    "by torch's name": lambda self, x: torch.dropout(self.layer(x), 0.3, True) if self.training else self.layer(x),
}


def inner(self, x, flag):
    return F.dropout(x, 0.3) if flag else x


def form(name):
    members = {"layer": layer()}
    if name == "gated module":
        members["drop"] = nn.Dropout(0.3)
    if name == "passed down":
        members["inner"] = Call(inner)
    return Call(FORMS[name], **members).eval()


@pytest.mark.parametrize("name", FORMS)
def test_every_way_of_hiding_gives_the_draws_of_plain_dropout(name):
    assert [(kind, rate) for _, kind, rate in live(form(name))] == [("dropout", 0.3)]
    assert_same_draws(form(name), Call(bare, layer=layer()))
    deep = nn.Sequential(nn.Sequential(form(name)), nn.BatchNorm1d(8), nn.Dropout(0.1)).eval()
    assert_same_draws(deep, nn.Sequential(nn.Sequential(Call(bare, layer=layer())), deep[1], nn.Dropout(0.1)).eval())


def test_attention_that_hides_its_rate_draws_like_attention_that_does_not():
    nets = [Call(attention, layer=layer(), rate=rate).eval() for rate in (lambda self: 0.3 if self.training else 0.0,)]
    open_one = Call(attention, layer=layer(), rate=lambda self: 0.3)
    for net in nets:
        assert_same_draws(net, open_one)
        assert_same_draws(nn.Sequential(net, nn.Dropout(0.2)), nn.Sequential(open_one, nn.Dropout(0.2)))


def test_norms_around_hidden_dropout_stay_frozen():
    def forward(self, x):
        h = self.norm(self.layer(x))
        return F.dropout(h, 0.3) if self.training else h

    net = with_weights(Call(forward, layer=layer(), norm=nn.BatchNorm1d(8))).eval()
    plain = Call(lambda self, x: F.dropout(self.norm(self.layer(x)), 0.3), layer=net.layer, norm=net.norm).eval()
    assert_same_draws(net, plain)
    assert net.norm.num_batches_tracked == 0


def test_only_the_owner_is_woken():
    """The outer module would return two tensors in training mode."""

    def outer(self, x):
        h = self.inner(x)
        return (h, h) if self.training else h

    net = Call(outer, inner=form("if self.training")).eval()
    assert_same_draws(net, Call(bare, layer=layer()))


def test_what_changes_more_than_dropout_is_left_asleep_and_named():
    def forward(self, x):
        return F.dropout(3 * self.layer(x), 0.3) if self.training else self.layer(x)

    net = nn.Sequential(Call(forward, layer=layer()), nn.Dropout(0.1)).eval()
    (row,) = MCDropout(net).sites(X).silent
    assert (row.module, row.rate) == ("0", 0.3)
    with pytest.warns(SilentDropoutWarning, match=r"0 \(dropout, p=0.3: training mode changes more") as caught:
        samples = MCDropout(net).sample(X, passes=2)
    assert len(caught) == 1
    torch.testing.assert_close(samples, MCDropout(nn.Sequential(net[0].layer, nn.Dropout(0.1))).sample(X, passes=2))
    with pytest.raises(NoDropoutError, match="training mode changes more"):
        MCDropout(net[0]).predict(X)


def test_one_owner_that_must_sleep_does_not_keep_the_others_from_waking():
    def forward(self, x):
        return F.dropout(3 * self.layer(x), 0.4) if self.training else self.layer(x)

    net = nn.Sequential(form("if self.training"), Call(forward, layer=layer()), form("rate or 0")).eval()
    assert live(net) == [("0", "dropout", 0.3), ("2", "dropout", 0.3)]


@pytest.mark.parametrize("in_place", [True, False])
def test_parameters_that_training_mode_writes_to_are_not_written_to(in_place):
    def forward(self, x):
        if self.training:
            self.scale.data.mul_(0.9) if in_place else self.scale.data.__setitem__(0, 0.0)
            x = F.dropout(x, 0.3)
        return x * self.scale

    net = Call(forward, scale=nn.Parameter(torch.ones(8))).eval()
    outer = nn.Sequential(layer(), net, nn.Dropout(0.1)).eval()
    with pytest.warns(SilentDropoutWarning, match=r"1 \(dropout, p=0.3"):
        MCDropout(outer).predict(X, passes=2)
    assert torch.equal(net.scale, torch.ones(8))


def test_modules_that_refuse_training_mode_do_not_hide_the_others():
    def forward(self, x):
        if self.training:
            raise RuntimeError("labels, please")
        return x

    net = nn.Sequential(Call(forward), form("if self.training"), Call(forward), form("rate or 0")).eval()
    assert live(net) == [("1", "dropout", 0.3), ("3", "dropout", 0.3)]


# Stochastic depth and other noise


class DropPath(nn.Module):
    def __init__(self, p, draw):
        super().__init__()
        self.drop_prob, self.draw = p, draw

    def forward(self, x):
        if not self.training or self.drop_prob == 0:
            return x
        keep = 1 - self.drop_prob
        return x * self.draw(x, (len(x), *[1] * (x.dim() - 1)), keep) / keep


DRAWS = {
    "filled": lambda x, shape, keep: x.new_empty(shape).bernoulli_(keep),
    "floor": lambda x, shape, keep: (keep + torch.rand(shape)).floor_(),
    "compared": lambda x, shape, keep: (torch.rand(shape) < keep).float(),
    "probabilities": lambda x, shape, keep: torch.bernoulli(torch.full(shape, keep)),
}


@pytest.mark.parametrize("name", DRAWS)
def test_stochastic_depth_keeps_or_drops_whole_rows(name):
    net = Call(lambda self, x: x + self.path(x), path=DropPath(0.3, DRAWS[name])).eval()
    ((module, _, rate),) = live(net)
    assert (module, rate) == ("path", 0.3)
    x = torch.ones(4, 2, 3)
    for masks in ("shared", "independent"):
        kept = (MCDropout(net).sample(x, passes=500, masks=masks) - 1) * 0.7
        assert kept.unique().numel() <= 4  # 0 and 1 up to rounding
        rows = kept.flatten(2)
        assert (rows == rows[..., :1]).all()
        assert bool((rows == rows[:, :1]).all()) == (masks == "shared")
        draws = 500 if masks == "shared" else 2000
        assert abs(rows.mean().item() - 0.7) < LIMIT * (0.21 / draws) ** 0.5


def test_stochastic_depth_at_rate_0_adds_nothing_and_warns_nobody():
    net = nn.Sequential(DropPath(0.0, DRAWS["filled"]), nn.Dropout(0.2)).eval()
    assert len(MCDropout(net).sites(X)) == 1
    MCDropout(net).predict(X, passes=2)


def layer_drop(self, x):
    for linear in self.layers:
        if self.training and torch.rand([]) < self.layerdrop:
            continue
        x = F.dropout(linear(x).tanh(), self.dropout, self.training)
    return x


@pytest.mark.parametrize("rate", [0.0, 0.4])
def test_layers_dropped_whole_are_woken_unless_their_rate_is_0(rate):
    layers = nn.ModuleList([layer() for _ in range(3)])
    net = Call(layer_drop, layers=layers, layerdrop=rate, dropout=0.1).eval()
    kinds = [kind for _, kind, _ in live(net)]
    assert kinds.count("dropout") == 3
    assert kinds.count("rand") == (3 if rate else 0)
    assert MCDropout(net).predict(X, passes=20).std.min() > 0


def test_noise_of_training_mode_that_nobody_calls_dropout_is_listed_and_left_off():
    net = nn.Sequential(
        Call(lambda self, x: x + torch.randn_like(x) if self.training else x),
        Call(lambda self, x: x[:, torch.randperm(8)] if self.training else x),
        nn.Dropout(0.1),
    ).eval()
    table = MCDropout(net).sites(X)
    assert [site.module for site in table.live] == ["2"]
    assert [(site.module, site.kind) for site in table.silent] == [("0", "randn"), ("1", "randperm")]
    with pytest.warns(SilentDropoutWarning, match=r"stay off in 0 \(randn.*, 1 \(randperm.*self.dropout = ") as caught:
        samples = MCDropout(net).sample(X, passes=5)
    assert len(caught) == 1
    torch.testing.assert_close(samples, MCDropout(net[2]).sample(X, passes=5))


def test_multiplied_noise_with_a_declared_rate_is_dropout():
    def forward(self, x):
        return x * (1 + self.dropout_rate * torch.randn_like(x)) if self.training else x

    net = Call(forward, dropout_rate=0.2).eval()
    assert live(net) == [("", "randn", 0.2)]
    samples = MCDropout(net).sample(torch.ones(3, 8), passes=2000).double()[:, 0]
    assert ((samples.mean(0) - 1).abs() < LIMIT * 0.2 / 2000**0.5).all()
    assert ((samples.var(0) - 0.04).abs() < LIMIT * 0.04 * (2 / 2000) ** 0.5).all()


def drawn_before_it_is_asked(self, x):
    survive = torch.empty(len(self.layers)).uniform_()
    for i, linear in enumerate(self.layers):
        if not self.training or survive[i] > self.layerdrop:
            x = linear(x)
    return x


def test_a_draw_that_is_used_in_training_mode_only_wakes_its_owner():
    layers = nn.ModuleList([layer() for _ in range(3)])
    net = Call(drawn_before_it_is_asked, layers=layers, layerdrop=0.4).eval()
    samples = MCDropout(net).sample(X[:1], passes=2000)
    distances = (samples - X[0]).abs().amax((1, 2))  # nothing is left of the layers with probability 0.4 cubed
    assert abs((distances == 0).float().mean() - 0.4**3) < LIMIT * (0.4**3 / 2000) ** 0.5


def test_a_draw_that_changes_nothing_is_no_noise():
    layers = nn.ModuleList([layer() for _ in range(3)])
    net = Call(drawn_before_it_is_asked, layers=layers, layerdrop=0.0).eval()
    assert MCDropout(net).sites(X)[0].reason == "seems to change nothing"
    with pytest.warns(SilentDropoutWarning, match=r"seem to change nothing: \(net\) \(uniform"):
        assert MCDropout(net).predict(X).std.max() == 0


def test_a_rate_in_the_configuration_is_a_declaration():
    class Config:
        layerdrop = 0.0

        def __init__(self):
            self.layerdrop = 0.4

    def forward(self, x):
        return x if self.training and torch.rand([]) < self.config.layerdrop else self.layer(x)

    net = Call(forward, layer=layer(), config=Config()).eval()
    assert live(net) == [("", "rand", None)]
    assert 0 < (MCDropout(net).sample(X, passes=100) == X).all(dim=(1, 2)).float().mean() < 1


def test_a_forward_that_writes_in_eval_mode_as_well_is_woken():
    def forward(self, x):
        self.calls.add_(1)
        return F.dropout(self.layer(x), 0.3) if self.training else self.layer(x)

    net = Call(forward, layer=layer())
    net.register_buffer("calls", torch.zeros(1))
    assert_same_draws(net.eval(), Call(bare, layer=layer()))
    assert net.calls == 0


def test_hooks_that_ask_a_module_of_torch_for_its_flag_are_heard():
    net = nn.Sequential(layer(), nn.Tanh()).eval()
    net[1].register_forward_hook(lambda module, args, out: F.dropout(out, 0.5) if module.training else out)
    assert live(net) == [("", "dropout", 0.5)] or live(net) == [("1", "dropout", 0.5)]


def test_the_flag_of_the_dropout_module_itself_may_be_asked():
    net = Call(lambda self, x: self.drop(x) if self.drop.training else x, drop=nn.Dropout(0.3)).eval()
    assert live(net) == [("drop", "dropout", 0.3)]


def test_modules_in_plain_lists_are_woken_and_their_norms_frozen():
    branch = nn.Sequential(layer(), nn.BatchNorm1d(8), Call(lambda self, x: F.dropout(x, 0.5) if self.training else x))
    net = Call(lambda self, x: self.first(self.branches[0][0](x)), first=layer())
    net.branches = [(branch,)]
    assert branch.training
    assert live(net) == [("branches[0][0].2", "dropout", 0.5)]
    MCDropout(net).predict(X, passes=3)
    assert branch[1].num_batches_tracked == 0
    assert branch.training
    with torch.no_grad():
        before = MCDropout(net).sample(X, passes=2)
        branch[0].weight.mul_(2)
    assert not torch.equal(before, MCDropout(net).sample(X, passes=2))


def test_weights_that_are_dropped_and_set_anew_in_every_pass():
    """As the weight-dropped LSTM does."""

    def forward(self, x):
        self.linear.weight = F.dropout(self.raw, 0.5, self.training)
        return self.linear(x)

    linear = layer()
    raw = nn.Parameter(linear.weight.detach().clone())
    del linear.weight
    net = Call(forward, linear=linear, raw=raw).eval()
    samples = MCDropout(net).sample(X, passes=300)
    expected = F.linear(X, raw, linear.bias)
    error = samples.std(0) / 300**0.5
    assert ((samples.mean(0) - expected).abs() < LIMIT * error).all()
    assert samples.std(0).min() > 0


def test_zeros_do_not_hide_a_draw():
    """Rows of zeros, as padding has them, take dropout on the inputs for a draw that changes nothing."""

    def forward(self, x):
        return x * (torch.rand_like(x) >= self.drop_rate) / (1 - self.drop_rate) if self.training else x

    net = nn.Sequential(Call(forward, drop_rate=0.3), layer()).eval()
    x = X.clone()
    x[:3] = 0
    assert live(net, x) == [("0", "rand", 0.3)]
    assert MCDropout(net).predict(x, passes=50).std[3:].min() > 0


def test_the_name_of_the_function_that_draws_speaks_too():
    def drop_connect(x, p, training):
        if not training:
            return x
        return x * torch.floor(1 - p + torch.rand(len(x), 1)) / (1 - p)

    net = Call(lambda self, x: drop_connect(self.layer(x), self.given, self.training), layer=layer(), given=0.3).eval()
    assert live(net) == [("", "rand", None)]


def test_the_flag_of_a_dropout_module_may_gate_another_call():
    net = Call(lambda self, x: F.dropout(x, 0.5) if self.drop.training else x, drop=nn.Dropout(0.3)).eval()
    with pytest.warns(SilentDropoutWarning, match=r"drop \(Dropout, p=0.3\)"):  # which never fires itself
        MCDropout(net).predict(X, passes=2)
    assert live(net) == [("", "dropout", 0.5)]


def test_modules_with_running_statistics_of_their_own_are_suspects_too():
    def forward(self, x):
        h = self.layer(x - self.running_mean)
        return F.dropout(h, 0.5) if self.training else h

    net = Call(forward, layer=layer())
    net.register_buffer("running_mean", torch.ones(8))
    assert live(net.eval()) == [("", "dropout", 0.5)]

    def updating(self, x):
        if self.training:
            self.running_mean += 1
        return F.dropout(x - self.running_mean, 0.5) if self.training else x - self.running_mean

    net = Call(updating)
    net.register_buffer("running_mean", torch.ones(8))
    with pytest.raises(NoDropoutError, match=r"stays off.*training mode changes more"):
        MCDropout(net.eval()).predict(X)
    assert torch.equal(net.running_mean, torch.ones(8))


@pytest.mark.parametrize(
    "write",
    [
        lambda self: F.relu(self.weight, inplace=True),
        lambda self: self.weight.detach().numpy().__imul__(0.5),
        lambda self: self.weight.data.copy_(torch.zeros(8)),
        lambda self: setattr(self.weight, "data", torch.zeros(8)),
    ],
)
def test_what_training_mode_writes_by_other_ways_does_not_reach_the_users_weights(write):
    def forward(self, x):
        if self.training:
            write(self)
            return F.dropout(x * self.weight, 0.3)
        return x * self.weight

    weight = nn.Parameter(torch.linspace(-1, 1, 8))
    net = nn.Sequential(Call(forward, weight=weight), nn.Dropout(0.1)).eval()
    before = weight.detach().clone()
    with pytest.warns(SilentDropoutWarning):
        MCDropout(net).predict(X, passes=2)
    assert torch.equal(weight, before)


@pytest.mark.parametrize("kind", ["clamp", "embedding", "to"])
def test_a_net_that_writes_in_eval_mode_writes_into_its_twin_alone(kind):
    def clamp(self, x):
        with torch.no_grad():
            self.table.weight.clamp_(-0.1, 0.1)
        return F.dropout(self.table(x), 0.5)

    def to(self, x):
        self.table = self.table.to(torch.float32)
        return F.dropout(self.table(x), 0.5)

    forward = {"clamp": clamp, "embedding": lambda self, x: F.dropout(self.table(x), 0.5), "to": to}[kind]
    table = nn.Embedding(9, 4, max_norm=0.5 if kind == "embedding" else None)
    net = with_weights(Call(forward, table=table)).eval()
    before = table.weight.detach().clone()
    samples = MCDropout(net).sample(torch.arange(9), passes=3)
    assert torch.equal(table.weight, before)
    bound = {"clamp": 0.2, "embedding": 1.0, "to": 10.0}[kind]
    assert samples.abs().max() <= bound


def test_settling_many_draws_takes_few_runs():
    calls = []

    def block(self, x):
        return x + self.path(self.layer(x))

    paths = [DropPath(0.3, DRAWS["floor"]) for _ in range(12)]
    blocks = [Call(block, path=path, layer=layer()) for path in paths]
    net = nn.Sequential(Call(lambda self, x: calls.append(1) or x), *blocks).eval()
    assert len(live(net)) == 12
    assert len(calls) < 16
