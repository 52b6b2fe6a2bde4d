"""The classifier equals its closed form, follows labels near data, doubts far away, and comes back from a file."""

import gc
import inspect
from contextlib import contextmanager
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.special import expit
from scipy.stats import gamma, lognorm, multivariate_normal, norm

from mcdrop import InputError, TrainingError, storage
from mcdrop.baselines import evidence, latents
from mcdrop.baselines.dirichlet import as_regression, softmax_moments
from mcdrop.baselines.evidence import import_gpytorch, maximize_bound, maximize_evidence
from mcdrop.baselines.features import learn_features
from mcdrop.baselines.gp_classification import GPClassifier
from mcdrop.baselines.latents import Theta, condition, condition_sparse
from mcdrop.datasets import load_digits

POINTS = {"exact": 2000, "variational": 0}


def blobs(seed=2, n=90, classes=3, columns=2):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % classes
    centers = 3 * rng.normal(size=(classes, columns))
    return centers[y] + 0.7 * rng.normal(size=(n, columns)), y


def problem(seed=0, n=40, classes=3):
    """Return features, labels, targets, variances and hyperparameters of a small problem, as tensors."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    targets, variances = as_regression(labels, classes, alpha_epsilon=0.01)
    theta = Theta(*(torch.from_numpy(rng.uniform(0.8, 2.0, classes)) for _ in range(3)))
    return torch.from_numpy(rng.normal(size=(n, 2))), targets, variances, theta


def covariance(x1, x2, lengthscale, amplitude):
    return amplitude**2 * np.exp(-0.5 * ((x1[:, None] - x2[None]) ** 2).sum(axis=-1) / lengthscale**2)


@contextmanager
def default(device=None, dtype=torch.float32):
    """Set torch's defaults, and put them back."""
    torch.set_default_device(device)
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_device(None)
        torch.set_default_dtype(torch.float32)


@pytest.fixture(scope="module", params=POINTS)
def fitted(request):
    return GPClassifier(components=None, max_exact=POINTS[request.param], inducing=40, batch_size=30).fit(*blobs())


# --- labels as targets ----------------------------------------------------------------------------------


def test_targets_are_those_of_the_paper():
    targets, variances = as_regression(np.array([2, 0]), 3, alpha_epsilon=0.01)
    alpha = np.array([[0.01, 1.01], [0.01, 0.01], [1.01, 0.01]])
    np.testing.assert_allclose(variances, np.log(1 / alpha + 1), rtol=1e-12)
    np.testing.assert_allclose(targets, np.log(alpha) - np.log(1 / alpha + 1) / 2, rtol=1e-12)


@pytest.mark.parametrize("alpha", [0.01, 0.5])
def test_targets_match_the_moments_of_the_gamma_variables(alpha):
    """The log-normal that a target and its noise describe has the mean and variance of Gamma(alpha, 1)."""
    targets, variances = as_regression(np.array([0]), 2, alpha_epsilon=alpha)
    for k, shape in enumerate((1 + alpha, alpha)):
        stand_in = lognorm(s=np.sqrt(variances[k, 0].item()), scale=np.exp(targets[k, 0].item()))
        np.testing.assert_allclose([stand_in.mean(), stand_in.var()], gamma(shape).stats("mv"), rtol=1e-9)


def test_targets_are_finite_for_the_smallest_concentration():
    targets, variances = as_regression(np.array([0, 1]), 2, alpha_epsilon=5e-324)
    assert targets.isfinite().all()
    assert variances[0, 1].item() == pytest.approx(-np.log(5e-324))


def test_targets_are_gpytorchs():
    labels = np.array([0, 1, 2, 1])
    theirs = import_gpytorch().likelihoods.DirichletClassificationLikelihood(
        torch.from_numpy(labels), alpha_epsilon=0.03, dtype=torch.float64
    )
    targets, variances = as_regression(labels, 3, alpha_epsilon=0.03)
    torch.testing.assert_close(targets, theirs.transformed_targets)
    torch.testing.assert_close(variances, theirs.noise_covar.noise)


def test_softmax_moments_of_two_classes_equal_quadrature():
    """With two functions the softmax is a sigmoid of their difference, a Gaussian."""
    mean, std = torch.tensor([[0.3, -0.5]]).double(), torch.tensor([[0.8, 1.5]]).double()
    normals = torch.from_numpy(np.random.default_rng(0).standard_normal((200_000, 2)))
    got = softmax_moments(mean, std, normals)
    gap, spread = 0.8, np.hypot(0.8, 1.5)
    exact = norm(gap, spread).expect(expit)
    assert got.probs.mean[0, 0].item() == pytest.approx(exact, abs=4 * got.probs.std[0, 0].item() / np.sqrt(200_000))
    assert got.votes[0, 0].item() / 200_000 == pytest.approx(norm.cdf(gap / spread), abs=5e-3)


