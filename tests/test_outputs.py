"""What a net returns: which part is predicted, where its classes or log-variances lie, and what the numbers mean."""

from collections import OrderedDict
from dataclasses import dataclass
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest
import torch
from laws import randn

from mcdrop import InputError, NetError
from mcdrop.outputs import (
    GaussianReader,
    LogitReader,
    Packing,
    Selection,
    check_finite,
    check_log_variances,
    check_output,
    put_classes_last,
    rows_numbered,
)

LOGITS = 3 * randn(5, 4, 3)


def test_logits_pass_through():
    assert torch.equal(LogitReader()(LOGITS), LOGITS)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_probabilities_are_logits_up_to_a_constant(dtype):
    probs = LOGITS.softmax(-1).to(dtype)
    read = LogitReader("probabilities")(probs)
    torch.testing.assert_close(read.softmax(-1).float(), LOGITS.softmax(-1), rtol=1e-2, atol=1e-2)


def test_one_value_is_the_second_of_two_classes():
    logit = LOGITS[..., :1]
    probs = LogitReader()(logit).softmax(-1)
    assert probs.shape == (5, 4, 2)
    torch.testing.assert_close(probs[..., 1], logit.squeeze(-1).sigmoid())
    read = LogitReader("probabilities")(logit.sigmoid())
    torch.testing.assert_close(read.softmax(-1)[..., 1].float(), logit.squeeze(-1).sigmoid())


@pytest.mark.parametrize(("axis", "moved"), [(1, 1), (-1, 3), (2, 2), (-2, 2), (3, 3)])
def test_classes_are_found_on_their_axis_and_put_last(axis, moved):
    values = randn(4, 3, 6, 7)
    assert torch.equal(put_classes_last(values, axis), values.movedim(moved, -1))


def test_rows_of_one_value_have_no_class_axis():
    assert put_classes_last(randn(4), 1).shape == (4, 1)


@pytest.mark.parametrize("axis", [0, 2, -2, 9])
def test_an_axis_that_holds_no_classes_is_refused(axis):
    with pytest.raises(InputError, match=r"class_axis must name an axis after the rows .*\(4, 3\), got"):
        put_classes_last(LOGITS[0], axis)


def judged(*chunks):
    """Read chunks of one run as logits, and judge them at its end."""
    reader = LogitReader()
    for values in chunks:
        reader(values)
    reader.judge()


def test_probabilities_read_as_logits_are_noticed():
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        probs = LOGITS.softmax(-1).to(dtype)
        with pytest.raises(NetError, match="look like probabilities"):
            judged(probs[:2], probs[2:])
    with pytest.warns(UserWarning, match="if the net ends in a sigmoid") as caught:
        judged(*LOGITS.softmax(-1)[..., :1])  # a single value may be anything
    assert [warning.filename for warning in caught] == [__file__]
    judged(LOGITS.log_softmax(-1))
    judged(LOGITS.abs())
    judged()


@pytest.mark.parametrize("first", [False, True])
def test_one_chunk_of_logits_clears_the_others(first):
    """A few logits may be positive and sum to 1 by chance; all of a run's do not."""
    for alike, other in ((LOGITS.softmax(-1), LOGITS), (LOGITS.sigmoid()[..., :1], LOGITS[..., :1])):
        judged(*((other, alike, alike) if first else (alike, alike, other)))


@pytest.mark.parametrize("values", [LOGITS, LOGITS.softmax(-1) * float("nan"), 2 * LOGITS.softmax(-1)])
def test_logits_read_as_probabilities_are_refused(values):
    with pytest.raises(NetError, match=r"outputs='probabilities' needs outputs in \[0, 1\]"):
        LogitReader("probabilities")(values)


def test_probabilities_of_independent_labels_are_refused():
    with pytest.raises(NetError, match="sum to 1 over the classes"):
        LogitReader("probabilities")(LOGITS.sigmoid())
    with pytest.raises(NetError, match="sum to 1 over the classes"):
        LogitReader("probabilities")(randn(5, 4, 3, 6).softmax(2))


def test_certain_probabilities_stay_finite():
    read = LogitReader("probabilities")(torch.eye(3).expand(2, 3, 3))
    assert torch.isfinite(read).all()
    assert torch.equal(read.softmax(-1).float(), torch.eye(3).expand(2, 3, 3))
    assert torch.isfinite(LogitReader("probabilities")(torch.tensor([[[0.0], [1.0]]]))).all()


# Which part of the return


