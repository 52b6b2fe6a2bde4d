"""The mixin: a LightningModule whose predictions come with their uncertainties."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from torch import nn

from mcdrop.errors import InputError
from mcdrop.lightning.rows import Rows, check_asked, refuse_devices, refuse_orders

__all__ = ["PredictMixin"]


class PredictMixin:
    """Gives a LightningModule a `predict_step` that returns the prediction of a batch with its uncertainties.

    Put it before `LightningModule` among the bases; after it is refused. Of a batch that is a tuple or list the first
    entry is the net's input; labels are left out. The passes run in eval mode on a structural twin: the module is not
    changed.

    The predictions of several devices are those of one as long as masks are shared; with masks="independent" one device
    is needed, since rows are numbered over the loader.

    Attributes:
        mc_options: Options by name: those of `MCDropout` (task, output, outputs, class_axis), those of
            `MCDropout.predict` (passes, seed, masks, ...), and `net`, the path of the net within the module. Default:
            the module itself, by its `forward`.

    Raises:
        TypeError: From the class statement or from `predict_step`, if the name of an option is unknown.
        InputError: Likewise, if the bases stand in another order, or an option is not usable.

    Example:
        >>> import torch
        >>> from lightning.pytorch import LightningModule
        >>> class Classifier(PredictMixin, LightningModule):
        ...     mc_options = {"net": "net", "task": "classification", "passes": 50}
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.net = torch.nn.Sequential(torch.nn.Dropout(0.5), torch.nn.Linear(4, 3))
        >>> Classifier().predict_step(torch.ones(2, 4), 0).probs.shape  # trainer.predict calls this
        (2, 3)
    """

    mc_options: Mapping[str, Any] = {}
    _mc_rows: "Rows | None" = None

    def __init_subclass__(cls, **options: Any) -> None:
        """Refuse a class that would predict by another step, silently, or with options that are none."""
        super().__init_subclass__(**options)
        for base in cls.__mro__[: cls.__mro__.index(PredictMixin)]:
            if "predict_step" in vars(base) and not issubclass(base, PredictMixin):
                raise InputError(
                    f"PredictMixin must stand before {base.__name__} among the bases of {cls.__name__}, got it after: "
                    f"{base.__name__} has a predict_step of its own; swap them"
                )
        if isinstance(asked := vars(cls).get("mc_options"), Mapping):
            check_asked(asked)

    def predict_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> Any:
        """Return the prediction of one batch; Lightning calls this.

        Args:
            batch: What the loader gives.
            batch_idx: Its number within the loader; batches come in order, from 0.
            dataloader_idx: The number of the loader.

        Returns:
            A `RegressionPredictive` or `ClassificationPredictive`; of several targets a dict of them.

        Raises:
            TypeError: If the name of an option is unknown.
            InputError: If an option, the inputs or the order of the rows is not usable.
            NoDropoutError: If no dropout fires in the net.
            NetError: If the net refuses the inputs, or its outputs are unusable.
        """
        if batch_idx == 0 or self._mc_rows is None:
            assert isinstance(self, nn.Module), "a LightningModule is one"
            self._mc_rows = None
            trainer = None
            with suppress(RuntimeError):  # the module has no trainer: someone calls this by hand
                trainer = self.trainer
            if trainer is not None and self.mc_options.get("masks") == "independent":
                refuse_devices(trainer)
                refuse_orders(trainer)
            self._mc_rows = Rows(self, self.mc_options)
        return self._mc_rows.predict(batch, batch_idx)

    def __getstate__(self) -> Any:
        """Leave out what is only for the run at hand, so that the module can be copied and pickled."""
        state = dict(super().__getstate__())  # type: ignore[call-overload]
        state.pop("_mc_rows", None)
        return state
