"""Dropout for trained nets: which layers get it, and that nothing else changes."""

import copy
import pickle
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mcdrop import InputError
from mcdrop.layers import InputDropout, add_dropout


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.norm, self.fc2 = nn.Linear(4, 4), nn.LayerNorm(4), nn.Linear(4, 4)

    def forward(self, x):
        return self.fc2(F.relu(self.norm(self.fc1(input=x))))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(9, 4)
        self.encoder = nn.ModuleList([Block(), Block()])
        self.head = nn.utils.parametrizations.weight_norm(nn.Linear(4, 2))

    def forward(self, x):
        x = self.embed(x)
        for block in self.encoder:
            x = block(x)
        return self.head(x)


def convolutional():
    return nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 2)
    )


def places(net):
    """Return the paths that have dropout before them, with its text."""
    return {
        path: repr(hook)
        for path, module in net.named_modules()
        for hook in module._forward_pre_hooks.values()
        if isinstance(hook, InputDropout)
    }


def where(net, choice, **options):
    return sorted(places(add_dropout(net, 0.5, where=choice, **options)))


FULL = ["encoder.0.fc1", "encoder.0.fc2", "encoder.1.fc1", "encoder.1.fc2", "head"]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (None, FULL),
        (nn.Linear, FULL),
        ((nn.LayerNorm, Block), ["encoder.0", "encoder.0.norm", "encoder.1", "encoder.1.norm"]),
        ("encoder.*.fc1", ["encoder.0.fc1", "encoder.1.fc1"]),
        ("encoder.?.fc[2]", ["encoder.0.fc2", "encoder.1.fc2"]),
        (["head", "encoder.1.*"], ["encoder.1.fc1", "encoder.1.fc2", "head"]),
        ("*", FULL),
        ("encoder.0.norm", ["encoder.0.norm"]),
        (lambda path, module: path.endswith("norm"), ["encoder.0.norm", "encoder.1.norm"]),
    ],
)
def test_where(choice, expected):
    assert where(Net(), choice) == expected


def test_by_default_every_linear_but_the_first_layer():
    assert where(nn.Sequential(nn.Linear(1, 2), nn.ReLU(), nn.Linear(2, 3), nn.Linear(3, 1)), None) == ["2", "3"]
    assert where(convolutional(), None) == ["4", "6"]
    assert where(nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 3), nn.Linear(3, 3)), None) == ["2"]
    assert where(convolutional(), None, kind="channels") == ["2"]
    assert where(nn.Sequential(nn.LSTM(3, 3), nn.Linear(3, 3)), None) == ["1"]


def test_the_net_itself_stays_and_the_copy_has_its_keys_flags_and_values():
    net = Net().eval()
    net.encoder[1].train()
    dropped = add_dropout(net, 0.5)
    assert places(net) == {}
    assert list(dropped.state_dict()) == list(net.state_dict())
    assert [path for path, _ in dropped.named_modules()] == [path for path, _ in net.named_modules()]
    assert [module.training for module in dropped.modules()] == [module.training for module in net.modules()]
    for mine, theirs in zip(dropped.parameters(), net.parameters(), strict=True):
        assert torch.equal(mine, theirs)
        assert mine is not theirs
    dropped.load_state_dict(net.state_dict())
    dropped.eval()
    assert torch.equal(dropped(torch.arange(9)), net.eval()(torch.arange(9)))


def test_it_is_dropout_before_the_layer():
    net, x = nn.Sequential(nn.Linear(3, 64), nn.Linear(64, 2)), torch.randn(5, 3)
    dropped = add_dropout(net, 0.4)
    torch.manual_seed(1)
    out = dropped(x)
    torch.manual_seed(1)
    torch.testing.assert_close(out, net[1](F.dropout(net[0](x), 0.4)))


def test_the_flag_is_that_of_the_layer_it_stands_before():
    dropped = add_dropout(nn.Sequential(nn.Linear(3, 8), nn.Linear(8, 8), nn.Linear(8, 2)), 1.0).eval()
    dropped[2].train()
    assert torch.equal(dropped(torch.randn(5, 3)), dropped[2].bias.expand(5, 2))


def test_inputs_by_keyword_are_dropped_too():
    dropped = add_dropout(Block(), 1.0, where="fc1")
    h = F.relu(dropped.norm(dropped.fc1.bias))
    torch.testing.assert_close(dropped(torch.randn(3, 4)), dropped.fc2(h).expand(3, 4))


def test_only_the_first_of_several_inputs_is_dropped():
    dropped = add_dropout(nn.Sequential(nn.Bilinear(3, 2, 4)), 1.0, where=nn.Bilinear)
    assert torch.equal(dropped[0](torch.randn(5, 3), torch.randn(5, 2)), dropped[0].bias.expand(5, 4))
    x, y = torch.randn(5, 3), torch.randn(5, 2)
    hook = next(iter(dropped[0]._forward_pre_hooks.values()))
    assert hook(dropped[0], (x, y), {})[0][1] is y
    args, kwargs = hook(dropped[0], (), {"input1": x, "input2": y})
    assert args == ()
    assert torch.equal(kwargs["input1"], 0 * x)
    assert kwargs["input2"] is y