# --- the posterior, given the hyperparameters -----------------------------------------------------------


def test_exact_posterior_equals_the_explicit_inverse():
    x, targets, variances, theta = problem()
    grid = torch.from_numpy(np.random.default_rng(1).uniform(-3, 3, size=(25, 2)))
    mean, std = condition(theta, x, targets, variances).moments(grid)
    for k in range(3):
        kernel = (theta.lengthscale[k].item(), theta.amplitude[k].item())
        precision = np.linalg.inv(covariance(x.numpy(), x.numpy(), *kernel) + np.diag(variances[k]))
        cross = covariance(grid.numpy(), x.numpy(), *kernel)
        center = theta.mean[k].item()
        np.testing.assert_allclose(mean[:, k], center + cross @ precision @ (targets[k].numpy() - center), atol=1e-9)
        np.testing.assert_allclose(
            std[:, k] ** 2, kernel[1] ** 2 - np.einsum("ij,jk,ik->i", cross, precision, cross), atol=1e-9
        )


def test_exact_posterior_is_gpytorchs():
    x, targets, variances, theta = problem()
    model = evidence._exact(x, targets[0], variances[0]).double()
    model.covar_module.base_kernel.lengthscale = theta.lengthscale[0]
    model.covar_module.outputscale = theta.amplitude[0] ** 2
    model.mean_module.constant.data.fill_(theta.mean[0])
    grid = torch.linspace(-3, 3, 22, dtype=torch.float64).reshape(11, 2)
    with torch.no_grad():
        theirs = model.eval()(grid)
    mean, std = condition(theta, x, targets, variances).moments(grid)
    torch.testing.assert_close(mean[:, 0], theirs.mean, atol=1e-6, rtol=0)
    torch.testing.assert_close(std[:, 0] ** 2, theirs.variance, atol=1e-6, rtol=0)


def test_inducing_points_everywhere_give_the_exact_posterior(monkeypatch):
    monkeypatch.setattr(latents, "_CHUNK", 7)  # the sums are made in parts
    x, targets, variances, theta = problem()
    grid = torch.from_numpy(np.random.default_rng(2).normal(size=(9, 2)))
    exact = condition(theta, x, targets, variances).moments(grid)
    sparse = condition_sparse(theta, x, x, targets, variances).moments(grid)
    torch.testing.assert_close(sparse, exact, atol=1e-4, rtol=0)  # they differ by the jitter


def test_fewer_inducing_points_leave_more_doubt():
    x, targets, variances, theta = problem()
    spreads = [condition_sparse(theta, x[:m], x, targets, variances).moments(x)[1].mean() for m in (2, 5, 15, 40)]
    assert all(more > less for more, less in pairwise(spreads))


def test_sparse_posterior_is_the_optimum_of_gpytorchs_bound():
    """Its bound is the collapsed one of Titsias (2009), eq. 9: log N(y | c, Q + D) - tr(D^-1 (K - Q)) / 2."""
    x, targets, variances, theta = problem(n=30)
    found = condition_sparse(theta, x[:8], x, targets, variances)
    k, kernel = 0, (theta.lengthscale[0].item(), theta.amplitude[0].item())
    basis = np.linalg.solve(found.factors[k].numpy(), covariance(x[:8].numpy(), x.numpy(), *kernel))
    noise = variances[k].numpy()
    low_rank = multivariate_normal(mean=np.full(30, theta.mean[k].item()), cov=basis.T @ basis + np.diag(noise))
    gap = kernel[1] ** 2 - (basis**2).sum(axis=0)
    collapsed = low_rank.logpdf(targets[k].numpy()) - 0.5 * (gap / noise).sum()
    mean, std = (part[:, k].numpy() for part in found.moments(x))
    fit = norm(mean, np.sqrt(noise)).logpdf(targets[k].numpy()).sum() - 0.5 * (std**2 / noise).sum()
    v, width = found.weights[k].numpy(), np.linalg.inv((found.widths[k] @ found.widths[k].T).numpy())
    divergence = 0.5 * (np.trace(width) + v @ v - 8 - np.linalg.slogdet(width)[1])
    assert fit - divergence == pytest.approx(collapsed, rel=1e-6)


