"""The constants of SHA-256 from their definition (FIPS 180-4)."""

from __future__ import annotations

from math import isqrt

PRIMES = [n for n in range(2, 312) if all(n % d for d in range(2, isqrt(n) + 1))]  # the first 64


def cube_root_fraction(n: int) -> int:
    """The first 32 bits of the fraction of n's cube root (FIPS 180-4, section 4.2.2)."""
    root = round((n << 96) ** (1 / 3))
    while root**3 > n << 96:
        root -= 1
    while (root + 1) ** 3 <= n << 96:
        root += 1
    return root & 0xFFFFFFFF


ROUND_WORDS = tuple(map(cube_root_fraction, PRIMES))
START = tuple(isqrt(n << 64) & 0xFFFFFFFF for n in PRIMES[:8])  # of the square roots (section 5.3.3)
