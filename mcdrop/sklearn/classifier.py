"""Classification with probabilities that are averaged over the passes, and what the passes disagree on."""

from typing import Any, Literal, Self

import numpy as np
from numpy.random import RandomState
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import validate_data
from torch import nn

from mcdrop.errors import InputError
from mcdrop.predictive import ClassificationPredictive
from mcdrop.sampler import MCDropout
from mcdrop.sklearn.estimator import Estimator
from mcdrop.sklearn.parameters import check_parameters

__all__ = ["MCDropoutClassifier"]

Floats = NDArray[np.float64]


class MCDropoutClassifier(ClassifierMixin, Estimator[ClassificationPredictive]):  # type: ignore[misc]
    """A multilayer perceptron with dropout that says how unsure it is, and why.

    It is trained by Adam on standardized columns, with a learning rate that rises and falls and dropout that sets in
    over the first 40% of the steps. `predict_proba` is the mean over the passes; `predictive(X)` has the measures
    besides: `entropy`, `mutual_information`, `variation_ratio`.

    Args:
        hidden_layer_sizes: Units of every hidden layer; dropout stands after each.
        activation: Nonlinearity of the hidden layers: "relu", "tanh", "sigmoid", "gelu", "silu" or "elu".
        dropout: Rate of dropout, in (0, 1): higher is smoother, and more unsure.
        steps: Number of updates; None: 1000, or 20 epochs where these are more.
        batch_size: Rows of an update, or None for all. A few more where a single row would be left that a net of your
            own is not trained on, as with BatchNorm.
        learning_rate: The highest one.
        weight_decay: L2 penalty, as of torch's Adam.
        passes: Number of stochastic passes of a prediction, or "auto" (see `MCDropout.predict`).
        random_state: Of weights, batches, dropout and the masks of predictions. The default gives the same net every
            time; None a new one.
        net: A net of your own in place of the perceptron: `fit` trains a copy of it from the weights that it has, on X
            as it is (put a `StandardScaler` before it), with its dropout at full rate from the first step on. It gives
            one logit per class. For one that is trained already see `from_net`.

    Attributes:
        classes_: The labels, in the order of the probabilities, shape (K,).
        model_, net_, seed_: The wrapped net, the net (to logits), and what the masks are keyed by.
        n_features_in_, feature_names_in_: As everywhere in scikit-learn.

    Raises:
        InputError: From `fit`, if a parameter is not usable.

    Example:
        >>> import numpy as np
        >>> x = np.linspace(-1, 1, 50)[:, None]
        >>> model = MCDropoutClassifier(steps=200).fit(x, np.where(x[:, 0] > 0, "right", "left"))
        >>> model.predict([[-0.8], [0.8]]).tolist()
        ['left', 'right']
        >>> pred = model.predictive([[0.0], [0.8]])
        >>> bool(pred.entropy[0] > pred.entropy[1])
        True
    """

    classes_: NDArray[Any]

    @classmethod
    def from_net(
        cls,
        net: nn.Module,
        *,
        classes: ArrayLike,
        passes: int | Literal["auto"] = 100,
        random_state: int | RandomState | None = 0,
    ) -> Self:
        """Return a fitted estimator that predicts with a trained net.

        Args:
            net: Takes rows of X, shape (N, F), and gives logits, shape (N, K), or (N, 1) for the second of two classes.
                Is not changed; `fit` would train a copy of it.
            classes: The labels of the K classes, in the order of the logits.
            passes: Number of passes of a prediction.
            random_state: What the masks of predictions are keyed by.

        Raises:
            InputError: If it is no net, these are not two or more different labels, or an option is not usable.
        """
        labels = np.asarray(classes)
        if labels.ndim != 1 or len(labels) < 2 or len(np.unique(labels)) < len(labels):
            raise InputError(
                f"classes must be two or more labels, all different, one for each logit of the net, got {classes!r}; "
                "for numbered classes pass range(K)"
            )
        made = cls(net=net, passes=passes, random_state=random_state)
        check_parameters(made.get_params(deep=False) | {"net": None})  # which MCDropout checks
        made.classes_ = labels
        made._keep(net, MCDropout(net, task="classification"), made._draw_seed())
        return made

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Train a net.

        Args:
            X: Inputs, shape (N, F).
            y: Labels of any kind, shape (N,).

        Returns:
            Itself.

        Raises:
            InputError: If a parameter or the data are not usable, or there is one class alone.
            NetError: If the net given cannot be run on X.
            TrainingError: If training diverges.
        """
        check_parameters(self.get_params(deep=False))
        x, labels = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(labels)
        classes, numbers = np.unique(labels, return_inverse=True)
        if len(classes) < 2:
            raise InputError(f"y must hold at least 2 classes, got 1 class, {classes[0]!r}; there is nothing to tell")
        seed = self._draw_seed()
        net = self._train(x, numbers.astype(np.int64), outputs=len(classes), seed=seed)
        self._keep(net, MCDropout(net, task="classification"), seed)
        self.classes_ = classes
        return self

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return the most probable label of each row.

        Args:
            X: Inputs, shape (N, F).

        Returns:
            Labels, shape (N,).

        Raises:
            InputError: If X is not usable.
            NotFittedError: If `fit` has not been called.
        """
        best = self.predict_proba(X).argmax(axis=1)
        return np.asarray(self.classes_[best])

    def predict_proba(self, X: ArrayLike) -> Floats:
        """Return the probability of each class, the mean over the passes.

        Args:
            X: Inputs, shape (N, F).

        Returns:
            Shape (N, K), the classes as in `classes_`.

        Raises:
            InputError: If X is not usable, or the net has another number of classes.
            NotFittedError: If `fit` has not been called.
        """
        probs = np.asarray(self.predictive(X).probs, dtype=np.float64)
        if probs.shape[1:] != self.classes_.shape:
            raise InputError(
                f"the net must give probabilities of the {len(self.classes_)} classes of each row, got shape "
                f"{probs.shape}; pass from_net the labels of all of its logits"
            )
        return np.asarray(probs / probs.sum(axis=1, keepdims=True))

    def predict_log_proba(self, X: ArrayLike) -> Floats:
        """Return the logarithm of `predict_proba`.

        Args:
            X: Inputs, shape (N, F).

        Returns:
            Shape (N, K).
        """
        with np.errstate(divide="ignore"):  # a class may have no probability that a float holds
            return np.asarray(np.log(self.predict_proba(X)))
