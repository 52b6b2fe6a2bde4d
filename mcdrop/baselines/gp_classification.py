r"""Gaussian-process classification: the classifier that MC dropout is measured against, on GPyTorch.

Each of the K classes has a Gaussian process of its own, fitted by regression to the logarithms of the Dirichlet
concentrations that stand for the labels (`dirichlet`). With up to `max_exact` points the posterior is exact
(`latents`), and hyperparameters maximize the marginal likelihood; with more, inducing points carry it, and
hyperparameters maximize the evidence lower bound on minibatches (`evidence`). Inputs are seen through their principal
components (`features`).

References:
    Milios, D., Camoriano, R., Michiardi, P., Rosasco, L. and Filippone, M. (2018). Dirichlet-based Gaussian Processes
    for Large-scale Calibrated Classification. NeurIPS. https://arxiv.org/abs/1805.10915 (section 4).
"""

import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from mcdrop import storage
from mcdrop.arguments import check_count
from mcdrop.baselines.arrays import check_labels, check_rows
from mcdrop.baselines.class_processes import ClassProcesses, Examples, choose_anchors, from_groups, to_groups
from mcdrop.baselines.evidence import import_gpytorch, maximize_bound, maximize_evidence
from mcdrop.baselines.features import learn_features
from mcdrop.baselines.fitted import Baseline
from mcdrop.baselines.latents import Theta
from mcdrop.errors import InputError
from mcdrop.moments import ClassMoments
from mcdrop.predictive import ClassificationPredictive
from mcdrop.progress import Advance, track
from mcdrop.rng import check_seed

__all__ = ["GPClassifier"]

Floats = NDArray[np.float64]
Inference = Literal["exact", "variational"]

_OPTIONS = (
    "components",
    "alpha_epsilon",
    "steps",
    "learning_rate",
    "max_exact",
    "inducing",
    "batch_size",
    "seed",
)


