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
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from mcdrop import storage
from mcdrop.arguments import check_count
from mcdrop.baselines.arrays import check_labels, check_rows
from mcdrop.baselines.class_processes import (
    ClassProcesses,
    Examples,
    Inference,
    Options,
    as_predictive,
    choose_anchors,
    from_groups,
    to_groups,
)
from mcdrop.baselines.evidence import import_gpytorch, maximize_bound, maximize_evidence
from mcdrop.baselines.features import learn_features
from mcdrop.baselines.fitted import Baseline
from mcdrop.baselines.latents import Theta
from mcdrop.errors import InputError
from mcdrop.predictive import ClassificationPredictive
from mcdrop.progress import Advance, track
from mcdrop.rng import check_seed

__all__ = ["GPClassifier"]

Floats = NDArray[np.float64]

_OPTIONS = tuple(field.name for field in fields(Options))


class GPClassifier(Baseline):
    r"""Gaussian-process classification with a squared-exponential kernel for each class.

    Exact fitting takes O(K N^3) time per step and O(K N^2) memory: 1,500 digits about half a minute and 180 MB. Both
    kinds of fitting are deterministic for a seed, and run on the CPU whatever torch's default device.

    An input far from all training inputs *in its features* gets the prior of the functions back; what the principal
    components leave out of an input is not seen. Where the classes are equally frequent, that prior means an entropy
    near its maximum. As the mean of each function is learned, it leans to the commoner classes otherwise, and the
    entropy is lower: of two classes with 50, 10 and 3% of 400 points, 1.00, 0.91 and 0.60 of the maximum from an exact
    fit, 1.00, 0.36 and 0.22 from a variational one. What tells such an input by itself is `logit_std`, back
    at the amplitudes.

    Options can be changed between fits. What a fit predicts, reports and saves is what it was made with.

    Args:
        components: Principal components to keep, or None for all columns, standardized one by one.
        alpha_epsilon: Dirichlet concentration of the classes that a label does not name, above 0 and at most 1. The
            smaller, the surer the classifier.
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

    components: int | None
    alpha_epsilon: float
    steps: int
    learning_rate: float
    max_exact: int
    inducing: int
    batch_size: int
    seed: int
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
        self._take_over(Options(components, alpha_epsilon, steps, learning_rate, max_exact, inducing, batch_size, seed))

    def __repr__(self) -> str:
        """Return the call that makes this classifier; once fitted, with the options of the fit."""
        options = self._fit.options.as_dict() if hasattr(self, "_fit") else self._chosen()
        return f"GPClassifier({', '.join(f'{name}={value!r}' for name, value in options.items())})"

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
            InputError: If an array has the wrong shape or length, is not finite or all the same, a label is none, x
                varies on a scale too small or too large to be squared, or an option was changed to a wrong one.
            TrainingError: If the search for hyperparameters diverges.
        """
        inputs, options = check_rows(x), Options(**self._chosen())
        if classes is not None:
            check_count("classes", classes, least=2, why="one class leaves nothing to tell apart")
        count = len(inputs)
        labels, total = check_labels(y, count, classes=classes)
        import_gpytorch()  # its seconds are not the fit's
        started = time.perf_counter()
        with (
            _on_one_core(),
            torch.inference_mode(False),
            torch.enable_grad(),  # the search needs gradients whatever the caller's mode
            track(options.steps * total, "Fitting the Gaussian processes", enabled=progress) as advance,
        ):
            features = learn_features(inputs, components=options.components)
            points = torch.from_numpy(np.ascontiguousarray(features.of(inputs)))
            chosen = choose_anchors(points, options.inducing, seed=options.seed) if count > options.max_exact else None
            examples = Examples(points, labels, total, options.alpha_epsilon, chosen)
            theta, losses = _search(examples, options, advance)
            latents = examples.condition(theta)
        self._keep(ClassProcesses(options, features, examples, latents), losses)
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
        normals = torch.from_numpy(np.random.default_rng(seed).standard_normal((passes, fit.examples.classes)))
        with _on_one_core(), track(len(inputs), "Predicting", enabled=progress) as advance:
            parts = list(fit.moments(inputs, normals, advance))
        self.predict_seconds_ = time.perf_counter() - started
        return as_predictive(parts, passes, {**fit.provenance(), "seed": seed})

    @classmethod
    def from_archive(cls, archive: storage.Archive) -> Self:
        """Make the fitted classifier that was saved; `mcdrop.load` calls this.

        Raises:
            DataError: If something is missing from the file.
        """
        stored = archive.attributes
        gp = cls(**{name: stored[name] for name in _OPTIONS})
        with _on_one_core():
            gp._keep(*from_groups(archive, Options(**gp._chosen())))
        gp.fit_seconds_ = float(stored["fit_seconds"])
        return gp

    def _contents(self) -> tuple[Mapping[str, Mapping[str, storage.Variable]], Mapping[str, Any]]:
        about = {"inference": self._fit.inference, "fit_seconds": self.fit_seconds_}
        return to_groups(self._fit, self.history_), self._fit.options.as_dict() | about

    def _take_over(self, options: Options) -> None:
        for name, value in options.as_dict().items():
            setattr(self, name, value)

    def _chosen(self) -> dict[str, Any]:
        """Return the options that the next fit would have; not checked, as they may have been changed."""
        return {name: getattr(self, name) for name in _OPTIONS}

    def _keep(self, fit: ClassProcesses, losses: Floats) -> None:
        """Take over a fit once it is whole; what an earlier one left behind goes."""
        self._fit, self.history_ = fit, losses
        self.classes_ = fit.examples.classes
        self.inference_ = fit.inference
        units = fit.units()
        theta = {name: getattr(fit.latents.theta, name).tolist() for name in units}
        self.hyperparameters_ = {f"{name}[{k}]": value for name in units for k, value in enumerate(theta[name])}
        self.units_ = {entry: units[entry.split("[")[0]] for entry in self.hyperparameters_}
        self.__dict__.pop("predict_seconds_", None)


def _search(examples: Examples, options: Options, advance: Advance) -> tuple[Theta, Floats]:
    """Return the hyperparameters and the losses on the way to them."""
    targets, variances = examples.regression()
    if examples.chosen is None:
        return maximize_evidence(
            examples.points,
            targets,
            variances,
            steps=options.steps,
            learning_rate=options.learning_rate,
            advance=advance,
        )
    return maximize_bound(
        examples.points,
        targets,
        variances,
        anchors=examples.points[examples.chosen],
        steps=options.steps,
        learning_rate=options.learning_rate,
        batch_size=options.batch_size,
        seed=options.seed,
        advance=advance,
    )


@contextmanager
def _on_one_core() -> Iterator[None]:
    """Keep new tensors on the CPU, whatever the default device, and the matrix libraries to one thread.

    Data come and go as NumPy arrays; on a busy machine, threads that wait for each other take minutes.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1), torch.device("cpu"):
        yield
