"""Times kernels of convolutional and recurrent networks, one by one: microseconds, GFLOP/s or GB/s, and the share of this machine's roof.

    python tests/bench/kernels.py [NAME…] [--rounds 15]

The roof is what a large float32 product reaches here (GFLOP/s), or what a copy of a large array reaches (GB/s), measured in the same run.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tracer.registry import get_op

RNG = np.random.default_rng(0)


def draw(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def best(run: Callable[[], Any], rounds: int) -> float:
    """The least seconds of `rounds` calls, after one that warms up."""
    run()
    found = []
    for _ in range(rounds):
        start = time.perf_counter()
        run()
        found.append(time.perf_counter() - start)
    return min(found)


def kernel(name: str, **attrs: Any) -> Callable[..., Any]:
    record = get_op(name)
    full = {k: v.encode() if isinstance(v, str) else v for k, v in attrs.items()}
    return record.kernel_for(record.schema.complete(full))


def cases() -> Iterator[tuple[str, Callable[[], Any], float, float]]:
    """(name, call, floating point operations, bytes read and written)."""
    for batch in (1, 8):
        for size, inputs, outputs, k, stride in (
            (224, 3, 64, 7, 2), (56, 64, 64, 3, 1), (28, 128, 128, 3, 1), (14, 256, 256, 3, 1), (7, 512, 512, 3, 1),
            (56, 64, 256, 1, 1), (14, 1024, 256, 1, 1), (56, 256, 128, 1, 2),
        ):  # fmt: skip
            x, w = draw(batch, size, size, inputs), draw(k, k, inputs, outputs)
            run = kernel("Conv2D", strides=[1, stride, stride, 1], padding="SAME")
            out = -(-size // stride)
            flops = 2 * batch * out * out * k * k * inputs * outputs
            yield f"conv {k}x{k}/{stride} {size}x{size}x{inputs}->{outputs} n={batch}", lambda r=run, x=x, w=w: r(x, w), flops, 0
        for size, channels, stride in ((112, 32, 1), (112, 96, 2), (56, 144, 1), (28, 192, 1), (14, 576, 1), (7, 960, 1)):
            x, w = draw(batch, size, size, channels), draw(3, 3, channels, 1)
            run = kernel("DepthwiseConv2dNative", strides=[1, stride, stride, 1], padding="SAME")
            out = -(-size // stride)
            moved = x.nbytes + batch * out * out * channels * 4
            yield f"depthwise 3x3/{stride} {size}x{size}x{channels} n={batch}", lambda r=run, x=x, w=w: r(x, w), 0, moved
        x = draw(batch, 112, 112, 64)
        for name in ("MaxPool", "AvgPool"):
            run = kernel(name, ksize=[1, 3, 3, 1], strides=[1, 2, 2, 1], padding="SAME", T=get_op("Relu").schema.attrs["T"].allowed[0])
            yield f"{name} 3x3/2 112x112x64 n={batch}", lambda r=run, x=x: r(x), 0, x.nbytes * 1.25
        x, s = draw(batch, 56, 56, 64), np.abs(draw(64)) + 1
        for training in (False, True):
            run = kernel("FusedBatchNormV3", is_training=training)
            label = "train" if training else "infer"
            yield f"batch norm {label} 56x56x64 n={batch}", lambda r=run, x=x, s=s: r(x, s, s, s, s), 0, x.nbytes * 2
    x = draw(256, 1000)
    run = kernel("Softmax")
    yield "Softmax 256x1000", lambda r=run, x=x: r(x), 0, x.nbytes * 2
    x = draw(1 << 20)
    for name in ("Relu", "Elu", "Softplus"):
        run = kernel(name)
        yield f"{name} 1M", lambda r=run, x=x: r(x), 0, x.nbytes * 2
    x, h, w = draw(64, 32, 128), draw(32, 256), draw(384, 1024)
    z, b = np.zeros(256, np.float32), draw(1024)
    run = kernel("BlockLSTMV2")
    length = np.array(64)
    yield "BlockLSTMV2 64 steps 32x128->256", lambda: run(length, x, h, h, w, z, z, z, b), 2 * 64 * 32 * 384 * 1024, 0


def main() -> None:
    parser = argparse.ArgumentParser(description="Time the kernels of neural networks.")
    parser.add_argument("names", nargs="*", help="run only the cases whose name holds one of these")
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    a = draw(1500, 1500)
    gemm = 2 * 1500**3 / best(lambda: a @ a, options.rounds) / 1e9
    big, other = draw(1 << 24), draw(1 << 24)
    copy = 2 * big.nbytes / best(lambda: np.copyto(other, big), options.rounds) / 1e9
    print(f"roof: {gemm:.0f} GFLOP/s (product), {copy:.1f} GB/s (copy)\n")
    print(f"{'kernel':<52}{'µs':>10}{'GFLOP/s':>10}{'GB/s':>8}{'of roof':>9}")
    for name, run, flops, moved in cases():
        if options.names and not any(n in name for n in options.names):
            continue
        seconds = best(run, options.rounds)
        rate = flops / seconds / 1e9 if flops else moved / seconds / 1e9
        share = rate / (gemm if flops else copy)
        left, right = (f"{rate:.0f}", "") if flops else ("", f"{rate:.1f}")
        print(f"{name:<52}{seconds * 1e6:>10.0f}{left:>10}{right:>8}{share:>9.0%}")


if __name__ == "__main__":
    main()
