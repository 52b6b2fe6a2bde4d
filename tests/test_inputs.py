"""Every accepted form of input gives the same rows; every other is refused in one line that says what to do."""

from collections import OrderedDict, UserDict, defaultdict
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import pytest
import torch
from laws import Call, mlp, randn, with_weights
from torch import nn
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    DistributedSampler,
    RandomSampler,
    SequentialSampler,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
)

from mcdrop import InputError, MCDropout, NetError
from mcdrop.inputs import Keywords, float_types_of, keywords_of, open_stream

X = randn(7, 3)
PACKED = nn.utils.rnn.pack_sequence([X[:4], X[4:]])
NAMES = [f"row {i}" for i in range(7)]


def holes(*rows):
    x = X.clone()
    for row in rows:
        x[row, 1] = float("nan")
    return x


class Frame:
    """Something that knows how to become an array, as tables do, and that iterates over its column names."""

    def __array__(self, dtype=None, copy=None):
        return X.numpy().astype(dtype or np.float64)

    def __iter__(self):
        return iter("abc")


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


def stream(x, dtype=torch.float32, **options):
    return open_stream(x, device=torch.device("cpu"), dtype=dtype, **options)


FORMS = {
    "tensor": X,
    "float64 array": X.double().numpy(),
    "float16 array": X.half().numpy(),
    "other byte order": X.numpy().astype(">f8"),
    "read-only array": read_only(X.numpy()),
    "negative strides": np.ascontiguousarray(X.numpy()[::-1])[::-1],
    "column order": np.asfortranarray(X.numpy()),
    "list of lists": X.tolist(),
    "list of tuples": [tuple(row) for row in X.tolist()],
    "table": Frame(),
    "tuple of one": (X,),
    "dict": {"input": X},
    "mapping": UserDict(input=X.numpy()),
    "list of batches": [X[:4], X[4:]],
    "batches of pairs": [(X[:4], torch.zeros(4)), (X[4:], torch.zeros(3))],
    "batches of dicts": [{"input": X[:4]}, {"input": X[4:]}],
    "batches of arrays": [X[:4].numpy(), X[4:].numpy()],
    "generator": lambda: (X[i : i + 3] for i in range(0, 7, 3)),
    "loader": DataLoader(TensorDataset(X), batch_size=3),
    "loader with labels": DataLoader(TensorDataset(X, torch.arange(7)), batch_size=2),
    "loader of rows": DataLoader(X, batch_size=5),
    "loader of dicts": DataLoader([{"input": row} for row in X], batch_size=3),
}


@pytest.mark.parametrize("form", FORMS)
def test_all_forms_are_the_same_rows(form):
    model = MCDropout(with_weights(mlp()))
    x = FORMS[form]() if form == "generator" else FORMS[form]
    expected = model.sample(X, passes=3)
    exact = "float16" not in form
    torch.testing.assert_close(
        model.sample(x, passes=3), expected, rtol=1e-5 if exact else 1e-2, atol=1e-5 if exact else 1e-2
    )


@pytest.mark.parametrize("nested", [False, True])
def test_several_inputs_in_a_tuple_or_from_a_loader(nested):
    net = with_weights(
        Call(
            lambda self, a, b, scale=1.0: self.drop(self.layer(a) + b) * scale,
            layer=nn.Linear(3, 2),
            drop=nn.Dropout(0.5),
        )
    )
    b = randn(7, 2, seed=5)
    expected = MCDropout(net).sample((X, b), passes=3)
    if nested:
        loader = DataLoader([((X[i], b[i]), 0) for i in range(7)], batch_size=4)
        torch.testing.assert_close(MCDropout(net).sample(loader, passes=3), expected)
    else:
        torch.testing.assert_close(MCDropout(net).sample({"a": X, "b": b, "scale": 2.0}, passes=3), 2 * expected)
        torch.testing.assert_close(MCDropout(net).sample((X, b, None or 1.0), passes=3), expected)


