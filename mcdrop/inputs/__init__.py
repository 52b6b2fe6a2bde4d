"""Arrays, tensors, tuples, dicts and loaders as one stream of checked batches."""

from mcdrop.inputs.batch import Batch, Stream
from mcdrop.inputs.floats import float_types_of
from mcdrop.inputs.keywords import Keywords, keywords_of
from mcdrop.inputs.opening import open_stream

__all__ = ["Batch", "Keywords", "Stream", "float_types_of", "keywords_of", "open_stream"]