class Named(NamedTuple):
    values: torch.Tensor
    count: torch.Tensor


@dataclass
class Made:
    logits: torch.Tensor
    other: torch.Tensor


class ModelOutput(OrderedDict):
    """As transformers make them: an ordered dict that is a tuple and an object with attributes too."""

    def __getattr__(self, name):
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None

    def to_tuple(self):
        return tuple(self.values())


T, OTHER, COUNT = randn(4, 3), randn(4, 5), torch.arange(4)
HIDDEN = (OTHER, OTHER)

LONE = {
    "a tensor": T,
    "a tuple of one": (T,),
    "a list of one": [T],
    "a dict of one": {"y": T},
    "an object with logits": Made(T, OTHER),
    "logits among others": {"features": OTHER, "logits": T},
    "segmentation": {"out": T, "aux": OTHER},
    "nothing beside it": (None, T, "text", {"loss": OTHER, "aux": torch.tensor(1.0)}),
    "floats beside integers": {"y": T, "mask": COUNT > 1, "count": COUNT},
    "named tuple": Named(T, COUNT),
    "nested": {"a": [{"b": T}], "b": None},
    "integers alone": {"y": COUNT},
    "caches beside it": ModelOutput(
        loss=torch.ones(4),
        last_hidden_state=T,
        past_key_values=HIDDEN,
        hidden_states=HIDDEN,
        decoder_attentions=HIDDEN,
        encoder_last_hidden_state=OTHER,
    ),
}


@pytest.mark.parametrize("name", LONE)
def test_the_part_to_predict_is_found_where_there_is_only_one(name):
    assert torch.equal(Selection()(LONE[name]), COUNT if name == "integers alone" else T)


DEEP = {"logits": OTHER, "a": {"b": (OTHER, Named(T, COUNT))}, 7: T, "a.c": T}
CHOSEN = {
    "entry": ("y", {"y": T, "z": OTHER}),
    "place": (1, (OTHER, T)),
    "last place": (-1, (OTHER, T)),
    "place in a model output": (1, ModelOutput(a=OTHER, b=T)),
    "attribute": ("logits", Made(T, OTHER)),
    "field": ("values", Named(T, COUNT)),
    "path": ("a.b.1.values", DEEP),
    "path from the end": ("a.b.-1.values", DEEP),
    "name with a dot": ("a.c", DEEP),
    "number as a key": (7, DEEP),
    "holder of one": ("a.b.1", {"a": {"b": (OTHER, Named(T, COUNT))}}),
    "function": (lambda out: out["a"]["b"][1].values, DEEP),
    "function to a holder of one": (lambda out: (out[7],), DEEP),
}


@pytest.mark.parametrize("name", CHOSEN)
def test_the_part_that_was_asked_for_is_taken(name):
    output, returned = CHOSEN[name]
    assert torch.equal(Selection(output)(returned), T)


@pytest.mark.parametrize(
    ("output", "returned", "message"),
    [
        (
            None,
            (T, OTHER),
            r"one tensor, got tuple with 0 \(4, 3\) \(float32\), 1 \(4, 5\) \(float32\); choose one with",
        ),
        (None, (T, (OTHER, OTHER)), r"got tuple with 0 \(4, 3\) \(float32\), 1\.0 \(4, 5\) \(float32\), 1\.1 \(4, 5\)"),
        (None, ModelOutput(start=T, end=OTHER), r"got ModelOutput with start \(4, 3\) \(float32\), end \(4, 5\)"),
        (None, {"y": T.numpy()}, "must return one tensor, got dict without tensors"),
        (None, None, "must return one tensor, got NoneType; choose"),
        (None, {"loss": torch.tensor(1.0)}, r"got dict with loss \(\) \(float32\); choose"),
        (None, [T] * 14, r"11 \(4, 3\) \(float32\) and 2 more; choose"),
        ("z", {"y": T}, r"must return a part 'z', got dict with y \(4, 3\) \(float32\); choose one"),
        ("y.z.0", {"y": T}, r"must return a part 'y\.z\.0', got dict with y"),
        (2, (T, OTHER), "must return a part 2, got tuple with 0"),
        (0, {"y": T}, "must return a part 0, got dict with y"),
        (0, T, r"must return a part 0, got one tensor of shape \(4, 3\); leave output out"),
        ("mean", T, r"must return a part 'mean', got one tensor of shape \(4, 3\); leave output out"),
        ("keys", {"y": T}, "must return one tensor, got builtin_function_or_method"),
        ("a", {"a": {"b": T, "c": T}}, r"must return one tensor, got dict with b \(4, 3\)"),
        (
            lambda out: out["z"],
            {"y": T},
            r"output=<lambda> must take what the net returns, dict with y .*: KeyError: 'z'",
        ),
        (lambda out: 3, {"y": T}, "must return one tensor, got int"),
    ],
)
def test_a_part_that_is_missing_or_not_the_only_one_is_refused(output, returned, message):
    with pytest.raises(NetError, match=message) as caught:
        Selection(output)(returned)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("output", [True, 1.0, ["a"], b"a"])
