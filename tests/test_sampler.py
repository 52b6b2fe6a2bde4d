"""The front door: what comes out for either task, and what is refused."""

import inspect
import json
from dataclasses import fields

import numpy as np
import pytest
import torch
from laws import Call, lenet, mlp, randn, with_weights
from torch import nn

from mcdrop import (
    ClassificationPredictive,
    InputError,
    McdropError,
    MCDropout,
    NetError,
    RegressionPredictive,
    SilentDropoutWarning,
)
from mcdrop.execution import Options, PredictOptions, RunOptions
from mcdrop.precision import Precision, predictive_log_likelihood
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


@pytest.mark.parametrize("keys", [None, ["a", "b"]])
def test_outputs_are_judged_once_over_all_passes_and_rows(keys):
    """One chunk may look like probabilities; the whole run does only where all do."""
    probs, logits = torch.tensor([0.25, 0.75]), torch.tensor([-1.0, 2.0])
    low, high, beyond = (torch.tensor([value]) for value in (0.2, 0.9, 1.5))
    sizes = {"passes": 6, "execution": "loop", "batch_size": 2}

    def model(often, other):
        """Return a net that gives one value at the last row, and another at all rows before."""

        def forward(self, x):
            values = torch.where((x[:, :1] == X[-1, 0]), other, often) + 0 * self.drop(x)[:, :1]
            return values if keys is None else dict.fromkeys(keys, values)

        task = "classification" if keys is None else dict.fromkeys(keys, "classification")
        return MCDropout(Call(forward, drop=nn.Dropout(0.5)), task=task)

    model(probs, logits).predict(X, **sizes)
    with pytest.raises(NetError, match="look like probabilities"):
        model(probs, probs).predict(X, **sizes)
    model(low, beyond).predict(X, **sizes)
    with pytest.warns(UserWarning, match=r"all outputs lie in \[0, 1\]") as caught:
        model(low, high).predict(X, **sizes)
    assert [warning.filename for warning in caught] == [__file__] * len(keys or [1])


def test_the_likelihood_judges_outputs_too():
    probs = nn.Sequential(classifier(), nn.Softmax(-1))
    with pytest.raises(NetError, match="look like probabilities"):
        MCDropout(probs, task="classification").log_likelihood(X, [0] * 6, passes=4, chunk_size=1)
    sigmoid = nn.Sequential(classifier(1), nn.Sigmoid())
    with pytest.warns(UserWarning, match="if the net ends in a sigmoid") as caught:
        MCDropout(sigmoid, task="classification").log_likelihood(X, [0] * 6, passes=4, chunk_size=1, batch_size=2)
    assert [warning.filename for warning in caught] == [__file__]


def test_two_logits_of_a_half_precision_net_do_not_end_a_run_by_chance():
    """Of one row's two logits, some pass is within rounding of probabilities; others are far from them."""
    net = nn.Sequential(nn.Linear(3, 64), nn.Dropout(0.5), nn.Linear(64, 2)).bfloat16()
    with_weights(net)
    with torch.no_grad():
        net[2].bias.copy_(net[2].bias + torch.tensor([0.5, 0.5]).bfloat16() - net.eval()(X[:1].bfloat16())[0])
    model = MCDropout(net, task="classification")
    drawn = model.sample(X[:1], passes=2000).double()[:, 0]
    alike = (drawn >= 0).all(-1) & ((drawn.sum(-1) - 1).abs() < 0.03)
    assert alike.any()
    assert model.predict(X[:1], passes=2000, chunk_size=1).passes == 2000


# Likelihood


def noisy_truth(shape=(6, 2)):
    return randn(*shape, seed=5)


@pytest.mark.parametrize("masks", ["shared", "independent"])
@pytest.mark.parametrize(
    "sizes", [{}, {"batch_size": 1}, {"batch_size": 4, "chunk_size": 3}, {"execution": "loop"}, {"chunk_size": 100}]
)
def test_streamed_likelihood_is_that_of_the_kept_samples(masks, sizes):
    model, y = MCDropout(with_weights(mlp())), noisy_truth()
    expected = predictive_log_likelihood(model.sample(X, passes=13, seed=3, masks=masks), y, tau=4.0)
    ours = model.log_likelihood(X, y, tau=4.0, passes=13, seed=3, masks=masks, **sizes)
    assert ours.dtype == np.float64
    np.testing.assert_allclose(ours, expected, rtol=1e-4)
    np.testing.assert_allclose(ours, model.log_likelihood(X, y, noise_std=0.5, passes=13, seed=3, masks=masks), 1e-4)


