"""Checkpoints: all that a run needs to go on as if it had never stopped, in one file that is safe to load.

A run of `fit` is a function of its options, its data and where it starts. So a checkpoint holds the state after a step
(weights and buffers, the optimizer's moments, the generators of the noise, the numbers noted so far) and the identity
of the run: its options and checksums of its data. The order of the batches is not in it, since the seed gives it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mcdrop.errors import DataError, InputError
from mcdrop.files import check_place
from mcdrop.rng import check_seed
from mcdrop.sealed import checksum, read_sealed, write_sealed
from mcdrop.training.history import Records
from mcdrop.training.plan import Plan
from mcdrop.training.schedules import dropouts
from mcdrop.weights import is_checkpoint, tensors_of

__all__ = ["Checkpoint", "identity"]

_ADVICE = "choose a writable place with enough space for checkpoint"
_KIND = "training"
_ELSE = "pass resume=False to overwrite it, or another checkpoint"


@dataclass(slots=True)
class Checkpoint:
    """The file of a run.

    Attributes:
        path: The file.
        every: Steps between two writes.
        plan: What the run does.
        run: Its identity.
        device: Where it is trained.
        saved: Steps done in the state that the file holds; 0 if it holds none of this run.
        seconds: Time that the run had taken by then, in all its parts.
    """

    path: Path
    every: int
    plan: Plan
    run: dict[str, Any]
    device: torch.device
    saved: int = 0
    seconds: float = 0.0

    def is_due(self, done: int) -> bool:
        """Tell whether the state after that many steps is to be kept."""
        return done % self.every == 0 or done == self.plan.total

    def save(self, net: nn.Module, stepper: torch.optim.Optimizer, records: Records, seconds: float) -> None:
        """Write the state of now.

        Args:
            net: Its weights and buffers.
            stepper: Its moments; left out once nothing can come after.
            records: The numbers noted so far.
            seconds: Time that the run has taken.

        Raises:
            OutputError: If the file cannot be written.
        """
        done = len(records.loss)
        parts = {"net": tensors_of(net), "records": records.tensors(), "generator": _generators(self.device)}
        if done < self.plan.total or self.plan.may_grow:
            parts["optimizer"] = _moments(stepper)
        tensors = {f"{part}/{name}": value for part, values in parts.items() for name, value in values.items()}
        about = {"run": self.run, "done": done, "seconds": seconds, "monitored": list(records.monitored)}
        write_sealed(self.path, tensors, {_KIND: about}, advice=_ADVICE)
        self.saved, self.seconds = done, seconds

    def open(self, net: nn.Module, stepper: torch.optim.Optimizer, *, resume: bool) -> Records:
        """See that the file can be written, and bring a run that is resumed to the state that is in it.

        The file of an earlier run is removed if this one is to start anew: it must not be resumed in its place.

        Args:
            net: Gets the weights and buffers.
            stepper: Gets the moments.
            resume: Whether to look into the file, if there is one; torch's generators are set from it too.

        Returns:
            The numbers noted by then.

        Raises:
            OutputError: If the file cannot be written.
            DataError: If it is damaged, or no checkpoint.
            InputError: If it is of another run, or would be overwritten and is no checkpoint; nothing has changed then.
        """
        check_place(self.path, advice=_ADVICE)
        if not self.path.exists():
            return Records()
        if resume:
            return self._load(net, stepper)
        self._check_ours()
        self.path.resolve().unlink()  # a link stays a link
        return Records()

    def _check_ours(self) -> None:
        """Refuse to overwrite a file that can be read and is no checkpoint."""
        try:
            about = read_sealed(self.path, advice=_ELSE)[1]
        except DataError:
            return
        if not is_checkpoint(about):
            raise InputError(
                f"checkpoint {self.path} must be a new file or an old checkpoint, got a file of other tensors, which "
                "it would overwrite; choose another name"
            )

    def _load(self, net: nn.Module, stepper: torch.optim.Optimizer) -> Records:
        tensors, about = read_sealed(self.path, advice=_ELSE)
        state = (about or {}).get(_KIND)
        if not isinstance(state, dict) or not {"run", "done"} <= state.keys():
            raise DataError(f"{self.path} must be a checkpoint of training, got a file of something else; {_ELSE}")
        self._check_same(state["run"], state["done"])
        net.load_state_dict(_part("net", tensors))
        _set_moments(stepper, _part("optimizer", tensors))
        _set_generators(_part("generator", tensors), self.device)
        records = Records.of(_part("records", tensors), state["monitored"])
        if state["done"] < self.plan.total:
            records.keep_validations(self.plan.every)
        self.saved, self.seconds = state["done"], state["seconds"]
        return records

    def _check_same(self, run: dict[str, Any], done: int) -> None:
        for name in {**self.run, **run}:
            there, here = run.get(name, "absent"), self.run.get(name, "absent")
            if there != here:
                raise InputError(
                    f"checkpoint {self.path} must be of the run that is asked for, got one with another {name}: "
                    f"{there} in the file, {here} here; {_ELSE}"
                )
        if done > self.plan.total:
            raise InputError(
                f"checkpoint {self.path} has {done} steps behind it, got a run of {self.plan.total}; ask for at least "
                f"as many, or {_ELSE}"
            )


def identity(
    plan: Plan, net: nn.Module, data: tuple[Tensor, Tensor], held_out: tuple[Tensor, Tensor] | None
) -> dict[str, Any]:
    """Return what makes a run this very one, as plain data by name.

    Functions are known by their names alone, and the weights that the net comes with do not count. The number of steps
    does, unless more of them only add to the run.
    """
    looks = held_out is not None or plan.monitor is not None
    options = {
        "loss": plan.loss
        if isinstance(plan.loss, str)
        else getattr(plan.loss, "__qualname__", type(plan.loss).__name__),
        "optimizer": plan.optimizer,
        "lr": float(plan.lr),
        "weight_decay": float(plan.weight_decay),
        "schedule": plan.schedule,
        "warmup": float(plan.warmup),
        "batch_size": plan.batch,
        "seed": check_seed(plan.seed),
        "steps": "any number" if plan.may_grow else plan.total,
        "monitor": "one" if plan.monitor is not None else "none",
        "validate_every": plan.every if looks else "none",
        "device": data[0].device.type,
    }
    named = dict(zip(("x", "y", "validation x", "validation y"), data + (held_out or (None, None)), strict=True))
    return options | {name: _describe(value) for name, value in named.items()} | _build(net)


def _describe(values: Tensor | None) -> str:
    if values is None:
        return "none"
    return f"{_kind(values)} with SHA-256 {checksum({}, {'': values})}"


def _kind(values: Tensor) -> str:
    return f"{str(values.dtype).removeprefix('torch.')} {tuple(values.shape)}"


def _build(net: nn.Module) -> dict[str, str]:
    """Return class and options of every module, rates of dropout among them, and the kind of every tensor."""
    modules = {
        f"module {name}".strip(): " ".join([type(module).__name__, *_options_of(module)])
        for name, module in net.named_modules()
    }
    rates = {f"rate of {name}": f"{module.p:g}" for name, module in dropouts(net).items()}
    state = {
        f"weights {name}": f"{_kind(value)}{' trained' if value.requires_grad else ''}"
        for name, value in tensors_of(net).items()
    }
    return rates | modules | state


def _options_of(module: nn.Module) -> list[str]:
    """Return the options of a module by name: of torch's own all that is plain, of others decimal numbers.

    A class of the user's may count its calls or keep other state in its attributes; a rate is a decimal number.
    """
    if not type(module).__module__.startswith("torch.nn"):
        return [f"{name}={value!r}" for name, value in sorted(vars(module).items()) if type(value) is float]
    plain = {
        name: getattr(value, "__name__", type(value).__name__) if callable(value) else value
        for name, value in sorted(vars(module).items())
        if name != "training" and (isinstance(value, bool | int | float | str | tuple) or callable(value))
    }
    return [f"{name}={value}" for name, value in plain.items()]


def _part(part: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(f"{part}/"): value for name, value in tensors.items() if name.startswith(f"{part}/")}


def _moments(stepper: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return all that the optimizer remembers, by number of the weight and name."""
    states: dict[int, dict[str, Any]] = stepper.state_dict()["state"]
    return {
        f"{index}/{name}": value
        for index, state in states.items()
        for name, value in state.items()
        if isinstance(value, Tensor)
    }


def _set_moments(stepper: torch.optim.Optimizer, moments: Mapping[str, Tensor]) -> None:
    weights = [weight for group in stepper.param_groups for weight in group["params"]]
    content = stepper.state_dict()
    for key, value in moments.items():
        index, name = key.split("/", 1)
        like = weights[int(index)]
        if value.shape == like.shape:  # fused updates walk through memory, so it has to be laid out as the weight is
            value = torch.empty_like(like, dtype=value.dtype).copy_(value)
        content["state"].setdefault(int(index), {})[name] = value
    stepper.load_state_dict(content)


def _generators(device: torch.device) -> dict[str, Tensor]:
    """Return the states of the generators that `mcdrop.rng.seeded` covers for a device."""
    states = {"cpu": torch.get_rng_state()}
    return states | ({"cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else {})


def _set_generators(states: Mapping[str, Tensor], device: torch.device) -> None:
    torch.set_rng_state(states["cpu"])
    if "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"], device)