def test_what_names_no_part_is_refused(output):
    with pytest.raises(InputError, match="output must be a place, a name, a function of what the net returns, or None"):
        check_output(output)


def test_functions_are_named_in_what_is_written_down():
    assert [Selection(output).describe() for output in (None, 1, "a", len)] == [None, 1, "a", "len"]


# Mean and log-variance

BOTH = torch.stack([T, OTHER[:, :3]], dim=1)
GAUSSIAN = {
    "tuple": (T, OTHER[:, :3]),
    "list": [T, OTHER[:, :3]],
    "one tensor alone": (torch.cat([T, OTHER[:, :3]], dim=1), None, {"loss": OTHER}),
    "log_var": {"log_var": OTHER[:, :3], "mean": T},
    "log_variance": {"mean": T, "log_variance": OTHER[:, :3], "features": OTHER},
    "logvar, as attributes": SimpleNamespace(mean=T, logvar=OTHER[:, :3]),
    "one tensor": torch.cat([T, OTHER[:, :3]], dim=1),
    "logits of a model output": ModelOutput(logits=torch.cat([T, OTHER[:, :3]], dim=1), hidden_states=HIDDEN),
}


class Variances(NamedTuple):
    mean: torch.Tensor
    variance: torch.Tensor


class Scales(NamedTuple):
    loc: torch.Tensor
    scale: torch.Tensor


@pytest.mark.parametrize("name", GAUSSIAN)
def test_mean_and_log_variance_are_found_in_every_form(name):
    assert torch.equal(GaussianReader()(GAUSSIAN[name]), BOTH)
    assert torch.equal(GaussianReader(Selection("head"))({"head": GAUSSIAN[name], "x": OTHER}), BOTH)


def test_images_of_means_are_split_by_the_user():
    image = randn(4, 6, 5, 2)
    read = GaussianReader(Selection(lambda out: out.chunk(2, dim=1)))(image)
    assert torch.equal(read, image.unflatten(1, (2, 3)))


def test_two_types_become_the_wider_one():
    read = GaussianReader()((T.half(), OTHER[:, :3]))
    assert read.dtype == torch.float32
    torch.testing.assert_close(read, BOTH, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (T, r"must return \(mean, log_variance\), a dict .*, got one tensor of shape \(4, 3\); say where they are"),
        (randn(4, 2, 6), r"got one tensor of shape \(4, 2, 6\); say where they are"),
        (randn(4), r"got one tensor of shape \(4,\)"),
        ((T, T, T), r"got tuple with 0 \(4, 3\)"),
        ((T,), r"got tuple with 0 \(4, 3\)"),
        ({"mean": T, "variance": T}, r"a dict of the two named mean and log_variance \(or log_var, logvar\)"),
        ({"mean": T, "var": T}, r'output=lambda o: \(o\["mean"\], o\["var"\]\.log\(\)\)'),
        ({"mu": T, "log_sigma2": T}, r"got dict with mu \(4, 3\) \(float32\), log_sigma2"),
        ({"mean": randn(4, 2)}, r"got dict with mean \(4, 2\)"),
        ({"log_var": randn(4, 2)}, r"got dict with log_var \(4, 2\)"),
        ({"mean": T, "logits": randn(4, 2)}, r"got dict with mean .*, logits \(4, 2\)"),
        ({"features": T, "logits": randn(4, 2)}, r"got dict with features .*, logits \(4, 2\)"),
        (Variances(T, T), r"got Variances with mean \(4, 3\) \(float32\), variance"),
        (Scales(T, T), "got Scales with loc"),
        (SimpleNamespace(mean=T, stddev=T), "got SimpleNamespace; say where"),
        (torch.distributions.Normal(T, T.abs()), "got Normal; say where they are, for example with output=lambda o:"),
        (None, "got NoneType; say where"),
        ((T, OTHER), r"one log-variance per mean, got shapes \(4, 3\) and \(4, 5\)"),
        ((T, T[:, :1]), r"one log-variance per mean, got shapes \(4, 3\) and \(4, 1\); expand what they share"),
        ((T[:, 0], T[:, :1]), r"got shapes \(4,\) and \(4, 1\)"),
        ((torch.tensor(1.0), torch.tensor(1.0)), r"got shapes \(\) and \(\)"),
        ((T.to(torch.complex64), T), "must return real numbers, got complex64"),
    ],
)
def test_heads_without_a_mean_and_a_log_variance_are_refused(returned, message):
    with pytest.raises(NetError, match=message):
        GaussianReader()(returned)


