"""A covariance function as the Gaussian process uses it: one of mcdrop's by name, or any of PyMC's.

Both give numbers for prediction and for the search of the posterior's maximum, and symbols for a PyMC model.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from mcdrop.baselines.kernels import KERNELS, NOISE, Kernel, KernelName
from mcdrop.baselines.pymc_import import import_pymc
from mcdrop.errors import InputError

__all__ = ["Covariance", "CustomCovariance", "NamedCovariance", "check_kernel", "make_covariance"]

Floats = NDArray[np.float64]
Theta = Mapping[str, Any]


class Covariance(ABC):
    """A covariance function k with priors of its hyperparameters, the noise among them.

    A hyperparameter is a number, or an array where a PyMC variable has a shape. The search for the best ones
    runs over z, a flat vector without bounds.

    Attributes:
        units: What each hyperparameter is measured in, the noise last.
    """

    units: Mapping[str, str]

    @abstractmethod
    def cross(self, x1: Floats, x2: Floats, theta: Theta) -> Floats:
        """Return k between (N, D) and (M, D) inputs, shape (N, M)."""

    @abstractmethod
    def within(self, x: Floats) -> Callable[[Theta], Floats]:
        """Return the function from theta to k among these (N, D) inputs, shape (N, N)."""

    @abstractmethod
    def variance(self, x: Floats, theta: Theta) -> Floats:
        """Return k(x, x) at (M, D) inputs, shape (M,)."""

    @abstractmethod
    def symbols(self, x: Floats) -> tuple[Any, Any]:
        """Add the priors to the PyMC model being built; return k at (N, D) inputs and the noise, both symbolic."""

    @abstractmethod
    def starts(self, x: Floats, y: Floats) -> list[list[Floats]]:
        """Return groups of starting points z for the search."""

    @abstractmethod
    def theta(self, z: Floats) -> dict[str, Any]:
        """Return the hyperparameters that a point of the search space stands for."""

    @abstractmethod
    def log_prior(self, z: Floats) -> float:
        """Return the log prior density of z."""


class NamedCovariance(Covariance):
    """A kernel of mcdrop; z is the logarithm of theta."""

    def __init__(self, kernel: Kernel, period: float = 1.0) -> None:
        self._kernel, self._period = kernel, period
        self._priors = dict(kernel.hyperparameters) | {"noise": NOISE}
        self.units = {name: prior.unit for name, prior in self._priors.items()}

    def cross(self, x1: Floats, x2: Floats, theta: Theta) -> Floats:
        """Return k between (N, D) and (M, D) inputs, shape (N, M)."""
        return np.asarray(self._kernel.formula(self._kernel.geometry(x1, x2, self._period), theta, np))

    def within(self, x: Floats) -> Callable[[Theta], Floats]:
        """Return the function from theta to k among these (N, D) inputs, shape (N, N)."""
        geometry = self._kernel.geometry(x, x, self._period)
        return lambda theta: np.asarray(self._kernel.formula(geometry, theta, np))

    def variance(self, x: Floats, theta: Theta) -> Floats:
        """Return k(x, x) at (M, D) inputs, shape (M,)."""
        return self._kernel.variance(x, theta)

    def symbols(self, x: Floats) -> tuple[Any, Any]:
        """Add the priors to the PyMC model being built; return k at (N, D) inputs and the noise, both symbolic."""
        pymc = import_pymc()
        from pytensor import tensor

        theta = {name: prior.prior(pymc, name) for name, prior in self._priors.items()}
        return self._kernel.formula(self._kernel.geometry(x, x, self._period), theta, tensor), theta["noise"]

    def starts(self, x: Floats, y: Floats) -> list[list[Floats]]:
        """Return groups of starting points z for the search."""
        groups = self._kernel.starts(x, y)
        return [[np.log([start[name] for name in self._priors]) for start in group] for group in groups]

    def theta(self, z: Floats) -> dict[str, Any]:
        """Return the hyperparameters that a point of the search space stands for."""
        return {name: float(value) for name, value in zip(self._priors, np.exp(z), strict=True)}

    def log_prior(self, z: Floats) -> float:
        """Return the log prior density of z: that of theta times the slope of theta in z, which is theta."""
        values = zip(self._priors.values(), np.exp(z), strict=True)
        return sum(prior.log_density(float(value)) for prior, value in values) + float(z.sum())


class CustomCovariance(Covariance):
    """A covariance of PyMC, compiled for numbers through Numba, so that no C compiler is needed.

    z holds the unbounded values that PyMC itself works with, one after the other.
    """

    def __init__(self, build: Any, columns: int) -> None:
        """Build the covariance in a PyMC model of its own and compile it.

        Args:
            build: A PyMC covariance, or a function without arguments that makes its priors and returns one.
            columns: Number of inputs D.

        Raises:
            InputError: If no covariance for D inputs comes out, it uses random variables of another model, or has
                discrete hyperparameters.
        """
        self._build = build
        try:
            self._compile(columns)
        except InputError:
            raise
        except Exception as error:  # the user's function, PyMC or the compiler can fail in any way
            reason = str(error).strip().split("\n")[0]
            raise InputError(
                f"kernel must give a covariance for x with {columns} column(s), got {type(error).__name__}: {reason}; "
                "pass a PyMC covariance, or a function without arguments that makes its priors and returns one"
            ) from error

    def _compile(self, columns: int) -> None:
        """Build the model and turn its parts into functions of numbers."""
        pymc = import_pymc()
        from pytensor import tensor

        with pymc.Model(model=None) as model:  # not a part of a model that the user is building
            covariance, _ = self._make()
        needed = getattr(covariance, "input_dim", columns)
        if needed > columns:  # PyTensor 3 would read beyond the columns there are
            raise InputError(
                f"kernel must give a covariance for x with {columns} column(s), got one of {needed} inputs; make it "
                f"with input_dim={columns}"
            )
        free = list(model.free_RVs)
        discrete = [variable.name for variable in free if not variable.dtype.startswith("float")]
        if discrete:
            raise InputError(
                f"kernel must have continuous hyperparameters, got discrete ones ({', '.join(discrete)}); fix them, or "
                "give them a continuous prior"
            )
        self.units = {variable.name: "as in the kernel" for variable in free} | {"noise": NOISE.unit}
        values = [model.rvs_to_values[variable] for variable in free]
        point = model.initial_point()
        self._first = [np.asarray(point[value.name], dtype=np.float64) for value in values]
        x1, x2 = (tensor.matrix(name, shape=(None, columns)) for name in ("x1", "x2"))
        graphs = {(x1, x2): covariance(x1, x2), (x1,): covariance(x1), (x1, None): covariance(x1, diag=True)}
        for graph in graphs.values():
            _refuse_strangers(graph, free)
        self._cross, self._within, self._diagonal = (
            _compile_given(free, [x for x in inputs if x is not None], graph) for inputs, graph in graphs.items()
        )
        self._theta = _compile(values, model.replace_rvs_by_values(free))
        self._log_prior = _compile(values, model.logp(jacobian=True))
        first = self.theta(np.concatenate([value.ravel() for value in self._first]))
        self.within(np.zeros((2, columns)))(first)  # a covariance for other inputs fails here and not in a search

    def cross(self, x1: Floats, x2: Floats, theta: Theta) -> Floats:
        """Return k between (N, D) and (M, D) inputs, shape (N, M)."""
        return np.asarray(self._cross(*self._arguments(theta), x1, x2))

    def within(self, x: Floats) -> Callable[[Theta], Floats]:
        """Return the function from theta to k among these (N, D) inputs, shape (N, N), white parts included."""
        return lambda theta: np.asarray(self._within(*self._arguments(theta), x))

    def variance(self, x: Floats, theta: Theta) -> Floats:
        """Return k(x, x) at (M, D) inputs, shape (M,)."""
        return np.broadcast_to(self._diagonal(*self._arguments(theta), x), len(x))

    def symbols(self, x: Floats) -> tuple[Any, Any]:
        """Add the priors to the PyMC model being built; return k at (N, D) inputs and the noise, both symbolic."""
        covariance, noise = self._make()
        return covariance(x), noise

    def starts(self, x: Floats, y: Floats) -> list[list[Floats]]:
        """Return groups of starting points z: PyMC's own, and random ones around it, the same every time."""
        first = np.concatenate([value.ravel() for value in self._first])
        rng = np.random.default_rng(0)
        return [[first]] + [list(first + rng.normal(scale=1.5, size=(6, len(first)))) for _ in range(11)]

    def theta(self, z: Floats) -> dict[str, Any]:
        """Return the hyperparameters that a point of the search space stands for."""
        return {
            name: np.asarray(value)[()] for name, value in zip(self.units, self._theta(*self._split(z)), strict=True)
        }

    def log_prior(self, z: Floats) -> float:
        """Return the log prior density of z."""
        return float(self._log_prior(*self._split(z)))

    def _make(self) -> tuple[Any, Any]:
        """Return covariance and noise, made in the PyMC model that is being built."""
        pymc = import_pymc()
        covariance = self._build if isinstance(self._build, pymc.gp.cov.BaseCovariance) else self._build()
        if not isinstance(covariance, pymc.gp.cov.BaseCovariance):
            raise InputError(
                f"kernel must be {', '.join(map(repr, KERNELS))}, a PyMC covariance, or a function that returns one, "
                f"got a function that returned {type(covariance).__name__}; return say pm.gp.cov.Matern52(1, ls=ls)"
            )
        try:
            noise = NOISE.prior(pymc, "noise")
        except ValueError as error:
            raise InputError(
                "kernel must leave the name 'noise' to the observation noise, got a variable of that name; rename it"
            ) from error
        return covariance, noise

    def _arguments(self, theta: Theta) -> list[Any]:
        return [theta[name] for name in self.units]

    def _split(self, z: Floats) -> list[Floats]:
        """Cut z into the values of PyMC's variables, each in its shape."""
        ends = np.cumsum([value.size for value in self._first])[:-1]
        return [part.reshape(value.shape) for part, value in zip(np.split(z, ends), self._first, strict=True)]


