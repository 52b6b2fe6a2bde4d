"""What a demo leaves behind: figures, arrays, weights and a summary, each file complete or not there at all."""

import json
import os
import pickle
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from mcdrop.errors import OutputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Artifacts"]


@dataclass(slots=True)
class Artifacts:
    """A folder of results.

    Every file is written beside its place and then renamed, so that an interrupted run leaves whole files only.

    Attributes:
        folder: Where the files go; made when the first is written.
        written: The files written so far, in order.
    """

    folder: Path
    written: list[Path] = field(default_factory=list)

    def check(self) -> None:
        """Make the folder and try to write in it, before any long work.

        Raises:
            OutputError: If that fails.
        """
        self._write(".mcdrop-write-test", lambda path: path.write_text("ok", encoding="utf-8"))
        (self.written.pop()).unlink()

    def figure(self, name: str, figure: "Figure") -> None:
        """Write a figure as PNG and SVG and close it."""
        import matplotlib.pyplot as plt

        for suffix in ("png", "svg"):
            self._write(f"{name}.{suffix}", partial(figure.savefig, format=suffix, dpi=150))
        plt.close(figure)

    def summary(self, values: Mapping[str, Any]) -> None:
        """Write `summary.json`."""
        text = json.dumps(values, indent=2) + "\n"
        self._write("summary.json", lambda path: path.write_text(text, encoding="utf-8"))

    def arrays(self, name: str, arrays: Mapping[str, NDArray[Any]], *, units: Mapping[str, str]) -> None:
        """Write arrays to an HDF5 file, slashes in their names making groups, with units as attributes."""
        import h5py

        def write(path: Path) -> None:
            with h5py.File(path, "w") as file:
                for key, value in arrays.items():
                    data = file.create_dataset(key, data=value, compression="gzip" if np.size(value) > 1000 else None)
                    data.attrs["units"] = units.get(key.rsplit("/", 1)[-1], "1")

        self._write(f"{name}.h5", write)

    def weights(self, name: str, net: nn.Module, recipe: Mapping[str, Any]) -> None:
        """Write a net's weights with the recipe that made them."""
        content = {"recipe": json.dumps(recipe, sort_keys=True), "state": net.state_dict()}
        self._write(f"{name}.pt", lambda path: torch.save(content, path))

    def load_weights(self, name: str, net: nn.Module, recipe: Mapping[str, Any]) -> bool:
        """Load a net's weights if they are there and were made by this very recipe.

        Args:
            name: Name they were written under.
            net: Gets the weights.
            recipe: What the run would train with.

        Returns:
            Whether the net now has them; False means that it has to be trained.

        Raises:
            OutputError: If the file is there but cannot be read.
        """
        path = self.folder / f"{name}.pt"
        if not path.is_file():
            return False
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
            if content["recipe"] != json.dumps(recipe, sort_keys=True):
                return False
            net.load_state_dict(content["state"])
        except (OSError, RuntimeError, KeyError, TypeError, EOFError, pickle.UnpicklingError) as error:
            raise OutputError(
                f"{path} must hold weights that a demo wrote, got a file that cannot be read "
                f"({type(error).__name__}); delete it, or run without --reuse"
            ) from error
        return True

    def _write(self, name: str, write: Callable[[Path], Any]) -> None:
        target = self.folder / name
        partial: Path | None = None
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            handle, path = tempfile.mkstemp(prefix=".partial-", suffix=target.suffix, dir=self.folder)
            os.close(handle)
            partial = Path(path)
            write(partial)
            partial.chmod(0o644)
            partial.replace(target)
        except (OSError, RuntimeError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else " ".join(str(error).split())
            raise OutputError(f"cannot write {target}: {reason}; choose a writable folder with --out") from error
        finally:
            if partial is not None:
                partial.unlink(missing_ok=True)
        self.written = [path for path in self.written if path != target] + [target]
