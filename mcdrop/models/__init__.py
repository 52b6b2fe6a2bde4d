"""Trained nets from what a user names: an exported program, a factory in a module, or a Hugging Face folder."""

from mcdrop.models.code import import_named
from mcdrop.models.model import Kind, Model, fingerprint
from mcdrop.models.opening import open_model

__all__ = ["Kind", "Model", "fingerprint", "import_named", "open_model"]
