r"""MCDropout: from a trained net, through T stochastic passes, to a predictive.

With masks drawn from q(w) in every pass, the predictive moments are estimated by
$E[y^*] \approx \frac1T \sum_t \hat y(x^*, w_t)$ and the spread of the passes around it. The likelihood of
observations, and the noise that makes it largest, come from the same passes (see `mcdrop.precision`).

References:
    Gal, Y. and Ghahramani, Z. (2016). Dropout as a Bayesian Approximation: Representing Model Uncertainty in
    Deep Learning. ICML. https://arxiv.org/abs/1506.02142 (section 4: moments eq. 6, log-likelihood eq. 8).
"""

from collections.abc import Iterator
from typing import Any, Generic, Literal, TypeVar, cast, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mcdrop.arguments import check_choice, check_count
from mcdrop.errors import InputError
from mcdrop.execution import (
    PROBE_ROWS,
    Execution,
    Masks,
    Run,
    Twin,
    check_finite,
    fit_precision,
    joined,
    log_likelihood,
    read_targets,
    structural_twin,
    survey,
)
from mcdrop.inputs import Stream, open_stream
from mcdrop.moments import ClassMoments, Moments
from mcdrop.outputs import LogitReader, Outputs, one_tensor
from mcdrop.precision import LogLikelihood, Precision, one_tau
from mcdrop.predictive import ClassificationPredictive, RegressionPredictive
from mcdrop.sites import SiteTable

__all__ = ["MCDropout", "Task"]

Task = Literal["regression", "classification"]
"""What the net was trained for."""

Predictive = TypeVar("Predictive", bound=RegressionPredictive | ClassificationPredictive)