def test_likelihood_of_classes_is_the_log_of_the_predicted_probability():
    model, y = MCDropout(classifier(), task="classification"), torch.tensor([0, 3, 1, 2, 2, 0])
    probs = model.predict(X, passes=30).probs
    for sizes in ({}, {"batch_size": 4, "chunk_size": 7}):
        np.testing.assert_allclose(
            model.log_likelihood(X, y, passes=30, **sizes), np.log(probs[range(6), y]), rtol=1e-5
        )


def test_likelihood_of_one_logit_is_of_two_classes():
    model = MCDropout(classifier(1), task="classification")
    probs = model.predict(X, passes=30).probs
    for y in ([0, 1, 1, 0, 1, 0], [[0], [1], [1], [0], [1], [0]]):
        values = model.log_likelihood(X, y, passes=30)
        assert values.shape == (6,)
        np.testing.assert_allclose(values, np.log(probs[range(6), np.ravel(y)]), rtol=1e-5)


def test_likelihood_of_dense_classes_is_point_by_point():
    net = with_weights(nn.Sequential(nn.Conv2d(1, 4, 3), nn.Dropout2d(0.5), nn.Conv2d(4, 3, 1)))
    model, x = MCDropout(net, task="classification"), randn(2, 1, 6, 5)
    y = np.arange(24).reshape(2, 4, 3) % 3
    expected = np.log(np.take_along_axis(model.predict(x, passes=20).probs, y[..., None], -1)[..., 0])
    np.testing.assert_allclose(model.log_likelihood(x, y, passes=20), expected, rtol=1e-5)


def test_classes_of_probability_zero_have_no_likelihood_and_no_error():
    net = nn.Sequential(classifier(3), Call(lambda _, x: x + torch.tensor([0.0, 0.0, -torch.inf])))
    values = MCDropout(net, task="classification").log_likelihood(X, [2, 0, 0, 0, 0, 1], passes=5)
    assert np.isneginf(values).tolist() == [True, False, False, False, False, False]


def test_likelihood_reads_y_along_with_a_loader():
    model, x, y = MCDropout(with_weights(mlp())), randn(11, 3), noisy_truth((11, 2))
    loader = torch.utils.data.DataLoader(x, batch_size=4)
    whole = model.log_likelihood(x, y, tau=1.0, passes=5)
    np.testing.assert_allclose(model.log_likelihood(loader, y, tau=1.0, passes=5, batch_size=3), whole, rtol=1e-4)
    for rows in (10, 12):
        with pytest.raises(InputError, match=f"x and y must have one row per example each, got .*11 and {rows}"):
            model.log_likelihood(loader, noisy_truth((rows, 2)), tau=1.0, passes=5)


def test_one_pass_is_likely_as_a_gaussian():
    model, y = MCDropout(with_weights(mlp())), noisy_truth()
    mean = model.sample(X, passes=1)[0].double()
    expected = torch.distributions.Normal(mean, 0.5).log_prob(y.double()).sum(1)
    np.testing.assert_allclose(model.log_likelihood(X, y, noise_std=0.5, passes=1), expected, rtol=1e-5)


# Precision


@pytest.mark.parametrize("masks", ["shared", "independent"])
@pytest.mark.parametrize("sizes", [{}, {"batch_size": 4, "chunk_size": 3}])
def test_fitted_precision_is_the_summit_for_the_kept_samples(masks, sizes):
    model, y = MCDropout(with_weights(mlp())), noisy_truth()
    best = model.fit_precision(X, y, passes=25, seed=2, masks=masks, **sizes)
    samples = model.sample(X, passes=25, seed=2, masks=masks)
    assert isinstance(best, Precision)
    taus = np.geomspace(best.taus[0], best.taus[-1], 3000)
    values = [predictive_log_likelihood(samples, y, tau=tau).mean() for tau in taus]
    assert best.tau == pytest.approx(taus[np.argmax(values)], rel=1.01 * (taus[1] / taus[0] - 1))
    assert best.log_likelihood == pytest.approx(max(values), rel=1e-4)
    likelihood = model.log_likelihood(X, y, tau=best.tau, passes=25, seed=2, masks=masks).mean()
    assert best.log_likelihood == pytest.approx(likelihood, rel=1e-5)