def test_floats_take_the_nets_type_and_integers_stay():
    block = stream((X.double(), torch.arange(7), torch.ones(7, dtype=torch.bool)), dtype=torch.float16).first
    assert [t.dtype for t in block.tensors()] == [torch.float16, torch.int64, torch.bool]
    assert stream([[1, 2], [3, 4]]).first.args[0].dtype == torch.int64


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_net_of_any_type_takes_numpys_doubles(dtype):
    model = MCDropout(with_weights(mlp()).to(dtype))
    assert model.sample(X.double().numpy(), passes=2).dtype == dtype
    pred = model.predict(X.double().numpy(), passes=2, keep_samples=True)
    assert pred.mean.dtype == pred.std.dtype == np.float64
    assert pred.samples.dtype == (np.float64 if dtype == torch.float64 else np.float32)


def test_batches_are_cut_in_order_and_numbered_over_the_whole_input():
    opened = stream(DataLoader(X, batch_size=5))
    parts = [part for block in opened.blocks for part in block.split(2)]
    assert [list(part.rows) for part in parts] == [[0, 1], [2, 3], [4], [5, 6]]
    assert torch.equal(torch.cat([part.args[0] for part in parts]), X)
    assert opened.total is None
    assert stream(X).total == 7


def test_probing_rows_are_taken_from_the_front_and_repeated_when_few():
    block = stream((X, torch.arange(7))).first
    assert block.repeated(2).args[1].tolist() == [0, 1]
    assert set(stream(X[:1]).first.repeated(3).args[0][:, 0].tolist()) == {X[0, 0].item()}
    assert block.repeated(3).size == 3


def test_a_generator_is_read_lazily():
    read = []

    def batches():
        for i in range(3):
            read.append(i)
            yield X

    opened = stream(batches())
    assert read == [0]
    assert len(list(opened.blocks)) == 3


def test_a_loader_does_not_move_the_global_generator():
    model, state = MCDropout(mlp()), torch.get_rng_state()
    model.predict(DataLoader(X, batch_size=2), passes=2)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.empty(0, 3), "must hold at least one row, got none"),
        (np.empty((0, 3)), "must hold at least one row, got none"),
        ([], "at least one row, got a loader without batches"),
        (iter([]), "got a loader without batches"),
        ([X, torch.empty(0, 3)], "must hold at least one row, got none"),
        ((), "at least one tensor or array, got none in tuple"),
        ({}, "at least one tensor or array, got none in dict"),
        ((1.0, 2.0), "at least one tensor or array, got none in tuple"),
        (torch.tensor(3.0), "must have its rows on the first axis, got a single number"),
        (np.float32(3.0), "must have its rows on the first axis, got a single number"),
        (3.0, "must be a tensor, an array, .* got float"),
        (None, "must be a tensor, an array, .* got NoneType"),
        ("abc", "must be a tensor, an array, .* got str"),
        (TensorDataset(X), "or a DataLoader, got TensorDataset"),
        ([[1.0, 2.0], [3.0]], "rectangular array"),
        (np.array([["a", "b"]]), "must be numbers .*, got ndarray: its dtype is <U1; tokenize texts"),
        (np.array([{}, None]), "must be numbers .*, got ndarray: its dtype is object; tokenize texts"),
        (np.array(["2020-01-01"], dtype="datetime64[D]"), r"its dtype is datetime64\[D\]; convert it with .astype"),
        ({"a": [X, "word"], "b": np.array(["word"])}, r"x\['b'\] must be numbers"),
        ({"a": {"b": (X, X[:5])}}, r"same number of rows, got \[5, 7\]"),
        ((X, {"b": [holes(3)]}), r"x\[1\]\['b'\]\[0\] must not hold NaN, got it in 1 of 7 rows \(3\)"),
        ([X, torch.tensor(1.0)], "x must have its rows on the first axis, got a single number; wrap it in a list"),
        ((torch.tensor(1.0), np.float32(2.0)), "at least one tensor or array, got none in tuple"),
        (PACKED, "x must have its rows on the first axis, got a PackedSequence"),
        ({"a": PACKED}, r"x\['a'\] must have its rows on the first axis, got a PackedSequence"),
        ([(PACKED, 0)], "x must have its rows on the first axis, got a PackedSequence"),
        (
            (X, X[:5]),
            r"same number of rows, got \[5, 7\]; .* has none, .* belongs in the net: as a buffer of its own or",
        ),
        ({"a": X, "b": X[:5]}, r"same number of rows, got \[5, 7\]"),
        (holes(2), r"x must not hold NaN, got it in 1 of 7 rows \(2\)"),
        (holes(2).numpy(), r"x must not hold NaN, got it in 1 of 7 rows \(2\)"),
        (holes(*range(7)), r"in 7 of 7 rows \(0, 1, 2, 3, 4, \.\.\.\)"),
        ((X, holes(1, 4)), r"x\[1\] must not hold NaN, got it in 2 of 7 rows \(1, 4\)"),
        ({"a": holes(6)}, r"x\['a'\] must not hold NaN, got it in 1 of 7 rows \(6\)"),
        (DataLoader(holes(5), batch_size=4), r"in 1 of 3 rows \(5\)"),
        (torch.full((4,), float("nan")), "in 4 of 4 rows"),
    ],
)
def test_unusable_inputs_are_refused_in_one_line(x, message):
    model = MCDropout(Call(lambda self, x, **_: self.net(x), net=mlp()))
    for call in (model.predict, model.sample, model.sites):
        if call.__name__ == "sites" and isinstance(x, list | DataLoader):
            continue  # looks at the first batch alone
        if not (call.__name__ == "sample" and hasattr(x, "__next__")):
            with pytest.raises(InputError, match=message) as caught:
                call(x)
            assert "\n" not in str(caught.value)