def test_channels_go_as_a_whole_with_and_without_a_batch_axis():
    conv = nn.Conv2d(20, 1, 3)
    hook = InputDropout(0.5, kind="channels")
    for shape in ((6, 20, 4, 5), (20, 4, 5)):
        ((out,), _) = hook(conv, (torch.ones(shape),), {})
        assert torch.equal(out, out[..., :1, :1].expand_as(out))
        assert set(out.unique().tolist()) == {0.0, 2.0}


def test_dropout_that_is_there_already_stays():
    net = nn.Sequential(nn.Linear(2, 4), nn.Dropout(0.2), nn.Linear(4, 4))
    twice = add_dropout(add_dropout(net, 0.3), 0.4)
    assert isinstance(twice[1], nn.Dropout)
    assert [repr(hook) for hook in twice[2]._forward_pre_hooks.values()] == [
        "InputDropout(p=0.3, kind='units')",
        "InputDropout(p=0.4, kind='units')",
    ]


def test_a_shared_layer_gets_dropout_once():
    layer = nn.Linear(3, 3)
    dropped = add_dropout(nn.Sequential(layer, nn.ReLU(), layer), 0.5, where=nn.Linear)
    assert len(dropped[0]._forward_pre_hooks) == 1
    assert dropped[0] is dropped[2]


def test_a_shared_layer_may_be_named_by_any_of_its_names():
    class Aliased(nn.Module):
        def __init__(self):
            super().__init__()
            self.l = nn.Linear(3, 3)
            self.l2 = self.l

    for choice in ("l", "l2", ["l", "l2"], "l*", nn.Linear):
        dropped = add_dropout(Aliased(), 0.5, where=choice)
        assert dropped.l is dropped.l2
        assert len(dropped.l._forward_pre_hooks) == 1


class Matrix(nn.Module):
    """A linear layer of another library, as transformers' Conv1D."""

    def __init__(self, *shape):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(*shape))


@pytest.mark.parametrize("name", ["Embedding", "TokenEmbedding", "RowNorm"])
def test_by_default_a_matrix_is_a_linear_layer_but_for_embeddings_norms_and_recurrence(name):
    apart = type(name, (Matrix,), {})
    net = nn.Sequential(
        nn.Linear(3, 3), Matrix(3, 3), apart(3, 3), Matrix(3), Matrix(3, 3, 3), nn.Embedding(3, 3),
        nn.EmbeddingBag(3, 3), nn.LayerNorm((3, 3)), nn.LSTM(3, 3), nn.GRUCell(3, 3), nn.PReLU(),
        nn.utils.parametrizations.weight_norm(Matrix(3, 3)), nn.Sequential(Matrix(3, 3)),
    )  # fmt: skip
    assert where(net, None) == ["1", "11", "12.0"]
    assert where(nn.Sequential(Matrix(3, 3), Matrix(3, 3)), None) == ["1"]


def test_first_is_what_was_registered_first():
    class Backwards(nn.Module):
        def __init__(self):
            super().__init__()
            self.head, self.body = nn.Linear(3, 1), nn.Linear(2, 3)

        def forward(self, x):
            return self.head(self.body(x))

    assert where(Backwards(), None) == ["body"]


@pytest.mark.filterwarnings("ignore::FutureWarning")  # the norm is deprecated, and still in nets that people have
@pytest.mark.parametrize("norm", [nn.utils.weight_norm, nn.utils.spectral_norm])
def test_weights_that_carry_a_graph_are_copied(norm):
    net = nn.Sequential(nn.Linear(2, 3), norm(nn.Linear(3, 1)))
    net(torch.ones(4, 2)).sum().backward()
    dropped = add_dropout(net, 0.5).eval()
    assert len(dropped[1]._forward_pre_hooks) == 2
    torch.testing.assert_close(dropped(torch.ones(4, 2)), net.eval()(torch.ones(4, 2)))
    assert not net[1].weight.is_leaf
    dropped(torch.ones(4, 2)).sum().backward()
    assert all(parameter.grad is not None for parameter in dropped.parameters())


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # what compiling imports
def test_a_compiled_net_is_unwrapped():
    net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    assert places(add_dropout(torch.compile(net, backend="eager"), 0.5)) == {"1": "InputDropout(p=0.5, kind='units')"}


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))])
def test_copies_have_hooks_of_their_own(copied):
    dropped = add_dropout(convolutional(), 0.5)
    other = copied(dropped)
    assert places(other) == places(dropped)
    hook, again = (next(iter(net[4]._forward_pre_hooks.values())) for net in (dropped, other))
    assert hook is not again
    again._handle.remove()
    assert places(dropped).keys() - places(other).keys() == {"4"}


