"""The minimax polynomials of csrc/cpu/functions_coefficients.h, by Remez' exchange with 70 digits (needs mpmath).

    python bench/fit_functions.py

Prints each polynomial's coefficients as the header holds them, and its largest weighted error.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mpmath import mp, mpf

Real = Callable[[mpf], mpf]
mp.dps = 70
TINY = mpf(10) ** -12
ERF_CENTRE = mpf("7.75")


def chebyshev_points(low: mpf, high: mpf, count: int) -> list[mpf]:
    """Points of [low, high], denser towards its ends."""
    half, middle = (high - low) / 2, (low + high) / 2
    return [middle - half * mp.cos(mp.pi * (i + mpf(1) / 2) / count) for i in range(count)]


def levelled(f: Real, weight: Real, points: Sequence[mpf]) -> list[mpf]:
    """The polynomial whose weighted error has one size and alternating signs at the points."""
    n = len(points) - 1
    matrix = mp.matrix(n + 1, n + 1)
    for i, x in enumerate(points):
        for j in range(n):
            matrix[i, j] = x**j
        matrix[i, n] = (-1) ** i / weight(x)
    return list(mp.lu_solve(matrix, mp.matrix([f(x) for x in points])))[:n]


def extrema(points: Sequence[mpf], errors: Sequence[mpf], count: int) -> list[tuple[mpf, mpf]]:
    """The largest error of each run of one sign, at most `count` of them."""
    found: list[tuple[mpf, mpf]] = []
    for x, error in zip(points, errors, strict=True):
        if found and (found[-1][1] > 0) == (error > 0):
            if abs(error) > abs(found[-1][1]):
                found[-1] = (x, error)
        else:
            found.append((x, error))
    while len(found) > count:
        found.pop(0 if abs(found[0][1]) < abs(found[-1][1]) else -1)
    return found


def remez(f: Real, n: int, low: mpf, high: mpf, weight: Real) -> tuple[list[mpf], float]:
    """n coefficients that minimise the largest |weight (p - f)| on [low, high], and log2 of it."""
    points, grid = chebyshev_points(low, high, n + 1), chebyshev_points(low, high, 16 * n)
    values = [(weight(x), f(x)) for x in grid]
    for _ in range(8):
        p = levelled(f, weight, points)
        errors = [w * (mp.polyval(p[::-1], x) - y) for x, (w, y) in zip(grid, values, strict=True)]
        peaks = extrema(grid, errors, n + 1)
        sizes = [abs(error) for _, error in peaks]
        if len(peaks) < n + 1 or max(sizes) < mpf("1.05") * min(sizes):
            break
        points = [x for x, _ in peaks]
    return p, float(mp.log(max(sizes), 2))


def exp_tail(r: mpf) -> mpf:
    """(e^r - 1 - r) / r^2."""
    return mpf(1) / 2 + r / 6 + r * r / 24 + r**3 / 120 if abs(r) < mpf(10) ** -8 else (mp.expm1(r) - r) / r**2


def atanh_tail(z: mpf) -> mpf:
    """(2 atanh(s) / s - 2) / z with z = s^2."""
    s = mp.sqrt(z)
    return (mp.log((1 + s) / (1 - s)) / s - 2) / z


def erf_quotient(v: mpf) -> mpf:
    """erf(a) / a with a^2 = v + 7.75."""
    a = mp.sqrt(v + ERF_CENTRE)
    return mp.erf(a) / a


def fits() -> dict[str, tuple[list[mpf], float]]:
    """Each polynomial of the header with log2 of its weighted error."""
    r, z = mp.log(2) / 2 * mpf("1.0001"), ((mp.sqrt(2) - 1) / (mp.sqrt(2) + 1)) ** 2 * mpf("1.0001")
    top = mpf("3.9251") ** 2 - ERF_CENTRE
    half, quarter_turn = mpf("0.50001"), (mp.pi / 2 * mpf("1.0000001")) ** 2
    return {
        "EXP": remez(exp_tail, 10, -r, r, lambda x: abs(x) + mpf(10) ** -9),
        "EXP2": remez(lambda x: mp.expm1(x * mp.log(2)) / x if x else mp.log(2), 11, -half, half, lambda x: mpf(1)),
        "LOG": remez(atanh_tail, 7, TINY, z, lambda x: x),
        "SIN": remez(lambda x: (mp.sin(mp.sqrt(x)) / mp.sqrt(x) - 1) / x, 8, TINY, quarter_turn, lambda x: x),
        "ERF": remez(erf_quotient, 29, TINY - ERF_CENTRE, top, lambda v: 1 / erf_quotient(v)),
    }


if __name__ == "__main__":
    for name, (coefficients, error) in fits().items():
        print(f"{name}: error 2^{error:.1f}")
        print(*(f"    {float(c).hex()}" for c in coefficients), sep="\n")
