r"""Variational dropout inside recurrent layers: the same masks at every time step.

Torch's LSTM, GRU and RNN drop nothing on the way from one step to the next. Here inputs and states are dropped, each by
one mask that is drawn once per sequence and used at all its steps, the same for all gates:

$$\mathrm{gates}_t = W_{ih} \left(x_t \cdot \frac{m_x}{1 - p_x}\right) + b_{ih}
  + W_{hh} \left(h_{t-1} \cdot \frac{m_h}{1 - p_h}\right) + b_{hh}$$

What carries the memory (the cell of an LSTM, the interpolation of a GRU) is not dropped. Every layer and every
direction has masks of its own; at rates 0 the result is the wrapped layer's, up to rounding.

References:
    Gal, Y. and Ghahramani, Z. (2016). A Theoretically Grounded Application of Dropout in Recurrent Neural Networks.
    NeurIPS. https://arxiv.org/abs/1512.05287 (section 4.1: the tied-weights LSTM with masks z_x and z_h).
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mcdrop.errors import InputError
from mcdrop.layers.rate import check_rate
from mcdrop.layers.variational import check_sequences

__all__ = ["VariationalRNN"]

State = tuple[Tensor, Tensor | None]
"""What a step hands to the next one: the hidden state, and the cell of an LSTM."""


class VariationalRNN(nn.Module):
    """A trained LSTM, GRU or RNN with dropout on its inputs and states; in eval mode, what was wrapped.

    It holds the parameters of the wrapped layer itself, under the same names: weights that change in one change in the
    other, and putting it in the layer's place leaves the keys of the net's state dict as they were.

    Example:
        >>> import torch
        >>> from mcdrop.layers import VariationalRNN
        >>> lstm = torch.nn.LSTM(3, 8, batch_first=True)
        >>> rnn = VariationalRNN(lstm, p_input=0.2, p_hidden=0.2)
        >>> output, (h, c) = rnn(torch.zeros(5, 7, 3))
        >>> output.shape
        torch.Size([5, 7, 8])
    """

    def __init__(
        self, rnn: nn.RNNBase, *, p_input: float = 0.25, p_hidden: float = 0.25, p_between: float | None = None
    ) -> None:
        """Wrap a recurrent layer; its parameters are shared, not copied.

        Args:
            rnn: An `nn.LSTM`, `nn.GRU` or `nn.RNN`: any number of layers, one or two directions, with or without
                biases and projections.
            p_input: Rate of the inputs to the first layer, in [0, 1].
            p_hidden: Rate of the states on their way to the next step, in every layer, in [0, 1].
            p_between: Rate of the inputs to the layers above the first, in [0, 1]; default: the wrapped layer's own
                `dropout`. The last layer's outputs are not dropped: put a `VariationalDropout` after it.

        Raises:
            InputError: If the layer is of another kind or its weights are parametrized, a rate lies outside [0, 1], or
                there is no layer above the first to drop inputs of.
        """
        super().__init__()
        _check_layer(rnn)
        self.mode, self.num_layers, self.proj_size = rnn.mode, rnn.num_layers, rnn.proj_size
        self.input_size, self.hidden_size = rnn.input_size, rnn.hidden_size
        self.bias, self.batch_first, self.bidirectional = rnn.bias, rnn.batch_first, rnn.bidirectional
        self.p_input, self.p_hidden = check_rate("p_input", p_input), check_rate("p_hidden", p_hidden)
        if p_between is None:
            p_between = rnn.dropout if rnn.num_layers > 1 else 0.0
        self.p_between = check_rate("p_between", p_between)
        if self.p_between > 0 and self.num_layers == 1:
            raise InputError(
                f"p_between={self.p_between:g} needs two or more layers, got 1; leave it out, or drop the outputs with "
                "VariationalDropout"
            )
        for name, parameter in rnn.named_parameters(recurse=False):
            self.register_parameter(name, parameter)
        self.train(rnn.training)

    @property
    def p(self) -> float:
        """The largest of the three rates."""
        return max(self.p_input, self.p_hidden, self.p_between)

    def forward(
        self, input: Tensor, hx: Tensor | tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, Tensor | tuple[Tensor, Tensor]]:
        """Run the sequences through all layers.

        Args:
            input: Sequences, shape (N, time, input_size) if `batch_first`, otherwise (time, N, input_size).
            hx: Initial state in the shape of the final one; default: zeros.

        Returns:
            The last layer's states at all steps, in the layout of the input, and the final state: h of shape
            (directions * layers, N, size), and (h, c) for an LSTM.

        Raises:
            InputError: If the input is packed or a single sequence, or a shape does not fit the layer.
        """
        check_sequences(input, type(self).__name__, batch_first=self.batch_first)
        x = input.transpose(0, 1) if self.batch_first else input
        if x.shape[2] != self.input_size or len(x) == 0:
            raise InputError(
                f"input must have one or more steps of {self.input_size} features, got shape {tuple(input.shape)} with "
                f"batch_first={self.batch_first}; transpose or fill it"
            )
        initial, final = self._initial(x, hx), list[State]()
        for layer in range(self.num_layers):
            runs = []
            for suffix in (f"l{layer}", f"l{layer}_reverse")[: 2 if self.bidirectional else 1]:
                outputs, state = self._direction(x, initial[len(final)], suffix, first=layer == 0)
                runs.append(outputs)
                final.append(state)
            x = torch.cat(runs, dim=2)
        output = x.transpose(0, 1) if self.batch_first else x
        h = torch.stack([state[0] for state in final])
        cells = [cell for _, cell in final if cell is not None]
        return output, ((h, torch.stack(cells)) if cells else h)

    def _direction(self, x: Tensor, state: State, suffix: str, *, first: bool) -> tuple[Tensor, State]:
        """Run one direction of one layer over x, shape (time, N, features)."""
        backward, step = suffix.endswith("reverse"), _STEPS[self.mode]
        x = self._dropped(x, self.p_input if first else self.p_between)
        gates = F.linear(x, self._weight("weight_ih", suffix), self._bias("bias_ih", suffix))  # all steps at once
        weight, bias = self._weight("weight_hh", suffix), self._bias("bias_hh", suffix)
        mask = self._mask(state[0], self.p_hidden)
        outputs = []
        for gate in reversed(gates.unbind()) if backward else gates.unbind():
            h, cell = state
            h, cell = step(gate, F.linear(h if mask is None else h * mask, weight, bias), h, cell)
            if self.proj_size:
                h = F.linear(h, self._weight("weight_hr", suffix))
            state = h, cell
            outputs.append(h)
        return torch.stack(outputs[::-1] if backward else outputs), state

    def _dropped(self, x: Tensor, p: float) -> Tensor:
        mask = self._mask(x[0], p)
        return x if mask is None else x * mask

    def _mask(self, like: Tensor, p: float) -> Tensor | None:
        """Draw one mask of shape (N, features), or none at rate 0."""
        return F.dropout(like.new_ones(like.shape), p, self.training) if p > 0 else None

    def _weight(self, name: str, suffix: str) -> Tensor:
        return self.get_parameter(f"{name}_{suffix}")

    def _bias(self, name: str, suffix: str) -> Tensor | None:
        return self.get_parameter(f"{name}_{suffix}") if self.bias else None

    def _initial(self, x: Tensor, hx: object) -> list[State]:
        """Return the initial state of every direction of every layer."""
        count, lstm = self.num_layers * (2 if self.bidirectional else 1), self.mode == "LSTM"
        sizes = [self.proj_size or self.hidden_size, *([self.hidden_size] if lstm else [])]
        if hx is None:
            hx = tuple(x.new_zeros(count, x.shape[1], size) for size in sizes)
        given = tuple(hx) if isinstance(hx, tuple | list) else (hx,)
        expected = [(count, x.shape[1], size) for size in sizes]
        got = [tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__ for value in given]
        if got != expected:
            raise InputError(
                f"hx must be {'(h, c) of shapes' if lstm else 'h of shape'} {', '.join(map(str, expected))}, got "
                f"{', '.join(map(str, got))}; leave it out to start from zeros"
            )
        cells = given[1].unbind() if lstm else (None,) * count
        return list(zip(given[0].unbind(), cells, strict=True))

    def flatten_parameters(self) -> None:
        """Do nothing: nets call it on the layer whose place this one takes."""

    def extra_repr(self) -> str:
        """Return the rates and sizes, for the net's text."""
        rates = f"p_input={self.p_input:g}, p_hidden={self.p_hidden:g}, p_between={self.p_between:g}"
        return f"{self.mode}, {self.input_size}, {self.hidden_size}, num_layers={self.num_layers}, {rates}"


