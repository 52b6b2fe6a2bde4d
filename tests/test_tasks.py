"""Tasks beyond one number or class per row: heteroscedastic heads, several targets at once, chosen and odd outputs."""

import json
import weakref
from typing import NamedTuple

import numpy as np
import pytest
import torch
from laws import Call, mlp, randn, with_weights
from scipy.special import logsumexp
from scipy.stats import norm
from torch import nn

import mcdrop
from mcdrop import ClassificationPredictive, InputError, MCDropout, NetError, RegressionPredictive
from mcdrop.execution import Options, Run
from mcdrop.inputs import open_stream
from mcdrop.predictive import reading_of

X = randn(6, 3)
Y = randn(6, 2, seed=5)
SIZES = [{}, {"batch_size": 4, "chunk_size": 3}, {"execution": "loop"}, {"batch_size": 1, "chunk_size": 100}]


class Head(NamedTuple):
    mean: torch.Tensor
    log_variance: torch.Tensor


FORMS = {
    "tuple": lambda m, s: (m, s),
    "named tuple": Head,
    "dict": lambda m, s: {"log_var": s, "mean": m, "features": m},
    "one tensor": lambda m, s: torch.cat([m, s], dim=1),
}


def noisy_net(form="tuple", outputs=2, shift=0.0):
    def forward(self, x):
        h = self.drop(self.body(x).tanh())
        return FORMS[form](self.mean(h), self.log_variance(h) + shift)

    return with_weights(
        Call(
            forward,
            body=nn.Linear(3, 16),
            drop=nn.Dropout(0.4),
            mean=nn.Linear(16, outputs),
            log_variance=nn.Linear(16, outputs),
        )
    )


def heteroscedastic(**options):
    return MCDropout(noisy_net(**options), task="heteroscedastic")


# Heteroscedastic


