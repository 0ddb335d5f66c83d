"""Native products with one row or one column equal the law, on every instruction set and thread count."""

from __future__ import annotations

import numpy as np
import pytest

from kernels.backends import missing
from tests.kernels.test_products import KINDS, WIDTHS, X86, data, product, run_held_to, same


def check_vectors() -> None:
    """A vector times a matrix of more than a cache, whose columns' scales are guessed from their first rows."""
    from kernels import _native

    rng = np.random.default_rng(6)
    cases = [((600, 1100), kind) for kind in (*KINDS, "grows")]
    cases += [((K, 3), kind) for K in (131071, 524288) for kind in ("largest integers", "lowest wide digits")]
    for shape, kind in cases:
        if kind == "grows":
            b = data(rng, shape, "normal")
            b[128:] *= np.ldexp(np.float32(1), rng.integers(-3, 5, shape[1])).astype(np.float32)
            b[:200, ::11] = 0
            b[-1, [5, 700]] = np.nan, np.inf
            b[300, 1099] = 1e30
        else:
            b = data(rng, shape, kind)
        a = data(rng, (1, shape[0]), "normal" if kind == "grows" else kind)
        for width in (0, 1):
            want = product(a, b, WIDTHS[width])
            for threads in (1, 3):
                got = _native.run("matmul", [a, b], [width], 0, want.shape, threads)
                same(got, want, shape, kind, WIDTHS[width], threads)
                got = _native.run("matmul", [b.T, a.T], [width], 0, want.T.shape, threads)
                same(got, want.T, shape, kind, WIDTHS[width], threads, "transposed")


@pytest.mark.skipif(bool(missing("native")), reason="a machine with the native module would multiply")
@pytest.mark.parametrize("isa", ["plain", "avx2", "avx512", "amx"] if X86 else ["neon"])
def test_products_with_a_vector_equal_the_law(isa: str) -> None:
    run_held_to(isa, "from tests.kernels.test_product_vectors import check_vectors as check; check()")
