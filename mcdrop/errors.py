"""The error tree: every error mcdrop raises on purpose, each also the builtin it resembles."""

__all__ = [
    "ClusterError",
    "ConvergenceWarning",
    "DataError",
    "DependencyError",
    "ExecutionError",
    "InputError",
    "McdropError",
    "NetError",
    "NoDropoutError",
    "OutputError",
    "RowMaskWarning",
    "SilentDropoutWarning",
    "TrainingError",
    "UncountedDrawsWarning",
    "UnsettledRowsWarning",
]


class McdropError(Exception):
    """Base of every error that mcdrop raises; catch it to catch them all."""


class InputError(McdropError, ValueError):
    """An argument or an input array is not what the function needs."""


class NetError(McdropError, RuntimeError):
    """The network cannot be run on these inputs, or gave something unusable."""


class NoDropoutError(NetError):
    """The network has no dropout that could fire, so every pass would be the same."""


class ExecutionError(McdropError, RuntimeError):
    """An execution strategy cannot run this network; another one may."""


class TrainingError(McdropError, RuntimeError):
    """Training diverged or was interrupted before it finished."""


class DataError(McdropError, OSError):
    """A data file is missing, damaged, or not in the format that was asked for."""


class DependencyError(McdropError, ImportError):
    """An optional package is needed and not installed."""


class ClusterError(McdropError, ConnectionError):
    """A cluster cannot be reached, or has not what was asked of it."""


class OutputError(McdropError, OSError):
    """A result could not be written where it was asked for."""


class ConvergenceWarning(UserWarning):
    """A sampler's chains have not converged, so what is computed from them may be wrong."""


class RowMaskWarning(UserWarning):
    """Rows cannot share masks as they should: dropout is called once per row, or rows are time steps to the net."""


class SilentDropoutWarning(UserWarning):
    """Some declared dropout stays silent, so the reported spread may be too small."""


class UncountedDrawsWarning(UserWarning):
    """Some random numbers are drawn past the counter, so that seeds hold for one batch size only."""


class UnsettledRowsWarning(UserWarning):
    """Rows have a Monte Carlo error above the tolerance after the most passes that were allowed.

    Attributes:
        rows: How many there are.
        total: Of how many.
        passes: How many passes they took.
        excess: The largest of their errors over the tolerance.
    """

    def __init__(self, rows: int, total: int, passes: int, excess: float) -> None:
        """Say it in words, too."""
        super().__init__(rows, total, passes, excess)
        self.rows, self.total, self.passes, self.excess = rows, total, passes, excess

    def __str__(self) -> str:
        """Return what is wrong and what to do."""
        return (
            f"{self.rows} of {self.total} points should have a Monte Carlo error within the tolerance after "
            f"{self.passes} passes, got errors of up to {self.excess:.2g} times the tolerance; raise max_passes or the "
            "tolerance"
        )