@pytest.mark.parametrize("masks", ["shared", "independent"])
@pytest.mark.parametrize("sizes", SIZES)
def test_total_variance_is_that_of_the_mixture(masks, sizes):
    """Brute force: a value drawn from a pass taken at random has the variance of eq. 9 of Kendall & Gal (2017)."""
    model, passes = heteroscedastic(), 37
    pred = model.predict(X, passes=passes, masks=masks, keep_samples=True, **sizes)
    drawn = model.sample(X, passes=passes, masks=masks).double().numpy()
    assert drawn.shape == (passes, 6, 2, 2)
    mean, variance = drawn[:, :, 0], np.exp(drawn[:, :, 1])
    second_moment = (mean**2 + variance).mean(0)
    of_mixture = second_moment - mean.mean(0) ** 2
    unbiased = of_mixture + mean.var(0) / (passes - 1)  # the spread is divided by T - 1
    np.testing.assert_allclose(pred.mean, mean.mean(0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(pred.std, mean.std(0, ddof=1), rtol=1e-5)
    np.testing.assert_allclose(pred.noise_std, np.sqrt(variance.mean(0)), rtol=1e-5)
    np.testing.assert_allclose(pred.total_std() ** 2, unbiased, rtol=1e-5)
    np.testing.assert_allclose(pred.samples, mean, rtol=1e-5, atol=1e-6)


def test_draws_of_the_mixture_spread_as_predicted():
    """200,000 draws: the variance has a relative error of about 0.4%, of which 5 are allowed."""
    model = heteroscedastic(outputs=1)
    pred = model.predict(X, passes=2000)
    mean, log_variance = model.sample(X, passes=2000).double().numpy()[:, :, :, 0].transpose(2, 0, 1)
    noise = np.random.default_rng(0).standard_normal((100, *mean.shape))
    drawn = (mean + np.exp(0.5 * log_variance) * noise).reshape(-1, 6)
    np.testing.assert_allclose(drawn.var(0), pred.total_std()[:, 0] ** 2, rtol=0.02)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_head_gives_the_same(form):
    pred, expected = (heteroscedastic(form=name).predict(X, passes=9) for name in (form, "tuple"))
    assert isinstance(pred, RegressionPredictive)
    for name in ("mean", "std", "noise_std"):
        np.testing.assert_allclose(getattr(pred, name), getattr(expected, name), rtol=1e-5, atol=1e-6)
    assert pred.samples is None


def test_equal_log_variances_are_a_known_noise():
    net = noisy_net()
    constant = Call(lambda self, x: (self.net(x)[0], torch.full((len(x), 2), np.log(0.25))), net=net)
    pred = MCDropout(constant, task="heteroscedastic").predict(X, passes=20)
    plain = MCDropout(constant, output=0).predict(X, passes=20)
    np.testing.assert_allclose(pred.noise_std, 0.5, rtol=1e-6)
    np.testing.assert_allclose(pred.total_std(), plain.total_std(0.5), rtol=1e-6)
    ours = MCDropout(constant, task="heteroscedastic").log_likelihood(X, Y, passes=20)
    np.testing.assert_allclose(ours, MCDropout(constant, output=0).log_likelihood(X, Y, noise_std=0.5, passes=20), 1e-5)


@pytest.mark.parametrize("sizes", SIZES)
def test_likelihood_is_of_a_mixture_with_the_noise_of_each_pass(sizes):
    model = heteroscedastic()
    mean, log_variance = model.sample(X, passes=13, seed=3).double().numpy().transpose(2, 0, 1, 3)
    log_density = norm.logpdf(Y.numpy(), mean, np.exp(0.5 * log_variance)).sum(-1)
    ours = model.log_likelihood(X, Y, passes=13, seed=3, **sizes)
    np.testing.assert_allclose(ours, logsumexp(log_density, axis=0) - np.log(13), rtol=1e-4)


def test_log_variances_without_a_variance_name_their_rows():
    model = heteroscedastic(shift=torch.tensor([0, 0, 800, 0, float("nan"), 0])[:, None])
    message = r"log-variances that are finite and below 710, .* got others in 2 of 6 rows \(2, 4\)"
    with pytest.raises(NetError, match=message):
        model.predict(X, passes=3)
    with pytest.raises(NetError, match=r"in 1 of 6 rows \(4\)"):
        model.log_likelihood(X, Y, passes=3)


def test_the_noise_of_the_net_takes_no_other():
    model, own = heteroscedastic(), "leave it out: the net gives the noise itself, as its log-variance"
    with pytest.raises(InputError, match=f"fit_precision must go with task='regression', got .*; {own}"):
        model.fit_precision(X, Y)
    for noise in ({"tau": 1.0}, {"noise_std": 1.0}):
        with pytest.raises(InputError, match=f"tau and noise_std must go with task='regression', got .*; {own}"):
            model.log_likelihood(X, Y, **noise)


def test_plain_nets_are_no_heteroscedastic_ones():
    with pytest.raises(NetError, match=r"must return \(mean, log_variance\), .*got one tensor of shape \(\d, 2, 2\)"):
        MCDropout(
            nn.Sequential(mlp(), Call(lambda _, x: x[:, :, None].expand(-1, -1, 2))), task="heteroscedastic"
        ).predict(X)


def test_heteroscedastic_predictions_are_saved_compared_and_drawn(tmp_path):
    model = heteroscedastic(outputs=1)
    pred = model.predict(X, passes=20, keep_samples=True)
    loaded = mcdrop.load(pred.save(tmp_path / "a.nc"))
    for name in ("mean", "std", "noise_std", "samples"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(pred, name))
    np.testing.assert_array_equal(loaded.total_std(), pred.total_std())
    y = Y[:, :1].numpy()
    table = mcdrop.compare({"net": pred, "loaded": loaded}, y, resamples=100)
    assert table.notes == []
    assert table.loc["net", "NLL"] == pytest.approx(-norm.logpdf(y, pred.mean, pred.total_std()).mean())
    assert table.loc["net"].equals(table.loc["loaded"])
    ax = mcdrop.plots.plot_band(pred, X[:, 0], noise_std=pred.noise_std)
    top = max(path.vertices[:, 1].max() for band in ax.collections for path in band.get_paths())
    assert top == pytest.approx((pred.mean + 2 * pred.total_std()).max())


@pytest.mark.parametrize("task", ["regression", "heteroscedastic", {0: "regression", 1: "heteroscedastic"}])
def test_statistics_hold_no_outputs(task):
    """However many passes there are, at most two chunks of outputs are alive at once."""
    several = isinstance(task, dict)
    net = Call(lambda self, x: (self.net(x)[0], self.net(x)), net=noisy_net()) if several else noisy_net()
    reading = reading_of(task, 0 if task == "regression" else None, outputs="logits", class_axis=None)
    run = Run(
        net,
        open_stream(X, device=torch.device("cpu"), dtype=torch.float32),
        choose=reading.choose,
        options=Options(passes=40, sampling="iid", batch_size=3, chunk_size=2),
    )
    alive, most = [], 0

    def summarize(passes):
        nonlocal most
        alive.append(weakref.ref(passes))
        most = max(most, sum(ref() is not None for ref in alive))
        return reading.summarize(passes)

    run.statistics(summarize, keep=False)
    assert len(alive) == 40
    assert most <= 2


# Several targets


def several_net():
    def forward(self, x):
        h = self.drop(self.body(x).tanh())
        image = self.image(h).reshape(-1, 3, 2, 4)
        return {
            "depth": self.depth(h),
            "parts": (image.half(), self.depth(h)[:, 0] > 0),
            "noisy": (self.depth(h), self.depth(h) - 1),
        }

    layers = {"body": nn.Linear(3, 16), "depth": nn.Linear(16, 2), "image": nn.Linear(16, 24)}
    return with_weights(Call(forward, drop=nn.Dropout(0.4), **layers))


TASKS = {"depth": "regression", "parts.0": "classification", "noisy": "heteroscedastic", "parts.1": "regression"}


def alone(key):
    return MCDropout(several_net(), task=TASKS[key], output=key)


@pytest.mark.parametrize("masks", ["shared", "independent"])
@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("keep", [False, True])
def test_every_target_is_predicted_as_if_alone(masks, sizes, keep):
    options = {"passes": 11, "seed": 2, "masks": masks, "keep_samples": keep}
    preds = MCDropout(several_net(), task=TASKS).predict(X, **options, **sizes)
    assert list(preds) == list(TASKS)
    for key, pred in preds.items():
        expected = alone(key).predict(X, **options)
        assert type(pred) is type(expected)
        assert pred.passes == 11
        names = ["mean", "std", "noise_std"] if isinstance(pred, RegressionPredictive) else ["probs", "logit_std"]
        for name in [*names, "samples"]:
            ours, theirs = getattr(pred, name), getattr(expected, name)
            if theirs is None:
                assert ours is None
            else:
                np.testing.assert_allclose(ours, theirs, rtol=5e-3, atol=5e-3 if key == "parts.0" else 1e-5)
        assert pred.provenance == json.loads(json.dumps(expected.provenance))
        assert pred.provenance["output"] == key
    assert preds["parts.0"].probs.shape == (6, 2, 4, 3)
    assert isinstance(preds["parts.0"], ClassificationPredictive)


def test_each_pass_runs_once_for_all_targets():
    calls = []

    def counted(self, x):
        calls.append(len(x))
        return self.net(x)

    for task in ({"depth": "regression"}, TASKS):
        calls.append("start")
        MCDropout(Call(counted, net=several_net()), task=task).predict(X, passes=20, execution="loop")
    second = calls.index("start", 1)
    assert calls[:second] == calls[second:]
    assert calls[:second].count(6) == 20


def test_samples_of_every_target_are_the_nets_own():
    drawn = MCDropout(several_net(), task=TASKS).sample(X, passes=4, batch_size=4)
    assert {key: tuple(part.shape) for key, part in drawn.items()} == {
        "depth": (4, 6, 2),
        "parts.0": (4, 6, 3, 2, 4),
        "noisy": (4, 6, 2, 2),
        "parts.1": (4, 6),
    }
    assert [part.dtype for part in drawn.values()] == [torch.float32, torch.float16, torch.float32, torch.bool]
    for key, part in drawn.items():
        torch.testing.assert_close(part, alone(key).sample(X, passes=4), rtol=1e-2, atol=1e-2)


def test_targets_may_go_by_place():
    net = Call(lambda self, x: (self.net(x), self.net(x).exp()), net=with_weights(mlp()))
    preds = MCDropout(net, task={1: "regression", 0: "classification"}).predict(X, passes=5)
    assert list(preds) == [1, 0]
    np.testing.assert_allclose(
        preds[0].probs, MCDropout(net, task="classification", output=0).predict(X, passes=5).probs
    )


def test_sites_of_a_net_with_several_outputs():
    assert len(MCDropout(several_net(), task=TASKS).sites(X).live) == 1


def test_a_likelihood_is_of_one_target():
    model = MCDropout(several_net(), task=TASKS)
    advice = r"MCDropout\(net, task='regression', output='depth'\): the same seed gives the same passes"
    for call in (model.log_likelihood, model.fit_precision):
        with pytest.raises(InputError, match=rf"{call.__name__} is of one target, got \['depth', .*{advice}"):
            call(X, {"depth": Y})
    assert alone("depth").log_likelihood(X, Y, tau=1.0, passes=3).shape == (6,)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"task": {}}, r"given as task=\{part: its task\} alone, got no part"),
        ({"task": TASKS, "output": 0}, r"given as task=\{part: its task\} alone, got output=0 too"),
        ({"task": {"a": "counting"}}, r"task\['a'\] must be one of 'regression', .*, got 'counting'"),
        ({"task": {"a": {"b": "regression"}}}, r"task\['a'\] must be one of"),
        ({"task": {1.5: "regression"}}, r"places or names of the net's outputs, got 1\.5"),
        ({"task": {None: "regression"}}, "places or names of the net's outputs, got None"),
        ({"output": 1.5}, r"output must be a place, a name, .*, got 1\.5"),
        ({"class_axis": "last"}, "class_axis must be a whole number, got 'last'"),
        ({"class_axis": 1}, "class_axis must go with task='classification', got class_axis=1 and task='regression'"),
        (
            {"task": "heteroscedastic", "outputs": "probabilities"},
            "outputs must go with task='classification', got outputs='probabilities' and task='heteroscedastic'",
        ),
        (
            {"task": {"depth": "regression"}, "class_axis": -1},
            r"class_axis must go with .*task=\{'depth': 'regression'\}",
        ),
    ],
)
def test_bad_targets_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        MCDropout(several_net(), **options)


