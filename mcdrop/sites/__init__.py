"""Where noise enters a forward pass: stochastic calls, their interception, and the audit table."""

from mcdrop.sites.declared import declared_rate, declares, is_dropout, is_within, silent_rows, speaks_of_dropout
from mcdrop.sites.draws import DrawCall, Law, Level
from mcdrop.sites.dropouts import DropoutCall, affine_noise
from mcdrop.sites.interception import Interception, SiteCall
from mcdrop.sites.table import Site, SiteTable

__all__ = [
    "DrawCall",
    "DropoutCall",
    "Interception",
    "Law",
    "Level",
    "Site",
    "SiteCall",
    "SiteTable",
    "affine_noise",
    "declared_rate",
    "declares",
    "is_dropout",
    "is_within",
    "silent_rows",
    "speaks_of_dropout",
]
