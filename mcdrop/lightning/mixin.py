"""The mixin: a LightningModule whose predictions come with their uncertainties."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from torch import nn

from mcdrop.lightning.rows import Rows, refuse_devices, refuse_orders

__all__ = ["PredictMixin"]


class PredictMixin:
    """Gives a LightningModule a `predict_step` that returns the prediction of a batch with its uncertainties.

    Put it before `LightningModule` among the bases. Of a batch that is a tuple or list the first entry is the net's
    input; labels are left out. The passes run in eval mode on a structural twin: the module is not changed.

    The predictions of several devices are those of one as long as masks are shared; with masks="independent" one device
    is needed, since rows are numbered over the loader.

    Attributes:
        mc_options: Options by name: those of `MCDropout` (task, output, outputs, class_axis), those of
            `MCDropout.predict` (passes, seed, masks, ...), and `net`, the path of the net within the module. Default:
            the module itself, by its `forward`.

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

    def predict_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> Any:
        """Return the prediction of one batch; Lightning calls this.

        Args:
            batch: What the loader gives.
            batch_idx: Its number within the loader; batches come in order, from 0.
            dataloader_idx: The number of the loader.

        Returns:
            A `RegressionPredictive` or `ClassificationPredictive`; of several targets a dict of them.

        Raises:
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
