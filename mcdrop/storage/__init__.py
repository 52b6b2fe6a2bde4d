"""Results in files: named groups of named arrays in HDF5 (NetCDF4 groups) that ArviZ and xarray open."""

from mcdrop.storage.archive import POINT, Archive, Block, Variable
from mcdrop.storage.blockwise import write_blocks
from mcdrop.storage.columns import check_columns
from mcdrop.storage.journal import Entry, Journal
from mcdrop.storage.labels import Labels
from mcdrop.storage.missing import drop_missing, missing_in, missing_points, point_rows
from mcdrop.storage.reading import read, read_attributes
from mcdrop.storage.tables import write_table
from mcdrop.storage.writing import write

__all__ = [
    "POINT",
    "Archive",
    "Block",
    "Entry",
    "Journal",
    "Labels",
    "Variable",
    "check_columns",
    "drop_missing",
    "missing_in",
    "missing_points",
    "point_rows",
    "read",
    "read_attributes",
    "write",
    "write_blocks",
    "write_table",
]