# --- learning ------------------------------------------------------------------------------------------


def test_negative_log_density_and_its_derivatives():
    rng = np.random.default_rng(0)
    root = torch.from_numpy(rng.normal(size=(5, 5)))
    residual = torch.from_numpy(rng.normal(size=5)).requires_grad_()
    spread = (root @ root.T + torch.eye(5)).requires_grad_()
    value = evidence._NegativeLogDensity.apply(spread, residual)
    expected = multivariate_normal(cov=spread.detach().numpy()).logpdf(residual.detach().numpy())
    assert value.item() == pytest.approx(-expected, rel=1e-12)
    assert torch.autograd.gradcheck(
        lambda c, r: evidence._NegativeLogDensity.apply((c + c.T) / 2, r), (spread, residual)
    )


def test_evidence_climbs_to_a_summit():
    x, targets, variances, _ = problem(n=60)
    theta, losses = maximize_evidence(x, targets, variances, steps=300, learning_rate=0.05, advance=lambda steps: None)
    assert losses[-1] < losses[0]

    def loss(k, lengthscale, amplitude, mean):
        full = covariance(x.numpy(), x.numpy(), lengthscale, amplitude) + np.diag(variances[k])
        return -multivariate_normal(mean=np.full(60, mean), cov=full).logpdf(targets[k].numpy()) / 60

    best = [[getattr(theta, name)[k].item() for name in ("lengthscale", "amplitude", "mean")] for k in range(3)]
    at_best = [loss(k, *best[k]) for k in range(3)]
    assert losses[-1] == pytest.approx(np.mean(at_best), abs=2e-3)
    for k in range(3):
        for axis in range(3):
            for factor in (0.7, 1.4):
                assert loss(k, *(best[k] * np.where(np.arange(3) == axis, factor, 1.0))) > at_best[k] - 1e-3


def test_the_bound_lies_below_the_evidence_and_close_to_it():
    x, y = blobs()
    targets, variances = as_regression(y, 3, alpha_epsilon=0.01)
    points = torch.from_numpy((x - x.mean(axis=0)) / x.std(axis=0))
    options = {"steps": 60, "learning_rate": 0.05, "advance": lambda steps: None}
    _, exact = maximize_evidence(points, targets, variances, **options)
    theta, bound = maximize_bound(points, targets, variances, anchors=points[:45], batch_size=90, seed=0, **options)
    assert exact[-1] - 1e-3 < bound[-1] < exact[-1] + 0.1
    assert theta.lengthscale.shape == (3,)


@pytest.mark.parametrize("inference", POINTS)
def test_a_search_that_diverges_says_so_and_an_earlier_fit_stays(inference):
    x, y = blobs(n=30)
    gp = GPClassifier(components=None, max_exact=POINTS[inference], steps=5).fit(x, y)
    before, learned = gp.predict(x, passes=10).probs, dict(gp.hyperparameters_)
    gp.learning_rate = 1e12
    with pytest.raises(TrainingError, match="lower learning_rate"):
        gp.fit(x[::-1], y)
    assert gp.hyperparameters_ == learned
    np.testing.assert_array_equal(gp.predict(x, passes=10).probs, before)


# --- the classifier -------------------------------------------------------------------------------------


def test_labels_are_followed_near_the_data_and_doubted_far_away(fitted):
    x, y = blobs()
    near, far = fitted.predict(x), fitted.predict(np.array([[1e4, -1e4], [-1e5, 0.0]]))
    assert np.mean(near.labels == y) > 0.95
    assert near.entropy.mean() < 0.4
    assert far.entropy.min() > 0.8 * np.log(3)
    assert far.mutual_information.min() > near.mutual_information.mean()
    theta = [[fitted.hyperparameters_[f"{name}[{k}]"] for k in range(3)] for name in ("mean", "amplitude")]
    np.testing.assert_allclose(far.logit_std / theta[1], np.full((2, 3), 1.0), rtol=0.1)
    np.testing.assert_allclose(far.logit_mean, np.tile(theta[0], (2, 1)), atol=0.5)


