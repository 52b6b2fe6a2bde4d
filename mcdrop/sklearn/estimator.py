"""What both estimators share: their parameters, the net they train, and a prediction with all that mcdrop knows."""

import copy
from collections.abc import Sequence
from typing import Any, Generic, Literal, TypeVar, Unpack

import numpy as np
from numpy.random import RandomState
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import nn

from mcdrop.execution import PredictOptions
from mcdrop.networks import Activation, co2_mlp
from mcdrop.predictive import ClassificationPredictive, RegressionPredictive
from mcdrop.sampler import MCDropout
from mcdrop.sklearn.parameters import check_net, random_state_of, rows_per_batch
from mcdrop.sklearn.units import Units, fold_inputs, fold_outputs
from mcdrop.training import fit

__all__ = ["Estimator"]

Floats = NDArray[np.float64]
Predictive = TypeVar("Predictive", RegressionPredictive, ClassificationPredictive)

_LEAST_STEPS = 1000
_LEAST_EPOCHS = 20
_WARMUP = 0.4  # share of the steps over which dropout sets in


class Estimator(BaseEstimator, Generic[Predictive]):  # type: ignore[misc]  # scikit-learn has no types
    """A net with dropout that is trained by `fit`, or was before.

    Attributes:
        model_: The net with its dropout left on; `model_.sites(X)` lists where it enters.
        net_: The net itself, from rows of X to y or to logits, in the units of the data: an `nn.Sequential` that
            torch saves and exports.
        seed_: What the masks of predictions are keyed by.
    """

    model_: MCDropout[Predictive]
    net_: nn.Module
    seed_: int

    def __init__(
        self,
        *,
        hidden_layer_sizes: Sequence[int] = (100, 100),
        activation: Activation = "relu",
        dropout: float = 0.1,
        steps: int | None = None,
        batch_size: int | None = 64,
        learning_rate: float = 5e-3,
        weight_decay: float = 0.0,
        passes: int | Literal["auto"] = 100,
        random_state: int | RandomState | None = 0,
        net: nn.Module | None = None,
    ) -> None:
        """Keep the parameters as they are; `fit` checks them."""
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.dropout = dropout
        self.steps = steps
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.passes = passes
        self.random_state = random_state
        self.net = net

    def predictive(self, X: ArrayLike, **options: Unpack[PredictOptions]) -> Predictive:
        """Return the prediction with its uncertainties, as `MCDropout.predict` does.

        Args:
            X: Inputs, shape (N, F).
            **options: How the passes run, as for `MCDropout.predict`. Default: `passes` and `seed_` of the estimator.

        Returns:
            Mean and spread of N points, in units of y; or class probabilities and what the passes disagree on.

        Raises:
            InputError: If X is not usable.
            NotFittedError: If `fit` has not been called.
        """
        return self._predictive(self._rows(X), options)

    def _predictive(self, x: Floats, options: PredictOptions) -> Predictive:
        asked: dict[str, Any] = {"passes": self.passes, "seed": self.seed_, **options}
        return self.model_.predict(x, **asked)

    def _rows(self, X: ArrayLike) -> Floats:
        """Return the rows to predict, if they have the columns of `fit`; what a net alone takes, it says itself."""
        check_is_fitted(self)
        if hasattr(self, "n_features_in_"):
            return np.asarray(validate_data(self, X, reset=False, dtype=np.float64))
        return np.asarray(check_array(X, dtype=np.float64))

    def _draw_seed(self) -> int:
        return int(random_state_of(self.random_state).randint(2**31 - 1))

    def _train(self, x: Floats, y: NDArray[Any], *, outputs: int, seed: int) -> nn.Module:
        """Return a net that was trained on all rows, in the units of the data.

        Args:
            x: Inputs, shape (N, F).
            y: Values, shape (N, D), or the numbers of classes, shape (N,).
            outputs: How many outputs there are to be.
            seed: Of the weights, the batches and the dropout of training.
        """
        if self.net is not None:
            check_net(self.net, x, y, classes=outputs if y.dtype.kind == "i" else None)
            net = copy.deepcopy(self.net)
            self._descend(net, x, y, seed)
            return net
        net = co2_mlp(
            inputs=x.shape[1],
            hidden=self.hidden_layer_sizes,
            outputs=outputs,
            p=self.dropout,
            activation=self.activation,
            seed=seed,
        ).double()  # so that a row's prediction is the same with any rows beside it, to 1e-12 and not to 1e-6
        inputs = Units.of(x, "X")
        targets = None if y.dtype.kind == "i" else Units.of(y, "y")
        self._descend(net, inputs.standardize(x), y if targets is None else targets.standardize(y), seed)
        fold_inputs(net[0], inputs)
        if targets is not None:
            fold_outputs(net[-1], targets)
        return net

    def _descend(self, net: nn.Module, x: Floats, y: NDArray[Any], seed: int) -> None:
        batch_size = min(self.batch_size or len(x), len(x))
        if self.net is not None:
            batch_size = rows_per_batch(net, x, y, batch_size)
        steps = self.steps or max(_LEAST_STEPS, _LEAST_EPOCHS * -(-len(x) // batch_size))
        fit(
            net,
            x,
            y,
            loss="cross_entropy" if y.dtype.kind == "i" else "mse",
            steps=int(steps),  # a search may give NumPy's numbers
            batch_size=None if self.batch_size is None else int(batch_size),
            lr=float(self.learning_rate),
            weight_decay=float(self.weight_decay),
            schedule="one-cycle",
            warmup=_WARMUP if self.net is None else 0.0,  # a net that has been trained knows how to bear it
            seed=seed,
        )

    def _keep(self, net: nn.Module, model: MCDropout[Predictive], seed: int) -> None:
        """Make a net the fitted one."""
        self.net_, self.model_, self.seed_ = net, model, seed
