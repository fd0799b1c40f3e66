"""The symbol under which Keras 2.15 configs name a function, where it is not the function's first name in the tracer. Measured data."""

from __future__ import annotations

__all__ = ["CANONICAL"]

_MATH = (
    "abs acos acosh add add_n argmax argmin asin asinh atan atan2 atanh cos cosh cumsum divide equal exp floor greater greater_equal less "
    "less_equal logical_and logical_not logical_or maximum minimum multiply negative not_equal pow reduce_all reduce_any reduce_logsumexp "
    "reduce_max reduce_mean reduce_min reduce_prod reduce_sum round scalar_mul sigmoid sign sin sinh sqrt square subtract tan tanh truediv"
)
CANONICAL: dict[str, str] = {
    **{name: f"math.{name}" for name in _MATH.split()},
    "complex": "dtypes.complex",
    "matmul": "linalg.matmul",
    "saturate_cast": "dtypes.saturate_cast",
}