def test_a_hook_survives_the_hooks_of_another_process(tmp_path):
    """Numbers of hooks start from 0 in every process: one that is registered there must not take this one's place."""
    torch.save(add_dropout(nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1)), 0.5), tmp_path / "net.pt")
    code = (
        "import sys, torch\n"
        "net = torch.load(sys.argv[1], weights_only=False)\n"
        "for _ in range(100): net[1].register_forward_pre_hook(lambda *_: None)\n"
        "print(len(net[1]._forward_pre_hooks), *net[1]._forward_pre_hooks.values())\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "net.pt")], capture_output=True, text=True)
    assert done.stdout.startswith("101 InputDropout(p=0.5"), done.stderr


def test_nothing_found_says_what_there_is():
    net = nn.Sequential(nn.Linear(1, 2), nn.ReLU())
    with pytest.raises(InputError, match=r"found none beyond the first in Sequential; it has: 0 \(Linear\); name some"):
        add_dropout(net, 0.5)
    with pytest.raises(InputError, match=r"none for where='fc\*' in Sequential; it has: 0 \(Linear\)"):
        add_dropout(net, 0.5, where="fc*")
    with pytest.raises(InputError, match="it has: no layers with weights"):
        add_dropout(nn.Sequential(nn.ReLU()), 0.5, where="*")
    many = nn.Sequential(*(nn.Linear(1, 1) for _ in range(25)))
    with pytest.raises(InputError, match=r"19 \(Linear\) and 5 more; name"):
        add_dropout(many, 0.5, where=nn.Conv2d)


def test_what_is_inside_a_recurrent_layer_is_refused():
    with pytest.raises(InputError, match=r"0 \(LSTM\).*not for parameters: .*DropConnect, states with VariationalRNN"):
        add_dropout(nn.Sequential(nn.LSTM(2, 2)), 0.5, where="0.weight_hh_*")


def test_attention_s_projection_is_refused_by_name_and_left_out_by_default():
    net = nn.TransformerEncoderLayer(8, 2, 16)
    for choice in ("self_attn.out_proj", ["linear1", "self_attn.out_proj"], "*.out_proj"):
        with pytest.raises(InputError, match=r"before self_attn.out_proj: nn.MultiheadAttention reads .*`dropout` of"):
            add_dropout(net, 0.5, where=choice)
    for choice in (nn.Linear, "*", ("*li*", "*proj"), lambda path, module: isinstance(module, nn.Linear)):
        assert [path for path in where(net, choice) if path != "norm1"][:2] == ["linear1", "linear2"]
        assert "self_attn.out_proj" not in where(net, choice)
    assert where(net, None) == ["linear1", "linear2"]
    assert where(net, "linear?") == ["linear1", "linear2"]
    assert where(nn.Sequential(nn.Linear(3, 8), net), None) == ["1.linear1", "1.linear2"]


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        (nn.ModuleList, r"before encoder: a ModuleList is never called; choose other layers"),
        (nn.Embedding, r"before embed: its inputs are indices"),
        (
            lambda path, module: path.startswith("head.parametrizations.w"),
            r"before head\.param.*: it computes a weight",
        ),
        (3, r"where must be a module type .*, got 3; pass for example torch.nn.Linear or 'encoder"),
        (int, r"where must be a module type"),
        (nn.ReLU(), r"where must be a module type"),
        ((nn.Linear, "head"), r"where must be a module type"),
    ],
)
def test_bad_places_are_refused(choice, message):
    with pytest.raises(InputError, match=message):
        add_dropout(Net(), 0.5, where=choice)


def test_bad_nets_and_kinds_are_refused():
    with pytest.raises(InputError, match=r"must be a torch.nn.Module, got function; pass the trained network"):
        add_dropout(F.relu, 0.5)
    with pytest.raises(InputError, match="run it on one batch first"):
        add_dropout(nn.Sequential(nn.Linear(1, 1), nn.LazyLinear(1)), 0.5)
    with pytest.raises(InputError, match="kind must be one of 'units', 'channels', got 'rows'"):
        add_dropout(Net(), 0.5, kind="rows")
    with pytest.raises(InputError, match=r"kind='channels' is for convolutions, got head \(.*Linear\); use kind"):
        add_dropout(Net(), 0.5, where="head", kind="channels")


def test_scripted_nets_are_refused():
    class Scripted(torch.jit.ScriptModule):
        pass

    with pytest.raises(InputError, match=r"got TorchScript in Sequential.*; pass the module that was scripted"):
        add_dropout(nn.Sequential(nn.Linear(1, 1), Scripted()), 0.5)


def test_a_net_that_cannot_be_copied_is_refused():
    net = nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1))
    net.lines = (line for line in ())
    with pytest.raises(InputError, match=r"must be copyable, but copy.deepcopy of Sequential failed with: .*; move"):
        add_dropout(net, 0.5)


def test_inputs_that_cannot_be_dropped_are_refused_when_they_come():
    dropped = add_dropout(nn.Sequential(nn.LSTM(2, 2)), 0.5, where=nn.LSTM)
    with pytest.raises(InputError, match=r"dropout before LSTM needs a tensor of real numbers .*, got PackedSequence"):
        dropped(nn.utils.rnn.pack_sequence([torch.ones(3, 2)]))
    dropped = add_dropout(nn.Sequential(nn.Identity()), 0.5, where="0")
    with pytest.raises(InputError, match=r"got one of torch.int64; choose another layer"):
        dropped(torch.arange(3))
    with pytest.raises(InputError, match="a call without any"):
        dropped[0]()
