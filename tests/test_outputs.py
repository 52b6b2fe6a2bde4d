"""What a classifier's outputs mean: logits or probabilities, one value or K, wherever the classes lie."""

import pytest
import torch
from laws import randn

from mcdrop import InputError, NetError
from mcdrop.outputs import LogitReader

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
    for values in (logit, logit.squeeze(-1)):
        probs = LogitReader()(values).softmax(-1)
        assert probs.shape == (5, 4, 2)
        torch.testing.assert_close(probs[..., 1], logit.squeeze(-1).sigmoid())
        read = LogitReader("probabilities")(values.sigmoid())
        torch.testing.assert_close(read.softmax(-1)[..., 1].float(), logit.squeeze(-1).sigmoid())


@pytest.mark.parametrize(("axis", "moved"), [(1, 2), (-1, 4), (2, 3), (-2, 3), (3, 4)])
def test_classes_are_found_on_their_axis_and_put_last(axis, moved):
    values = randn(5, 4, 3, 6, 7)  # (passes, rows, 3, 6, 7)
    read = LogitReader(class_axis=axis)(values)
    assert torch.equal(read, values.movedim(moved, -1))


@pytest.mark.parametrize("axis", [0, 2, -2, 9])
def test_an_axis_that_holds_no_classes_is_refused(axis):
    with pytest.raises(InputError, match=r"class_axis must name an axis after the rows .*\(4, 3\), got"):
        LogitReader(class_axis=axis)(LOGITS)


def test_probabilities_read_as_logits_are_noticed():
    with pytest.raises(NetError, match="look like probabilities"):
        LogitReader()(LOGITS.softmax(-1))
    with pytest.warns(UserWarning, match="if the net ends in a sigmoid"):
        LogitReader()(LOGITS.softmax(-1)[..., :1])  # a single value may be anything
    LogitReader()(LOGITS.log_softmax(-1))
    LogitReader()(LOGITS.abs())


@pytest.mark.parametrize("values", [LOGITS, LOGITS.softmax(-1) * float("nan"), 2 * LOGITS.softmax(-1)])
def test_logits_read_as_probabilities_are_refused(values):
    with pytest.raises(NetError, match=r"outputs='probabilities' needs outputs in \[0, 1\]"):
        LogitReader("probabilities")(values)


def test_probabilities_of_independent_labels_are_refused():
    with pytest.raises(NetError, match="sum to 1 over the classes"):
        LogitReader("probabilities")(LOGITS.sigmoid())
    with pytest.raises(NetError, match="sum to 1 over the classes"):
        LogitReader("probabilities", class_axis=2)(randn(5, 4, 3, 6).softmax(2))


def test_certain_probabilities_stay_finite():
    read = LogitReader("probabilities")(torch.eye(3).expand(2, 3, 3))
    assert torch.isfinite(read).all()
    assert torch.equal(read.softmax(-1).float(), torch.eye(3).expand(2, 3, 3))
    assert torch.isfinite(LogitReader("probabilities")(torch.tensor([[[0.0], [1.0]]]))).all()
