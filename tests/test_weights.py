"""Weights come back bit for bit, no code of a file is ever run, and a net is filled wholly or not touched."""

import os
import pickle

import pytest
import torch
from safetensors.torch import load_file, save_file, save_model
from torch import nn

from mcdrop.errors import DataError, InputError, OutputError
from mcdrop.weights import load_weights, read_about, save_weights, tensors_of


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner, self.head = nn.Embedding(5, 3), nn.Linear(3, 5, bias=False)
        self.head.weight = self.inner.weight


def small():
    net = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 1))
    net(torch.randn(8, 2))  # moves the buffers
    return net


def state(net):
    return {name: value.clone() for name, value in net.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("make", [small, Tied, nn.Tanh, lambda: nn.Linear(2, 3).to(torch.bfloat16)])
def test_weights_and_buffers_come_back_with_what_is_known(tmp_path, make):
    net, other = make(), make()
    save_weights(net, tmp_path / "net.safetensors", about={"lr": 0.1, "hidden": [4]})
    assert load_weights(other, tmp_path / "net.safetensors") == {"lr": 0.1, "hidden": [4]}
    assert same(state(net), state(other))
    assert read_about(str(tmp_path / "net.safetensors")) == {"lr": 0.1, "hidden": [4]}


def test_the_same_net_gives_the_same_bytes_and_others_can_read_them(tmp_path):
    net = small()
    for name in ("a", "b"):
        save_weights(net, tmp_path / f"{name}.safetensors", about={"b": 1, "a": 2})
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    assert same(load_file(tmp_path / "a.safetensors"), state(net))


def test_shared_weights_stay_shared_and_one_name_is_enough(tmp_path):
    net, other = Tied(), Tied()
    save_model(net, str(tmp_path / "net.safetensors"))  # leaves one of the names out
    assert len(load_file(tmp_path / "net.safetensors")) == 1
    assert load_weights(other, tmp_path / "net.safetensors") == {}
    assert same(state(net), state(other))
    assert other.head.weight is other.inner.weight


def test_two_values_for_a_shared_weight_are_refused(tmp_path):
    save_file({"inner.weight": torch.ones(5, 3), "head.weight": torch.zeros(5, 3)}, tmp_path / "net.safetensors")
    with pytest.raises(InputError, match=r"same numbers as \S+ and \S+, which this net shares"):
        load_weights(Tied(), tmp_path / "net.safetensors")


@pytest.mark.parametrize("ending", ["pt", "pth", "bin"])
@pytest.mark.parametrize(
    "wrap", [dict, lambda s: {"state_dict": s, "epoch": 3}, lambda s: {"model": dict(s), "loss": 0.5}]
)
@pytest.mark.parametrize("modern", [True, False])
def test_torchs_own_files_are_read(tmp_path, ending, wrap, modern):
    net, other = small(), small()
    torch.save(wrap(net.state_dict()), tmp_path / f"net.{ending}", _use_new_zipfile_serialization=modern)
    assert load_weights(other, tmp_path / f"net.{ending}") == {}
    assert same(state(net), state(other))


@pytest.mark.parametrize("prefix", ["model.", "module.", "_orig_mod.", "module._orig_mod."])
def test_the_names_of_wrappers_are_cut_off(tmp_path, prefix):
    net, other = small(), small()
    save_file({f"{prefix}{name}": value for name, value in state(net).items()}, tmp_path / "net.safetensors")
    load_weights(other, tmp_path / "net.safetensors")
    assert same(state(net), state(other))


def test_names_of_the_net_are_not_cut_off(tmp_path):
    net, other = (nn.ModuleDict({"model": nn.Linear(2, 1)}) for _ in range(2))
    save_weights(net, tmp_path / "net.safetensors")
    load_weights(other, tmp_path / "net.safetensors")
    assert same(state(net), state(other))


def test_the_nets_own_dtype_is_kept(tmp_path):
    save_weights(nn.Linear(2, 1).to(torch.float16), tmp_path / "net.safetensors")
    net = nn.Linear(2, 1)
    load_weights(net, tmp_path / "net.safetensors")
    assert net.weight.dtype == torch.float32


class Evil:
    def __reduce__(self):
        return os.mkdir, (self.place,)

    def __init__(self, place):
        self.place = place


@pytest.mark.parametrize(
    "write",
    [
        lambda thing, path: torch.save({"weight": thing}, path),
        lambda thing, path: torch.save({"weight": thing}, path, _use_new_zipfile_serialization=False),
        lambda thing, path: path.write_bytes(pickle.dumps(thing)),
        lambda thing, path: path.write_bytes(pickle.dumps(thing, protocol=0)),
        lambda thing, path: torch.save(nn.Linear(2, 1), path),
    ],
    ids=["zip", "legacy", "pickle", "text", "module"],
)
def test_code_in_a_file_is_refused_and_not_run(tmp_path, write):
    write(Evil(str(tmp_path / "made by the pickle")), tmp_path / "net.pt")
    net = nn.Linear(2, 1)
    before = state(net)
    with pytest.raises(DataError, match=r"net\.pt was refused, since it holds more than weights") as caught:
        load_weights(net, tmp_path / "net.pt")
    assert not (tmp_path / "made by the pickle").exists()
    assert "\n" not in str(caught.value)
    assert same(state(net), before)


def flip(path):
    data = bytearray(path.read_bytes())
    data[data.index(torch.arange(64.0).numpy().tobytes()) + 100] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("ending", ["safetensors", "pt"])
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.unlink(), r"must be a file of weights, got no such file; check the path"),
        (lambda path: (path.unlink(), path.mkdir()), r"got a folder"),
        (lambda path: path.write_bytes(b""), r"cannot be read \(.*make or fetch it again"),
        (lambda path: path.write_bytes(b"not weights"), r"cannot be read \(.*make or fetch it again"),
        (lambda path: path.write_bytes(path.read_bytes()[:-60]), r"cannot be read \(.*make or fetch it again"),
    ],
    ids=["absent", "folder", "empty", "text", "truncated"],
)
def test_a_damaged_file_is_named_in_one_line(tmp_path, ending, damage, message):
    path, net = tmp_path / f"net.{ending}", nn.Linear(64, 1)
    save_weights(net, path) if ending == "safetensors" else torch.save(net.state_dict(), path)
    before = state(net)
    damage(path)
    with pytest.raises(DataError, match=rf"net\.{ending} .*{message}") as caught:
        load_weights(net, path)
    assert "\n" not in str(caught.value)
    assert same(state(net), before)


