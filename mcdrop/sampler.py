r"""MCDropout: from a trained net, through T stochastic passes, to a predictive.

With masks drawn from q(w) in every pass, the predictive moments are estimated by
$E[y^*] \approx \frac1T \sum_t \hat y(x^*, w_t)$ and the spread of the passes around it.

References:
    Gal, Y. and Ghahramani, Z. (2016). Dropout as a Bayesian Approximation: Representing Model Uncertainty in
    Deep Learning. ICML. https://arxiv.org/abs/1506.02142 (section 4, eq. 6-7).
"""

from typing import Any, Generic, Literal, TypeVar, cast, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mcdrop.arguments import check_choice, check_count
from mcdrop.errors import InputError, NetError
from mcdrop.execution import PROBE_ROWS, Execution, Masks, Run, structural_twin, survey
from mcdrop.inputs import Stream, open_stream
from mcdrop.moments import ClassMoments, Moments
from mcdrop.outputs import LogitReader, Outputs
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
        return survey(structural_twin(self.net), next(stream.first.split(PROBE_ROWS))).sites

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
        if self.task == "regression":
            moments, samples = run.statistics(Moments.of, _unchanged, keep=keep_samples)
            return cast(Predictive, _regression(moments, samples, passes))
        statistics, samples = run.statistics(ClassMoments.of, self._read, keep=keep_samples)
        return cast(Predictive, _classification(statistics, samples, passes))

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

    def _open(self, x: Any) -> Stream:
        tensors = (*self.net.parameters(), *self.net.buffers())
        floating = next((t for t in tensors if t.is_floating_point()), torch.empty(0))
        return open_stream(x, device=floating.device, dtype=floating.dtype)


def _unchanged(output: Tensor) -> Tensor:
    return output


def _array(parts: list[Tensor]) -> NDArray[np.float64]:
    return np.asarray(torch.cat(parts).numpy(), dtype=np.float64)


def _regression(states: list[Moments], samples: Tensor | None, passes: int) -> RegressionPredictive:
    mean, std = _array([s.mean for s in states]), _array([s.std for s in states])
    _refuse_non_finite(mean + std)
    return RegressionPredictive(mean=mean, std=std, passes=passes, samples=None if samples is None else samples.numpy())


def _classification(states: list[ClassMoments], samples: Tensor | None, passes: int) -> ClassificationPredictive:
    probs = _array([s.probs.mean for s in states])
    _refuse_non_finite(probs)
    return ClassificationPredictive(
        probs=probs,
        probs_std=_array([s.probs.std for s in states]),
        logit_mean=_array([s.logits.mean for s in states]),
        logit_std=_array([s.logits.std for s in states]),
        votes=torch.cat([s.votes for s in states]).numpy(),
        expected_entropy=_array([s.entropy.mean for s in states]),
        passes=passes,
        samples=None if samples is None else samples.numpy(),
    )


def _refuse_non_finite(values: NDArray[np.float64]) -> None:
    rows = np.flatnonzero(~np.isfinite(values.reshape(len(values), -1)).all(axis=1))
    if len(rows):
        shown = ", ".join(map(str, rows[:5])) + (", ..." if len(rows) > 5 else "")
        raise NetError(
            f"the net must give finite outputs, got NaN or infinity in {len(rows)} of {len(values)} rows ({shown}); "
            "look at these inputs, and at the net's weights"
        )
