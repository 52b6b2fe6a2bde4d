"""The rows of a loader, numbered as its batches come, and the predictions that Lightning may hand around.

Masks are counted, so batches can be predicted one by one: rows are numbered from 0 over each loader, and every batch
gets what `MCDropout.predict` gives its rows among all of them, to rounding, for any batch size.
"""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Self

from torch import nn

from mcdrop.errors import InputError
from mcdrop.execution import PredictOptions, read_predict_options
from mcdrop.inputs.loaders import refuse_reordered
from mcdrop.outputs import check_output
from mcdrop.predictive import ClassificationPredictive, RegressionPredictive, check_class_options, check_task
from mcdrop.prepared import Prepared
from mcdrop.sampler import MCDropout

__all__ = ["Rows", "check_asked", "refuse_devices", "refuse_orders"]

_OF_NET: dict[str, Any] = {"task": "regression", "output": None, "outputs": "logits", "class_axis": None}


def check_asked(asked: Mapping[str, Any]) -> None:
    """Refuse options that no net could be predicted with.

    Args:
        asked: Options by name: `net`, the path of the net within the module, those of `MCDropout`, and those of
            `MCDropout.predict`.

    Raises:
        TypeError: If a name is unknown.
        InputError: If a value is not usable, or two do not go together.
    """
    known = ("net", *_OF_NET, *PredictOptions.__annotations__)
    for name in asked:
        if name not in known:
            raise TypeError(f"unexpected option {name!r}; the options are {', '.join(known)}")
    path, of_net = asked.get("net"), _OF_NET | {name: asked[name] for name in _OF_NET if name in asked}
    if not isinstance(path, str | None):
        raise InputError(
            f"net must be the path of a net within the module, such as 'net', got {type(path).__name__}; leave it out "
            "for the module itself"
        )
    check_output(of_net["output"])
    check_task(of_net["task"], of_net["output"])
    check_class_options(of_net["task"], outputs=of_net["outputs"], class_axis=of_net["class_axis"])
    options: Any = {name: value for name, value in asked.items() if name in PredictOptions.__annotations__}
    read_predict_options(options)


class Rows:
    """The rows of one loader, numbered from 0 as its batches come."""

    def __init__(self, module: nn.Module, asked: Mapping[str, Any]) -> None:
        """Wrap the net; it is surveyed with the first batch.

        Args:
            module: The LightningModule.
            asked: Options as in `PredictMixin.mc_options`.

        Raises:
            TypeError: If the name of an option is unknown.
            InputError: If an option is not usable, or there is no such net in the module.
        """
        check_asked(asked)
        options = dict(asked)
        net = _part_of(module, options.pop("net", None))
        self._model: MCDropout[Any] = MCDropout(net, **{name: options.pop(name) for name in _OF_NET if name in options})
        self._options = options
        self._prepared: Prepared[Any] | None = None
        self._rows = self._batches = 0

    def predict(self, batch: Any, batch_idx: int) -> Any:
        """Return the prediction of the next batch.

        Args:
            batch: What the loader gives.
            batch_idx: Its number, from 0.

        Raises:
            InputError: If another batch was due, or an option or the inputs are not usable.
        """
        if batch_idx != self._batches:
            raise InputError(
                f"batches must come in order from 0, which numbers their rows, got batch {batch_idx} where "
                f"{self._batches} was due; let trainer.predict call predict_step"
            )
        block = [batch]  # a loader of this one batch, so that labels are left out as they are of any loader's
        if self._prepared is None:
            self._prepared = self._model.prepare(block, **self._options)
        made = self._prepared.predict(block, start=self._rows)
        self._batches += 1
        self._rows += len(next(iter(made.values())) if isinstance(made, dict) else made)
        return {key: _resting(pred) for key, pred in made.items()} if isinstance(made, dict) else _resting(made)


def refuse_devices(trainer: Any) -> None:
    """Refuse a run on several devices: each would number a part of the rows by itself.

    Raises:
        InputError: Naming how many there are.
    """
    if trainer.world_size > 1:
        raise InputError(
            f"rows must be numbered over the whole loader, got {trainer.world_size} processes that share it; predict "
            "with Trainer(devices=1), or use PredictMixin with shared masks and gather the rows yourself"
        )


def refuse_orders(trainer: Any) -> None:
    """Refuse loaders that shuffle or draw their rows.

    Raises:
        InputError: Naming what does.
    """
    loaders = trainer.predict_dataloaders
    several = [*loaders.values()] if isinstance(loaders, Mapping) else loaders
    for loader in several if isinstance(several, list | tuple) else [several]:
        refuse_reordered(loader)


def _part_of(module: nn.Module, path: str | None) -> nn.Module:
    try:
        return module if path is None else module.get_submodule(path)
    except AttributeError as error:
        names = ", ".join(name for name, _ in module.named_children()) or "none"
        raise InputError(
            f"net must be the path of a module within {type(module).__name__}, got {path!r}; its children are {names}"
        ) from error


class _Resting:
    """What Lightning may move to another device, and which stays where it is; frozen dataclasses it would refuse."""

    __slots__ = ()

    def to(self, device: Any, **options: Any) -> Self:
        """Return itself: its arrays are NumPy's."""
        return self


class _RegressionBatch(_Resting, RegressionPredictive):
    __slots__ = ()


class _ClassificationBatch(_Resting, ClassificationPredictive):
    __slots__ = ()


def _resting(pred: Any) -> Any:
    kind = _RegressionBatch if isinstance(pred, RegressionPredictive) else _ClassificationBatch
    return kind(**{field.name: getattr(pred, field.name) for field in fields(pred)})