@pytest.mark.parametrize("inference", POINTS)
def test_far_away_a_rare_class_stays_rarer_the_rarer_it_was(inference):
    """The prior's mean is learned: far away the answer leans to the common class, and doubt is less than full."""
    far, share = [], (0.5, 0.1, 0.03)
    for part in share:
        rng = np.random.default_rng(0)
        y = np.arange(400) < part * 400
        x = rng.normal(size=(400, 2)) + np.where(y, 1.2, -1.2)[:, None]
        gp = GPClassifier(components=None, max_exact=POINTS[inference], inducing=60).fit(x, y)
        far.append(gp.predict([[1e5, -1e5]]))
    rare = [pred.probs[0, 1] for pred in far]
    assert rare[0] == pytest.approx(0.5, abs=0.05)
    assert all(more > less for more, less in pairwise(rare))
    assert all(0.03 <= p < 0.5 for p in rare[1:])
    doubt = [pred.entropy[0] / np.log(2) for pred in far]
    expected = {"exact": [1.0, 0.91, 0.60], "variational": [1.0, 0.36, 0.22]}  # as the docstring says
    assert doubt == pytest.approx(expected[inference], abs=0.03)


@pytest.mark.parametrize("components", [None, 3])
def test_the_farthest_floats_are_far_away_and_no_more(components):
    x, y = blobs(n=30, columns=3)
    gp = GPClassifier(components=components, steps=3).fit(x, y)
    most = np.finfo(float).max
    points = [[1e4, -1e4, 1e4], [most, most, most], [most, -most, -most], [-most, most, 1.0]]
    pred = gp.predict(points, passes=50)
    np.testing.assert_allclose(pred.probs, np.tile(pred.probs[0], (4, 1)), atol=1e-12)


def test_a_prediction_does_not_depend_on_its_company(fitted):
    rng = np.random.default_rng(3)
    many = rng.normal(size=(2100, 2))
    whole = fitted.predict(many, passes=20, seed=4)
    some = [0, 1023, 1024, 2099]
    alone = fitted.predict(many[some], passes=20, seed=4)
    np.testing.assert_allclose(whole.probs[some], alone.probs, atol=1e-9)
    np.testing.assert_allclose(whole.expected_entropy[some], alone.expected_entropy, atol=1e-9)


def test_probabilities_converge_and_say_how_fast(fitted):
    x = np.random.default_rng(5).normal(size=(20, 2))
    one, two = (fitted.predict(x, passes=4000, seed=seed) for seed in (1, 2))
    assert one.passes == 4000
    assert np.abs(one.probs - two.probs).max() < 6 * np.sqrt(2) * max(one.mcse.max(), two.mcse.max())
    np.testing.assert_allclose(one.probs.sum(axis=1), 1, atol=1e-12)


@pytest.mark.parametrize("inference", POINTS)
def test_same_seed_same_fit_and_no_global_state_is_touched(inference):
    x, y = blobs(n=40)
    torch.manual_seed(11)
    before = torch.get_rng_state().clone(), np.random.get_state()[1].copy()  # noqa: NPY002
    fits = []
    for mode in (torch.enable_grad, torch.no_grad, torch.inference_mode):
        with mode():
            gp = GPClassifier(components=None, max_exact=POINTS[inference], steps=5, inducing=10, batch_size=15)
            fits.append(gp.fit(x, y).predict(x, passes=5))
    for other in fits[1:]:
        np.testing.assert_array_equal(fits[0].probs, other.probs)
    assert torch.equal(before[0], torch.get_rng_state())
    np.testing.assert_array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002