def test_infinity_is_data():
    """A mask may hold it; whether the net can take it shows in the outputs."""
    x = X.clone()
    x[3] = float("inf")
    with pytest.raises(NetError, match=r"finite outputs, got NaN or infinity in 1 of 7 rows \(3\)"):
        MCDropout(with_weights(mlp())).predict(x)


@pytest.mark.parametrize("x", [randn(7, 4), randn(7), randn(7, 3, 3, 3)[..., 0, :2], torch.arange(21).reshape(7, 3)])
def test_shapes_and_types_that_the_net_refuses_are_named(x):
    with pytest.raises(NetError) as caught:
        MCDropout(mlp()).predict(x)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(("the net refused inputs of shape", "the net must return one row"))


def test_options_of_the_forward_reach_it():
    net = Call(lambda self, x, mode, scale: self.drop(x) * scale if mode == "scaled" else None, drop=nn.Dropout(0.5))
    samples = MCDropout(net).sample((torch.ones(3, 4), "scaled", 10), passes=4)
    assert set(samples.unique().tolist()) == {0.0, 20.0}


# Structures inside the arguments


class Pair(NamedTuple):
    a: torch.Tensor
    b: torch.Tensor


def nested_net():
    def forward(self, first, second, *, scale):
        parts, (b, c) = first, second["pair"]
        return self.drop(self.layer(parts[0]) + self.layer(parts[1]["z"]) * b + c) * scale

    return with_weights(Call(forward, layer=nn.Linear(3, 2), drop=nn.Dropout(0.5)))


@pytest.mark.parametrize("execution", ["loop", "vectorized"])
def test_tensors_at_any_depth_are_cut_into_the_same_rows(execution):
    z, b, c = (randn(7, size, seed=seed) for seed, size in ((1, 3), (2, 1), (3, 2)))
    x = {"first": [X, {"z": z.numpy()}], "second": {"pair": Pair(b, c), "note": "kept"}, "scale": 2.0}
    flat = with_weights(
        Call(
            lambda self, x, z, b, c: self.drop(self.layer(x) + self.layer(z) * b + c) * 2.0,
            layer=nn.Linear(3, 2),
            drop=nn.Dropout(0.5),
        )
    )
    expected = MCDropout(flat).sample((X, z, b, c), passes=4)
    for batch_size in (None, 1, 3):
        drawn = MCDropout(nested_net()).sample(x, passes=4, batch_size=batch_size, execution=execution)
        torch.testing.assert_close(drawn, expected)


def test_a_nested_batch_keeps_its_structure_through_every_change():
    x = ({"a": X, "b": (X[:, 0], [X[:, 1:], "text", None])}, Pair(X, X.numpy()), 3)
    batch = stream(x).first
    assert len(batch.tensors()) == 5
    assert batch.describe().count("(7, 3) (float32)") == 3
    for other, rows in ((batch.cloned(), 7), (batch.repeated(2), 2), (next(batch.split(4)), 4)):
        first, pair, option = other.args
        assert isinstance(pair, Pair) and option == 3
        assert first["b"][1][1:] == ["text", None]
        assert torch.equal(first["b"][1][0], X[:rows, 1:] if rows < 7 else X[:, 1:])
        assert {len(tensor) for tensor in other.tensors()} == {rows}
    batch.cloned().tensors()[0].zero_()
    assert X.any()


