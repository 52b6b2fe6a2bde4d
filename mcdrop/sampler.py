r"""MCDropout: from a trained net, through T stochastic passes, to a predictive.

With masks drawn from q(w) in every pass, the predictive moments are estimated by
$E[y^*] \approx \frac1T \sum_t \hat y(x^*, w_t)$ and the spread of the passes around it. The likelihood of
observations, and the noise that makes it largest, come from the same passes (see `mcdrop.precision`).

References:
    Gal, Y. and Ghahramani, Z. (2016). Dropout as a Bayesian Approximation: Representing Model Uncertainty in
    Deep Learning. ICML. https://arxiv.org/abs/1506.02142 (section 4: moments eq. 6, log-likelihood eq. 8).
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, Unpack, cast, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mcdrop.errors import InputError
from mcdrop.execution import (
    PROBE_ROWS,
    Execution,
    LastLayer,
    Masks,
    Options,
    PredictOptions,
    Recall,
    Run,
    RunOptions,
    Sampling,
    fit_precision,
    log_likelihood,
    make_twin,
    read_options,
    read_predict_options,
    read_targets,
    survey,
)
from mcdrop.inputs import Stream, float_types_of, keywords_of, open_stream
from mcdrop.outputs import Output, Outputs, Selection, check_output
from mcdrop.precision import Precision, one_tau
from mcdrop.predictive import (
    ClassificationPredictive,
    JointReading,
    Reading,
    RegressionPredictive,
    Task,
    Tasks,
    check_class_options,
    check_task,
    conditional_reading,
    reading_of,
)
from mcdrop.prepared import Prepared
from mcdrop.programs import is_program
from mcdrop.sites import SiteTable

if TYPE_CHECKING:
    from torch.export import ExportedProgram

__all__ = ["MCDropout", "Task"]

Name = TypeVar("Name")
Predictive = TypeVar("Predictive", bound=RegressionPredictive | ClassificationPredictive | dict[Any, Any])


class MCDropout(Generic[Predictive]):
    """A trained net with its dropout left on at prediction time.

    The net itself is never changed: passes run on a structural twin that shares its parameters, with every
    dropout call made to sample while the rest stays in eval mode. The masks come from a counter keyed by seed,
    site and pass, so the same seed gives the same draws for any batch size, chunk size and execution strategy,
    and no global random state is moved. Where that cannot be had of a net, as of TorchScript, a warning says so.

    Example:
        >>> import torch
        >>> from mcdrop import MCDropout
        >>> net = torch.nn.Sequential(torch.nn.Linear(1, 64), torch.nn.ReLU(), torch.nn.Dropout(0.1),
        ...                           torch.nn.Linear(64, 1))
        >>> pred = MCDropout(net, task="regression").predict(torch.zeros(5, 1), passes=100, seed=0)
        >>> pred.mean.shape, pred.std.shape
        ((5, 1), (5, 1))
    """

    @overload
    def __init__(
        self: "MCDropout[RegressionPredictive]",
        net: "nn.Module | ExportedProgram",
        *,
        task: Literal["regression", "heteroscedastic"] = "regression",
        output: Output = None,
    ) -> None: ...

    @overload
    def __init__(
        self: "MCDropout[ClassificationPredictive]",
        net: "nn.Module | ExportedProgram",
        *,
        task: Literal["classification"],
        output: Output = None,
        outputs: Outputs = "logits",
        class_axis: int | None = None,
    ) -> None: ...

    @overload
    def __init__(
        self: "MCDropout[dict[Name, RegressionPredictive | ClassificationPredictive]]",
        net: "nn.Module | ExportedProgram",
        *,
        task: Mapping[Name, Task],
        outputs: Outputs = "logits",
        class_axis: int | None = None,
    ) -> None: ...

    def __init__(
        self,
        net: "nn.Module | ExportedProgram",
        *,
        task: Tasks = "regression",
        output: Output = None,
        outputs: Outputs = "logits",
        class_axis: int | None = None,
    ) -> None:
        """Wrap a net.

        Args:
            net: Any trained module, or an exported program, that returns the rows on the first axis of its outputs.
            task: "regression"; "classification" for a net that returns one value per class; "heteroscedastic" for one
                that returns a mean and the log-variance of the noise: named `mean` and `log_variance` (`log_var`,
                `logvar`), as a plain tuple of the two, or as one tensor of shape (N, 2D). For several targets, a task
                for the name or the place of each in what the net returns; the results are then dicts.
            output: Which part of the net's return to predict: a place in a tuple, a name or a path of names such as
                "decoder.0", or a function of the return. Default: a lone tensor, `logits`, or the `out` of a dict.
            outputs: For classification, what the net returns. A single logit per row (K = 1) is read as the
                logit of the second of two classes.
            class_axis: For classification, which axis of the output holds the classes. Default: 1, as in torch's
                cross-entropy, but -1 where an object with `logits` gives three axes: one set of classes per token.
                Three axes of anything else may mean either, and are refused without it.

        Raises:
            InputError: If the net is no module, an option is not one of those above, or one of classification comes
                with no such task.
        """
        if not isinstance(net, nn.Module) and not is_program(net):
            raise InputError(f"net must be a torch.nn.Module, got {type(net).__name__}; pass the trained network")
        check_output(output)
        check_task(task, output)
        check_class_options(task, outputs=outputs, class_axis=class_axis)
        self.net = net
        self.task = task
        self.output = output
        self._outputs, self._class_axis = outputs, class_axis
        self._recall = Recall()

    def __repr__(self) -> str:
        """Return the net's class, the task and the chosen output."""
        chosen = "" if self.output is None else f", output={Selection(self.output).describe()!r}"
        return f"MCDropout({type(self.net).__name__}, task={self.task!r}{chosen})"

    @property
    def settings(self) -> dict[str, Any]:
        """How the net is read, as the arguments that would make this again of the same net."""
        return {"task": self.task, "output": self.output, "outputs": self._outputs, "class_axis": self._class_axis}

    def sites(self, x: Any) -> SiteTable:
        """List where dropout enters the net's forward pass, and declared dropout that never fires.

        Args:
            x: A few rows of inputs, as for `predict`.

        Returns:
            The audit; print it to read it.

        Raises:
            InputError: If `x` holds no rows, or values that are NaN or no numbers.
            NetError: If the net refuses the inputs.
        """
        stream = self._open(x)
        twin = make_twin(self.net, self._reading().choose)
        return survey(twin, next(stream.first.split(PROBE_ROWS))).sites

    def predict(
        self,
        x: Any,
        *,
        passes: int | Literal["auto"] = 100,
        tolerance: float | None = None,
        quantile: float = 1.0,
        max_passes: int = 10_000,
        seed: int = 0,
        masks: Masks = "shared",
        sampling: Sampling = "stratified",
        last_layer: LastLayer = "sampled",
        keep_samples: bool = False,
        batch_size: int | None = None,
        memory_limit: int | str | None = None,
        execution: Execution = "auto",
        chunk_size: int | None = None,
        dtype: torch.dtype | None = None,
        progress: bool | str = False,
    ) -> Predictive:
        """Run T passes and summarize them; memory does not grow with T unless the samples are kept.

        Args:
            x: A tensor or array with the N rows on its first axis, a tuple (positional arguments) or mapping
                (keyword arguments) of them, at any depth, or a DataLoader. Of a loader's tuples the first entry is
                the net's input and the others are left out; so are labels in a mapping, unless the net takes them.
                A mapping goes to the net as it is where its forward requires one argument, of another name than any
                in it. Tensors of a floating type that some parameter or buffer of the net has are taken as they are;
                other floating values are converted to the type that most numbers in the net's parameters have.
            passes: Number of passes T, at least 2; 1 is enough where the exact last layer is all that is stochastic.
                "auto": as many as each row needs for its Monte Carlo error to be within the tolerance, in rounds
                that end after 100 (stratified 200), 150, 200, 300, 400, 600, ... passes; rows that have converged are
                not run again.
            tolerance: For "auto", the largest standard error of a mean: for regression as a share of its `std`, default
                0.05; for classification in probability, default 0.005.
            quantile: For "auto", which share of the rows of a batch has to converge; below 1 a row's passes depend on
                the batch it is in.
            max_passes: For "auto", the most passes of a row.
            seed: What the masks are keyed by.
            masks: "shared": a pass is one draw of the weights, used for every row, so passes are functions and
                joint over rows; "independent": every row of every pass has masks of its own.
            sampling: "stratified": within 25 passes the draws of each dropout unit fall into each 25th of [0, 1) once
                (see `mcdrop.strata`). Every pass is an exact draw, and means vary several times less than those of
                "iid", independent passes. Make T a multiple of 25. Below 100, `mcse` is that of independent passes, an
                upper bound; at 100 it is rough. Below 50, variances are up to 4% too large.
            last_layer: "sampled" like all others; or "exact", for regression with a net that ends in plain dropout and
                a Linear layer: mean and variance of that layer are computed for every pass instead of drawn, so
                that the estimates are as unbiased and closer, and exact if no other dropout is live.
            keep_samples: Whether to keep all passes, T x N x D values, in `samples` (of a heteroscedastic net the
                means); quantiles and intervals are then theirs and no longer a Gaussian's.
            batch_size: Rows to run at once; default: what the memory limit and the net's shapes allow. Changes
                speed and memory, never the draws.
            memory_limit: What the passes may take beside the net, the inputs and the results: bytes, or a text such
                as "500 MB"; default: "2 GiB". Rows and passes at once are chosen by it where they are not given.
            execution: "loop"; "vectorized"; "thinned": what is dropped is sliced out of the weights, several times
                faster on wide layers; "auto": by a model of their cost, from shapes alone, so that the same call gives
                the same bits; or "fastest": by timing the first passes, equal to rounding only. Changes no draw.
            chunk_size: Passes to run side by side; default: chosen along with the strategy. Changes speed and
                memory, never the draws.
            dtype: `torch.bfloat16` to take products in that type (autocast), where the machine has it, with an error of
                up to 0.4% in each; faster there than float32 without thinning. Default: the net's own types.
            progress: Whether to show a progress bar on standard error; a text names it.

        Returns:
            A `RegressionPredictive` or a `ClassificationPredictive`; of several targets a dict of them. Of a
            heteroscedastic net `std` is the epistemic part, `noise_std` the aleatoric one, and `total_std()` both. With
            passes="auto" their `passes` is an array of shape (N,).

        Raises:
            InputError: If an argument or the input data is not usable.
            NoDropoutError: If no dropout fires in the net.
            NetError: If the net refuses the inputs, or its outputs are unusable or, all of them, look like
                probabilities where logits were expected.
            ExecutionError: If the strategy asked for by name cannot run the net, or its last layer is no such layer.

        Warns:
            UserWarning: If the single logits of a classifier all lie in [0, 1], as those of a sigmoid do.
            UnsettledRowsWarning: If rows have not converged after `max_passes`.
            SilentDropoutWarning: If dropout that is declared or was found adds no spread.
            RowMaskWarning: If rows cannot share a mask, or are time steps to the net.
            UncountedDrawsWarning: If the net draws past the counter, so that a seed holds for one batch size at most.
        """
        return self.prepare(
            x,
            passes=passes,
            tolerance=tolerance,
            quantile=quantile,
            max_passes=max_passes,
            seed=seed,
            masks=masks,
            sampling=sampling,
            last_layer=last_layer,
            keep_samples=keep_samples,
            batch_size=batch_size,
            memory_limit=memory_limit,
            execution=execution,
            chunk_size=chunk_size,
            dtype=dtype,
            progress=progress,
        ).whole()

    def prepare(self, x: Any, **options: Unpack[PredictOptions]) -> Prepared[Predictive]:
        """Survey the net once, and return what predicts any rows: data sets larger than memory, parts on many machines.

        A row's prediction does not depend on the rows that it comes with. Block by block it is that of `predict` on all
        rows to rounding, and whoever prepares with the same net, options and first rows gets the same bits.

        Args:
            x: The first rows of the inputs, as for `predict`; not predicted yet.
            **options: How the passes run, one or more of them, as for `predict`.

        Returns:
            An object with `predict(x, start=...)`, and `partial` and `finish` for ranges of passes.

        Raises:
            InputError: If an option or the inputs are not usable.
            NoDropoutError: If no dropout fires in the net.
            NetError: If the net refuses the inputs.
            ExecutionError: If the strategy asked for by name cannot run the net, or its last layer is no such layer.

        Example:
            >>> import torch
            >>> net = torch.nn.Sequential(torch.nn.Linear(1, 64), torch.nn.Dropout(0.1), torch.nn.Linear(64, 1))
            >>> x = torch.linspace(0, 1, 1000)[:, None]
            >>> prepared = MCDropout(net).prepare(x[:100], passes=50, seed=0)
            >>> sum(len(prepared.predict(x[start : start + 250], start=start)) for start in range(0, 1000, 250))
            1000
        """
        asked = read_predict_options(options)
        reading = self._reading()
        if asked.last_layer == "exact":
            reading = conditional_reading(reading, keep_samples=asked.keep_samples)
        run = Run(
            self.net,
            self._open(x),
            choose=reading.choose,
            options=asked.running,
            last_layer=asked.last_layer,
            recall=self._recall,
        )
        provenance = self._provenance(run.sites, asked.running) | asked.provenance
        return Prepared(
            run,
            reading,
            {"passes": asked.running.passes, "provenance": provenance},
            open_rows=self._open,
            stopping=asked.stopping,
            keep_samples=asked.keep_samples,
            splits=asked.splits,
            origin=(self, x, dict(options)),
        )

    @overload
    def sample(
        self: "MCDropout[RegressionPredictive] | MCDropout[ClassificationPredictive]",
        x: Any,
        **options: Unpack[RunOptions],
    ) -> Tensor: ...

    @overload
    def sample(
        self: "MCDropout[dict[Name, RegressionPredictive | ClassificationPredictive]]",
        x: Any,
        **options: Unpack[RunOptions],
    ) -> dict[Name, Tensor]: ...

    def sample(self, x: Any, **options: Unpack[RunOptions]) -> Tensor | dict[Any, Tensor]:
        """Run T passes and return the net's raw outputs.

        Args:
            x: Inputs, as for `predict`.
            **options: How the passes run, one or more of them, as for `predict`: passes, seed, masks, sampling,
                batch_size, memory_limit, execution, chunk_size, dtype, progress.

        Returns:
            Shape (T, N, ...), on the CPU, in the net's type; of several targets a dict of them. Of a heteroscedastic
            net shape (T, N, 2, ...), mean and log-variance.

        Raises:
            InputError: If an argument or the input data is not usable.
            NoDropoutError: If no dropout fires in the net.
            NetError: If the net refuses the inputs.
            ExecutionError: If the strategy asked for by name cannot run the net.
        """
        running, reading = read_options(options), self._reading()
        run = Run(self.net, self._open(x), choose=reading.take, options=running, recall=self._recall)
        if isinstance(reading, JointReading):
            return dict(zip(cast(Mapping[Any, Task], self.task), run.draws(reading.split), strict=True))
        return run.samples()

    def log_likelihood(
        self,
        x: Any,
        y: Any,
        *,
        tau: float | None = None,
        noise_std: float | None = None,
        **options: Unpack[RunOptions],
    ) -> NDArray[np.float64]:
        """Return the log-likelihood of observations under the mixture of T passes; none of them is kept.

        Args:
            x: Inputs, as for `predict`.
            y: Observations in the shape of the net's outputs, or of its means; for classification the true classes,
                whole numbers from 0, shape (N,). Given by itself also where x is a loader, in the order of the loader's
                rows.
            tau: For regression, the model precision in units of 1/y²; give either this or `noise_std`.
            noise_std: For regression, the observation noise in units of y.
            **options: How the passes run, one or more of them, as for `predict`: passes, seed, masks, sampling,
                batch_size, memory_limit, execution, chunk_size, dtype, progress.

        Returns:
            In nats, shape (N,): the density of a row's D outputs together, or the mean probability of its class. One
            value per prediction where a classifier makes several for a row.

        Raises:
            InputError: If an argument or the data are not usable, or x and y do not fit together.
            NoDropoutError: If no dropout fires in the net.
            NetError: If the net refuses the inputs or its outputs are unusable.
            ExecutionError: If the strategy asked for by name cannot run the net.

        Example:
            >>> import torch
            >>> net = torch.nn.Sequential(torch.nn.Linear(1, 64), torch.nn.Dropout(0.1), torch.nn.Linear(64, 1))
            >>> MCDropout(net).log_likelihood(torch.zeros(5, 1), torch.zeros(5), noise_std=0.5).shape
            (5,)
        """
        running = read_options(options)
        self._refuse_several("log_likelihood")
        precision, reading = self._one_precision(tau, noise_std), self._reading()
        truth, stream = read_targets(y, labels=self.task == "classification"), self._open(x)
        truth.check_length(stream.total)
        run = Run(self.net, stream, choose=reading.choose, options=running, recall=self._recall)
        values = log_likelihood(run, truth, lambda output, y: reading.likelihood(output, y, precision))
        reading.judge()
        return values

    def fit_precision(self, x: Any, y: Any, **options: Unpack[RunOptions]) -> Precision:
        """Find the tau under which held-out observations are likeliest, to a relative precision of about 1e-4.

        The T passes run three times, on the same masks: to bound tau by the passes' errors, for a coarse grid of taus
        between the bounds, and for a fine one around the best. Memory does not grow with T.

        Use data that the net was not trained on: on its training data it errs too little, and tau comes out too large.
        Use many passes where their spread is above the noise: a large tau needs a pass near every observation, so that
        tau comes out too small until there are enough.

        Args:
            x: Inputs, as for `predict`, of a kind that can be read again: a loader, but no bare iterator.
            y: Observations in the shape of the net's outputs, in units of y, in the order of the rows of x.
            **options: How the passes run, one or more of them, as for `predict`: passes, seed, masks, sampling,
                batch_size, memory_limit, execution, chunk_size, dtype, progress.

        Returns:
            The best tau, its likelihood and the curve that was looked at.

        Raises:
            InputError: If an argument or the data are not usable, x and y do not fit together, the task is not
                regression, or every point is hit exactly by some pass, so that no tau is largest.
            NoDropoutError: If no dropout fires in the net.
            NetError: If the net refuses the inputs or its outputs are unusable.
            ExecutionError: If the strategy asked for by name cannot run the net.

        Example:
            >>> import torch
            >>> net = torch.nn.Sequential(torch.nn.Linear(1, 64), torch.nn.Dropout(0.1), torch.nn.Linear(64, 1))
            >>> best = MCDropout(net).fit_precision(torch.zeros(5, 1), torch.arange(5.0))
            >>> 1 < best.noise_std < 4
            True
        """
        running = read_options(options)
        self._refuse_several("fit_precision")
        self._refuse_noise("fit_precision")
        reading = self._reading()
        if isinstance(x, Iterator):
            raise InputError(
                f"x must be something that can be read three times, got {type(x).__name__}, which ends after once; "
                "pass a tensor, an array, a list of batches or a DataLoader"
            )
        truth, stream = read_targets(y, labels=False), self._open(x)
        truth.check_length(stream.total)
        run = Run(self.net, stream, choose=reading.choose, options=running, recall=self._recall)
        return fit_precision(run, truth, lambda: self._open(x))

    def _reading(self) -> Reading[Any, Any]:
        """Return how the net's return is read, for one run."""
        return reading_of(self.task, self.output, outputs=self._outputs, class_axis=self._class_axis)

    def _one_precision(self, tau: float | None, noise_std: float | None) -> float | None:
        """Return tau however it was given; None where the net's outputs hold their noise."""
        if self.task == "regression":
            return one_tau(tau, noise_std)
        if tau is not None or noise_std is not None:
            self._refuse_noise("tau and noise_std")
        return None

    def _refuse_noise(self, what: str) -> None:
        if self.task != "regression":
            own = "class probabilities hold their noise already"
            own = own if self.task == "classification" else "the net gives the noise itself, as its log-variance"
            raise InputError(f"{what} must go with task='regression', got task={self.task!r}; leave it out: {own}")

    def _refuse_several(self, what: str) -> None:
        if isinstance(self.task, Mapping):
            key, task = next(iter(self.task.items()))
            raise InputError(
                f"{what} is of one target, got {list(self.task)}; wrap the net once for each, for example "
                f"MCDropout(net, task={task!r}, output={key!r}): the same seed gives the same passes"
            )

    def _provenance(self, sites: SiteTable, options: Options) -> dict[str, Any]:
        """Say what made a prediction, in plain data: what fixes the draws, and nothing of how they were run."""
        chosen = {} if self.output is None else {"output": Selection(self.output).describe()}
        task = {} if isinstance(self.task, Mapping) else {"task": self.task}  # of several, each result tells its own
        return {
            "model": type(self).__name__,
            "net": type(self.net).__name__,
            **task,
            **chosen,
            "seed": int(options.seed),
            "masks": options.masks,
            "sampling": options.sampling,
            **({} if options.dtype is None else {"dtype": str(options.dtype)}),
            "sites": [
                {"index": site.index, "kind": site.kind, "module": site.module, "rate": site.rate}
                for site in sites.live
            ],
        }

    def _open(self, x: Any, start: int = 0) -> Stream:
        tensors = (*self.net.parameters(), *self.net.buffers())
        floating = next((tensor for tensor in tensors if tensor.is_floating_point()), torch.empty(0))
        usual, known = float_types_of(self.net)
        return open_stream(
            x, device=floating.device, dtype=usual, kept=known, keywords=keywords_of(self.net), start=start
        )
