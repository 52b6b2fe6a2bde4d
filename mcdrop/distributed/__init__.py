"""The same passes on Ray: many processes, many machines, one result (needs `mcdrop[ray]`)."""

from mcdrop.distributed.datasets import predict, stream
from mcdrop.distributed.execution import OnRay
from mcdrop.distributed.session import Pool
from mcdrop.distributed.splitting import Split

__all__ = ["OnRay", "Pool", "Split", "predict", "stream"]