@pytest.mark.parametrize("inference", POINTS)
def test_torchs_defaults_do_not_matter(tmp_path, inference):
    """The device "meta" stands in for "cuda": what lands there by default cannot be computed with."""
    x, y = blobs(n=40)

    def results(path):
        gp = GPClassifier(components=None, max_exact=POINTS[inference], steps=5, inducing=10, batch_size=15).fit(x, y)
        loaded = GPClassifier.from_archive(storage.read(gp.save(path)))
        return [gp.history_, *(model.predict(x, passes=5).probs for model in (gp, loaded))]

    plain = results(tmp_path / "plain.nc")
    for k, setting in enumerate(({"device": "meta"}, {"dtype": torch.float64}, {"dtype": torch.bfloat16})):
        with default(**setting):
            found = results(tmp_path / f"{k}.nc")
        for ours, theirs in zip(plain, found, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_options_changed_after_a_fit_wait_for_the_next_one(tmp_path):
    x, y = blobs(n=30)
    gp = GPClassifier(components=2, steps=3, seed=4).fit(x, y)
    before, call = gp.predict(x, passes=5), repr(gp)
    changes = {"components": None, "alpha_epsilon": 0.5, "steps": 2, "max_exact": 0, "seed": 9, "inducing": 7}
    for name, value in changes.items():
        setattr(gp, name, value)
    after = gp.predict(x, passes=5)
    assert after.provenance == before.provenance
    assert (after.provenance["fit_seed"], after.provenance["components"]) == (4, 2)
    np.testing.assert_array_equal(after.probs, before.probs)
    assert gp.summary().startswith(f"{call}: fitted")
    loaded = GPClassifier.from_archive(storage.read(gp.save(tmp_path / "gp.nc")))
    assert repr(loaded) == repr(gp) == call
    assert loaded.predict(x, passes=5).provenance == before.provenance
    gp.fit(x, y)
    assert repr(gp) == repr(GPClassifier(**changes))
    assert gp.predict(x, passes=5).provenance["fit_seed"] == 9
    assert (gp.inference_, len(gp.history_)) == ("variational", 2)
    gp.alpha_epsilon = -1
    with pytest.raises(InputError, match="alpha_epsilon must be"):
        gp.fit(x, y)


def test_what_a_fit_reports(fitted):
    assert fitted.inference_ == ("exact" if fitted.max_exact else "variational")
    assert set(fitted.hyperparameters_) == {f"{n}[{k}]" for n in ("lengthscale", "amplitude", "mean") for k in range(3)}
    assert set(fitted.units_) == set(fitted.hyperparameters_)
    assert fitted.units_["lengthscale[0]"] == "standard deviations of x"
    assert fitted.units_["mean[2]"] == "log concentration"
    assert fitted.history_.shape == (30,)
    assert fitted.history_[-5:].mean() < fitted.history_[:5].mean()
    prediction = fitted.predict(blobs()[0], passes=10, seed=8)
    assert prediction.provenance["model"] == "GPClassifier"
    assert prediction.provenance["seed"] == 8
    assert prediction.provenance["inference"] == fitted.inference_
    assert 0 < fitted.predict_seconds_ < 60
    assert 0 < fitted.fit_seconds_ < 60
    assert "lengthscale[0]" in fitted.summary()


def test_repeated_rows_and_a_class_without_examples_are_fine():
    x, y = blobs(n=30)
    for max_exact in POINTS.values():
        gp = GPClassifier(components=None, max_exact=max_exact, steps=5).fit(
            np.repeat(x, 3, 0), np.repeat(y, 3), classes=4
        )
        probs = gp.predict(x, passes=100).probs
        assert probs.shape == (30, 4)
        assert np.isfinite(probs).all()
        assert probs[:, 3].max() < 0.2


def test_images_are_laid_flat_and_components_are_bounded_by_the_data():
    x, y = blobs(n=12, columns=8)
    gp = GPClassifier(steps=2).fit(x.reshape(12, 1, 2, 4), y)
    assert gp.predict(x.reshape(12, 2, 2, 2), passes=5).probs.shape == (12, 3)
    assert gp.units_["lengthscale[0]"] == "PCA standard deviations"
    features = learn_features(x, components=40)
    assert features.of(x).shape == (12, 8)
    assert features.of(x).var(axis=0, ddof=1).mean() == pytest.approx(1)
    kept = learn_features(x, components=8)
    distances = np.linalg.norm(kept.of(x)[0] - kept.of(x)[1:], axis=1) * kept.scale[0]
    np.testing.assert_allclose(distances, np.linalg.norm(x[0] - x[1:], axis=1))  # a rotation keeps distances


def test_columns_that_do_not_vary_are_kept_as_they_are():
    x = np.column_stack([np.arange(6.0), np.full(6, 5.0)])
    np.testing.assert_allclose(learn_features(x, components=None).of(np.array([[2.5, 6.0]])), [[0.0, 1.0]])


@pytest.mark.parametrize(("inference", "bound"), [("exact", 0.87), ("variational", 0.85)])
def test_digits_are_told_apart(inference, bound):
    digits = load_digits()
    gp = GPClassifier(max_exact=POINTS[inference], steps=6, inducing=200, batch_size=250)
    gp.fit(digits.train_images[:500], digits.train_labels[:500])
    prediction = gp.predict(digits.test_images, passes=100)
    assert np.mean(prediction.labels == digits.test_labels) > bound


# --- files ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("components", [None, 3])
@pytest.mark.parametrize("inference", POINTS)
def test_a_saved_fit_predicts_the_same(tmp_path, inference, components):
    x, y = blobs(n=40, columns=5)
    gp = GPClassifier(components=components, max_exact=POINTS[inference], steps=4, inducing=15, alpha_epsilon=0.02)
    gp.fit(x, y, classes=4)
    path = gp.save(tmp_path / "gp.nc")
    loaded = GPClassifier.from_archive(storage.read(path))
    gc.collect()
    assert repr(loaded) == repr(gp)
    assert loaded.hyperparameters_ == gp.hyperparameters_
    assert loaded.units_ == gp.units_
    assert loaded.inference_ == inference
    assert loaded.fit_seconds_ == gp.fit_seconds_
    np.testing.assert_array_equal(loaded.history_, gp.history_)
    ours, theirs = gp.predict(x, passes=50), loaded.predict(x, passes=50)
    np.testing.assert_allclose(theirs.probs, ours.probs, atol=1e-10)
    np.testing.assert_allclose(theirs.logit_std, ours.logit_std, atol=1e-10)
    assert theirs.provenance == ours.provenance


# --- bad input --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("x", "y", "message"), [
    (np.ones((1, 2)), [0], "at least 2 points"),
    (np.ones((3, 2)), [0, 1, 0], "x must vary"),
    ([[1.0], [np.nan]], [0, 1], "x must be finite"),
    ([[1.0], [2.0]], [0, 0], "at least 2 classes"),
    ([[1.0], [2.0]], [0, 1, 1], "same length, got 2 and 3"),
    ([[1.0], [2.0]], [0, 5], "classes from 0 to 2, got 5"),
    ([[1.0], [2.0]], [0, 0.5], "got 0.5"),
])  # fmt: skip
def test_bad_training_data(x, y, message):
    with pytest.raises(InputError, match=message):
        GPClassifier().fit(x, y, classes=3)


