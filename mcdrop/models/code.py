"""Code that the user names: a module or a file, and something in it."""

import difflib
import importlib
import importlib.util
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any

from mcdrop.errors import DataError, InputError, NetError

__all__ = ["failed", "import_named", "named_code"]

_NEAREST, _MOST = 3, 12
_HERE = "mcdrop_named_code_"  # before the name of a module that is loaded from a file, so that it replaces no other
_MACHINERY = ("importlib", "<frozen", "mcdrop/models/", "mcdrop\\models\\")


def import_named(name: str) -> Any:
    """Import what the user names, and nothing else.

    Args:
        name: "package.module:attribute" or "file.py:attribute"; the attribute may be a path such as "nets.small".

    Returns:
        It, as it is.

    Raises:
        DataError: If there is no such file.
        InputError: If the name is none of code, or the module or the attribute is not there.
        NetError: If the code fails.
    """
    with named_code(name) as held:
        return held


@contextmanager
def named_code(name: str) -> Iterator[Any]:
    """Import what the user names, and let its modules find others of theirs while the block runs.

    The working folder is on the path of modules meanwhile, as under `python -m`; for a file, its own folder is, as
    under `python file.py`.
    """
    place, _, attribute = name.rpartition(":")
    if not place or not attribute:
        raise InputError(f"code must be named as package.module:attribute or file.py:attribute, got {name!r}")
    is_file = place.endswith(".py")
    with _on_path(Path(place).resolve().parent if is_file else Path.cwd()):
        module = _from_file(Path(place)) if is_file else _from_name(place)
        yield _found(module, attribute, place)


@contextmanager
def _on_path(folder: Path) -> Iterator[None]:
    """Let modules of a folder be imported for a while."""
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        with suppress(ValueError):  # the code may have taken it off
            sys.path.remove(str(folder))


def _from_name(name: str) -> ModuleType:
    if name.startswith("."):
        raise InputError(f"a module must be named from its package on, got {name!r}; leave out the first dots")
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise failed(f"importing {name}", error) from error
        raise InputError(
            f"no module named {error.name!r} was found from {Path.cwd()}; run from the folder that holds it, install "
            "it, or name its file as file.py:factory"
        ) from error
    except (Exception, SystemExit) as error:
        raise failed(f"importing {name}", error) from error


def _from_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise DataError(f"{path} is not there as a file, from {Path.cwd()}; check the path")
    name = f"{_HERE}{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    if spec is None or spec.loader is None:
        raise DataError(f"{path} cannot be loaded as Python code; check the file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and copies look their module up
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise failed(f"loading {path}", error) from error
    return module


def _found(module: ModuleType, attribute: str, place: str) -> Any:
    held: Any = module
    for part in attribute.split("."):
        names = [name for name in dir(held) if not name.startswith("_")]
        try:
            held = getattr(held, part)
        except AttributeError as error:
            near = difflib.get_close_matches(part, names, n=_NEAREST, cutoff=0.5)
            raise InputError(f"{place} has no {attribute!r}; {_advice(near, held)}") from error
    return held


def _advice(near: list[str], held: Any) -> str:
    """Return which names are near, else which ones there are."""
    if near:
        return f"did you mean {' or '.join(near)}?"
    there = _builders(held)
    more = ", ..." if len(there) > _MOST else ""
    return f"it has {', '.join(there[:_MOST])}{more}" if there else "define what builds the net there"


def _builders(held: Any) -> list[str]:
    """Return what a module itself defines that can be called."""
    own = getattr(held, "__dict__", {})
    return [name for name, value in own.items() if callable(value) and not name.startswith("_")]


def failed(doing: str, error: BaseException) -> NetError:
    """Return the error for code that failed: what it said, and where in the user's code."""
    words = " ".join(str(error).split())
    if isinstance(error, SyntaxError) and error.filename:
        where: tuple[str, int | None] | None = (error.filename, error.lineno)
        words = error.msg
    else:
        frames = traceback.extract_tb(error.__traceback__)
        theirs = [each for each in frames if not any(part in each.filename for part in _MACHINERY)]
        where = (theirs[-1].filename, theirs[-1].lineno) if theirs else None
    at = f" ({where[0]}, line {where[1]})" if where else ""
    return NetError(f"{doing} failed with {type(error).__name__}: {words[:300] or 'no message'}{at}; mend that code")
