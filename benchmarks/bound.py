"""How fast this machine multiplies matrices in float32: what bounds a pass of a thinned network.

python benchmarks/bound.py
"""

import time

import torch

__all__ = ["multiply_adds_per_second"]


def multiply_adds_per_second(*, size: int = 2048, repeats: int = 5) -> float:
    """Return the best rate among several products of two square matrices, with torch's current number of threads.

    Args:
        size: Rows and columns; large enough that the product and not the memory is what takes time.
        repeats: How many products are timed.
    """
    a, b = torch.rand(size, size), torch.rand(size, size)
    out = torch.empty(size, size)
    best = float("inf")
    for _ in range(repeats + 1):
        start = time.perf_counter()
        torch.mm(a, b, out=out)
        best = min(best, time.perf_counter() - start)
    return size**3 / best


if __name__ == "__main__":
    print(f"{multiply_adds_per_second() / 1e9:.1f} G multiply-adds per second, {torch.get_num_threads()} threads")