def test_fitted_noise_is_the_noise_of_the_data():
    net = with_weights(nn.Sequential(nn.Linear(1, 32), nn.Tanh(), nn.Dropout(0.01), nn.Linear(32, 1)))
    model, x = MCDropout(net), randn(3000, 1)
    y = net.eval()(x).detach() + 0.7 * randn(3000, 1, seed=9)
    best = model.fit_precision(x, y, passes=50)
    spread = model.predict(x, passes=50).std.mean()
    assert spread < 0.6
    assert best.noise_std == pytest.approx(0.7, rel=0.05)
    assert model.fit_precision(x.numpy(), y.flatten().numpy(), passes=50).tau == best.tau


def test_precision_from_a_loader_is_the_same_and_an_iterator_is_refused():
    model, x, y = MCDropout(with_weights(mlp())), randn(11, 3), noisy_truth((11, 2))
    loader = torch.utils.data.DataLoader(x, batch_size=4)
    best = model.fit_precision(x, y, passes=10)
    assert model.fit_precision(loader, y, passes=10).tau == pytest.approx(best.tau, rel=1e-4)
    with pytest.raises(InputError, match="x must be something that can be read three times, got generator"):
        model.fit_precision((batch for batch in loader), y, passes=10)
    with pytest.raises(InputError, match="one row per example each, got 11 and 12"):
        model.fit_precision(loader, noisy_truth((12, 2)), passes=10)


def test_data_that_the_net_hits_exactly_have_no_precision():
    net = nn.Sequential(nn.Dropout(0.5))
    with pytest.raises(InputError, match="got at every point a pass that equals y"):
        MCDropout(net).fit_precision(torch.ones(4, 1), torch.zeros(4, 1), passes=50)


def test_fitting_warns_once():
    net = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5), nn.Linear(4, 2))
    net.unused = [nn.Dropout(0.5)]
    model = MCDropout(Call(lambda self, x: self.net[:3](x), net=net, spare=nn.Dropout(0.3)))
    with pytest.warns(SilentDropoutWarning) as caught:
        model.fit_precision(X, noisy_truth(), passes=4)
    assert len(caught) == 1
    assert caught[0].filename == __file__


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "needs either tau or noise_std, got neither; .*fit_precision"),
        ({"tau": 1.0, "noise_std": 1.0}, "needs either tau or noise_std, got both"),
        ({"tau": 0.0}, r"tau must be a finite number above 0 .*, got 0\.0"),
        ({"noise_std": float("nan")}, "noise_std must be a finite number above 0 .*, got nan"),
        ({"tau": 1.0, "passes": 0}, "passes must be an integer of at least 1 .*, got 0"),
        ({"tau": 1.0, "y": randn(5, 2)}, "x and y must have one row per example each, got 6 and 5"),
        ({"tau": 1.0, "y": randn(6, 3)}, r"y must have the predictions' shape, \(6, 2\) .*, got \(6, 3\)"),
        ({"tau": 1.0, "y": randn(6)}, r"y must have the predictions' shape, \(6, 2\) .*, got \(6,\)"),
        ({"tau": 1.0, "y": [[np.nan, 0]] * 6}, "y must be finite, got NaN or infinity in 6 of 6 rows"),
    ],
)
def test_bad_likelihood_arguments_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        MCDropout(mlp()).log_likelihood(X, options.pop("y", noisy_truth()), **options)


@pytest.mark.parametrize(
    ("y", "options", "message"),
    [
        ([0, 1, 2, 3, 4, 0], {}, "y must hold class numbers from 0 to 3, got 4"),
        ([0, 1, 2, 3, -1, 0], {}, "y must hold class numbers, integers from 0"),
        (randn(6), {}, "y must hold class numbers, integers from 0, got float64"),
        ([[0, 1, 0, 0]] * 6, {}, r"y must have the predictions' shape, \(6,\) .*, got \(6, 4\)"),
        ([0] * 6, {"tau": 1.0}, "tau and noise_std must go with task='regression'"),
        ([0] * 6, {"noise_std": 1.0}, "tau and noise_std must go with task='regression'"),
    ],
)
def test_bad_labels_are_refused(y, options, message):
    with pytest.raises(InputError, match=message):
        MCDropout(classifier(), task="classification").log_likelihood(X, y, passes=3, **options)


def test_classifiers_have_no_precision():
    with pytest.raises(InputError, match="fit_precision must go with task='regression', got task='classification'"):
        MCDropout(classifier(), task="classification").fit_precision(X, [0] * 6)