def test_a_tuple_of_numbers_among_the_arguments_is_data():
    assert torch.equal(stream((X, (0, 1, 2, 3, 4, 5, 6))).first.args[1], torch.arange(7))


def test_a_loader_of_nested_pairs_gives_the_nets_inputs():
    b = randn(7, 2, seed=4)
    net = with_weights(
        Call(lambda self, x, m: self.drop(self.layer(x) + m["b"]), layer=nn.Linear(3, 2), drop=nn.Dropout(0.5))
    )
    loader = DataLoader([((X[i], {"b": b[i]}), i) for i in range(7)], batch_size=3)
    torch.testing.assert_close(MCDropout(net).sample(loader, passes=3), MCDropout(net).sample((X, {"b": b}), passes=3))


# Names


def takes(*names, more=False):
    """Return a net whose forward takes arguments of these names."""
    source = f"def forward(self, {', '.join(names)}{', **more' if more else ''}): return self.drop({names[0]})"
    scope = {}
    exec(source, scope)
    return type("Net", (nn.Module,), {"forward": scope["forward"]})()


@pytest.mark.parametrize("name", ["label", "labels", "target", "targets", "y"])
def test_labels_that_the_net_does_not_take_are_left_out(name):
    model = MCDropout(with_weights(mlp()))
    expected = model.sample(X, passes=3)
    words = np.array(["cat"] * 7)
    for x in (
        {"input": X, name: words},
        UserDict({"input": X, name: words}),
        [{"input": X[:4], name: words[:4]}, {"input": X[4:], name: words[4:]}],
        DataLoader([{"input": row, name: "cat"} for row in X], batch_size=3),
        [({"input": X}, words)],
    ):
        torch.testing.assert_close(model.sample(x, passes=3), expected)


def test_labels_that_the_net_takes_are_kept():
    net = Call(lambda self, x, labels: self.drop(x) * labels[:, None], drop=nn.Dropout(0.5))
    assert keywords_of(net) == Keywords(None)
    x = {"x": torch.ones(3, 4), "labels": torch.arange(3)}
    assert MCDropout(net).sample(x, passes=8).amax((0, 2)).tolist() == [0, 2, 4]
    assert keywords_of(takes("x", "labels")).select(x) == x


def test_other_names_that_the_net_does_not_take_are_refused():
    message = "x must hold arguments of the net's forward, input, got mask, inputs too; rename or leave out"
    with pytest.raises(InputError, match=message):
        MCDropout(mlp()).predict({"mask": X, "input": X, "inputs": X, "y": X})


@pytest.mark.parametrize(
    ("net", "names"),
    [
        (nn.Linear(1, 1), ("input",)),
        (takes("words", "mask"), ("words", "mask")),
        (takes("words", "*", "mask"), ("words", "mask")),
        (takes("words", "/", "mask"), ("mask",)),
        (takes("words", more=True), None),
        (nn.DataParallel(nn.Linear(1, 1)), ("input",)),
        (torch.compile(nn.Linear(1, 1), backend="eager"), ("input",)),
        (nn.DataParallel(torch.compile(nn.Linear(1, 1), backend="eager")), ("input",)),
        ("no net", None),
    ],
    ids=str,
)
def test_names_are_those_of_the_forward_inside_wrappers(net, names):
    assert keywords_of(net).names == names


def test_a_hook_that_renames_arguments_may_take_any():
    net = nn.Linear(1, 1)
    net.register_forward_pre_hook(lambda module, args, kwargs: None, with_kwargs=True)
    assert keywords_of(net).names is None


# Floating types


