"""Variational recurrent layers: at rates 0 what they wrap, otherwise one mask for all steps."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mcdrop import InputError
from mcdrop.layers import VariationalRNN

MAKERS = {
    "LSTM": nn.LSTM,
    "GRU": nn.GRU,
    "RNN, tanh": nn.RNN,
    "RNN, relu": lambda *args, **kwargs: nn.RNN(*args, nonlinearity="relu", **kwargs),
    "LSTM, projected": lambda *args, **kwargs: nn.LSTM(*args, proj_size=2, **kwargs),
}
every_maker = pytest.mark.parametrize("name", MAKERS)


def leaves(output):
    states, final = output
    return states, *(final if isinstance(final, tuple) else (final,))


def initial(rnn, rows):
    count = rnn.num_layers * (2 if rnn.bidirectional else 1)
    h = torch.randn(count, rows, rnn.proj_size or rnn.hidden_size)
    return (h, torch.randn(count, rows, rnn.hidden_size)) if rnn.mode == "LSTM" else h


@every_maker
@pytest.mark.parametrize(
    ("layers", "both", "first", "bias"), list(itertools.product([1, 3], [False, True], [False, True], [True, False]))
)
@pytest.mark.parametrize("given", [False, True])
def test_at_rates_0_it_is_the_wrapped_layer(name, layers, both, first, bias, given):
    rnn = MAKERS[name](3, 4, layers, bidirectional=both, batch_first=first, bias=bias).double()
    ours = VariationalRNN(rnn, p_input=0, p_hidden=0)
    x = torch.randn(5, 7, 3, dtype=torch.float64)
    hx = initial(rnn.double(), 5 if first else 7) if given else None
    if given:
        hx = tuple(part.double() for part in hx) if isinstance(hx, tuple) else hx.double()
    for mine, theirs in zip(leaves(ours(x, hx)), leaves(rnn(x, hx)), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-12)


@every_maker
@pytest.mark.filterwarnings("ignore:LSTM with projections:UserWarning")  # torch's own, about a kernel it lacks
def test_in_eval_mode_it_is_the_wrapped_layer_at_any_rate(name):
    rnn = MAKERS[name](3, 4, 2, dropout=0.5).eval()
    ours = VariationalRNN(rnn, p_input=0.5, p_hidden=1.0)
    assert not ours.training
    x = torch.randn(6, 5, 3)
    for mine, theirs in zip(leaves(ours(x)), leaves(rnn(x)), strict=True):
        torch.testing.assert_close(mine, theirs)


def test_parameters_are_shared_under_the_same_names():
    net = nn.Sequential(nn.LSTM(3, 4, 2, bidirectional=True), nn.Identity())
    keys, lstm = list(net.state_dict()), net[0]
    net[0] = VariationalRNN(lstm)
    assert list(net.state_dict()) == keys
    assert all(a is b for a, b in zip(net.parameters(), lstm.parameters(), strict=True))
    net[0].flatten_parameters()
    assert [module for module in net.modules() if isinstance(module, nn.RNNBase)] == []


def test_the_input_mask_is_the_same_at_every_step():
    """A feature that is dropped at one step is dropped at all: its gradient is 0 at all steps or at none."""
    rnn = VariationalRNN(nn.GRU(50, 8, batch_first=True), p_input=0.5, p_hidden=0)
    x = torch.randn(4, 6, 50, requires_grad=True)
    rnn(x)[0].square().sum().backward()
    dead = x.grad == 0
    assert torch.equal(dead, dead[:, :1].expand_as(dead))
    assert 0.3 < dead.double().mean() < 0.7
    assert len(dead[:, 0].unique(dim=0)) == 4


@pytest.mark.parametrize("name", [name for name in MAKERS if "projected" not in name])  # torch has no such cell
def test_it_equals_a_loop_over_cells_with_fixed_masks(name):
    """Torch's own cells, fed with inputs and states that went through the masks drawn here."""
    rnn = MAKERS[name](3, 4)
    cell = {"LSTM": nn.LSTMCell, "GRU": nn.GRUCell}.get(rnn.mode, nn.RNNCell)(3, 4)
    if rnn.mode == "RNN_RELU":
        cell.nonlinearity = "relu"
    cell.load_state_dict({key.removesuffix("_l0"): value for key, value in rnn.state_dict().items()})
    x = torch.randn(6, 5, 3)
    torch.manual_seed(4)
    output, final = VariationalRNN(rnn, p_input=0.3, p_hidden=0.6)(x)
    torch.manual_seed(4)
    m_x, m_h = F.dropout(torch.ones(5, 3), 0.3), F.dropout(torch.ones(5, 4), 0.6)
    h, c = torch.zeros(5, 4), torch.zeros(5, 4)
    for t in range(6):
        if rnn.mode == "LSTM":
            h, c = cell(x[t] * m_x, (h * m_h, c))
        elif rnn.mode == "GRU":
            # The cell interpolates with the state it is given; the memory itself is not dropped.
            gates = F.linear(x[t] * m_x, cell.weight_ih, cell.bias_ih)
            z = (gates[:, 4:8] + F.linear(h * m_h, cell.weight_hh, cell.bias_hh)[:, 4:8]).sigmoid()
            h = cell(x[t] * m_x, h * m_h) + z * (h - h * m_h)
        else:
            h = cell(x[t] * m_x, h * m_h)
        torch.testing.assert_close(output[t], h)
    torch.testing.assert_close(leaves((output, final))[1][0], h)


