"""Results in files: named groups of named arrays in HDF5 (NetCDF4 groups) that ArviZ and xarray open."""

from mcdrop.storage.archive import Archive, Variable
from mcdrop.storage.reading import read
from mcdrop.storage.writing import write

__all__ = ["Archive", "Variable", "read", "write"]