@pytest.mark.parametrize("half_body", [False, True])
def test_mixed_nets_take_tensors_of_each_of_their_types(half_body):
    """The larger layer says what other values become, wherever it stands."""
    types = (torch.float16, torch.float32) if half_body else (torch.float32, torch.float16)
    to = Call(lambda _, x: x.to(types[1]))
    net = nn.Sequential(nn.Linear(3, 64).to(types[0]), nn.Dropout(0.5), to, nn.Linear(64, 1).to(types[1]))
    assert float_types_of(net) == (types[0], frozenset(types))
    model = MCDropout(with_weights(net))
    expected = model.sample(X.to(types[0]), passes=3)
    for x in (X.double(), X.numpy(), X.tolist(), X.bfloat16().to(types[0])):
        torch.testing.assert_close(model.sample(x, passes=3), expected, rtol=0.03, atol=0.03)
    with pytest.raises(NetError, match="the net refused inputs of shape"):  # a type of the net's, but of another part
        model.sample(X.to(types[1]))


def test_a_half_body_behind_a_larger_head_takes_halves():
    head = Call(lambda self, x: self.layer(x.float()), layer=nn.Linear(4, 500))
    net = with_weights(nn.Sequential(nn.Linear(3, 4).half(), nn.Dropout(0.5), head))
    assert float_types_of(net)[0] == torch.float32
    assert MCDropout(net).sample(X.half(), passes=2).dtype == torch.float32


def test_one_number_in_another_type_does_not_speak_for_the_net():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.tensor(2.0, dtype=torch.float64))
            self.net = mlp()

        def forward(self, x):
            return self.net(x) * self.scale.float()

    net = with_weights(Scaled())
    for x in (X, X.numpy(), X.double().numpy(), X.half()):
        assert MCDropout(net).sample(x, passes=2).dtype == torch.float32


def test_types_are_counted_by_their_elements():
    net = nn.Sequential(nn.Linear(1, 1), nn.Linear(3, 3).bfloat16(), nn.BatchNorm1d(90).double())
    assert float_types_of(net) == (torch.float64, {torch.float32, torch.bfloat16, torch.float64})
    assert float_types_of(nn.BatchNorm1d(3, affine=False).half())[0] == torch.float16
    assert float_types_of(nn.ReLU()) == (torch.get_default_dtype(), frozenset())
    kept = frozenset([torch.float16, torch.float64])
    block = stream((X.half(), X.bfloat16(), X.double(), X.double().numpy()), kept=kept).first
    assert [t.dtype for t in block.tensors()] == [torch.float16, torch.float32, torch.float64, torch.float32]


# Containers and options


class Bag(OrderedDict):
    """An ordered dict with attributes, as libraries make them."""

    source = None


def bag(**entries):
    made = Bag(entries)
    made.source = "here"
    return made


@pytest.mark.parametrize(
    "make", [dict, OrderedDict, UserDict, bag, lambda **more: defaultdict(list, more)], ids=lambda make: make.__name__
)
def test_mappings_keep_their_own_type(make):
    original = make(a=X.numpy(), b=make(c=X, note="kept"))
    batch = stream({"x": original}).first
    for other, rows in ((batch, 7), (batch.cloned(), 7), (batch.repeated(2), 2), (next(batch.split(4)), 4)):
        mapping = other.kwargs["x"]
        assert type(mapping) is type(mapping["b"]) is type(original)
        assert list(mapping) == ["a", "b"]
        assert vars(mapping).keys() == vars(original).keys() if hasattr(original, "source") else True
        assert getattr(mapping, "source", None) == getattr(original, "source", None)
        assert len(mapping["a"]) == len(mapping["b"]["c"]) == rows
        assert mapping["b"]["note"] == "kept"
    assert isinstance(original["a"], np.ndarray)


def test_mappings_that_cannot_be_written_to_become_dicts():
    assert type(stream({"x": MappingProxyType({"a": X})}).first.kwargs["x"]) is dict


@pytest.mark.parametrize(
    "option", [np.float32(0.5), np.int64(2), np.bool_(True), np.array(0.5), torch.tensor(0.5), torch.tensor(2)]
)
def test_numbers_without_axes_are_options_kept_as_they_are(option):
    batch = stream({"x": X, "deep": [{"option": option}]}).first
    for other in (batch, batch.cloned(), batch.repeated(2), next(batch.split(4))):
        kept = other.kwargs["deep"][0]["option"]
        assert type(kept) is type(option)
        assert kept.dtype == option.dtype
        assert kept == option
    net = Call(lambda self, x, s: self.drop(x) * float(s), drop=nn.Dropout(0.5))
    samples = MCDropout(net).sample((torch.ones(3, 4), option), passes=4)
    assert set(samples.unique().tolist()) == {0.0, 2 * float(option)}


