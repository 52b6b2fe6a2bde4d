"""What `mcdrop predict` and `mcdrop sites` are told by name: the net, its inputs, code of the user's."""

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from mcdrop.errors import InputError

if TYPE_CHECKING:
    from mcdrop.sampler import MCDropout
    from mcdrop.sources import Source

__all__ = ["Net", "open_inputs", "open_net", "open_transform", "said_briefly"]


_ROWS = 64  # at once, where a net has a bound


@dataclass(frozen=True, slots=True)
class Net:
    """A net that was opened.

    Attributes:
        model: The net with its dropout left on.
        lines: What to say of it.
        most_rows: The most rows that it takes at once; None if there is no bound.
    """

    model: "MCDropout[Any]"
    lines: tuple[str, ...]
    most_rows: int | None = None

    def batch_size(self, given: int | None) -> int | None:
        """Return the rows to predict at once: those that were asked for, or few where the net takes no more.

        Args:
            given: What was asked for, if anything was.

        Raises:
            InputError: If the net takes fewer.
        """
        if self.most_rows is None:
            return given
        if given is not None and given > self.most_rows:
            raise InputError(
                f"--batch-size must be at most {self.most_rows}, the rows that the net was exported for, got {given}"
            )
        return min(self.most_rows, _ROWS) if given is None else given


def open_net(
    name: str,
    weights: Path | None,
    device: str,
    *,
    task: str | None,
    output: str | None,
    outputs: str,
    class_axis: int | None,
) -> Net:
    """Open a net by its name, and say how its return is read.

    Args:
        name: As for `mcdrop.models.open_model`.
        weights: Likewise.
        device: Likewise.
        task: What it predicts; default: what its file says, else regression.
        output: Which part of what it returns; digits are a place.
        outputs: What a classifier returns.
        class_axis: Where the classes are.

    Raises:
        McdropError: If there is no such net, or it is not to be trusted.
    """
    from mcdrop.models import open_model
    from mcdrop.sampler import MCDropout

    opened = open_model(name, weights=weights, device=device)
    if opened.rows is not None:
        raise InputError(
            f"{name} was exported for {opened.rows} row(s) at a time, and takes no others; export it again with any "
            "number of rows: torch.export.export(net, (x,), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))"
        )
    if opened.least_rows:
        raise InputError(
            f"{name} was exported for at least {opened.least_rows} rows at a time, and the last rows of a file may be "
            "fewer; export it again without a least number: torch.export.Dim.DYNAMIC instead of Dim(..., min=...)"
        )
    chosen = task or opened.task or "regression"
    part = int(output) if output is not None and output.lstrip("-").isdigit() else output
    options: dict[str, Any] = {"task": chosen, "output": part}
    for option, value, default in (("outputs", outputs, "logits"), ("class_axis", class_axis, None)):
        if value != default:
            options[option] = value
    said = "" if task or opened.task else " (by default; --task says otherwise)"
    lines = (f"net: {opened.describe()}", f"task: {chosen}{said}")
    return Net(MCDropout(opened.net, **options), lines, opened.most_rows)


def open_inputs(place: str, columns: str | None, images: Mapping[str, str | None]) -> "Source":
    """Open a file of inputs.

    Args:
        place: As for `mcdrop.sources.open_source`.
        columns: Names with commas between them.
        images: Size, mode, mean and std of images, as texts.

    Raises:
        McdropError: If it cannot be read.
    """
    from mcdrop.sources import ImageOptions, open_source

    mode = images["mode"] or "RGB"
    image = None
    if mode != "RGB" or any(images[name] is not None for name in ("size", "mean", "std")):
        size = _numbers("--image-size", images["size"], int, mark="x", such="224 or 224x320")
        mean, std = (
            _numbers(f"--image-{name}", images[name], float, mark=",", such="0.5 or 0.485,0.456,0.406")
            for name in ("mean", "std")
        )
        if size is not None and len(size) == 1:
            size = (size[0], size[0])
        image = ImageOptions(size=size, mode=mode, mean=mean, std=std)  # type: ignore[arg-type]
    names = None if columns is None else [name.strip() for name in columns.split(",")]
    return open_source(place, columns=names, image=image)


def open_transform(divide_by: float | None, name: str | None) -> Callable[[Any], Any] | None:
    """Return what is done to the inputs before the net sees them.

    Args:
        divide_by: A number to divide by.
        name: Code of the user's, as package.module:function or file.py:function.

    Raises:
        InputError: If both are given, or there is no such function.
    """
    if divide_by is not None and name is not None:
        raise InputError("--divide-by and --transform were both given; divide in the transform")
    if divide_by is not None:
        from mcdrop.bulk import DividedBy

        return DividedBy(divide_by)
    if name is None:
        return None
    from mcdrop.models import import_named

    found = import_named(name)
    if not callable(found):
        raise InputError(f"--transform must name a function, got {type(found).__name__} of {name}; see --help")
    return found  # type: ignore[no-any-return]


@contextmanager
def said_briefly() -> Iterator[None]:
    """Say warnings in one line each, once, as errors are."""
    said: set[str] = set()

    def say(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
        text = " ".join(str(message).split())
        if text not in said:
            said.add(text)
            typer.echo(f"mcdrop: warning: {text}", err=True)

    with warnings.catch_warnings():
        warnings.showwarning = say
        yield


def _numbers(option: str, text: str | None, kind: type, *, mark: str, such: str) -> tuple[Any, ...] | None:
    """Return numbers that have a mark between them; None where nothing is given."""
    if text is None:
        return None
    try:
        return tuple(kind(part) for part in text.split(mark))
    except ValueError:
        raise InputError(f"{option} must hold numbers, such as {such}, got {text!r}") from None
