"""The callback: `trainer.predict` of any LightningModule gives predictions with their uncertainties."""

from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from typing import Any, Unpack

from torch import nn

from mcdrop.errors import DependencyError, InputError
from mcdrop.execution import PredictOptions
from mcdrop.lightning.rows import Rows, check_asked, refuse_devices, refuse_orders
from mcdrop.outputs import Output, Outputs
from mcdrop.predictive import Tasks, joined

__all__ = ["MCDropoutCallback"]


def _callback_class() -> Any:
    """Return Lightning's base of callbacks, from whichever of its two packages is installed."""
    for package in ("lightning.pytorch", "pytorch_lightning"):
        with suppress(ModuleNotFoundError):
            return import_module(package).Callback
    raise DependencyError("mcdrop.lightning needs Lightning, got none; pip install 'mcdrop[lightning]'")


class MCDropoutCallback(_callback_class()):  # type: ignore[misc]  # whichever Lightning is installed
    """Makes `trainer.predict` return predictions with their uncertainties, of any LightningModule.

    While it predicts, the module's `predict_step` stands aside; it is put back whatever happens. (Lightning asks for
    one, or for a `forward`, all the same.) Several devices are refused, since the rows are to be joined in order, and
    so is a second such callback: there is one prediction of a batch.

    Attributes:
        predictive: After `trainer.predict`: the predictions of all batches joined, of several loaders a list; None
            before, and after an error.

    Example:
        >>> import torch
        >>> from lightning.pytorch import LightningModule, Trainer
        >>> from torch.utils.data import DataLoader
        >>> class Net(LightningModule):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.net = torch.nn.Sequential(torch.nn.Dropout(0.5), torch.nn.Linear(4, 1))
        ...     def forward(self, x):
        ...         return self.net(x)
        >>> callback = MCDropoutCallback(passes=50, seed=0)
        >>> trainer = Trainer(accelerator="cpu", callbacks=[callback], logger=False, enable_progress_bar=False)
        >>> batches = trainer.predict(Net(), DataLoader(torch.ones(10, 4), batch_size=3))
        >>> len(batches), callback.predictive.std.shape
        (4, (10, 1))
    """

    predictive: Any

    def __init__(
        self,
        *,
        net: str | None = None,
        task: Tasks = "regression",
        output: Output = None,
        outputs: Outputs = "logits",
        class_axis: int | None = None,
        **options: Unpack[PredictOptions],
    ) -> None:
        """Say what is to be predicted, and how.

        Args:
            net: The path of the net within the module, such as "net" or "model.head"; default: the module itself, by
                its `forward`.
            task: As for `MCDropout`.
            output: As for `MCDropout`.
            outputs: As for `MCDropout`.
            class_axis: As for `MCDropout`.
            **options: How the passes run, as for `MCDropout.predict`: passes, seed, masks, keep_samples, ...

        Raises:
            TypeError: If the name of an option is unknown.
            InputError: If an option is not usable.
        """
        super().__init__()
        of_net = {"task": task, "output": output, "outputs": outputs, "class_axis": class_axis}
        self._asked: dict[str, Any] = {"net": net, **of_net, **options}
        check_asked(self._asked)
        self._put_back: Callable[[], None] | None = None
        self._batches: dict[int, list[Any]] = {}
        self.predictive = None

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Put this callback's step in place of the module's, before Lightning looks at it.

        Raises:
            InputError: If the trainer has another callback of this kind.
        """
        self._restore()
        if stage == "predict":
            self.predictive, self._batches = None, {}
            _refuse_others(trainer)
            self._put_back = _replace(pl_module, self._make_step(pl_module))

    def on_predict_start(self, trainer: Any, pl_module: Any) -> None:
        """Refuse loaders and devices that do not keep the order of the rows."""
        refuse_devices(trainer)
        refuse_orders(trainer)

    def on_predict_end(self, trainer: Any, pl_module: Any) -> None:
        """Join the predictions of all batches."""
        whole = [joined(batches) for batches in self._batches.values()]
        self.predictive = whole[0] if len(whole) == 1 else whole or None
        self._batches = {}

    def teardown(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Put the module's own step back."""
        self._restore()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """Put the module's own step back, and keep no prediction, not even an older one, of a run that failed."""
        self._restore()
        if trainer.predicting:
            self.predictive, self._batches = None, {}

    def _make_step(self, module: nn.Module) -> Callable[..., Any]:
        """Return a step as a plain function: copies of the module may hold it without holding this callback's state."""
        loaders: dict[int, Rows] = {}
        batches, asked = self._batches, self._asked

        def predict_step(batch: Any, batch_idx: int, dataloader_idx: int = 0) -> Any:
            if dataloader_idx not in loaders:
                loaders[dataloader_idx] = Rows(module, asked)
            pred = loaders[dataloader_idx].predict(batch, batch_idx)
            batches.setdefault(dataloader_idx, []).append(pred)
            return pred

        return predict_step

    def _restore(self) -> None:
        put_back, self._put_back = self._put_back, None
        if put_back is not None:
            put_back()


def _refuse_others(trainer: Any) -> None:
    """Refuse several callbacks in one run: a step would stand in for a step that stands in."""
    ours = sum(isinstance(callback, MCDropoutCallback) for callback in trainer.callbacks)
    if ours > 1:
        raise InputError(
            f"a Trainer must have one MCDropoutCallback to predict with, got {ours}; predict with a Trainer for each, "
            "or name several targets of one net as task={part: its task}"
        )


def _replace(module: nn.Module, step: Callable[..., Any]) -> Callable[[], None]:
    """Give a module another `predict_step`, and return what puts its own back."""
    own = vars(module).get("predict_step")
    module.predict_step = step  # type: ignore[assignment]

    def put_back() -> None:
        vars(module).pop("predict_step", None)  # whoever has taken it away since
        if own is not None:
            module.predict_step = own

    return put_back
