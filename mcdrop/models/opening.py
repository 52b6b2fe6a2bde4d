"""One door for every form in which a trained net can be named."""

import re
from pathlib import Path
from typing import Literal

from mcdrop.arguments import check_device
from mcdrop.errors import DataError, InputError
from mcdrop.models.contents import FORMS, content_of, refusal_of
from mcdrop.models.model import Model

__all__ = ["open_model"]

_FACTORY = re.compile(r"(?P<module>[^:]+|[A-Za-z]:[^:]+):(?P<attribute>[^\W\d]\w*(\.[^\W\d]\w*)*)")
_FILES = (".pt2", ".pt", ".pth", ".bin", ".pkl", ".ckpt", ".onnx", ".safetensors", ".py")


def open_model(name: str | Path, *, weights: str | Path | None = None, device: str = "cpu") -> Model:
    """Open a trained net by what a user names on the command line.

    No file of a model ever runs code: what would is refused. Only code that the user names is run, a factory's.
    Nothing is fetched from a network.

    Args:
        name: A program of `torch.export.save` ("net.pt2"); the code that builds the net ("package.module:factory" or
            "file.py:factory": a module, or what returns one when it is called without arguments); or a local folder
            of Hugging Face transformers, with a config.json. What a file is, its content says. A program with several
            inputs takes them by name, whatever it was exported with.
        weights: For a factory, a file of weights for `mcdrop.weights.load_weights`. Default: those that it sets itself.
        device: Where the net is to run.

    Returns:
        The net in eval mode, and what is known about it.

    Raises:
        DataError: If there is no such file, or it is damaged, of another version, or would run code.
        DependencyError: If a package is missing that the form needs.
        InputError: If the name is of no such form, the factory cannot be found or returns no net, the weights are not
            the net's, or the device cannot be used.
        NetError: If the code that the user named fails.

    Example:
        >>> model = open_model("mcdrop.networks:lenet")
        >>> model.kind, model.task, model.rows
        ('factory', None, None)
    """
    if not isinstance(name, str | Path) or not str(name).strip() or "\0" in str(name):
        raise InputError(f"{FORMS}; got {name!r}")
    name = str(name)
    where = str(check_device(device))
    kind, path = _kind_of(name)
    if kind == "factory":
        from mcdrop.models.factories import open_factory

        return open_factory(name, weights=weights, device=where)
    if weights is not None:
        held = "an exported program" if kind == "export" else "a Hugging Face folder"
        raise InputError(
            f"weights go with the code that builds a net, got {weights} beside {held}, which holds its own; leave them "
            "out, or name a factory as package.module:factory"
        )
    if kind == "hugging_face":
        from mcdrop.models.hugging_face import open_folder

        return open_folder(path, device=where)
    from mcdrop.models.exported import open_export

    return open_export(path, device=where)


def _kind_of(name: str) -> tuple[Literal["export", "factory", "hugging_face"], Path]:
    """Tell the form of a name: what is there as a file or a folder is read as one."""
    path = Path(name)
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise DataError(f"{path} is a folder without a config.json; {FORMS}")
        return "hugging_face", path
    if path.exists():
        content = content_of(path)
        if path.suffix == ".py":
            raise InputError(f"{name} is Python code; name what builds the net in it, such as {name}:make_net")
        if content != "program":
            raise refusal_of(path, content)
        return "export", path
    if _FACTORY.fullmatch(name):
        return "factory", path
    if path.suffix in _FILES:
        raise DataError(f"{path} is not there; check the path. {FORMS}")
    raise InputError(f"{FORMS}; got {name!r}, and there is no file or folder of that name here (nothing is downloaded)")