def test_a_target_that_the_net_does_not_return_is_named():
    with pytest.raises(
        NetError, match=r"must return a part 'height', got dict with depth \(\d, 2\) \(float32\), parts.0"
    ):
        MCDropout(several_net(), task={"depth": "regression", "height": "regression"}).predict(X)


def test_targets_of_changing_shapes_are_refused():
    net = Call(lambda self, x: {"a": self.drop(x), "b": x[:, 0]}, drop=nn.Dropout(0.5))
    model = MCDropout(net, task={"a": "regression", "b": "regression"})
    for call in (model.predict, model.sample):
        with pytest.raises(NetError, match=r"rows of one shape, got \[\(3,\), \(\)\] for some and \[\(4,\), \(\)\]"):
            call([randn(2, 3), randn(2, 4)], passes=2)


# One chosen output, and odd types


@pytest.mark.parametrize("execution", ["loop", "vectorized"])
def test_a_chosen_output_is_predicted_as_if_it_were_the_only_one(execution):
    net = with_weights(mlp())
    expected = MCDropout(net).sample(X, passes=5)
    several = Call(lambda self, x: {"a": (self.net(x), x), "b": x}, net=net)
    for output in ("a.0", lambda out: out["a"][0]):
        model = MCDropout(several, output=output)
        torch.testing.assert_close(model.sample(X, passes=5, execution=execution), expected)
        pred = model.predict(X, passes=5, execution=execution)
        assert json.loads(json.dumps(pred.provenance))["output"] in (
            "a.0",
            output.__qualname__ if callable(output) else "",
        )
    with pytest.raises(NetError, match=r"must return one tensor, got dict with a\.0 .*; choose one with MCDropout"):
        MCDropout(several).predict(X)