def test_a_flipped_bit_is_noticed(tmp_path):
    net = nn.Linear(64, 1)
    with torch.no_grad():
        net.weight[0] = torch.arange(64.0)
    save_weights(net, tmp_path / "net.safetensors")
    flip(tmp_path / "net.safetensors")
    for action in (lambda path: load_weights(net, path), read_about):
        with pytest.raises(DataError, match="checksum differs; make or fetch it again"):
            action(tmp_path / "net.safetensors")


@pytest.mark.parametrize("content", [torch.ones(3), [torch.ones(1)], {"a": 1}, {1: torch.ones(1)}, {"model": {"a": 1}}])
def test_a_torch_file_of_something_else_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "net.pt")
    with pytest.raises(DataError, match="must hold tensors by name"):
        load_weights(nn.Linear(1, 1), tmp_path / "net.pt")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("3.bias"), r"got no 3\.bias; build the net they are of"),
        (lambda s: s.update(extra=torch.ones(1)), "got unknown extra;"),
        (lambda s: s.clear(), r"got no 0\.weight, 0\.bias, 1\.weight and 6 more;"),
        (lambda s: s.update({"3.bias": torch.ones(2)}), r"3\.bias as real numbers of shape \(1,\), got .*\(2,\)"),
        (lambda s: s.update({"3.bias": torch.ones(1, dtype=int)}), r"3\.bias as real .*, got whole numbers"),
    ],
)
def test_weights_of_another_net_leave_this_one_as_it_was(tmp_path, change, message):
    net = small()
    content, before = state(small()), state(net)
    change(content)
    save_file(content, tmp_path / "net.safetensors")
    with pytest.raises(InputError, match=message) as caught:
        load_weights(net, tmp_path / "net.safetensors")
    assert str(tmp_path / "net.safetensors") in str(caught.value)
    assert same(state(net), before)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("name", ["0.bias", "1.running_var"])
