"""IEEE-754 single precision on bit patterns, in integers: round to nearest even, one NaN."""

from __future__ import annotations

SIGN, INFINITY, NAN = 0x80000000, 0x7F800000, 0x7FC00000
MAGNITUDE = SIGN - 1
GUARD = 26  # quotient bits beyond the 24 of a significand, so that a remainder is a last bit
ROOT_STEPS = 12
FAR = 80  # a summand that lies so many bits below the other is no more than a last bit of it


def nearest(n: int, e: int) -> int:
    """The bits of the float32 nearest to n * 2^e, ties to even; 0 for n <= 0, infinity beyond the largest."""
    if n <= 0:
        return 0
    quantum = max(n.bit_length() + e - 24, -149)
    if quantum + 149 > 254:
        return INFINITY
    drop = quantum - e
    if drop > n.bit_length():
        return 0
    kept = n << -drop if drop <= 0 else nearest_integer(n, drop)
    return min((quantum + 149 << 23) + kept, INFINITY)  # the leading bit of a normal `kept` adds 1 to the exponent


def nearest_integer(m: int, drop: int) -> int:
    """m * 2^-drop to the nearest integer, ties to even; drop >= 0."""
    if drop == 0:
        return m
    down, half = m >> drop, 1 << drop - 1
    rest = m - (down << drop)
    return down + (rest > half or (rest == half and down & 1))


def is_nan(bits: int) -> bool:
    """Whether a pattern is a NaN."""
    return bits & MAGNITUDE > INFINITY


def is_infinite(bits: int) -> bool:
    """Whether a pattern is an infinity."""
    return bits & MAGNITUDE == INFINITY


def is_zero(bits: int) -> bool:
    """Whether a pattern is a zero of either sign."""
    return bits & MAGNITUDE == 0


def value_of(bits: int) -> tuple[int, int]:
    """(m, e) with the value m * 2^e, m signed and below 2^24, of a finite pattern."""
    field, fraction = bits >> 23 & 255, bits & 0x7FFFFF
    m = fraction if field == 0 else fraction | 1 << 23
    return (-m if bits & SIGN else m), max(field, 1) - 150


def neg(bits: int) -> int:
    """-x; the NaN stays."""
    return NAN if is_nan(bits) else bits ^ SIGN


def add(x: int, y: int) -> int:
    """x + y, rounded once."""
    if is_nan(x) or is_nan(y):
        return NAN
    if is_infinite(x) or is_infinite(y):
        return _add_infinite(x, y)
    (m, e), (n, f) = value_of(x), value_of(y)
    if e < f:
        m, e, n, f = n, f, m, e
    if e - f > FAR:  # m has its leading bit, so any n that is not 0 decides no more than which way a tie goes
        n, f = (n > 0) - (n < 0), e - FAR
    low = f
    total = (m << e - low) + n
    if total == 0:
        return x & y if is_zero(x) and is_zero(y) else 0
    return nearest(abs(total), low) | (SIGN if total < 0 else 0)


def _add_infinite(x: int, y: int) -> int:
    if is_infinite(x) and is_infinite(y):
        return x if x == y else NAN
    return x if is_infinite(x) else y


def sub(x: int, y: int) -> int:
    """x - y, rounded once."""
    return add(x, neg(y))


def mul(x: int, y: int) -> int:
    """x * y, rounded once."""
    sign = (x ^ y) & SIGN
    if is_nan(x) or is_nan(y):
        return NAN
    if is_infinite(x) or is_infinite(y):
        return NAN if is_zero(x) or is_zero(y) else sign | INFINITY
    (m, e), (n, f) = value_of(x), value_of(y)
    return sign if m * n == 0 else nearest(abs(m * n), e + f) | sign


def div(x: int, y: int) -> int:
    """x / y, rounded once."""
    sign = (x ^ y) & SIGN
    if is_nan(x) or is_nan(y) or (is_zero(x) and is_zero(y)) or (is_infinite(x) and is_infinite(y)):
        return NAN
    if is_infinite(x) or is_zero(y):
        return sign | INFINITY
    if is_zero(x) or is_infinite(y):
        return sign
    (m, e), (n, f) = value_of(x), value_of(y)
    # |m| is at least 1 and |n| below 2^24: the quotient has GUARD bits or more, and a last bit for the remainder.
    quotient, rest = divmod(abs(m) << 24 + GUARD, abs(n))
    return nearest(2 * quotient + (rest != 0), e - f - 25 - GUARD) | sign


def square_root(n: int) -> int:
    """The largest integer whose square is at most n, for n < 2^255, by Newton's method from above."""
    root = 1 << (n.bit_length() + 1) // 2
    for _ in range(ROOT_STEPS):
        better = root + n // root >> 1
        if better >= root:
            break
        root = better
    return root


def sqrt(x: int) -> int:
    """The square root, rounded once."""
    if is_nan(x) or (x & SIGN and not is_zero(x)):
        return NAN
    if is_zero(x) or is_infinite(x):
        return x
    m, e = value_of(x)
    square = m << 80 + e % 2
    root = square_root(square)
    return nearest(2 * root + (root * root != square), e // 2 - 41)


def round_to_integer(op: str, x: int) -> int:
    """floor, ceil, trunc, or round to nearest even; the sign of zero is kept."""
    if is_nan(x):
        return NAN
    m, e = value_of(x) if not is_infinite(x) else (0, 0)
    if is_infinite(x) or e >= 0 or m == 0:
        return x
    down = m >> -e
    match op:
        case "floor":
            whole = down
        case "ceil":
            whole = -(-m >> -e)
        case "trunc":
            whole = down if m > 0 else -(-m >> -e)
        case _:
            whole = nearest_integer(m, -e)
    return nearest(abs(whole), 0) | x & SIGN