class Tokens:
    """What transformers return: an object with logits."""

    def __init__(self, logits):
        self.logits = logits


@pytest.mark.parametrize("execution", ["loop", "vectorized"])
def test_three_axes_of_an_object_with_logits_are_tokens_and_classes(execution):
    net = with_weights(nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.5), nn.Linear(8, 4)))
    x = randn(5, 7, 3)
    options = {"passes": 6, "execution": execution}
    expected = MCDropout(net, task="classification", class_axis=-1).predict(x, **options)
    for wrapped in (Call(lambda self, x: Tokens(self.net(x)), net=net),):
        for choice in ({}, {"output": "logits"}, {"output": lambda out: out.logits}, {"class_axis": 2}):
            pred = MCDropout(wrapped, task="classification", **choice).predict(x, **options)
            assert pred.probs.shape == (5, 7, 4)
            np.testing.assert_allclose(pred.probs, expected.probs, rtol=1e-5)
    image = Call(lambda self, x: Tokens(self.net(x).movedim(-1, 1)[..., None]), net=net)
    pixels = MCDropout(image, task="classification").predict(x, **options)
    np.testing.assert_allclose(pixels.probs[:, :, 0], expected.probs, rtol=1e-5)
    labels = torch.arange(35).reshape(5, 7) % 4
    values = MCDropout(Call(lambda self, x: Tokens(self.net(x)), net=net), task="classification").log_likelihood(
        x, labels, passes=6
    )
    np.testing.assert_allclose(
        values, np.log(np.take_along_axis(expected.probs, labels[..., None].numpy(), -1))[..., 0], rtol=1e-4
    )


