"""The front door: what comes out for either task, and what is refused."""

import inspect

import numpy as np
import pytest
import torch
from laws import Call, lenet, mlp, randn, with_weights
from torch import nn

from mcdrop import ClassificationPredictive, InputError, McdropError, MCDropout, NetError, RegressionPredictive
from mcdrop.sampler import Task

X = randn(6, 3)


def classifier(k=4):
    return with_weights(nn.Sequential(nn.Linear(3, 16), nn.Tanh(), nn.Dropout(0.5), nn.Linear(16, k)))


# Regression


@pytest.mark.parametrize("masks", ["shared", "independent"])
@pytest.mark.parametrize("execution", ["loop", "vectorized", "auto"])
def test_regression_summarizes_exactly_the_samples(masks, execution):
    model, options = MCDropout(with_weights(mlp())), {"passes": 13, "seed": 3, "masks": masks, "execution": execution}
    pred = model.predict(X, keep_samples=True, **options)
    samples = model.sample(X, **options).numpy()
    assert isinstance(pred, RegressionPredictive)
    assert pred.passes == 13
    assert pred.mean.shape == pred.std.shape == (6, 2)
    np.testing.assert_array_equal(pred.samples, samples)
    np.testing.assert_allclose(pred.mean, samples.astype(float).mean(0), rtol=1e-9)
    np.testing.assert_allclose(pred.std, samples.astype(float).std(0, ddof=1), rtol=1e-9)
    assert model.predict(X, **options).samples is None


def test_trailing_shapes_are_kept():
    for trailing in ((), (2,), (2, 3), (1, 2, 3)):
        net = Call(
            lambda _, x, t=trailing: nn.functional.dropout(x[:, :1].reshape(-1, *[1] * len(t)).expand(-1, *t), 0.5)
        )
        pred = MCDropout(net).predict(X, passes=3)
        assert pred.mean.shape == (6, *trailing)
        assert MCDropout(net).sample(X, passes=3).shape == (3, 6, *trailing)


def test_two_passes_give_half_their_difference_squared():
    """Of two draws, the unbiased variance is (a - b)^2 / 2."""
    model = MCDropout(with_weights(mlp()))
    a, b = model.sample(X, passes=2).double().numpy()
    np.testing.assert_allclose(model.predict(X, passes=2).std, np.abs(a - b) / np.sqrt(2), rtol=1e-6)


def test_one_sample_is_fine_and_one_prediction_is_not():
    model = MCDropout(mlp())
    assert model.sample(X, passes=1).shape == (1, 6, 2)
    with pytest.raises(InputError, match="passes must be an integer of at least 2"):
        model.predict(X, passes=1)


def test_samples_come_on_the_cpu_in_the_nets_type_without_a_graph():
    samples = MCDropout(mlp().double()).sample(X, passes=3)
    assert samples.dtype == torch.float64
    assert samples.device.type == "cpu"
    assert not samples.requires_grad


def test_spread_is_the_nets_and_not_the_seeds():
    model = MCDropout(with_weights(mlp()))
    stds = np.stack([model.predict(X, passes=2000, seed=seed).std for seed in range(3)])
    np.testing.assert_allclose(stds / stds.mean(0), 1, atol=0.12)


# Classification


@pytest.mark.parametrize("masks", ["shared", "independent"])
def test_classification_follows_from_the_samples_by_brute_force(masks):
    model = MCDropout(classifier(), task="classification")
    pred = model.predict(X, passes=40, keep_samples=True, masks=masks, batch_size=4, chunk_size=7)
    assert isinstance(pred, ClassificationPredictive)
    logits = pred.samples.astype(np.float64)
    assert logits.shape == (40, 6, 4)
    probs = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    close = {"rtol": 1e-6, "atol": 1e-9}
    np.testing.assert_allclose(pred.probs, probs.mean(0), **close)
    np.testing.assert_allclose(pred.probs.sum(-1), 1, rtol=1e-12)
    np.testing.assert_allclose(pred.probs_std, probs.std(0, ddof=1), **close)
    np.testing.assert_allclose(pred.logit_mean, logits.mean(0), **close)
    np.testing.assert_allclose(pred.logit_std, logits.std(0, ddof=1), **close)
    mean = probs.mean(0)
    np.testing.assert_allclose(pred.entropy, -(mean * np.log(mean)).sum(-1), **close)
    np.testing.assert_allclose(pred.expected_entropy, -(probs * np.log(probs)).sum(-1).mean(0), **close)
    np.testing.assert_allclose(pred.mutual_information, pred.entropy - pred.expected_entropy, **close)
    votes = np.stack([[(row == k).sum() for k in range(4)] for row in probs.argmax(-1).T])
    np.testing.assert_array_equal(pred.votes, votes)
    np.testing.assert_allclose(pred.variation_ratio, 1 - votes.max(-1) / 40, **close)
    assert pred.labels.shape == pred.entropy.shape == (6,)
    assert pred.passes == 40


def test_probabilities_and_logits_of_one_net_agree():
    net = classifier()
    logits = MCDropout(net, task="classification").predict(X, passes=30)
    softmax = nn.Sequential(net, nn.Softmax(-1))
    probs = MCDropout(softmax, task="classification", outputs="probabilities").predict(X, passes=30)
    for name in ("probs", "probs_std", "expected_entropy", "mutual_information", "variation_ratio"):
        np.testing.assert_allclose(getattr(probs, name), getattr(logits, name), rtol=1e-4, atol=1e-6)