def check_kernel(kernel: object, period: object) -> None:
    """Refuse what is no kernel, and a period that is missing or of no use.

    Raises:
        InputError: Naming the kernels.
    """
    if isinstance(kernel, str) or not (callable(kernel) or hasattr(kernel, "full")):
        if not isinstance(kernel, str) or kernel not in get_args(KernelName):
            raise InputError(
                f"kernel must be one of {', '.join(map(repr, get_args(KernelName)))}, a PyMC covariance or a function "
                f"that returns one, got {kernel!r}"
            )
    seasonal = isinstance(kernel, str) and KERNELS[kernel].seasonal  # type: ignore[index]
    if not seasonal:
        if period is not None:
            raise InputError(f"period belongs to the kernel 'structured', got it with {kernel!r}; leave it out")
        return
    if isinstance(period, bool) or not isinstance(period, int | float | np.number) or not 0 < period < np.inf:
        raise InputError(
            f"the kernel {kernel!r} needs period, the length of a season in units of x, as a positive number, got "
            f"{period!r}; for monthly data with x in years pass period=1.0"
        )


def make_covariance(kernel: Any, columns: int, *, period: float | None = None) -> Covariance:
    """Return the covariance that a name, a PyMC covariance or a function that returns one stands for.

    Raises:
        InputError: If the kernel cannot be used with that number of inputs.
    """
    if not isinstance(kernel, str):
        return CustomCovariance(kernel, columns)
    named = KERNELS[kernel]  # type: ignore[index]
    if named.seasonal and columns != 1:
        raise InputError(
            f"the kernel {kernel!r} needs one input, time, got x with {columns} columns; "
            "pass a PyMC covariance that says which column is seasonal"
        )
    return NamedCovariance(named, 1.0 if period is None else period)


def _compile(inputs: list[Any], outputs: Any) -> Callable[..., Any]:
    import pytensor

    compiled: Callable[..., Any] = pytensor.function(  # type: ignore[attr-defined]
        inputs, outputs, mode="NUMBA", on_unused_input="ignore"
    )
    return compiled


def _compile_given(variables: list[Any], inputs: list[Any], graph: Any) -> Callable[..., Any]:
    """Compile a graph for numbers in place of random variables, followed by the inputs."""
    from pytensor.graph.replace import clone_replace

    numbers = {variable: variable.type(variable.name) for variable in variables}
    return _compile([*numbers.values(), *inputs], clone_replace([graph], numbers)[0])


def _refuse_strangers(graph: Any, known: list[Any]) -> None:
    """Refuse random variables that were not made in the model of this covariance: no prior of theirs would count."""
    from pytensor.graph.traversal import ancestors
    from pytensor.tensor.random.op import RandomVariable

    owned = set(known)
    for variable in ancestors([graph], blockers=owned):
        if variable.owner is not None and isinstance(variable.owner.op, RandomVariable) and variable not in owned:
            raise InputError(
                f"kernel must make its random variables itself, got {variable.name or 'one'} from another model; "
                "pass a function that makes the priors and returns the covariance"
            )