def test_three_axes_of_anything_else_are_refused_until_the_axis_is_said():
    net = with_weights(nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.5), nn.Linear(8, 4)))
    x = randn(5, 7, 3)
    for forward in (lambda self, x: self.net(x), lambda self, x: {"logits": self.net(x)}):
        plain = Call(forward, net=net)
        message = r"outputs of shape \(\d, 7, 4\) may lie on axis 1, .*; say class_axis=1 or class_axis=-1"
        for call in (MCDropout(plain, task="classification").predict, MCDropout(plain, task="classification").sites):
            with pytest.raises(InputError, match=message):
                call(x)
        assert MCDropout(plain, task="classification").sample(x, passes=2).shape == (2, 5, 7, 4)
        for axis, shape in ((1, (5, 4, 7)), (-1, (5, 7, 4))):
            pred = MCDropout(plain, task="classification", class_axis=axis).predict(x, passes=2)
            assert pred.probs.shape == shape
    image = Call(lambda self, x: self.net(x)[..., None], net=net)
    assert MCDropout(image, task="classification").predict(x, passes=2).probs.shape == (5, 4, 1, 7)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("passes", [2, 500])
def test_half_precision_at_the_end_of_its_range_has_finite_statistics(dtype, passes):
    net = nn.Sequential(
        nn.Linear(3, 2), nn.Dropout(0.5), Call(lambda _, x: (x * 0).where(x == 0, x.sign()) * 6e4 + 5e3)
    ).to(dtype)
    options = {"passes": passes, "sampling": "iid"}
    pred = MCDropout(with_weights(net)).predict(X, **options, keep_samples=True)
    exact = MCDropout(net).sample(X, **options).double().numpy()
    assert np.abs(exact).max() > 5e4
    np.testing.assert_allclose(pred.mean, exact.mean(0), rtol=1e-12)
    np.testing.assert_allclose(pred.std, exact.std(0, ddof=1), rtol=1e-9)
    np.testing.assert_array_equal(pred.samples, exact)
    heads = MCDropout(Call(lambda self, x: (self.net(x), self.net(x) * 1e-4), net=net), task="heteroscedastic")
    assert np.isfinite(heads.predict(X, passes=passes).total_std()).all()
    logits = MCDropout(net, task="classification").predict(X, passes=passes)
    np.testing.assert_allclose(logits.probs.sum(-1), 1)


def test_whole_numbers_are_values_but_no_class_scores():
    net = nn.Sequential(mlp(), Call(lambda _, x: (x > 0).sum(1)))
    pred = MCDropout(net).predict(X, passes=20, keep_samples=True)
    drawn = MCDropout(net).sample(X, passes=20)
    assert drawn.dtype == torch.int64
    assert pred.samples.dtype == np.float64
    np.testing.assert_allclose(pred.mean, drawn.double().mean(0))
    with pytest.raises(NetError, match="a classifier must return logits or probabilities, got int64; return what"):
        MCDropout(net, task="classification").predict(X)
    with pytest.raises(NetError, match="the net must return real numbers, got complex64"):
        MCDropout(nn.Sequential(mlp(), Call(lambda _, x: torch.complex(x, x)))).predict(X)


def test_exported_programs_are_nets():
    class ExportedProgram:
        def module(self):
            raise AssertionError("not before the passes run")

    assert repr(MCDropout(ExportedProgram())) == "MCDropout(ExportedProgram, task='regression')"
    with pytest.raises(InputError, match=r"net must be a torch\.nn\.Module, got str"):
        MCDropout("net")