def test_one_logit_is_a_pair_of_classes():
    net = classifier(1)
    one = MCDropout(net, task="classification").predict(X, passes=30)
    flat = MCDropout(nn.Sequential(net, nn.Flatten(0)), task="classification").predict(X, passes=30)
    sigmoid = nn.Sequential(net, nn.Sigmoid())
    prob = MCDropout(sigmoid, task="classification", outputs="probabilities").predict(X, passes=30)
    mean = MCDropout(sigmoid).predict(X, passes=30).mean
    for pred in (one, flat, prob):
        assert pred.probs.shape == (6, 2)
        np.testing.assert_allclose(pred.probs[:, 1:], mean, rtol=1e-4, atol=1e-6)


def test_dense_classes_are_point_by_point():
    net = with_weights(nn.Sequential(nn.Conv2d(1, 4, 3), nn.Dropout2d(0.5), nn.Conv2d(4, 3, 1)))
    x = randn(2, 1, 6, 5)
    dense = MCDropout(net, task="classification").predict(x, passes=20, keep_samples=True)
    assert dense.probs.shape == (2, 4, 3, 3)
    assert dense.entropy.shape == dense.labels.shape == dense.variation_ratio.shape == (2, 4, 3)
    assert dense.samples.shape == (20, 2, 4, 3, 3)
    last = nn.Sequential(net, Call(lambda _, x: x.movedim(1, -1)))
    again = MCDropout(last, task="classification", class_axis=-1).predict(x, passes=20)
    np.testing.assert_allclose(again.probs, dense.probs, rtol=1e-5)
    pixel = nn.Sequential(net, Call(lambda _, x: x[:, :, 2, 1]))
    one = MCDropout(pixel, task="classification").predict(x, passes=20)
    np.testing.assert_allclose(one.mutual_information, dense.mutual_information[:, 2, 1], rtol=1e-4, atol=1e-7)


def test_images_through_lenet():
    pred = MCDropout(with_weights(lenet()), task="classification").predict(randn(3, 1, 12, 12), passes=50)
    assert (pred.mutual_information > 0).all()
    assert (pred.mutual_information <= pred.entropy).all()


def test_softmax_outputs_taken_for_logits_are_noticed():
    net = nn.Sequential(classifier(), nn.Softmax(-1))
    with pytest.raises(NetError, match="pass outputs='probabilities' to MCDropout"):
        MCDropout(net, task="classification").predict(X)


# What is refused


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"passes": 0}, "passes must be an integer of at least 2 .*, got 0"),
        ({"passes": 10.0}, r"passes must be an integer .*, got 10\.0"),
        ({"passes": True}, "passes must be an integer .*, got True"),
        ({"passes": "10"}, "passes must be an integer .*, got '10'"),
        ({"seed": -1}, r"seed must be an integer from 0 to 2\*\*63 - 1, got -1"),
        ({"seed": 2**63}, "seed must be an integer"),
        ({"seed": 0.5}, r"seed must be an integer .*, got 0\.5"),
        ({"seed": None}, "seed must be an integer .*, got None"),
        ({"masks": "same"}, "masks must be one of 'shared', 'independent', got 'same'"),
        ({"execution": "fast"}, "execution must be one of 'auto', 'loop', 'vectorized'.*, got 'fast'"),
        ({"batch_size": 0}, "batch_size must be an integer of at least 1"),
        ({"batch_size": 2.5}, "batch_size must be an integer of at least 1"),
        ({"chunk_size": -3}, "chunk_size must be an integer of at least 1"),
    ],
)
def test_bad_options_are_refused_in_one_line(options, message):
    with pytest.raises(InputError, match=message) as caught:
        MCDropout(mlp()).predict(X, **options)
    assert isinstance(caught.value, McdropError)
    assert isinstance(caught.value, ValueError)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("task", ["Regression", None, "clustering"])
def test_unknown_tasks_are_refused(task):
    with pytest.raises(InputError, match="task must be one of 'regression', 'classification', got"):
        MCDropout(mlp(), task=task)


def test_unknown_outputs_are_refused():
    with pytest.raises(InputError, match="outputs must be one of 'logits', 'probabilities', got 'log'"):
        MCDropout(mlp(), task="classification", outputs="log")


def test_numpy_integers_are_integers():
    pred = MCDropout(mlp()).predict(X, passes=np.int64(3), seed=np.uint8(4), batch_size=np.int32(2))
    assert pred.passes == 3


@pytest.mark.parametrize("task", ["regression", "classification"])
def test_outputs_that_are_not_finite_name_their_rows(task):
    net = nn.Sequential(classifier(), Call(lambda _, x: x / (torch.arange(len(x)) != 2)[:, None]))
    with pytest.raises(NetError, match=r"finite outputs, got NaN or infinity in 1 of 6 rows \(2\)"):
        MCDropout(net, task=task).predict(X)


def test_rows_of_several_shapes_are_refused():
    net = Call(lambda _, x: nn.functional.dropout(x, 0.5))
    for execution in ("auto", "loop"):
        with pytest.raises(NetError, match=r"rows of one shape, got \(3,\) for some and \(4,\) for others"):
            MCDropout(net).predict([randn(2, 3), randn(2, 4)], execution=execution)


# The surface


def test_repr_names_net_and_task():
    assert repr(MCDropout(mlp())) == "MCDropout(Sequential, task='regression')"


def test_signatures_are_pinned():
    assert str(inspect.signature(MCDropout.predict)) == (
        "(self, x: Any, *, passes: int = 100, seed: int = 0, masks: Literal['shared', 'independent'] = 'shared', "
        "batch_size: int | None = None, keep_samples: bool = False, "
        "execution: Literal['auto', 'loop', 'vectorized'] = 'auto', chunk_size: int | None = None, "
        "progress: bool | str = False) -> ~Predictive"
    )
    predict, sample = (inspect.signature(method).parameters for method in (MCDropout.predict, MCDropout.sample))
    assert set(predict) - set(sample) == {"keep_samples"}
    assert set(Task.__args__) == {"regression", "classification"}
