"""What a call of `predict` asks for: how its passes run, when there are enough, and what is kept of them."""

from dataclasses import dataclass, field, fields
from typing import Any

from mcdrop.arguments import check_choice, check_count
from mcdrop.errors import InputError
from mcdrop.execution.options import LastLayer, Options, PredictOptions, read_options
from mcdrop.execution.rounds import Stopping

__all__ = ["Asked", "read_predict_options"]

_STOPS = tuple(entry.name for entry in fields(Stopping))


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The options of `predict`, checked.

    Attributes:
        running: How the passes run.
        stopping: When there have been enough passes; None where their number is given.
        last_layer: Whether the last layer is sampled.
        keep_samples: Whether all passes are kept.
        provenance: Those of the options above that change the result and are not the defaults.
    """

    running: Options
    stopping: Stopping | None = None
    last_layer: LastLayer = "sampled"
    keep_samples: bool = False
    provenance: dict[str, Any] = field(default_factory=dict)

    @property
    def splits(self) -> bool:
        """Whether passes may run in several parts."""
        return self.stopping is None and self.last_layer == "sampled" and not self.keep_samples


def read_predict_options(options: PredictOptions) -> Asked:
    """Check options given by name.

    Args:
        options: Those that differ from the defaults.

    Raises:
        TypeError: If a name is unknown.
        InputError: If a value is not usable, or two do not go together.
    """
    given: dict[str, Any] = dict(options)
    unknown = [name for name in given if name not in PredictOptions.__annotations__]
    if unknown:
        known = ", ".join(PredictOptions.__annotations__)
        raise TypeError(f"unexpected option {unknown[0]!r}; the options are {known}")
    last_layer = given.pop("last_layer", "sampled")
    check_choice("last_layer", last_layer, LastLayer)
    exact, keep = last_layer == "exact", bool(given.pop("keep_samples", False))
    passes = given.get("passes", Options().passes)
    asked = {name: given.pop(name) for name in _STOPS if name in given}
    stops = {name: value for name, value in asked.items() if value != getattr(Stopping(), name)}
    stopping = Stopping(**asked) if passes == "auto" else None
    _check_passes(passes, stops, least=1 if exact else 2, keep_samples=keep)
    if stopping is not None:
        given["passes"] = stopping.max_passes
    return Asked(
        running=read_options(given),  # type: ignore[arg-type]
        stopping=stopping,
        last_layer=last_layer,
        keep_samples=keep,
        provenance=({"last_layer": last_layer} if exact else {}) | stops,
    )


def _check_passes(passes: Any, stops: dict[str, Any], *, least: int, keep_samples: bool) -> None:
    """Refuse a number of passes that is none, and options that do not go with it."""
    if passes != "auto":
        check_count("passes", passes, least=least, why='a spread needs two draws; or "auto"')
        for name in stops:
            raise InputError(f"{name} must go with passes='auto', got passes={passes!r}; leave one of them out")
    elif keep_samples:
        raise InputError(
            "keep_samples must be False with passes='auto', got True: rows differ in their number of passes, and have "
            "no common array; give a number of passes to keep them"
        )