class MCDropout(Generic[Predictive]):
    """A trained net with its dropout left on at prediction time.

    The net itself is never changed: passes run on a structural twin that shares its parameters, with every
    dropout call made to sample while the rest stays in eval mode. The masks come from a counter keyed by seed,
    site and pass, so the same seed gives the same draws for any batch size, chunk size and execution strategy,
    and the global random state is neither read nor moved.

    Example:
        >>> import torch
        >>> from mcdrop import MCDropout
        >>> net = torch.nn.Sequential(torch.nn.Linear(1, 64), torch.nn.ReLU(), torch.nn.Dropout(0.1),
        ...                           torch.nn.Linear(64, 1))
        >>> pred = MCDropout(net, task="regression").predict(torch.zeros(5, 1), passes=100, seed=0)
        >>> pred.mean.shape, pred.std.shape
        ((5, 1), (5, 1))
    """

    @overload
    def __init__(
        self: "MCDropout[RegressionPredictive]", net: nn.Module, *, task: Literal["regression"] = "regression"
    ) -> None: ...

    @overload
    def __init__(
        self: "MCDropout[ClassificationPredictive]",
        net: nn.Module,
        *,
        task: Literal["classification"],
        outputs: Outputs = "logits",
        class_axis: int = 1,
    ) -> None: ...

    def __init__(
        self, net: nn.Module, *, task: Task = "regression", outputs: Outputs = "logits", class_axis: int = 1
    ) -> None:
        """Wrap a net.

        Args:
            net: Any trained module whose forward returns one tensor with the rows on its first axis.
            task: "regression", or "classification" for a net that returns one value per class.
            outputs: For classification, what the net returns. A single logit per row (K = 1) is read as the
                logit of the second of two classes.
            class_axis: For classification, which axis of the output holds the classes: 1 as in torch's
                cross-entropy, -1 for per-token logits.

        Raises:
            InputError: If the net is no module, or the task or the kind of outputs is unknown.
        """
        if not isinstance(net, nn.Module):
            raise InputError(f"net must be a torch.nn.Module, got {type(net).__name__}; pass the trained network")
        check_choice("task", task, Task)
        check_choice("outputs", outputs, Outputs)
        self.net = net
        if isinstance(class_axis, bool) or not isinstance(class_axis, int):
            raise InputError(
                f"class_axis must be a whole number, got {class_axis!r}; 1 is usual, -1 for per-token logits"
            )
        self.task = task
        self._read = LogitReader(outputs, class_axis)

    def __repr__(self) -> str:
        """Return the net's class and the task."""
        return f"MCDropout({type(self.net).__name__}, task={self.task!r})"

    def sites(self, x: Any) -> SiteTable:
        """List where dropout enters the net's forward pass, and declared dropout that never fires.

        Args:
            x: A few rows of inputs, as for `predict`.

        Returns:
            The audit; print it to read it.

        Raises:
            InputError: If `x` holds no rows, or values that are NaN or no numbers.
            NetError: If the net refuses the inputs.
        """
        stream = self._open(x)
        return survey(Twin(structural_twin(self.net), one_tensor), next(stream.first.split(PROBE_ROWS))).sites

    def predict(
        self,
        x: Any,
        *,
        passes: int = 100,
        seed: int = 0,
        masks: Masks = "shared",
        batch_size: int | None = None,
        keep_samples: bool = False,
        execution: Execution = "auto",
        chunk_size: int | None = None,
        progress: bool | str = False,
    ) -> Predictive:
        """Run T passes and summarize them; memory does not grow with T unless the samples are kept.

        Args:
            x: A tensor or array with the N rows on its first axis, a tuple (positional arguments) or dict
                (keyword arguments) of them, or a DataLoader. Of a loader's tuples the first entry is the
                net's input and the others are left out.
            passes: Number of passes T, at least 2.
            seed: What the masks are keyed by.
            masks: "shared": a pass is one draw of the weights, used for every row, so passes are functions and
                joint over rows; "independent": every row of every pass has masks of its own.
            batch_size: Rows to run at once; default: what keeps the largest tensor within 256 MiB. Changes
                speed and memory, never the draws.
            keep_samples: Whether to keep all passes, T x N x D values, in `samples`; quantiles and intervals are
                then theirs and no longer a Gaussian's.
            execution: "loop", "vectorized", or "auto": vectorized where the net allows it.
            chunk_size: Passes to run side by side; default: chosen from the net's shapes. Changes speed and
                memory, never the draws.
            progress: Whether to show a progress bar on standard error; a text names it.

        Returns:
            A `RegressionPredictive` or a `ClassificationPredictive`.

        Raises:
            InputError: If an argument or the input data is not usable.
            NoDropoutError: If no dropout fires in the net.
            NetError: If the net refuses the inputs or its outputs are unusable.
            ExecutionError: If the strategy asked for by name cannot run the net.

        Warns:
            SilentDropoutWarning: If declared dropout never fires, or a call that is not a module made so has rate 0.
            RowMaskWarning: If the net calls dropout once per row, so that rows cannot share a mask.
        """
        check_count("passes", passes, least=2, why="a spread needs two draws")
        passes = int(passes)
        run = Run(
            self.net,
            self._open(x),
            passes=passes,
            seed=seed,
            masks=masks,
            batch_size=batch_size,
            execution=execution,
            chunk_size=chunk_size,
            progress=progress,
        )
        known = {"passes": passes, "provenance": self._provenance(run.sites, seed, masks)}
        if self.task == "regression":
            moments, samples = run.statistics(Moments.of, _unchanged, keep=keep_samples)
            return cast(Predictive, _regression(moments, samples, known))
        statistics, samples = run.statistics(ClassMoments.of, self._read, keep=keep_samples)
        return cast(Predictive, _classification(statistics, samples, known))

    def sample(
        self,
        x: Any,
        *,
        passes: int = 100,
        seed: int = 0,
        masks: Masks = "shared",
        batch_size: int | None = None,
        execution: Execution = "auto",
        chunk_size: int | None = None,
        progress: bool | str = False,
    ) -> Tensor:
        """Run T passes and return the net's raw outputs.

        Args:
            x: Inputs, as for `predict`.
            passes: Number of passes T, at least 1.
            seed: What the masks are keyed by.
            masks: Whether rows share their masks, as for `predict`.
            batch_size: Rows to run at once, as for `predict`.
            execution: The strategy, as for `predict`.
            chunk_size: Passes to run side by side, as for `predict`.
            progress: Whether to show a progress bar on standard error; a text names it.

        Returns:
            Shape (T, N, ...), on the CPU, in the net's type.

        Raises:
            InputError: If an argument or the input data is not usable.
            NoDropoutError: If no dropout fires in the net.
            NetError: If the net refuses the inputs.
            ExecutionError: If the strategy asked for by name cannot run the net.
        """
        check_count("passes", passes, least=1, why="there is nothing to return otherwise")
        run = Run(
            self.net,
            self._open(x),
            passes=passes,
            seed=seed,
            masks=masks,
            batch_size=batch_size,
            execution=execution,
            chunk_size=chunk_size,
            progress=progress,
        )
        return run.samples()

    def log_likelihood(
        self,
        x: Any,
        y: Any,
        *,
        tau: float | None = None,
        noise_std: float | None = None,
        passes: int = 100,
        seed: int = 0,
        masks: Masks = "shared",
        batch_size: int | None = None,
        execution: Execution = "auto",
        chunk_size: int | None = None,
        progress: bool | str = False,
    ) -> NDArray[np.float64]:
        """Return the log-likelihood of observations under the mixture of T passes; none of them is kept.

        Args:
            x: Inputs, as for `predict`.
            y: Observations in the shape of the net's outputs; for classification the true classes, whole numbers
                from 0, shape (N,). Given by itself also where x is a loader, in the order of the loader's rows.
            tau: For regression, the model precision in units of 1/y²; give either this or `noise_std`.
            noise_std: For regression, the observation noise in units of y.
            passes: Number of passes T, at least 1.
            seed: What the masks are keyed by.
            masks: Whether rows share their masks, as for `predict`; the likelihood of a row means the same either way.
            batch_size: Rows to run at once, as for `predict`.
            execution: The strategy, as for `predict`.
            chunk_size: Passes to run side by side, as for `predict`.
            progress: Whether to show a progress bar on standard error; a text names it.

        Returns:
            In nats, shape (N,): the density of a row's D outputs together, or the mean probability of its class. One
            value per prediction where a classifier makes several for a row.

        Raises:
            InputError: If an argument or the data are not usable, or x and y do not fit together.
            NoDropoutError: If no dropout fires in the net.
            NetError: If the net refuses the inputs or its outputs are unusable.
            ExecutionError: If the strategy asked for by name cannot run the net.

        Example:
            >>> import torch
            >>> net = torch.nn.Sequential(torch.nn.Linear(1, 64), torch.nn.Dropout(0.1), torch.nn.Linear(64, 1))
            >>> MCDropout(net).log_likelihood(torch.zeros(5, 1), torch.zeros(5), noise_std=0.5).shape
            (5,)
        """
        check_count("passes", passes, least=1, why="there is no likelihood without one")
        precision = self._one_precision(tau, noise_std)
        truth, stream = read_targets(y, labels=precision is None), self._open(x)
        truth.check_length(stream.total)
        run = Run(
            self.net,
            stream,
            passes=passes,
            seed=seed,
            masks=masks,
            batch_size=batch_size,
            execution=execution,
            chunk_size=chunk_size,
            progress=progress,
        )
        if precision is None:
            return log_likelihood(run, truth, lambda output, y: LogLikelihood.of_labels(self._read(output), y))
        return log_likelihood(run, truth, lambda output, y: LogLikelihood.of(output, y, precision))

    def fit_precision(
        self,
        x: Any,
        y: Any,
        *,
        passes: int = 100,
        seed: int = 0,
        masks: Masks = "shared",
        batch_size: int | None = None,
        execution: Execution = "auto",
        chunk_size: int | None = None,
        progress: bool | str = False,
    ) -> Precision:
        """Find the tau under which held-out observations are likeliest, to a relative precision of about 1e-4.

        The T passes run three times, on the same masks: to bound tau by the passes' errors, for a coarse grid of taus
        between the bounds, and for a fine one around the best. Memory does not grow with T.

        Use data that the net was not trained on: on its training data it errs too little, and tau comes out too large.
        Use many passes where their spread is above the noise: a large tau needs a pass near every observation, so that
        tau comes out too small until there are enough.

        Args:
            x: Inputs, as for `predict`, of a kind that can be read again: a loader, but no bare iterator.
            y: Observations in the shape of the net's outputs, in units of y, in the order of the rows of x.
            passes: Number of passes T, at least 1.
            seed: What the masks are keyed by.
            masks: Whether rows share their masks, as for `predict`.
            batch_size: Rows to run at once, as for `predict`.
            execution: The strategy, as for `predict`.
            chunk_size: Passes to run side by side, as for `predict`.
            progress: Whether to show progress bars on standard error; a text names them.

        Returns:
            The best tau, its likelihood and the curve that was looked at.

        Raises:
            InputError: If an argument or the data are not usable, x and y do not fit together, the task is not
                regression, or every point is hit exactly by some pass, so that no tau is largest.
            NoDropoutError: If no dropout fires in the net.
            NetError: If the net refuses the inputs or its outputs are unusable.
            ExecutionError: If the strategy asked for by name cannot run the net.

        Example:
            >>> import torch
            >>> net = torch.nn.Sequential(torch.nn.Linear(1, 64), torch.nn.Dropout(0.1), torch.nn.Linear(64, 1))
            >>> best = MCDropout(net).fit_precision(torch.zeros(5, 1), torch.arange(5.0))
            >>> 1 < best.noise_std < 4
            True
        """
        check_count("passes", passes, least=1, why="there is no likelihood without one")
        self._refuse_classes("fit_precision")
        if isinstance(x, Iterator):
            raise InputError(
                f"x must be something that can be read three times, got {type(x).__name__}, which ends after once; "
                "pass a tensor, an array, a list of batches or a DataLoader"
            )
        truth, stream = read_targets(y, labels=False), self._open(x)
        truth.check_length(stream.total)
        run = Run(
            self.net,
            stream,
            passes=passes,
            seed=seed,
            masks=masks,
            batch_size=batch_size,
            execution=execution,
            chunk_size=chunk_size,
            progress=progress,
        )
        return fit_precision(run, truth, lambda: self._open(x))

    def _one_precision(self, tau: float | None, noise_std: float | None) -> float | None:
        """Return tau however it was given; None for a classifier, which has none."""
        if self.task == "classification":
            if tau is not None or noise_std is not None:
                self._refuse_classes("tau and noise_std")
            return None
        return one_tau(tau, noise_std)

    def _refuse_classes(self, what: str) -> None:
        if self.task == "classification":
            raise InputError(
                f"{what} must go with task='regression', got task='classification'; leave it out: class probabilities "
                "hold their noise already"
            )

    def _provenance(self, sites: SiteTable, seed: int, masks: Masks) -> dict[str, Any]:
        """Say what made a prediction, in plain data: what fixes the draws, and nothing of how they were run."""
        return {
            "model": type(self).__name__,
            "net": type(self.net).__name__,
            "seed": int(seed),
            "masks": masks,
            "sites": [
                {"index": site.index, "kind": site.kind, "module": site.module, "rate": site.rate}
                for site in sites.live
            ],
        }

    def _open(self, x: Any) -> Stream:
        tensors = (*self.net.parameters(), *self.net.buffers())
        floating = next((t for t in tensors if t.is_floating_point()), torch.empty(0))
        return open_stream(x, device=floating.device, dtype=floating.dtype)


def _unchanged(output: Tensor) -> Tensor:
    return output


def _regression(states: list[Moments], samples: Tensor | None, known: dict[str, Any]) -> RegressionPredictive:
    mean, std = joined([s.mean for s in states]), joined([s.std for s in states])
    check_finite(mean + std)
    return RegressionPredictive(mean=mean, std=std, samples=None if samples is None else samples.numpy(), **known)


def _classification(
    states: list[ClassMoments], samples: Tensor | None, known: dict[str, Any]
) -> ClassificationPredictive:
    probs = joined([s.probs.mean for s in states])
    check_finite(probs)
    return ClassificationPredictive(
        probs=probs,
        probs_std=joined([s.probs.std for s in states]),
        logit_mean=joined([s.logits.mean for s in states]),
        logit_std=joined([s.logits.std for s in states]),
        votes=torch.cat([s.votes for s in states]).numpy(),
        expected_entropy=joined([s.entropy.mean for s in states]),
        samples=None if samples is None else samples.numpy(),
        **known,
    )