def test_the_layers_above_are_dropped_at_the_wrapped_rate():
    assert VariationalRNN(nn.LSTM(3, 4, 2, dropout=0.3)).p_between == 0.3
    assert VariationalRNN(nn.LSTM(3, 4, 2, dropout=0.3), p_between=0.1).p_between == 0.1
    assert VariationalRNN(nn.LSTM(3, 4)).p_between == 0
    rnn = VariationalRNN(nn.LSTM(3, 4, 2, bias=False), p_input=0, p_hidden=0, p_between=1)
    assert torch.equal(rnn(torch.randn(6, 5, 3))[0], torch.zeros(6, 5, 4))


def test_p_is_the_largest_rate():
    assert VariationalRNN(nn.GRU(3, 4, 2, dropout=0.4), p_input=0.1, p_hidden=0.2).p == 0.4


@pytest.mark.parametrize("rnn", [nn.LSTMCell(3, 4), nn.Linear(3, 4), "LSTM"], ids=lambda rnn: type(rnn).__name__)
def test_other_layers_are_refused(rnn):
    with pytest.raises(InputError, match=rf"torch.nn.LSTM, GRU or RNN, got {type(rnn).__name__}"):
        VariationalRNN(rnn)


def test_parametrized_weights_are_refused():
    rnn = nn.utils.parametrizations.weight_norm(nn.LSTM(3, 4), "weight_hh_l0")
    with pytest.raises(InputError, match=r"computes weight_hh_l0; make the parametrization permanent"):
        VariationalRNN(rnn)


def test_a_rate_between_one_layer_is_refused():
    with pytest.raises(InputError, match=r"p_between=0.5 needs two or more layers, got 1; .*VariationalDropout"):
        VariationalRNN(nn.LSTM(3, 4), p_between=0.5)


def test_bad_inputs_are_refused():
    rnn = VariationalRNN(nn.LSTM(3, 4))
    with pytest.raises(InputError, match=r"VariationalRNN takes sequences of shape \(time, N, features\), got shape"):
        rnn(torch.ones(7, 3))
    with pytest.raises(InputError, match="got a PackedSequence; unpack it"):
        rnn(nn.utils.rnn.pack_sequence([torch.ones(2, 3)]))
    with pytest.raises(InputError, match=r"steps of 3 features, got shape \(5, 2, 4\) with batch_first=False"):
        rnn(torch.ones(5, 2, 4))
    with pytest.raises(InputError, match=r"one or more steps .* got shape \(0, 2, 3\)"):
        rnn(torch.ones(0, 2, 3))
    with pytest.raises(InputError, match=r"\(h, c\) of shapes \(1, 2, 4\), \(1, 2, 4\), got \(1, 1, 4\), \(1, 2, 4\)"):
        rnn(torch.ones(5, 2, 3), (torch.zeros(1, 1, 4), torch.zeros(1, 2, 4)))  # would broadcast
    with pytest.raises(InputError, match=r"h of shape \(1, 2, 4\), got str; leave it out"):
        VariationalRNN(nn.GRU(3, 4))(torch.ones(5, 2, 3), "zeros")
