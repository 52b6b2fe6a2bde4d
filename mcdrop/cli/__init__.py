"""The command line: parse, call, print."""

from mcdrop.cli.app import app
from mcdrop.cli.main import main

__all__ = ["app", "main"]