class GPClassifier(Baseline):
    r"""Gaussian-process classification with a squared-exponential kernel for each class.

    Exact fitting takes O(K N^3) time per step and O(K N^2) memory: 1,500 digits about half a minute and 180 MB. Both
    kinds of fitting are deterministic for a seed. An input far from all training inputs *in its features* gets the
    prior of the functions back, and with it an entropy near its maximum; what the principal components leave out of
    an input is not seen.

    Args:
        components: Principal components to keep, or None for all columns, standardized one by one.
        alpha_epsilon: Dirichlet concentration of the classes that a label does not name, above 0. The smaller, the
            surer the classifier.
        steps: Steps of Adam on the hyperparameters, minibatches where the fit is variational.
        learning_rate: Of Adam.
        max_exact: Up to how many training points the posterior is exact.
        inducing: Inducing points M beyond that: a random part of the training points.
        batch_size: Points in a minibatch.
        seed: Of inducing points and minibatches; an exact fit draws nothing.

    Attributes:
        inference_: After `fit`: `"exact"` or `"variational"`.
        classes_: After `fit`: the number of classes K.
        hyperparameters_: After `fit`, for each class: `lengthscale[k]` (in standard deviations of the features),
            `amplitude[k]` and `mean[k]` of the function (in log concentration).
        units_: After `fit`: the unit of each.
        history_: After `fit`: the loss by step, mean over classes, per point and in nats, shape (steps,).
        fit_seconds_: After `fit`: how long it took.
        predict_seconds_: After `predict`: how long the last prediction took.

    Raises:
        InputError: If an option is out of range.

    Example:
        >>> import numpy as np
        >>> x = np.linspace(-1, 1, 40)
        >>> gp = GPClassifier(components=None).fit(x, x > 0)
        >>> pred = gp.predict([-0.5, 0.5, 100.0])
        >>> pred.labels[:2], bool(pred.entropy[2] > 0.6)
        (array([0, 1]), True)
    """

    inference_: Inference
    classes_: int
    history_: Floats

    def __init__(
        self,
        *,
        components: int | None = 40,
        alpha_epsilon: float = 0.01,
        steps: int = 30,
        learning_rate: float = 0.1,
        max_exact: int = 2000,
        inducing: int = 500,
        batch_size: int = 500,
        seed: int = 0,
    ) -> None:
        if components is not None:
            check_count("components", components, least=1, why="or None for all columns")
        for name, value in (("alpha_epsilon", alpha_epsilon), ("learning_rate", learning_rate)):
            if not isinstance(value, float | int | np.number) or not 0 < value < np.inf:
                raise InputError(f"{name} must be a number above 0, got {value!r}; try the default")
        check_count("steps", steps, least=1, why="the hyperparameters are learned")
        check_count("max_exact", max_exact, least=0, why="0 for a variational fit whatever the data")
        check_count("inducing", inducing, least=1, why="they carry the posterior")
        check_count("batch_size", batch_size, least=1, why="a step needs data")
        self.components, self.alpha_epsilon, self.steps = components, float(alpha_epsilon), steps
        self.learning_rate, self.max_exact, self.inducing = float(learning_rate), max_exact, inducing
        self.batch_size, self.seed = batch_size, check_seed(seed)

    def __repr__(self) -> str:
        """Return the call that makes this classifier."""
        return f"GPClassifier({', '.join(f'{name}={getattr(self, name)!r}' for name in _OPTIONS)})"

    def fit(self, x: ArrayLike, y: ArrayLike, *, classes: int | None = None, progress: bool | str = False) -> Self:
        """Learn features and hyperparameters, and condition on the data.

        Args:
            x: Inputs, shape (N, ...), laid flat to (N, D); rows may repeat.
            y: Labels 0 to K - 1, shape (N,), at least two different ones.
            classes: Number of classes K. Default: one more than the largest label.
            progress: Show a progress bar on standard error; a text names it.

        Returns:
            This classifier, fitted. If fitting fails, an earlier fit is kept.

        Raises:
            InputError: If an array has the wrong shape or length, is not finite or all the same, or a label is none.
            TrainingError: If the search for hyperparameters diverges.
        """
        inputs = check_rows(x)
        if classes is not None:
            check_count("classes", classes, least=2, why="one class leaves nothing to tell apart")
        count = len(inputs)
        labels, total = check_labels(y, count, classes=classes)
        import_gpytorch()  # its seconds are not the fit's
        started = time.perf_counter()
        with (
            _one_thread(),
            torch.inference_mode(False),
            torch.enable_grad(),  # the search needs gradients whatever the caller's mode
            track(self.steps * total, "Fitting the Gaussian processes", enabled=progress) as advance,
        ):
            features = learn_features(inputs, components=self.components)
            points = torch.from_numpy(np.ascontiguousarray(features.of(inputs)))
            chosen = choose_anchors(points, self.inducing, seed=self.seed) if count > self.max_exact else None
            examples = Examples(points, labels, total, self.alpha_epsilon, chosen)
            theta, losses = self._search(examples, advance)
            latents = examples.condition(theta)
        self._keep(ClassProcesses(features, examples, latents), losses)
        self.fit_seconds_ = time.perf_counter() - started
        return self

    def predict(
        self, x: ArrayLike, *, passes: int = 1000, seed: int = 0, progress: bool | str = False
    ) -> ClassificationPredictive:
        """Predict at new points; time grows linearly with their number, memory does not.

        Each of the passes draws the K functions from their Gaussian posterior *at each point*, and takes the softmax.
        All points share the normal numbers behind the draws, so a point's result does not depend on the others; what
        the posterior says about two points together is not used.

        Args:
            x: Inputs, shape (M, ...), each like those of `fit`.
            passes: Number of draws T.
            seed: Of the draws.
            progress: Show a progress bar on standard error; a text names it.

        Returns:
            Class probabilities and their spread; the logits are the functions.

        Raises:
            InputError: If `fit` has not been called, x is empty, not finite or of another width, or there
                are fewer than 2 passes.
        """
        self._require_fit("predict")
        inputs, fit = check_rows(x), self._fit
        if inputs.shape[1] != len(fit.features.mean):
            raise InputError(
                f"x must have {len(fit.features.mean)} value(s) per point as in fit, got shape {np.shape(x)}; "
                "give the same features in the same order"
            )
        check_count("passes", passes, least=2, why="a spread needs two")
        seed = check_seed(seed)
        started = time.perf_counter()
        normals = torch.from_numpy(np.random.default_rng(seed).standard_normal((passes, self.classes_)))
        with _one_thread(), track(len(inputs), "Predicting", enabled=progress) as advance:
            parts = list(fit.moments(inputs, normals, advance))
        self.predict_seconds_ = time.perf_counter() - started
        return _as_predictive(parts, passes, {**self._provenance(), "seed": seed})

    @classmethod
    def from_archive(cls, archive: storage.Archive) -> Self:
        """Make the fitted classifier that was saved; `mcdrop.load` calls this.

        Raises:
            DataError: If something is missing from the file.
        """
        stored = archive.attributes
        gp = cls(**{name: stored[name] for name in _OPTIONS})
        with _one_thread():
            gp._keep(*from_groups(archive, alpha_epsilon=gp.alpha_epsilon))
        gp.fit_seconds_ = float(stored["fit_seconds"])
        return gp

    def _contents(self) -> tuple[Mapping[str, Mapping[str, storage.Variable]], Mapping[str, Any]]:
        attributes = {name: getattr(self, name) for name in _OPTIONS}
        about = {"inference": self.inference_, "fit_seconds": self.fit_seconds_}
        return to_groups(self._fit, self.history_), attributes | about

    def _search(self, examples: Examples, advance: Advance) -> tuple[Theta, Floats]:
        """Return the hyperparameters and the losses on the way to them."""
        targets, variances = examples.regression()
        if examples.chosen is None:
            return maximize_evidence(
                examples.points, targets, variances, steps=self.steps, learning_rate=self.learning_rate, advance=advance
            )
        return maximize_bound(
            examples.points,
            targets,
            variances,
            anchors=examples.points[examples.chosen],
            steps=self.steps,
            learning_rate=self.learning_rate,
            batch_size=self.batch_size,
            seed=self.seed,
            advance=advance,
        )

    def _keep(self, fit: ClassProcesses, losses: Floats) -> None:
        """Take over a fit once it is whole; what an earlier one left behind goes."""
        self._fit, self.history_ = fit, losses
        self.classes_ = fit.examples.classes
        self.inference_ = "exact" if fit.examples.chosen is None else "variational"
        units = fit.units()
        theta = {name: getattr(fit.latents.theta, name).tolist() for name in units}
        self.hyperparameters_ = {f"{name}[{k}]": value for name in units for k, value in enumerate(theta[name])}
        self.units_ = {entry: units[entry.split("[")[0]] for entry in self.hyperparameters_}
        self.__dict__.pop("predict_seconds_", None)

    def _provenance(self) -> dict[str, Any]:
        about = {"model": "GPClassifier", "inference": self.inference_, "kernel": "se", "fit_seed": self.seed}
        return about | {"components": self.components, "alpha_epsilon": self.alpha_epsilon}


def _one_thread() -> AbstractContextManager[Any]:
    """Keep the matrix libraries to one thread: on a busy machine, threads that wait for each other take minutes."""
    from threadpoolctl import threadpool_limits

    limits: AbstractContextManager[Any] = threadpool_limits(1)
    return limits


def _as_predictive(parts: list[ClassMoments], passes: int, provenance: dict[str, Any]) -> ClassificationPredictive:
    """Return the statistics of all chunks as one result."""

    def joined(name: str, moment: str) -> Floats:
        return np.concatenate([getattr(getattr(part, name), moment).numpy() for part in parts])

    return ClassificationPredictive(
        probs=joined("probs", "mean"),
        probs_std=joined("probs", "std"),
        logit_mean=joined("logits", "mean"),
        logit_std=joined("logits", "std"),
        votes=np.concatenate([part.votes.numpy() for part in parts]),
        expected_entropy=joined("entropy", "mean"),
        passes=passes,
        provenance=provenance,
    )
