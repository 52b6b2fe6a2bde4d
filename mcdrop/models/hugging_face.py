"""Local folders of Hugging Face transformers: a config.json and weights, opened without a network or code of theirs."""

import json
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from mcdrop.errors import DataError, DependencyError, McdropError
from mcdrop.models.model import Model, fingerprint

__all__ = ["open_folder"]

_SAFE = ("model.safetensors", "model.safetensors.index.json")
_TORCH = ("pytorch_model.bin", "pytorch_model.bin.index.json")
_ADVICE = "give the code that builds the net as package.module:factory"


def open_folder(folder: Path, *, device: str) -> Model:
    """Open a net that `save_pretrained` wrote.

    Args:
        folder: Holds config.json and the weights; safetensors are read where there are both kinds.
        device: Where the net is to run.

    Returns:
        The net in eval mode; its task where its class says one.

    Raises:
        DataError: If the folder is damaged, asks for code of its own, or lacks weights of the net.
        DependencyError: If transformers is not installed.
    """
    config = _read_config(folder)
    _check_config(folder, config)
    safe = _has_safetensors(folder)
    try:
        import transformers
    except ImportError as error:
        raise DependencyError(f"{folder} needs transformers; pip install transformers") from error
    named = (config.get("architectures") or [None])[0]
    kind = getattr(transformers, str(named), None) if named else transformers.AutoModel
    is_net = isinstance(kind, type) and issubclass(kind, transformers.PreTrainedModel)
    if named and not is_net:
        raise DataError(
            f"{folder} was refused, since transformers {transformers.__version__} has no {str(named)[:60]!r}, and code "
            f"for it is not fetched; install the version that has it, or {_ADVICE}"
        )
    net = _loaded(folder, kind, safe=safe).to(device).eval()
    about = {"kind": "hugging_face", "name": str(folder)} | fingerprint(net, f"{config}\n{net!r}")
    return Model(net, "hugging_face", _task_of(net), None, about)


def _read_config(folder: Path) -> dict[str, Any]:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{folder / 'config.json'} must be JSON, got {error}; fetch the folder again") from error
    if not isinstance(config, dict) or not isinstance(config.get("architectures") or [], list):
        raise DataError(f"{folder / 'config.json'} must describe one net, got something else; fetch the folder again")
    return config


def _check_config(folder: Path, config: dict[str, Any]) -> None:
    """Refuse what would fetch or run code: classes of the folder's own, kernels by name, adapters of other nets."""
    for key, value in _entries(config):
        if key == "auto_map":
            reason = "its config.json asks for code of its own (auto_map)"
        elif key.endswith(("attn_implementation", "experts_implementation")) and "/" in str(value):
            reason = f"its config.json asks for code of a hub ({key}: {str(value)[:60]!r})"
        elif key == "quantization_config" and value:
            reason = "its weights are quantized, and the dropout of such nets is not supported"
        else:
            continue
        raise DataError(f"{folder} was refused, since {reason}; {_ADVICE}, which loads it as you trust it")
    if (folder / "adapter_config.json").is_file():
        raise DataError(
            f"{folder} was refused, since it holds an adapter of another net; merge the two and save them, or {_ADVICE}"
        )


def _entries(value: Any) -> Iterator[tuple[str, Any]]:
    """Return all keys and values of nested data."""
    if isinstance(value, dict):
        yield from value.items()
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _entries(item)


def _has_safetensors(folder: Path) -> bool:
    if any((folder / name).is_file() for name in _SAFE):
        return True
    if any((folder / name).is_file() for name in _TORCH):
        return False
    raise DataError(
        f"{folder} must hold {_SAFE[0]} (or {_TORCH[0]}) beside its config.json, got neither; save the net with "
        "save_pretrained"
    )


def _loaded(folder: Path, kind: Any, *, safe: bool) -> Any:
    from transformers.utils import logging

    with _quiet(logging), _offline():
        try:
            net, told = kind.from_pretrained(
                str(folder.resolve()),
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=safe,
                weights_only=True,
                output_loading_info=True,
            )
        except McdropError:
            raise
        except Exception as error:  # a damaged folder can fail in any way
            if isinstance(error, pickle.UnpicklingError):
                raise DataError(
                    f"{folder} was refused, since its {_TORCH[0]} holds more than weights: to read it would run code; "
                    f"save the net with save_pretrained, which writes {_SAFE[0]}"
                ) from error
            words = " ".join(str(error).split())[:300]
            raise DataError(
                f"{folder} cannot be opened by transformers ({type(error).__name__}: {words}); save the net again with "
                f"save_pretrained, or {_ADVICE}"
            ) from error
    wrong = sorted(str(name) for key in ("missing_keys", "mismatched_keys") for name in told.get(key) or ())
    if wrong:  # they would be random numbers
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise DataError(
            f"{folder} must hold all weights of {kind.__name__}, got none that fit for {', '.join(wrong[:3])}{more}; "
            "save the trained net with save_pretrained"
        )
    return net


@contextmanager
def _quiet(logging: Any) -> Iterator[None]:
    """Keep the library from talking, and leave its settings as they were."""
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


@contextmanager
def _offline() -> Iterator[None]:
    """Let the hub's client refuse every request for a while; some nets look for parts of theirs by name."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _task_of(net: Any) -> Literal["regression", "classification"] | None:
    """Return what a net predicts, by the name of its class and its config."""
    name = type(net).__name__
    if not name.endswith("Classification"):
        return None
    problem, labels = getattr(net.config, "problem_type", None), getattr(net.config, "num_labels", None)
    if name.endswith("ForSequenceClassification") and (problem == "regression" or (problem is None and labels == 1)):
        return "regression"
    if problem == "multi_label_classification":  # labels that do not exclude one another
        return None
    return "classification"
