"""PyMC and ArviZ, imported when they are needed and without what they say on the way."""

import logging
import warnings
from typing import Any

__all__ = ["import_arviz", "import_pymc"]


def import_pymc() -> Any:
    """Import PyMC without the notices that it prints on first import (no C compiler, no BLAS, ArviZ's plans)."""
    logger = logging.getLogger("pytensor.configdefaults")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import pymc
    finally:
        logger.setLevel(level)
    return pymc


def import_arviz() -> Any:
    """Import ArviZ without the notice of its coming generation that the old one prints."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import arviz
    return arviz