def test_an_option_that_the_net_writes_to_stays_the_users():
    def forward(self, x, count):
        count += 1
        return self.drop(x)

    count = torch.tensor(0)
    MCDropout(Call(forward, drop=nn.Dropout(0.5))).sample((X, count), passes=3)
    assert count == 0


# A mapping as the one argument


class Batched(nn.Module):
    """A net that takes a batch by name, in one argument."""

    def __init__(self):
        super().__init__()
        self.net = mlp()

    def forward(self, batch, scale=1.0):
        return self.net(batch["features"]) * scale


def test_a_mapping_is_the_argument_of_a_net_that_takes_one():
    net = with_weights(Batched())
    expected = MCDropout(net.net).sample(X, passes=3)
    for x in (
        {"features": X, "note": "kept"},
        {"features": X.numpy(), "labels": torch.arange(7)},
        UserDict(features=X),
        ({"features": X},),
        {"batch": {"features": X}, "scale": 1},
        [({"features": X[:4]}, 0), ({"features": X[4:]}, 0)],
        [{"features": X[:4]}, {"features": X[4:]}],
        DataLoader([({"features": row}, 0) for row in X], batch_size=3),
    ):
        torch.testing.assert_close(MCDropout(net).sample(x, passes=3), expected)
    with pytest.raises(InputError, match=r"forward, batch, scale, got features too"):
        MCDropout(net).sample({"features": X, "scale": 2.0})


@pytest.mark.parametrize(
    ("net", "sole"),
    [
        (takes("words"), "words"),
        (takes("words", "mask=None"), "words"),
        (takes("words", "/"), "words"),
        (takes("words", more=True), "words"),
        (takes("words", "*more"), "words"),
        (takes("words", "mask"), None),
        (takes("words=None"), None),
        (takes("words", "*", "mask"), None),
    ],
)
def test_the_one_argument_is_the_only_required_one(net, sole):
    assert keywords_of(net).sole == sole
    assert keywords_of(net).wants_whole({"a": 1}) == (sole is not None)
    assert not keywords_of(net).wants_whole({"a": 1, "words": 2})


# Loaders that change the rows


SAMPLERS = {
    "random": RandomSampler(X),
    "subset": SubsetRandomSampler(range(7)),
    "weighted": WeightedRandomSampler([1.0] * 7, 7),
    "distributed": DistributedSampler(X, num_replicas=1, rank=0, shuffle=True),
}


@pytest.mark.parametrize("name", SAMPLERS)
def test_loaders_that_shuffle_are_refused(name):
    sampler = SAMPLERS[name]
    for loader in (
        DataLoader(X, sampler=sampler, batch_size=2),
        DataLoader(X, batch_sampler=BatchSampler(sampler, 2, False)),
        DataLoader(X, sampler=BatchSampler(sampler, 2, False), batch_size=None),
    ):
        with pytest.raises(InputError, match=f"got one that shuffles, by {type(sampler).__name__}, so that nothing"):
            MCDropout(mlp()).predict(loader)
    with pytest.raises(InputError, match="got one that shuffles"):
        MCDropout(mlp()).predict(DataLoader(X, shuffle=True))


def test_loaders_that_drop_rows_are_refused():
    for loader in (
        DataLoader(X, batch_size=4, drop_last=True),
        DataLoader(X, batch_sampler=BatchSampler(SequentialSampler(X), 4, True)),
    ):
        with pytest.raises(InputError, match=r"one with drop_last=True, which leaves out the last 3; pass DataLoader"):
            MCDropout(mlp()).predict(loader)


def test_loaders_that_give_every_row_in_order_are_taken():
    model = MCDropout(with_weights(mlp()))
    expected = model.sample(X, passes=2)
    for loader in (
        DataLoader(X, batch_size=7, drop_last=True),
        DataLoader(X, sampler=DistributedSampler(X, num_replicas=1, rank=0, shuffle=False), batch_size=3),
        DataLoader(X, batch_sampler=[[0, 1, 2], [3, 4, 5, 6]]),
    ):
        torch.testing.assert_close(model.sample(loader, passes=2), expected)