def _lstm(x: Tensor, recurrent: Tensor, h: Tensor, cell: Tensor | None) -> State:
    assert cell is not None
    i, f, g, o = (x + recurrent).chunk(4, dim=-1)
    cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
    return o.sigmoid() * cell.tanh(), cell


def _gru(x: Tensor, recurrent: Tensor, h: Tensor, cell: Tensor | None) -> State:
    (x_r, x_z, x_n), (h_r, h_z, h_n) = x.chunk(3, dim=-1), recurrent.chunk(3, dim=-1)
    r, z = (x_r + h_r).sigmoid(), (x_z + h_z).sigmoid()
    n = (x_n + r * h_n).tanh()
    return n + z * (h - n), None


_STEPS: dict[str, Callable[[Tensor, Tensor, Tensor, Tensor | None], State]] = {
    "LSTM": _lstm,
    "GRU": _gru,
    "RNN_TANH": lambda x, recurrent, h, cell: ((x + recurrent).tanh(), None),
    "RNN_RELU": lambda x, recurrent, h, cell: ((x + recurrent).relu(), None),
}


def _check_layer(rnn: object) -> None:
    if not isinstance(rnn, nn.RNNBase) or rnn.mode not in _STEPS:
        raise InputError(f"rnn must be a torch.nn.LSTM, GRU or RNN, got {type(rnn).__name__}; pass the trained layer")
    missing = [name for names in rnn._all_weights for name in names if name not in rnn._parameters]
    if missing:
        raise InputError(
            f"rnn must hold its weights as plain parameters, got one that computes {', '.join(missing)}; make the "
            "parametrization permanent first, with torch.nn.utils.parametrize.remove_parametrizations"
        )
