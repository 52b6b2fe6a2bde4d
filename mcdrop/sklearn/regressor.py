"""Regression with an uncertainty, in the manner of scikit-learn's GaussianProcessRegressor."""

from collections.abc import Sequence
from typing import Any, Literal, Self, Unpack

import numpy as np
from numpy.random import RandomState
from numpy.typing import ArrayLike, NDArray
from sklearn.base import RegressorMixin
from sklearn.utils.validation import validate_data
from torch import nn

from mcdrop.arguments import check_count
from mcdrop.errors import InputError
from mcdrop.execution import PredictOptions
from mcdrop.networks import Activation
from mcdrop.predictive import RegressionPredictive
from mcdrop.sampler import MCDropout
from mcdrop.sklearn.covariance import columns, covariance_of, squeezed
from mcdrop.sklearn.estimator import Estimator
from mcdrop.sklearn.noise import check_fitting, check_noise, count_held, find_noise
from mcdrop.sklearn.parameters import check_parameters, random_state_of

__all__ = ["MCDropoutRegressor"]

Floats = NDArray[np.float64]


class MCDropoutRegressor(RegressorMixin, Estimator[RegressionPredictive]):  # type: ignore[misc]
    """A multilayer perceptron with dropout that says how unsure it is.

    It is trained by Adam on standardized columns, with a learning rate that rises and falls and dropout that sets in
    over the first 40% of the steps; what comes out is in the units of y. `predict`, `sample_y` and the shapes of what
    they return are those of `sklearn.gaussian_process.GaussianProcessRegressor`.

    Args:
        hidden_layer_sizes: Units of every hidden layer; dropout stands after each.
        activation: Nonlinearity of the hidden layers: "relu", "tanh", "sigmoid", "gelu", "silu" or "elu".
        dropout: Rate of dropout, in (0, 1): higher is smoother, and more unsure.
        steps: Number of updates; None: 1000, or 20 epochs where these are more.
        batch_size: Rows of an update, or None for all. A few more where a single row would be left that a net of your
            own is not trained on, as with BatchNorm.
        learning_rate: The highest one.
        weight_decay: L2 penalty, as of torch's Adam.
        noise_std: The noise of observations that `predict(return_std=True)` and `sample_y` add to what the passes
            disagree on: a standard deviation in units of y, one or one for each output; None for no noise, the
            uncertainty of the function alone; or "fit": the likeliest for `validation_fraction` of the rows, held out
            from a first net. The final net is trained on all rows, so that fitting takes twice the time.
        validation_fraction: Share of the rows to hold out for `noise_std="fit"`, in (0, 1).
        passes: Number of stochastic passes of a prediction, or "auto" (see `MCDropout.predict`).
        random_state: Of weights, batches, dropout and the masks of predictions. The default gives the same net every
            time; None a new one.
        net: A net of your own in place of the perceptron: `fit` trains a copy of it from the weights that it has, on X
            and y as they are (put a `StandardScaler` before it), with its dropout at full rate from the first step on.
            For one that is trained already see `from_net`.

    Attributes:
        noise_std_: The noise that is added, in units of y: a number, or of shape (D,); 0 where there is none.
        model_, net_, seed_: The wrapped net, the net, and what the masks are keyed by.
        n_features_in_, feature_names_in_: As everywhere in scikit-learn.

    Raises:
        InputError: From `fit`, if a parameter is not usable.

    Example:
        >>> import numpy as np
        >>> x = np.linspace(-1, 1, 50)[:, None]
        >>> model = MCDropoutRegressor(steps=300).fit(x, np.sin(3 * x[:, 0]))
        >>> mean, std = model.predict([[0.5], [4.0]], return_std=True)
        >>> bool(abs(mean[0] - np.sin(1.5)) < 0.2), bool(std[1] > 2 * std[0])
        (True, True)
    """

    noise_std_: float | Floats

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
        noise_std: float | ArrayLike | Literal["fit"] | None = None,
        validation_fraction: float = 0.2,
        passes: int | Literal["auto"] = 100,
        random_state: int | RandomState | None = 0,
        net: nn.Module | None = None,
    ) -> None:
        """Keep the parameters as they are; `fit` checks them."""
        super().__init__(
            hidden_layer_sizes=hidden_layer_sizes,
            activation=activation,
            dropout=dropout,
            steps=steps,
            batch_size=batch_size,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            passes=passes,
            random_state=random_state,
            net=net,
        )
        self.noise_std = noise_std
        self.validation_fraction = validation_fraction

    @classmethod
    def from_net(
        cls,
        net: nn.Module,
        *,
        noise_std: float | ArrayLike | None = None,
        passes: int | Literal["auto"] = 100,
        random_state: int | RandomState | None = 0,
    ) -> Self:
        """Return a fitted estimator that predicts with a trained net.

        Args:
            net: Takes rows of X, shape (N, F), and gives y, shape (N,) or (N, D). Is not changed; `fit` would train a
                copy of it.
            noise_std: The noise of observations in units of y, or None for none.
            passes: Number of passes of a prediction.
            random_state: What the masks of predictions are keyed by.

        Raises:
            InputError: If it is no net, the noise is no standard deviation, or an option is not usable.
        """
        made = cls(net=net, noise_std=noise_std, passes=passes, random_state=random_state)
        check_parameters(made.get_params(deep=False) | {"net": None})  # which MCDropout checks
        made.noise_std_ = check_noise(noise_std, _outputs_of(net))
        made._keep(net, MCDropout(net), made._draw_seed())
        return made

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Train a net.

        Args:
            X: Inputs, shape (N, F).
            y: Targets, shape (N,) or (N, D).

        Returns:
            Itself.

        Raises:
            InputError: If a parameter or the data are not usable.
            NetError: If the net given cannot be run on X.
            TrainingError: If training diverges.
        """
        check_parameters(self.get_params(deep=False))
        check_fitting(self.noise_std, self.validation_fraction)
        x, targets = validate_data(self, X, y, multi_output=True, y_numeric=True, dtype=np.float64)
        values = np.asarray(targets, dtype=np.float64).reshape(len(x), -1)
        seed, outputs = self._draw_seed(), values.shape[1]
        if isinstance(self.noise_std, str):
            noise: float | Floats = self._fit_noise(x, values, seed)
        else:
            noise = check_noise(self.noise_std, outputs)
        net = self._train(x, values, outputs=outputs, seed=seed)
        self._keep(net, MCDropout(net), seed)
        self.noise_std_ = noise
        return self

    def predict(
        self, X: ArrayLike, return_std: bool = False, return_cov: bool = False
    ) -> Floats | tuple[Floats, Floats]:
        """Predict the mean, and if asked how far an observation may be from it.

        Args:
            X: Inputs, shape (N, F).
            return_std: Whether to return the standard deviation too: the spread of the passes, and the noise
                `noise_std_` where it is known.
            return_cov: Whether to return the covariance of the points too, as the passes, each a whole function, give
                it, with the variance of the noise on its diagonal.

        Returns:
            The mean, shape (N,), or (N, D) of several outputs, in units of y; with it the standard deviation in the
            same shape, or the covariance, shape (N, N) or (N, N, D).

        Raises:
            InputError: If X is not usable, or both are asked for.
            NotFittedError: If `fit` has not been called.
        """
        if return_std and return_cov:
            raise InputError("predict gives return_std or return_cov, got both; the std is the diagonal's square root")
        if return_cov:
            return self._with_covariance(X)
        pred = self.predictive(X)
        mean = squeezed(columns(pred.mean), axis=1)
        if return_std:
            return mean, squeezed(columns(pred.total_std(self.noise_std_)), axis=1)
        return mean

    def predictive(self, X: ArrayLike, **options: Unpack[PredictOptions]) -> RegressionPredictive:
        """Return mean, epistemic and aleatoric spread, as `MCDropout.predict` does.

        Args:
            X: Inputs, shape (N, F).
            **options: How the passes run, as for `MCDropout.predict`. Default: `passes` and `seed_` of the estimator.

        Returns:
            The prediction: `std` is the spread of the passes, in units of y, `noise_std` the noise where it is known.

        Raises:
            InputError: If X or an option is not usable.
            NotFittedError: If `fit` has not been called.
        """
        pred = super().predictive(X, **options)
        return pred.with_noise(self.noise_std_) if np.any(self.noise_std_) else pred

    def sample_y(self, X: ArrayLike, n_samples: int = 1, random_state: int | RandomState | None = 0) -> Floats:
        """Draw functions from the posterior, each one pass of the net, and add noise where it is known.

        Args:
            X: Inputs, shape (N, F).
            n_samples: Number of draws.
            random_state: Of the draws; they are independent.

        Returns:
            Shape (N, n_samples), or (N, D, n_samples) of several outputs, in units of y.

        Raises:
            InputError: If X or the number is not usable.
            NotFittedError: If `fit` has not been called.
        """
        check_count("n_samples", n_samples, least=1, why="there is nothing to return otherwise")
        x, rng = self._rows(X), random_state_of(random_state)
        passes = self.model_.sample(x, passes=n_samples, seed=int(rng.randint(2**31 - 1)), sampling="iid")
        draws = passes.double().numpy().reshape(n_samples, len(x), -1)
        if np.any(self.noise_std_):
            draws = draws + self.noise_std_ * rng.standard_normal(draws.shape)
        return squeezed(draws.transpose(1, 2, 0), axis=1)

    def __sklearn_tags__(self) -> Any:
        """Say that there may be several targets."""
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def _with_covariance(self, X: ArrayLike) -> tuple[Floats, Floats]:
        if self.passes == "auto":
            raise InputError(
                "return_cov needs one number of passes for all points, got passes='auto'; set_params(passes=...) first"
            )
        pred = self.predictive(X, keep_samples=True)
        return squeezed(columns(pred.mean), axis=1), squeezed(covariance_of(pred, self.noise_std_), axis=2)

    def _fit_noise(self, x: Floats, y: Floats, seed: int) -> float | Floats:
        """Return the likeliest noise of rows that a net has not seen, for each output its own."""
        held = count_held(self.validation_fraction, len(x))
        order = np.random.default_rng(seed).permutation(len(x))
        net = self._train(x[order[held:]], y[order[held:]], outputs=y.shape[1], seed=seed)
        passes = 100 if self.passes == "auto" else self.passes
        return find_noise(net, x[order[:held]], y[order[:held]], passes=passes, seed=seed)


def _outputs_of(net: object) -> int | None:
    """Return how many outputs a net has, where that is plain to see."""
    last = net[-1] if type(net) is nn.Sequential and len(net) else None
    return last.out_features if isinstance(last, nn.Linear) else None
