"""What a demo leaves behind: figures, arrays, weights and a summary, each file complete or not there at all."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from mcdrop.errors import DataError, InputError, OutputError
from mcdrop.files import check_folder, write_whole
from mcdrop.sealed import plain, write_sealed
from mcdrop.weights import load_weights, read_about, tensors_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Artifacts"]

_ADVICE = "choose a writable folder with --out"


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

    @classmethod
    def at(cls, folder: str | Path) -> "Artifacts":
        """Name the folder; nothing is written yet.

        Raises:
            InputError: If the name is empty.
        """
        if not str(folder).strip():
            raise InputError("out must name a folder, got an empty text; give one, or leave it out for the default")
        return cls(Path(folder))

    def check(self) -> None:
        """Make the folder and try to write in it, before any long work.

        Raises:
            OutputError: If that fails.
        """
        check_folder(self.folder, advice=_ADVICE)

    def figure(self, name: str, figure: "Figure") -> None:
        """Write a figure as PNG and SVG, the same bytes every time, and close it."""
        import matplotlib as mpl
        import matplotlib.pyplot as plt

        with mpl.rc_context({"svg.hashsalt": "mcdrop"}):
            self._write(f"{name}.png", partial(figure.savefig, format="png", dpi=150))
            self._write(f"{name}.svg", partial(figure.savefig, format="svg", metadata={"Date": None}))
        plt.close(figure)

    def discard_figure(self, name: str) -> None:
        """Remove a figure that an earlier run left in the folder and this one does not draw."""
        for ending in ("png", "svg"):
            (self.folder / f"{name}.{ending}").unlink(missing_ok=True)

    def summary(self, values: Mapping[str, Any]) -> None:
        """Write `summary.json`."""
        text = json.dumps(values, indent=2) + "\n"
        self._write("summary.json", lambda path: path.write_text(text, encoding="utf-8"))

    def arrays(
        self,
        name: str,
        arrays: Mapping[str, NDArray[Any]],
        *,
        units: Mapping[str, str],
        attributes: Mapping[str, str | int] | None = None,
    ) -> None:
        """Write arrays to an HDF5 file, slashes in their names making groups, with units as attributes.

        Args:
            name: Name of the file, without its ending.
            arrays: Arrays by name.
            units: Units by the last part of the names; "1" where there is none.
            attributes: Attributes of the file itself.
        """
        import h5py

        def write(path: Path) -> None:
            with h5py.File(path, "w") as file:
                file.attrs.update(attributes or {})
                for key, value in arrays.items():
                    data = file.create_dataset(key, data=value, compression="gzip" if np.size(value) > 1000 else None)
                    data.attrs["units"] = units.get(key.rsplit("/", 1)[-1], "1")

        self._write(f"{name}.h5", write)

    def saved(self, name: str, save: Callable[[Path], Any]) -> None:
        """Have something write itself to a file of that name; `save` takes the path."""
        self._write(name, save)

    def weights(self, name: str, net: nn.Module, recipe: Mapping[str, Any]) -> None:
        """Write a net's weights with the recipe that made them and a checksum of both."""
        target = self.folder / f"{name}.safetensors"
        write_sealed(target, tensors_of(net), {"recipe": recipe}, advice=_ADVICE)
        self._note(target)

    def load_weights(self, name: str, net: nn.Module, recipe: Mapping[str, Any]) -> bool:
        """Load a net's weights if they are there and were made by this very recipe.

        Args:
            name: Name they were written under.
            net: Gets the weights.
            recipe: What the run would train with.

        Returns:
            Whether the net now has them; False means that it has to be trained.

        Raises:
            OutputError: If the file is there but is damaged or is no such file.
        """
        path = self.folder / f"{name}.safetensors"
        if not path.is_file():
            return False
        try:
            if read_about(path)["recipe"] != plain(recipe):
                return False
            load_weights(net, path)
        except (DataError, InputError, KeyError) as error:
            raise OutputError(
                f"{path} must hold weights that a demo wrote, got a file that cannot be used "
                f"({type(error).__name__}); delete it, or run without --reuse"
            ) from error
        return True

    def _write(self, name: str, write: Callable[[Path], Any]) -> None:
        target = self.folder / name
        write_whole(target, write, advice=_ADVICE)
        self._note(target)

    def _note(self, target: Path) -> None:
        self.written = [path for path in self.written if path != target] + [target]
