"""What makes a run this run and no other, as plain data: its net, its inputs, its options, the versions it ran on."""

import json
import platform
import shlex
from collections.abc import Callable, Mapping
from dataclasses import asdict
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mcdrop.bulk.transforms import describe
from mcdrop.execution import PredictOptions, read_predict_options
from mcdrop.models import fingerprint
from mcdrop.programs import state_of
from mcdrop.sources import Source

__all__ = ["differences", "identity", "refusal"]

_TIME, _IMAGES = "mtime_ns", "files_sha256"  # of the inputs: what copying or touching them changes, and no content does


def identity(
    net: Any,
    provenance: Mapping[str, Any],
    source: Source,
    options: PredictOptions,
    transform: Callable[..., Any] | None,
) -> dict[str, Any]:
    """Return what has to be the same for a run to be resumed with the same result.

    Args:
        net: The module or exported program.
        provenance: What makes its predictions.
        source: The inputs.
        options: How the passes run; one that is left out is as good as its default.
        transform: What is done to the inputs.
    """
    about = {
        "net": fingerprint(net) | {"device": _device(net)},
        "prediction": dict(provenance),
        "inputs": dict(source.about),
        "options": {name: value for name, value in _known(options).items() if name not in provenance},
        "transform": None if transform is None else describe(transform),
        "versions": {
            "mcdrop": version("mcdrop"),
            "torch": torch.__version__,
            "numpy": np.__version__,
            "machine": platform.machine(),
        },
    }
    return json.loads(json.dumps(about, default=str))  # type: ignore[no-any-return]


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return which entries differ, such as "options.seed (was '0', is '1')"."""
    found = []
    for key in {**old, **new}:
        was, now = old.get(key), new.get(key)
        if isinstance(was, Mapping) and isinstance(now, Mapping):
            found += [f"{key}.{inner}" for inner in differences(was, now)]
        elif was != now:
            short = all(len(str(value)) < 40 for value in (was, now))
            found.append(f"{key} (was {was!r}, is {now!r})" if short else key)
    return found


def refusal(old: Mapping[str, Any], new: Mapping[str, Any], inputs: Path) -> str:
    """Say in what a run is another one, and what can be done about it; nothing where it is the same.

    Args:
        old: What made the run.
        new: What is asked for now.
        inputs: The file or folder of the inputs.
    """
    (was, old), (now, new) = _times_apart(old), _times_apart(new)
    others, advice = differences(old, new), []
    if others:
        advice.append("repeat the first command")
    if was != now and old.get("inputs") == new.get("inputs"):  # else size or form say enough
        if was.get(_IMAGES) != now.get(_IMAGES):
            others.append(f"names or times of change in {inputs.name}")
            mend = "put back a copy that keeps both (cp -a, rsync -a)"
        else:
            others.append(f"time of change of {inputs.name}")
            seconds = Decimal(was[_TIME]).scaleb(-9)
            mend = f"set the time back with `touch -d @{seconds:.9f} {shlex.quote(str(inputs))}`"
        advice.append(f"if the content is the same, {mend}")
    return f"{', '.join(others)}; {', and '.join(advice)}" if others else ""


def _times_apart(about: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what tells the time of the inputs, and what makes a run without that."""
    inputs = dict(about.get("inputs", {}))
    times = {name: inputs.pop(name) for name in (_TIME, _IMAGES) if name in inputs}
    return times, {**about, "inputs": inputs}


def _known(options: PredictOptions) -> dict[str, Any]:
    """Return what was asked for, defaults included, but for what changes no number."""
    asked = read_predict_options(options)
    running = asdict(asked.running)
    del running["progress"]
    if asked.stopping is not None:
        running |= asdict(asked.stopping) | {"passes": "auto"}
    return running | {"last_layer": asked.last_layer, "keep_samples": asked.keep_samples}


def _device(net: Any) -> str:
    """Return the kinds of device that a net is on: each rounds in its own way."""
    return ", ".join(sorted({tensor.device.type for tensor in state_of(net).values()}))