# Numbers


def test_rows_of_unusable_numbers_are_named():
    log_variances = torch.zeros(7, 2, dtype=torch.float64)
    log_variances[[1, 4], 1] = torch.tensor([710.0, float("nan")], dtype=torch.float64)
    message = r"log-variances that are finite and below 710, .* in 2 of 7 rows \(1, 4\); check that it returns"
    with pytest.raises(NetError, match=message):
        check_log_variances(log_variances)
    with pytest.raises(NetError, match=r"in 2 of 7 rows \(1, 4\)"):
        check_log_variances(log_variances[:, 1])
    check_log_variances(torch.tensor([709.0, -1e5], dtype=torch.float64))


def test_rows_are_named_as_they_are_numbered():
    values = np.array([[0.0], [np.nan], [0.0], [np.inf]])
    for numbers, told in ((100, "101, 103"), (np.array([9, 4, 5, 2]), "2, 4")):
        with rows_numbered(numbers), pytest.raises(NetError, match=rf"in 2 of 4 rows \({told}\);"):
            check_finite(values)
    with pytest.raises(NetError, match=r"\(1, 3\)"):
        check_finite(values)


# Packing


def packed(parts, returned):
    packing = Packing({key: Selection(key) for key in parts})
    return packing, packing(returned)


def test_parts_side_by_side_come_apart_as_they_were():
    returned = {
        "flat": randn(4),
        "image": randn(4, 2, 3, 5).half(),
        "wide": randn(4, 3).double() * 1e300,
        "none": randn(4, 0),
        "unused": randn(9),
    }
    packing, rows = packed(["image", "wide", "flat", "none"], returned)
    assert rows.shape == (4, 30 + 3 + 1)
    passes = torch.stack([rows, rows])
    for key, part in packing.unpack(passes).items():
        assert part.dtype == returned[key].dtype
        assert torch.equal(part, torch.stack([returned[key]] * 2))


@pytest.mark.parametrize("other", [torch.float16, torch.bfloat16, torch.float32, torch.int64])
def test_whole_numbers_beside_others_keep_their_value(other):
    count = torch.tensor([[2**24 + 1], [2**31 + 1], [-7]])
    packing, rows = packed(["count", "x"], {"count": count, "x": randn(3, 2).to(other)})
    assert torch.equal(packing.unpack(rows[None])["count"][0], count)


def test_packing_works_on_mapped_passes():
    packing = Packing({0: Selection(0), 1: Selection(1)})
    a, b = randn(6, 4, 2, 3), randn(6, 4)
    rows = torch.func.vmap(lambda a, b: packing((a, b)))(a, b)
    parts = packing.unpack(rows)
    assert torch.equal(parts[0], a)
    assert torch.equal(parts[1], b)


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ({"a": T, "b": T[:3]}, r"rows on its first axis, got \(4, 3\) for 'a', \(3, 3\) for 'b'"),
        ({"a": T, "b": torch.tensor(1.0)}, r"rows on its first axis, got \(4, 3\) for 'a', \(\) for 'b'"),
        ({"a": T}, "must return a part 'b', got dict with a"),
    ],
)
def test_parts_with_other_rows_are_refused(returned, message):
    with pytest.raises(NetError, match=message):
        packed(["a", "b"], returned)


def test_parts_of_other_shapes_but_one_size_are_refused():
    packing, rows = packed(["a", "b"], {"a": randn(4, 2), "b": randn(4, 3)})
    packing.unpack(rows[None])
    rows = packing({"a": randn(4, 3), "b": randn(4, 2)})
    with pytest.raises(
        NetError, match=r"rows of one shape, got \[\(2,\), \(3,\)\] for some and \[\(3,\), \(2,\)\] for"
    ):
        packing.unpack(rows[None])
