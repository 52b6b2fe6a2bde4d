"""Small nets, their exports, and archives that were tampered with."""

import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

PROGRAM = "models/model.json"
SAMPLES = "data/sample_inputs/model.pt"
WEIGHTS = "data/weights/model_weights_config.json"
CONSTANTS = "data/constants/model_constants_config.json"
ROWS = {0: torch.export.Dim.DYNAMIC}


class Net(nn.Module):
    """Dropout, batch norm, a buffer outside the state and a constant."""

    def __init__(self, rate: float = 0.3) -> None:
        super().__init__()
        self.first = nn.Linear(3, 8)
        self.norm = nn.BatchNorm1d(8)
        self.drop = nn.Dropout(rate)
        self.last = nn.Linear(8, 2)
        self.register_buffer("scale", torch.full((8,), 1.5), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = self.drop(self.norm(self.first(x)).relu() * self.scale)
        return self.last(hidden) + torch.tensor([1.0, 2.0])


class Pair(nn.Module):
    """Two inputs by keyword, a dict out, a block without gradients, and rows that must come in even numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.net = Net()

    def forward(self, *, left: torch.Tensor, right: torch.Tensor) -> dict[str, torch.Tensor]:
        with torch.no_grad():
            both = self.net(left) + self.net(right)
        return {"out": both}


class Even(nn.Module):
    """A net whose way depends on whether the number of rows is even."""

    def __init__(self) -> None:
        super().__init__()
        self.net = Net()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x) if x.shape[0] % 2 == 0 else -self.net(x)


def built(kind: type[nn.Module] = Net, seed: int = 0) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = kind()
        for name, buffer in net.named_buffers():
            if name.endswith("running_mean"):
                buffer.normal_()
    return net.eval()


def save_export(net: nn.Module, path: Path, *args: torch.Tensor, **options: Any) -> Path:
    program = torch.export.export(net, args, **options)
    torch.export.save(program, path)
    return path


def records_of(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {entry.filename.partition("/")[2]: archive.read(entry) for entry in archive.infolist()}


def write_records(path: Path, records: dict[str, bytes], *, folder: str = "model/") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in records.items():
            archive.writestr(f"{folder}{name}", data)
    return path


def edited(path: Path, target: Path, change: Callable[[dict[str, Any]], None], *, name: str = PROGRAM) -> Path:
    """Write an archive with one JSON record changed."""
    records = records_of(path)
    text = json.loads(records[name])
    change(text)
    records[name] = json.dumps(text).encode()
    return write_records(target, records)


class Evil:
    """Makes a folder when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = str(marker)

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (self.marker,)


def evil_torch(marker: Path) -> bytes:
    file = io.BytesIO()
    torch.save(Evil(marker), file)
    return file.getvalue()


def evil_pickle(marker: Path) -> bytes:
    return pickle.dumps(Evil(marker), protocol=2)


def evil_code(marker: Path) -> str:
    return f"__import__('os').mkdir('{marker}')"
