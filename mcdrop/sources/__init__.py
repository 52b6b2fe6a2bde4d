"""Files as inputs, read block by block: HDF5, NumPy, CSV, Parquet and folders of images."""

from mcdrop.sources.blocks import Block, nan_rows, rows_of, select_rows
from mcdrop.sources.images import ImageOptions
from mcdrop.sources.layout import RowType
from mcdrop.sources.opening import ENDINGS, open_source
from mcdrop.sources.source import Source

__all__ = [
    "ENDINGS",
    "Block",
    "ImageOptions",
    "RowType",
    "Source",
    "nan_rows",
    "open_source",
    "rows_of",
    "select_rows",
]