def test_likelihood_of_outputs_that_are_not_finite_names_their_rows():
    net = nn.Sequential(mlp(), Call(lambda _, x: x / (torch.arange(len(x)) != 2)[:, None]))
    message = r"finite outputs, got NaN or infinity in 1 of 6 rows \(2\)"
    with pytest.raises(NetError, match=message):
        MCDropout(net).log_likelihood(X, noisy_truth(), tau=1.0)
    with pytest.raises(NetError, match=message):
        MCDropout(net).fit_precision(X, noisy_truth())
    with pytest.raises(NetError, match=message):
        MCDropout(net, task="classification").log_likelihood(X, [0] * 6)


# Provenance


@pytest.mark.parametrize(("task", "net"), [("regression", mlp()), ("classification", classifier())])
def test_provenance_says_in_plain_data_what_fixes_the_draws(task, net):
    model = MCDropout(net, task=task)
    provenance = model.predict(X, passes=3, seed=np.uint8(7), masks="independent").provenance
    rates = [0.2, 0.5] if task == "regression" else [0.5]
    places = ["2", "5"] if task == "regression" else ["2"]
    assert (
        provenance
        == json.loads(json.dumps(provenance))
        == {
            "model": "MCDropout",
            "net": "Sequential",
            "task": task,
            "seed": 7,
            "masks": "independent",
            "sampling": "stratified",
            "sites": [
                {"index": i, "kind": "dropout", "module": module, "rate": rate}
                for i, (module, rate) in enumerate(zip(places, rates, strict=True))
            ],
        }
    )
    assert type(provenance["seed"]) is int


def test_provenance_does_not_tell_how_the_passes_ran():
    model = MCDropout(mlp())
    whole = model.predict(X, passes=4).provenance
    for options in ({"batch_size": 2}, {"chunk_size": 1}, {"execution": "loop"}, {"keep_samples": True}):
        assert model.predict(X, passes=4, **options).provenance == whole


def test_provenance_leaves_silent_sites_out():
    net = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.0), nn.Linear(4, 4), nn.Dropout(0.5), nn.Linear(4, 2))
    sites = MCDropout(net).predict(X, passes=3).provenance["sites"]
    assert [(site["index"], site["module"]) for site in sites] == [(1, "3")]


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
        ({"execution": "fast"}, "execution must be one of 'auto', 'fastest', 'loop', 'vectorized'.*, got 'fast'"),
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
    with pytest.raises(InputError, match="task must be one of 'regression', 'classification', 'heteroscedastic', got"):
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
    assert repr(MCDropout(mlp(), output="a")) == "MCDropout(Sequential, task='regression', output='a')"


def test_signatures_are_pinned():
    assert str(inspect.signature(MCDropout.predict)) == (
        "(self, x: Any, *, passes: Union[int, Literal['auto']] = 100, tolerance: float | None = None, "
        "quantile: float = 1.0, max_passes: int = 10000, seed: int = 0, "
        "masks: Literal['shared', 'independent'] = 'shared', "
        "sampling: Literal['iid', 'stratified'] = 'stratified', last_layer: Literal['sampled', 'exact'] = 'sampled', "
        "keep_samples: bool = False, batch_size: int | None = None, "
        "memory_limit: int | str | None = None, "
        "execution: Literal['auto', 'fastest', 'loop', 'vectorized', 'thinned'] = 'auto', "
        "chunk_size: int | None = None, dtype: torch.dtype | None = None, progress: bool | str = False) "
        "-> ~Predictive"
    )
    predict = inspect.signature(MCDropout.predict).parameters
    shared = {name: predict[name].default for name in RunOptions.__annotations__}
    assert {field.name: field.default for field in fields(Options)} == shared
    assert {name: predict[name].default for name in PredictOptions.__annotations__} == {
        name: parameter.default for name, parameter in predict.items() if name not in ("self", "x")
    }
    for method, own in (
        ("prepare", ["x"]),
        ("sample", ["x"]),
        ("log_likelihood", ["x", "y", "tau", "noise_std"]),
        ("fit_precision", ["x", "y"]),
    ):
        assert list(inspect.signature(getattr(MCDropout, method)).parameters) == ["self", *own, "options"]
    assert set(Task.__args__) == {"regression", "classification", "heteroscedastic"}
    assert list(inspect.signature(MCDropout).parameters) == ["net", "task", "output", "outputs", "class_axis"]