def test_weights_that_are_not_finite_are_refused_by_name(tmp_path, name, value):
    net = small()
    content, before = state(net), state(net)
    content[name][-1] = value
    save_file(content, tmp_path / "net.safetensors")
    with pytest.raises(DataError, match=f"finite weights, got NaN or infinity in {name}"):
        load_weights(net, tmp_path / "net.safetensors")
    assert same(state(net), before)


def test_numbers_too_large_for_the_net_are_refused(tmp_path):
    save_file({"weight": torch.full((1, 1), 1e6), "bias": torch.zeros(1)}, tmp_path / "net.safetensors")
    with pytest.raises(DataError, match=r"infinity in weight as torch\.float16"):
        load_weights(nn.Linear(1, 1).to(torch.float16), tmp_path / "net.safetensors")


def test_the_infinities_of_a_mask_are_let_through(tmp_path):
    net, other = nn.Linear(1, 1), nn.Linear(1, 1)
    for each in (net, other):
        each.register_buffer("mask", torch.full((3, 3), -torch.inf).triu(1))
    save_weights(net, tmp_path / "net.safetensors")
    load_weights(other, tmp_path / "net.safetensors")
    assert same(state(net), state(other))


def test_a_state_that_is_not_made_of_tensors_is_refused(tmp_path):
    class Extra(nn.Linear):
        def get_extra_state(self):
            return {"a": 1}

        def set_extra_state(self, value):
            pass

    for net, got in (
        (Extra(1, 1), "dict for _extra_state"),
        (nn.LazyLinear(2), "a tensor without values for weight"),
        (nn.Linear(1, 1, device="meta"), "a tensor without values for weight"),
    ):
        with pytest.raises(InputError, match=f"the net's state must be made of tensors, got {got}"):
            save_weights(net, tmp_path / "net.safetensors")
    assert not list(tmp_path.iterdir())


def test_the_state_shares_memory_with_the_net():
    net = small()
    assert tensors_of(net)["0.weight"] is net[0].weight


@pytest.mark.parametrize(
    ("path", "message"),
    [("net", "must end in"), ("net.h5", "must end in"), (3, "path must be a str"), ("a\0.pt", "path must be a str")],
)
def test_paths_are_checked(path, message):
    for action in (lambda: load_weights(nn.Tanh(), path), lambda: save_weights(nn.Tanh(), path)):
        with pytest.raises(InputError, match=message):
            action()


def test_weights_are_not_written_as_pickles(tmp_path):
    with pytest.raises(InputError, match=r"path must end in \.safetensors"):
        save_weights(nn.Tanh(), tmp_path / "net.pt")


def test_an_unwritable_place_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot write \S*net\.safetensors: .*; choose a writable folder"):
        save_weights(nn.Tanh(), tmp_path / "file" / "net.safetensors")


def test_what_is_known_must_be_plain(tmp_path):
    with pytest.raises(InputError, match="about must hold texts"):
        save_weights(nn.Tanh(), tmp_path / "net.safetensors", about={"a": object()})


def test_whole_numbers_out_of_range_are_refused(tmp_path):
    class Counts(nn.Module):
        def __init__(self, dtype):
            super().__init__()
            self.register_buffer("counts", torch.tensor([1, 3], dtype=dtype))

    wide = Counts(torch.int64)
    wide.counts[:] = torch.tensor([300, -1])
    save_weights(wide, tmp_path / "wide.safetensors")
    with pytest.raises(DataError, match=r"counts in the range of torch\.uint8"):
        load_weights(Counts(torch.uint8), tmp_path / "wide.safetensors")


def test_the_dicts_of_torchs_own_tutorials_are_read(tmp_path):
    net, other = nn.Linear(2, 1), nn.Linear(2, 1)
    torch.save({"epoch": 3, "model_state_dict": net.state_dict(), "optimizer_state_dict": {}}, tmp_path / "net.pt")
    load_weights(other, tmp_path / "net.pt")
    assert torch.equal(net.weight, other.weight)