@pytest.mark.parametrize("components", [None, 2])
@pytest.mark.parametrize("scale", [1e-320, 1e-200, 1e-170, 1e155, 1e200, 1e307])
def test_a_scale_that_cannot_be_squared_is_refused(components, scale):
    x, y = blobs(n=12)
    with pytest.raises(InputError, match=r"x must vary on a scale .* got a standard deviation .*; rescale x"):
        GPClassifier(components=components).fit(scale * x, y)


def test_the_largest_and_smallest_scales_do_not_matter():
    x, y = blobs(n=12)
    probs = [
        GPClassifier(components=2, steps=2).fit(s * x, y).predict(s * x, passes=5).probs for s in (1, 2**-500, 2**500)
    ]
    np.testing.assert_allclose(probs[1:], [probs[0]] * 2, atol=1e-6)


@pytest.mark.parametrize(("options", "message"), [
    ({"components": 0}, "components must be an integer of at least 1"),
    ({"alpha_epsilon": 0}, "alpha_epsilon must be a number above 0 and at most 1, got 0"),
    ({"alpha_epsilon": 1.01}, "above 0 and at most 1, got 1.01"),
    ({"alpha_epsilon": 1e16}, "above 0 and at most 1, got 1e\\+16"),
    ({"alpha_epsilon": np.nan}, "above 0 and at most 1, got nan"),
    ({"alpha_epsilon": True}, "above 0 and at most 1, got True"),
    ({"alpha_epsilon": "small"}, "alpha_epsilon must be a number"),
    ({"learning_rate": np.nan}, "learning_rate must be a number above 0"),
    ({"steps": 0}, "steps must be"),
    ({"inducing": 0}, "inducing must be"),
    ({"batch_size": 1.5}, "batch_size must be"),
    ({"max_exact": -1}, "max_exact must be"),
    ({"seed": -1}, "seed must be"),
])  # fmt: skip
def test_bad_options(options, message):
    with pytest.raises(InputError, match=message):
        GPClassifier(**options)


def test_bad_calls(fitted):
    with pytest.raises(InputError, match="fitted GPClassifier"):
        GPClassifier().predict([[1.0]])
    with pytest.raises(InputError, match="fitted GPClassifier"):
        GPClassifier().save("nowhere.nc")
    with pytest.raises(InputError, match=r"2 value\(s\) per point as in fit, got shape \(1, 3\)"):
        fitted.predict([[1.0, 2.0, 3.0]])
    with pytest.raises(InputError, match="passes must be"):
        fitted.predict([[1.0, 2.0]], passes=1)
    with pytest.raises(InputError, match="classes must be"):
        GPClassifier().fit(*blobs(), classes=1)


def test_options_can_be_given_by_name_only():
    kinds = {p.kind for p in inspect.signature(GPClassifier).parameters.values()}
    assert kinds == {inspect.Parameter.KEYWORD_ONLY}
