"""Special functions on float64 arrays, elementwise, in NumPy alone: error functions, gamma and beta functions, Bessel functions, integrals.

Accuracy is near that of float64 over the usual ranges; the tests compare with the standard library and TensorFlow.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

__all__ = [
    "bessel_i", "bessel_j", "bessel_k", "bessel_y", "betainc", "dawsn", "digamma", "erf", "erf_float32", "erfc", "erfinv", "expint",
    "fresnel", "igamma", "igamma_grad_a", "igammac", "lgamma", "ndtri", "polygamma", "spence", "zeta",
]  # fmt: skip

_EPS = 2.0**-53
_EULER = 0.57721566490153286061


def _poly(x: np.ndarray, coefficients: tuple[float, ...], monic: bool = False) -> np.ndarray:
    """A polynomial by Horner's rule, highest power first; `monic`: with a leading 1 that is not listed."""
    out = x + coefficients[0] if monic else np.full_like(x, coefficients[0])
    for c in coefficients[1:]:
        out *= x
        out += c
    return out


def _where(x: np.ndarray, mask: np.ndarray, inside: Callable[[np.ndarray], np.ndarray], outside: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Each branch computed only where it is wanted."""
    if mask.all():
        return inside(x)
    if not mask.any():
        return outside(x)
    out = np.empty_like(x)
    out[mask] = inside(x[mask])
    out[~mask] = outside(x[~mask])
    return out


# -- error functions (rational approximations of Cephes, ndtr.c) -----------------------------------------------------

_P = (
    2.46196981473530512524e-10, 5.64189564831068821977e-1, 7.46321056442269912687e0, 4.86371970985681366614e1,
    1.96520832956077098242e2, 5.26445194995477358631e2, 9.34528527171957607540e2, 1.02755188689515710272e3, 5.57535335369399327526e2,
)  # fmt: skip
_Q = (
    1.32281951154744992508e1, 8.67072140885989742329e1, 3.54937778887819891062e2, 9.75708501743205489753e2,
    1.82390916687909736289e3, 2.24633760818710981792e3, 1.65666309194161350182e3, 5.57535340817727675546e2,
)  # fmt: skip
_R = (
    5.64189583547755073984e-1, 1.27536670759978104416e0, 5.01905042251180477414e0, 6.16021097993053585195e0,
    7.40974269950448939160e0, 2.97886665372100240670e0,
)  # fmt: skip
_S = (
    2.26052863220117276590e0, 9.39603524938001434673e0, 1.20489539808096656605e1, 1.70814450747565897222e1,
    9.60896809063285878198e0, 3.36907645100081516050e0,
)  # fmt: skip
_T = (9.60497373987051638749e0, 9.00260197203842689217e1, 2.23200534594684319226e3, 7.00332514112805075473e3, 5.55923013010394962768e4)
_U = (3.35617141647503099647e1, 5.21357949780152679795e2, 4.59432382970980127987e3, 2.26290000613890934246e4, 4.92673942608635921086e4)


def _erf_small(x: np.ndarray) -> np.ndarray:
    z = x * x
    return x * _poly(z, _T) / _poly(z, _U, monic=True)


def _erfc_large(a: np.ndarray) -> np.ndarray:
    """erfc for a >= 1."""
    # exp(-a²) in two factors, so that the rounding of a² does not matter
    head = np.round(a * 128) / 128
    e = np.exp(-head * head) * np.exp(-(a - head) * (a + head))
    ratio = _where(
        a, a < 8, lambda t: _poly(t, _P) / _poly(t, _Q, monic=True), lambda t: _poly(t, _R) / _poly(t, _S, monic=True)
    )
    return np.where(a > 27.5, 0.0, e * ratio)


def erf(x: np.ndarray) -> np.ndarray:
    """The error function."""
    a = np.abs(x)
    out = _where(a, a < 1, _erf_small, lambda t: 1.0 - _erfc_large(t))
    return np.where(np.isnan(x), x, np.copysign(out, x))


def erfc(x: np.ndarray) -> np.ndarray:
    """1 - erf(x), accurate where that is small."""
    a = np.abs(x)
    big = _where(a, a < 1, lambda t: 1.0 - _erf_small(t), _erfc_large)
    return np.where(np.isnan(x), x, np.where(x < 0, 2.0 - big, big))


_ALPHA = (
    -2.72614225801306e-10, 2.77068142495902e-08, -2.10102402082508e-06, -5.69250639462346e-05, -7.34990630326855e-04,
    -2.95459980854025e-03, -1.60960333262415e-02,
)  # fmt: skip
_BETA = (-1.45660718464996e-05, -2.13374055278905e-04, -1.68282697438203e-03, -7.37332916720468e-03, -1.42647390514189e-02)
_ALPHA_32 = tuple(np.float32(c) for c in _ALPHA)
_BETA_32 = tuple(np.float32(c) for c in _BETA)


_BLOCK = 16384  # elements that stay in the cache over all the steps of a polynomial


def erf_float32(x: np.ndarray) -> np.ndarray:
    """The error function in float32 by one rational approximation, within a few units of the last place."""
    if x.size > _BLOCK:
        flat = x.reshape(-1)
        out = np.empty_like(flat)
        for start in range(0, flat.size, _BLOCK):
            out[start : start + _BLOCK] = erf_float32(flat[start : start + _BLOCK])
        return out.reshape(x.shape)
    t = np.minimum(np.maximum(x, np.float32(-4)), np.float32(4))
    z = t * t
    p = _poly(z, _ALPHA_32)
    q = _poly(z, _BETA_32)
    p *= t
    p /= q
    return p


_ACKLAM_A = (-3.969683028665376e01, 2.209460984245205e02, -2.759285104469687e02, 1.383577518672690e02, -3.066479806614716e01, 2.506628277459239e00)
_ACKLAM_B = (-5.447609879822406e01, 1.615858368580409e02, -1.556989798598866e02, 6.680131188771972e01, -1.328068155288572e01, 1.0)
_ACKLAM_C = (-7.784894002430293e-03, -3.223964580411365e-01, -2.400758277161838e00, -2.549732539343734e00, 4.374664141464968e00, 2.938163982698783e00)
_ACKLAM_D = (7.784695709041462e-03, 3.224671290700398e-01, 2.445134137142996e00, 3.754408661907416e00, 1.0)


def _normal_quantile_low(p: np.ndarray) -> np.ndarray:
    """The quantile for 0 < p <= 1/2: Acklam's approximation, then two steps of Halley's method."""

    def tail(t: np.ndarray) -> np.ndarray:
        q = np.sqrt(-2 * np.log(t))
        return _poly(q, _ACKLAM_C) / _poly(q, _ACKLAM_D)

    def middle(t: np.ndarray) -> np.ndarray:
        q = t - 0.5
        r = q * q
        return q * _poly(r, _ACKLAM_A) / _poly(r, _ACKLAM_B)

    x = _where(p, p < 0.02425, tail, middle)
    for _ in range(2):
        e = 0.5 * erfc(-x / np.sqrt(2)) - p
        u = e * np.sqrt(2 * np.pi) * np.exp(x * x / 2)
        x = x - np.where(np.isfinite(u), u / (1 + x * u / 2), 0)
    return x


def ndtri(p: np.ndarray) -> np.ndarray:
    """The quantile of the standard normal distribution."""
    low = np.minimum(p, 1 - p)
    inside = low > 0
    x = _normal_quantile_low(np.where(inside, low, 0.25))
    x = np.where(p > 0.5, -x, x)
    return np.where(inside, x, np.where(p == 0, -np.inf, np.where(p == 1, np.inf, np.nan)))


def erfinv(y: np.ndarray) -> np.ndarray:
    """The inverse of the error function."""
    a = np.abs(y)
    start = ndtri(np.where(a < 0.7, (a + 1) / 2, 0.75)) / np.sqrt(2)
    centre = np.where(a < 0.7, start, 0.3)
    for _ in range(2):
        centre = centre - (erf(centre) - a) * np.exp(centre * centre) * (np.sqrt(np.pi) / 2)
    edge = -ndtri((1 - a) / 2) / np.sqrt(2)
    return np.copysign(np.where(a < 0.7, centre, edge), y)


# -- gamma functions -------------------------------------------------------------------------------------------------

_STIRLING = (
    43867 / 244188, -3617 / 122400, 1 / 156, -691 / 360360, 1 / 1188, -1 / 1680, 1 / 1260, -1 / 360, 1 / 12,
)  # fmt: skip


def _lgamma_positive(x: np.ndarray) -> np.ndarray:
    """log Γ for x > 0: moved up to x >= 10 by the recurrence, then Stirling's series."""
    shift = np.where(x < 10, np.ceil(10 - x), 0.0)
    y = x + shift
    product = np.ones_like(x)
    for i in range(int(shift.max(initial=0))):
        product = np.where(i < shift, product * (x + i), product)
    r = 1 / y
    series = r * _poly(r * r, _STIRLING)
    out = (y - 0.5) * np.log(y) - y + 0.91893853320467274178 + series - np.log(product)
    return np.where(np.isinf(x), x, out)


def lgamma(x: np.ndarray) -> np.ndarray:
    """log |Γ(x)|; infinite at 0, -1, -2, …"""
    flipped = x < 0.5
    out = _lgamma_positive(np.where(flipped, 1 - x, x))
    if flipped.any():
        with np.errstate(all="ignore"):
            sine = np.abs(np.sin(np.pi * (x - np.round(x))))
            out = np.where(flipped, np.log(np.pi) - np.log(sine) - out, out)
    return np.where(np.isinf(x), np.inf, out)


_DIGAMMA = (-1 / 12, 691 / 32760, -1 / 132, 1 / 240, -1 / 252, 1 / 120, -1 / 12)


def digamma(x: np.ndarray) -> np.ndarray:
    """The derivative of log Γ; NaN at 0, -1, -2, …"""
    flipped = x <= 0
    y = np.where(flipped, 1 - x, x)
    shift = np.where(y < 10, np.ceil(10 - y), 0.0)
    total = np.zeros_like(y)
    for i in range(int(shift.max(initial=0))):
        total = np.where(i < shift, total + 1 / (y + i), total)
    z = y + shift
    r = 1 / (z * z)
    out = np.log(z) - 0.5 / z + r * _poly(r, _DIGAMMA) - total
    fraction = x - np.round(x)
    with np.errstate(all="ignore"):
        reflected = out - np.pi / np.tan(np.pi * fraction)
    return np.where(flipped, np.where(fraction == 0, np.nan, reflected), out)


_ZETA = (
    12.0, -720.0, 30240.0, -1209600.0, 47900160.0, -1.8924375803183791606e9, 7.47242496e10, -2.950130727918164224e12,
    1.1646782814350067249e14, -4.5979787224074726105e15, 1.8152105401943546773e17, -7.1661652561756670113e18,
)  # fmt: skip


def zeta(x: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Hurwitz's zeta function Σ (q + k)^-x, by the formula of Euler and Maclaurin."""
    x, q = np.broadcast_arrays(x, q)
    bad = (x < 1) | ((q <= 0) & (x != np.floor(x)) & (q != np.floor(q)))
    pole = (x == 1) | ((q <= 0) & (q == np.floor(q)))
    safe_x = np.where(bad | pole, 2.0, x)
    a = np.where(bad | pole, 1.0, q)
    total = np.zeros_like(a)
    # enough terms to leave the negative numbers behind, and ten more
    for _ in range(int(min(max(10, 10 - np.floor(a.min(initial=0))), 100000))):
        total = total + np.power(a, -safe_x)
        a = a + 1
    b = np.power(a, -safe_x)
    total = total + b * a / (safe_x - 1) + 0.5 * b
    factor, b, k = np.ones_like(a), b, 0.0
    for c in _ZETA:
        factor = factor * (safe_x + k)
        b = b / a
        total = total + factor * b / c
        k += 1
        factor = factor * (safe_x + k)
        b = b / a
        k += 1
    return np.where(bad, np.nan, np.where(pole, np.inf, total))


def polygamma(n: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The n-th derivative of digamma, for whole n >= 0."""
    n, x = np.broadcast_arrays(n, x)
    whole = (n >= 0) & (n == np.floor(n))
    order = np.where(whole, n, 1.0)
    sign = np.where(order % 2 == 0, -1.0, 1.0)
    out = sign * np.exp(lgamma(order + 1)) * zeta(order + 1, x)
    out = np.where(order == 0, digamma(np.array(x)), out)
    return np.where(whole, out, np.nan)


# -- incomplete gamma functions --------------------------------------------------------------------------------------


def _gamma_prefix(a: np.ndarray, x: np.ndarray) -> np.ndarray:
    """x^a e^-x / Γ(a)."""
    return np.exp(a * np.log(x) - x - lgamma(a))


def _lower_series(a: np.ndarray, x: np.ndarray) -> np.ndarray:
    term = np.ones_like(a)
    total = np.ones_like(a)
    r = a.copy()
    for _ in range(20000):
        r = r + 1
        term = term * x / r
        total = total + term
        if not (term > total * _EPS).any():
            break
    return total * _gamma_prefix(a, x) / a


def _upper_fraction(a: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Lentz's evaluation of the continued fraction of Γ(a, x) / Γ(a)."""
    tiny = 1e-300
    b = x + 1 - a
    c = np.full_like(x, 1 / tiny)
    d = 1 / np.where(b == 0, tiny, b)
    h = d
    for i in range(1, 20000):
        an = -i * (i - a)
        b = b + 2
        d = an * d + b
        d = 1 / np.where(np.abs(d) < tiny, tiny, d)
        c = b + an / c
        c = np.where(np.abs(c) < tiny, tiny, c)
        step = d * c
        h = h * step
        if not (np.abs(step - 1) > 2 * _EPS).any():
            break
    return h * _gamma_prefix(a, x)


def _regularised(a: np.ndarray, x: np.ndarray, want_lower: bool) -> np.ndarray:
    a, x = (np.array(v) for v in np.broadcast_arrays(a, x))
    bad = ~((a > 0) & (x >= 0)) | np.isnan(a) | np.isnan(x)
    easy = bad | (x == 0) | np.isinf(x) | np.isinf(a)
    lower = np.where(x == 0, 0.0, np.where(np.isinf(x), 1.0, 0.0))
    upper = 1 - lower
    work = ~easy
    small = work & ((x <= 1) | (x <= a))
    large = work & ~small
    if small.any():
        lower[small] = _lower_series(a[small], x[small])
        upper[small] = 1 - lower[small]
    if large.any():
        upper[large] = _upper_fraction(a[large], x[large])
        lower[large] = 1 - upper[large]
    out = np.where(bad, np.nan, lower if want_lower else upper)
    return np.where((a == 0) & (x > 0), 1.0 if want_lower else 0.0, out)


def igamma(a: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The lower incomplete gamma function, regularised."""
    return _regularised(a, x, True)


def igammac(a: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The upper incomplete gamma function, regularised."""
    return _regularised(a, x, False)


def igamma_grad_a(a: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The derivative of `igamma` in `a`, by its series term by term."""
    a, x = (np.array(v) for v in np.broadcast_arrays(a, x))
    good = (a > 0) & (x > 0) & np.isfinite(x) & np.isfinite(a)
    u, v = np.where(good, a, 1.0), np.where(good, x, 1.0)
    term, slope = np.ones_like(u), np.zeros_like(u)
    total, total_slope = np.ones_like(u), np.zeros_like(u)
    r = u.copy()
    for _ in range(20000):
        r = r + 1
        slope = (slope - term / r) * v / r
        term = term * v / r
        total = total + term
        total_slope = total_slope + slope
        if not ((term > total * _EPS) | (np.abs(slope) > np.abs(total_slope) * _EPS)).any():
            break
    prefix = np.exp(u * np.log(v) - v - lgamma(u + 1))
    out = prefix * (total_slope + total * (np.log(v) - digamma(u + 1)))
    return np.where(good, out, np.where((x == 0) & (a > 0), 0.0, np.nan))


def betainc(a: np.ndarray, b: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The incomplete beta function, regularised, by its continued fraction."""
    a, b, x = (np.array(v, np.float64) for v in np.broadcast_arrays(a, b, x))
    bad = ~((a > 0) & (b > 0) & (x >= 0) & (x <= 1))
    edge = (x == 0) | (x == 1)
    a, b, x = np.where(bad, 1.0, a), np.where(bad, 1.0, b), np.where(bad, 0.5, x)
    swap = x > (a + 1) / (a + b + 2)
    p, q, z = np.where(swap, b, a), np.where(swap, a, b), np.where(swap, 1 - x, x)
    zs = np.where(edge, 0.25, z)
    tiny = 1e-300
    c = np.ones_like(zs)
    d = 1 - (p + q) * zs / (p + 1)
    d = 1 / np.where(np.abs(d) < tiny, tiny, d)
    h = d
    for m in range(1, 10000):
        done = True
        for numerator in (
            m * (q - m) * zs / ((p + 2 * m - 1) * (p + 2 * m)),
            -(p + m) * (p + q + m) * zs / ((p + 2 * m) * (p + 2 * m + 1)),
        ):
            d = 1 + numerator * d
            d = 1 / np.where(np.abs(d) < tiny, tiny, d)
            c = 1 + numerator / c
            c = np.where(np.abs(c) < tiny, tiny, c)
            step = d * c
            h = h * step
            done = not (np.abs(step - 1) > 2 * _EPS).any()
        if done:
            break
    front = np.exp(p * np.log(zs) + q * np.log1p(-zs) - (lgamma(p) + lgamma(q) - lgamma(p + q))) / p
    out = front * h
    out = np.where(swap, 1 - out, out)
    out = np.where(edge, np.where(x == 0, 0.0, 1.0), out)
    return np.where(bad, np.nan, out)


# -- Bessel functions ------------------------------------------------------------------------------------------------


def _asymptotic(order: int, x: np.ndarray, count: int) -> list[np.ndarray]:
    """The terms a_k(order) / x^k of Hankel's expansions."""
    mu = 4.0 * order * order
    terms = [np.ones_like(x)]
    for k in range(1, count):
        terms.append(terms[-1] * (mu - (2 * k - 1) ** 2) / (8 * k * x))
    return terms


def bessel_i(order: int, x: np.ndarray, scaled: bool) -> np.ndarray:
    """I_0 or I_1, or e^-|x| times it."""
    a = np.abs(x)

    def series(t: np.ndarray) -> np.ndarray:
        z = t * t / 4
        term = np.ones_like(t) if order == 0 else t / 2
        total = term
        for k in range(1, 70):
            term = term * z / (k * (k + order))
            total = total + term
        return total * np.exp(-t)

    def expansion(t: np.ndarray) -> np.ndarray:
        terms = _asymptotic(order, t, 30)
        return sum((-1) ** k * v for k, v in enumerate(terms)) / np.sqrt(2 * np.pi * t)

    out = _where(a, a < 20, series, expansion)
    out = np.where(np.isinf(a), 0.0, out)
    if order == 1:
        out = np.copysign(out, x)
    if not scaled:
        out = out * np.exp(a)
        out = np.where(np.isinf(a), np.copysign(np.inf, x) if order else np.inf, out)
    return np.where(np.isnan(x), x, out)


def bessel_k(order: int, x: np.ndarray, scaled: bool) -> np.ndarray:
    """K_0 or K_1, or e^x times it: the trapezoid rule on ∫ exp(-x cosh t) cosh(order t) dt; the power series near 0."""

    def near(t: np.ndarray) -> np.ndarray:
        z = t * t / 4
        log = np.log(t / 2) + _EULER
        term, harmonic, total = np.ones_like(t), 0.0, np.zeros_like(t)
        for k in range(25):
            if order == 0:
                total = total + term * (harmonic - log)
            else:
                total = total + term * (2 * log - 2 * harmonic - 1 / (k + 1)) * t / 4
            harmonic += 1 / (k + 1)
            term = term * z / ((k + 1) * (k + 1 + order))
        return (total if order == 0 else total + 1 / t) * np.exp(t)

    def far(t: np.ndarray) -> np.ndarray:
        total = np.full_like(t, 0.5)
        h = 0.0625
        for k in range(1, 120):
            s = k * h
            total += np.exp(-t * (np.cosh(s) - 1)) * (np.cosh(s) if order else 1.0)
        return total * h

    positive = x > 0
    t = np.where(positive & np.isfinite(x), x, 1.0)
    # far away the integrand is narrow: the expansion of Hankel is exact there
    def expansion(u: np.ndarray) -> np.ndarray:
        return sum(_asymptotic(order, u, 30)) * np.sqrt(np.pi / (2 * u))

    out = _where(t, t < 2, near, lambda u: _where(u, u < 25, far, expansion))
    if not scaled:
        out = out * np.exp(-t)
    out = np.where(np.isinf(x), 0.0, out)
    return np.where(positive, out, np.where(x == 0, np.inf, np.nan))


_ANGLES = np.pi * (np.arange(128) + 0.5) / 128
_SINES = np.sin(_ANGLES)
_NEUMANN = sum((-1) ** k * np.cos(2 * k * _ANGLES) / k for k in range(1, 45))


def _hankel(order: int, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    terms = _asymptotic(order, x, 30)
    p = sum((-1) ** (k // 2) * v for k, v in enumerate(terms) if k % 2 == 0)
    q = sum((-1) ** (k // 2) * v for k, v in enumerate(terms) if k % 2 == 1)
    return p, q, x - (2 * order + 1) * np.pi / 4


def bessel_j(order: int, x: np.ndarray) -> np.ndarray:
    """J_0 or J_1: Bessel's integral by the trapezoid rule, Hankel's expansion far away."""
    a = np.abs(x)

    def near(t: np.ndarray) -> np.ndarray:
        phase = t[..., None] * _SINES
        return np.cos(phase).mean(axis=-1) if order == 0 else (np.sin(phase) * _SINES).mean(axis=-1)

    def far(t: np.ndarray) -> np.ndarray:
        p, q, angle = _hankel(order, t)
        return np.sqrt(2 / (np.pi * t)) * (p * np.cos(angle) - q * np.sin(angle))

    out = _where(a, a < 25, near, far)
    out = np.where(np.isinf(x), 0.0, out)
    return np.where(x < 0, -out, out) if order == 1 else out


def bessel_y(order: int, x: np.ndarray) -> np.ndarray:
    """Y_0 or Y_1: Neumann's expansion in Bessel functions, Hankel's expansion far away."""
    positive = x > 0
    t = np.where(positive & np.isfinite(x), x, 1.0)

    def near(u: np.ndarray) -> np.ndarray:
        phase = u[..., None] * _SINES
        log = np.log(u / 2) + _EULER
        if order == 0:
            return 2 / np.pi * log * bessel_j(0, u) - 4 / np.pi * (np.cos(phase) * _NEUMANN).mean(axis=-1)
        slope = (np.sin(phase) * _SINES * _NEUMANN).mean(axis=-1)
        return -2 / np.pi * bessel_j(0, u) / u + 2 / np.pi * log * bessel_j(1, u) - 4 / np.pi * slope

    def far(u: np.ndarray) -> np.ndarray:
        p, q, angle = _hankel(order, u)
        return np.sqrt(2 / (np.pi * u)) * (p * np.sin(angle) + q * np.cos(angle))

    out = _where(t, t < 25, near, far)
    out = np.where(np.isinf(x), 0.0, out)
    return np.where(positive, out, np.where(x == 0, -np.inf, np.nan))


# -- integrals -------------------------------------------------------------------------------------------------------


def dawsn(x: np.ndarray) -> np.ndarray:
    """Dawson's integral exp(-x²) ∫ exp(t²) dt: Rybicki's sampling (1989), a power series near 0."""
    a = np.abs(x)

    def near(t: np.ndarray) -> np.ndarray:
        z = -2 * t * t
        term, total = t, t
        for k in range(1, 16):
            term = term * z / (2 * k + 1)
            total = total + term
        return total

    def far(t: np.ndarray) -> np.ndarray:
        h = 0.2
        centre = 2 * np.round(0.5 * t / h)
        rest = t - centre * h
        total = np.zeros_like(t)
        for n in range(-35, 36, 2):
            total += np.exp(-((rest - n * h) ** 2)) / (n + centre)
        return total / np.sqrt(np.pi)

    def very_far(t: np.ndarray) -> np.ndarray:
        r = 1 / (t * t)
        return 0.5 / t * (1 + r * (0.5 + r * (0.75 + r * 1.875)))

    out = _where(a, a < 0.3, near, lambda t: _where(t, t < 1e4, far, very_far))
    return np.copysign(out, x)


def expint(x: np.ndarray) -> np.ndarray:
    """The exponential integral Ei of positive numbers; -∞ at 0, NaN below."""
    positive = x > 0
    t = np.where(positive & np.isfinite(x), x, 1.0)

    def series(u: np.ndarray) -> np.ndarray:
        term, total = np.ones_like(u), np.zeros_like(u)
        for k in range(1, 170):
            term = term * u / k
            total = total + term / k
        return total + np.log(u) + _EULER

    def expansion(u: np.ndarray) -> np.ndarray:
        term, total = np.ones_like(u), np.ones_like(u)
        for k in range(1, 40):
            term = term * k / u
            total = total + term
        return np.exp(u) / u * total

    out = _where(t, t < 45, series, expansion)
    return np.where(positive, np.where(np.isinf(x), np.inf, out), np.where(x == 0, -np.inf, np.nan))


_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(96)


def fresnel(x: np.ndarray, is_cosine: bool) -> np.ndarray:
    """∫ cos(π t²/2) dt or ∫ sin(π t²/2) dt from 0: Gauss' quadrature, the asymptotic expansion far away."""
    a = np.abs(x)
    wave = np.cos if is_cosine else np.sin

    def near(t: np.ndarray) -> np.ndarray:
        points = t[..., None] * (_NODES + 1) / 2
        return (wave(np.pi / 2 * points * points) * _WEIGHTS).sum(axis=-1) * t / 2

    def far(t: np.ndarray) -> np.ndarray:
        z = np.pi * t * t
        f, g = np.zeros_like(t), np.zeros_like(t)
        term = np.ones_like(t)
        for k in range(12):
            f, g = f + (-1) ** k * term, g + (-1) ** k * term * (4 * k + 1) / z
            term = term * (4 * k + 1) * (4 * k + 3) / (z * z)
        f, g = f / (np.pi * t), g / (np.pi * t)
        phase = np.pi / 2 * np.fmod(t * t, 4.0)
        if is_cosine:
            return 0.5 + f * np.sin(phase) - g * np.cos(phase)
        return 0.5 - f * np.cos(phase) - g * np.sin(phase)

    out = _where(a, a < 6, near, far)
    out = np.where(np.isinf(x), 0.5, out)
    return np.copysign(out, x)


_BERNOULLI = (
    1.0, -0.5, 1 / 6, 0.0, -1 / 30, 0.0, 1 / 42, 0.0, -1 / 30, 0.0, 5 / 66, 0.0, -691 / 2730, 0.0, 7 / 6, 0.0, -3617 / 510, 0.0,
    43867 / 798, 0.0, -174611 / 330,
)  # fmt: skip


def _dilogarithm_small(z: np.ndarray) -> np.ndarray:
    """Li₂ for -1 <= z <= 1/2, by Debye's series in -log(1 - z)."""
    u = -np.log1p(-z)
    term, total = u, np.zeros_like(u)
    for n, b in enumerate(_BERNOULLI):
        total = total + b * term
        term = term * u / (n + 2)
    return total


def spence(x: np.ndarray) -> np.ndarray:
    """∫ log t / (1 - t) dt from 1 to x, that is Li₂(1 - x), for x >= 0."""
    good = x >= 0
    t = np.where(good & np.isfinite(x), x, 1.0)
    log = np.log(np.where(t == 0, 1.0, t))
    low = t < 0.5
    high = t > 2
    z = np.where(low, t, np.where(high, 1 / np.where(high, 1 - t, 1.0), 1 - t))
    small = _dilogarithm_small(z)
    c = np.pi**2 / 6
    out = np.where(low, c - log * np.log1p(-np.where(low, t, 0.0)) - small, small)
    out = np.where(high, -c - 0.5 * np.log(np.where(high, t - 1, 1.0)) ** 2 - small, out)
    return np.where(good, np.where(np.isinf(x), -np.inf, out), np.nan)
