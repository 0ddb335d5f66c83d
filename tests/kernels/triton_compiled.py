"""Run by test_triton.py without a GPU: what the Triton compiler makes of the product's kernels."""

from __future__ import annotations

import re
from typing import Any

import pytest
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from kernels.spec.matmul import NARROW_QMAX, WIDE_QMAX
from kernels.triton import coefficients, elementwise, matmul, random, reduction, residues, scale
from kernels.triton.launch import OPTIONS
from kernels.triton.tilings import DIGITS, TILINGS, Tiling

INTEGER_PRODUCT = {
    80: r"mma\.sync\.aligned\.m16n8k32\.row\.col(\.satfinite)?\.s32\.s8\.s8\.s32",
    89: r"mma\.sync\.aligned\.m16n8k32\.row\.col(\.satfinite)?\.s32\.s8\.s8\.s32",
    90: r"wgmma\.mma_async\.sync\.aligned\.m64n\d+k32\.s32\.s8\.s8",
    100: r"(tcgen05\.mma\.cta_group::1\.kind::i8|mma\.sync\.aligned\.m16n8k32\S*\.s32\.s8\.s8\.s32)",
    120: r"mma\.sync\.aligned\.m16n8k32\.row\.col(\.satfinite)?\.s32\.s8\.s8\.s32",
}
POINTERS = {
    "x": "*fp32",
    "a": "*i8",
    "b": "*i8",
    "sums": "*i64",
    "table": "*i64",
    "y": "*fp32",
    "maxima": "*i32",
    "maxima_a": "*i32",
    "maxima_b": "*i32",
}
INSTRUCTIONS = {
    "add": r"add\.rn\.f32",
    "sub": r"sub\.rn\.f32",
    "mul": r"mul\.rn\.f32",
    "div": r"div\.rn\.f32",
    "sqrt": r"sqrt\.rn\.f32",
    "rsqrt": r"sqrt\.rn\.f32",
    "exp": r"fma\.rn\.f64",
    "tanh": r"div\.rn\.f64",
}
FLOAT_PRODUCT = {
    75: r"fma\.rn\.f32",  # no tensor core of Turing's is known to this Triton; of integers below 2^24 it is exact
    80: r"mma\.sync\.aligned\.m16n8k16\S*\.f32\.bf16\.bf16\.f32",
    90: r"wgmma\.mma_async\.sync\.aligned\.m64n\d+k16\.f32\.bf16\.bf16",
    100: r"(tcgen05\.mma\.cta_group::1\.kind::f16|mma\.sync\.aligned\.m16n8k16\S*\.bf16)",
    120: r"mma\.sync\.aligned\.m16n8k16\S*\.f32\.bf16\.bf16\.f32",
}
SHARED = {80: 163, 89: 99, 90: 227, 100: 227, 120: 99}  # KiB that a block may have
QMAX = {"narrow": NARROW_QMAX, "wide": WIDE_QMAX}
PRODUCTS = [
    ("narrow", Tiling(64, 64, 64)),
    ("wide", Tiling(64, 64, 64)),
    ("wide", TILINGS["wide"][0]),
]


def ptx(kernel: Any, constants: dict[str, Any], architecture: int, out: str, **options: Any) -> str:
    """The kernel's PTX, after it has been assembled too."""
    return assembled(kernel, constants, architecture, out, **options).asm["ptx"]


def assembled(kernel: Any, constants: dict[str, Any], architecture: int, out: str, **options: Any) -> Any:
    """The kernel as Triton compiles it; every pointer is aligned, as torch's are."""
    pointers = {**POINTERS, "out": out, **{name: options.pop(name) for name in kernel.arg_names if name in options}}
    types = {name: "constexpr" if name in constants else pointers.get(name, "i32") for name in kernel.arg_names}
    aligned = {
        (i,): [["tt.divisibility", 16]]
        for i, (name, kind) in enumerate(types.items())
        if kind[0] == "*" or name in ("P", "terms")
    }
    source = ASTSource(fn=kernel, signature=types, constexprs=constants, attrs=aligned)
    compiled = triton.compile(source, target=GPUTarget("cuda", architecture, 32), options={**OPTIONS, **options})
    assert len(compiled.asm["cubin"]) > 0
    return compiled


def assert_exact(text: str, fused: bool = False) -> None:
    """No instruction that flushes subnormals, approximates or rounds otherwise than to nearest even, nor, unless the
    source says so, a fused multiply-add."""
    wrong = r"\b\w+\.[\w.]*(?:ftz|approx|full)\b[\w.]*|cvt\.r[zmp]\.f\w+|\b(?:fma|mad)\.[\w.]*f32\b"
    wrong += "" if fused else r"|\b(?:fma|mad)\.[\w.]*f64\b"
    assert re.findall(wrong, text) == []


def product_of(width: str, tiling: Tiling, architecture: int) -> Any:
    """The product under a tiling, of digits or, where it says so, of residues."""
    limit = QMAX[width]
    tile = {"TILE_M": tiling.M, "TILE_N": tiling.N, "TILE_K": tiling.K, "GROUP": tiling.GROUP, "DIGIT": tiling.digit}
    schedule = {"num_warps": tiling.num_warps, "num_stages": tiling.num_stages}
    if tiling.residues:
        return assembled(residues.residue_product_kernel, tile, architecture, "*i8", **schedule)
    constants = {"DIGITS": DIGITS[width], "QMAX": limit, "BITS": limit.bit_length(), "SPLIT": tiling.splits > 1}
    return assembled(matmul.product_kernel, {**constants, **tile}, architecture, "*fp32", **schedule)


def product_ptx(width: str, tiling: Tiling, architecture: int) -> str:
    """The PTX of the product under a tiling."""
    return product_of(width, tiling, architecture).asm["ptx"]


def fits(kernel: Any, architecture: int) -> bool:
    """Whether a block of this GPU has the shared and the tensor memory; Triton raises OutOfResources where not."""
    return kernel.metadata.shared <= SHARED[architecture] * 1024 and kernel.metadata.tmem_size <= 512


def assert_no_float64(text: str) -> None:
    """No instruction on float64: many GPUs have one unit of it for 64 of float32."""
    assert re.findall(r"\b\w+\.[\w.]*f64\b", text) == []


@pytest.mark.parametrize("architecture", INTEGER_PRODUCT)
@pytest.mark.parametrize(("width", "tiling"), PRODUCTS, ids=str)
def test_the_product_runs_on_integer_tensor_cores_and_rounds_as_ieee(
    width: str, tiling: Tiling, architecture: int
) -> None:
    text = product_ptx(width, tiling, architecture)
    assert re.search(INTEGER_PRODUCT[architecture], text)
    assert not re.search(r"mma\S*\.(f16|bf16|tf32|e4m3|e5m2)\b", text)
    assert_exact(text)
    assert_no_float64(text)


@pytest.mark.parametrize("architecture", SHARED)
@pytest.mark.parametrize("width", QMAX)
def test_the_tiling_of_small_products_fits_every_gpu(width: str, architecture: int) -> None:
    assert fits(product_of(width, matmul.SMALL_TILING, architecture), architecture)


@pytest.mark.long
@pytest.mark.parametrize("architecture", SHARED)
@pytest.mark.parametrize("width", QMAX)
def test_hopper_fits_every_tiling_and_every_gpu_three(width: str, architecture: int) -> None:
    found = [tiling for tiling in TILINGS[width] if fits(product_of(width, tiling, architecture), architecture)]
    assert len(found) == len(TILINGS[width]) if architecture == 90 else len(found) >= 3


@pytest.mark.parametrize("architecture", FLOAT_PRODUCT)
@pytest.mark.parametrize("width", QMAX)
def test_the_product_of_float_digits_adds_in_float32(width: str, architecture: int) -> None:
    digit = "float16" if architecture < 80 else "bfloat16"
    text = product_ptx(width, Tiling(64, 64, 64, digit=digit), architecture)
    assert re.search(FLOAT_PRODUCT[architecture], text)
    assert not re.search(r"mma\S*s32", text)
    assert_exact(text.replace("fma.rn.f32", "") if architecture < 80 else text)
    assert_no_float64(text)


@pytest.mark.parametrize("architecture", INTEGER_PRODUCT)
def test_residues_are_multiplied_on_integer_tensor_cores(architecture: int) -> None:
    tiling = next(tiling for tiling in TILINGS["wide"] if tiling.residues)
    tile = {"TILE_M": tiling.M, "TILE_N": 128, "TILE_K": tiling.K, "GROUP": tiling.GROUP, "DIGIT": "int8"}
    text = ptx(residues.residue_product_kernel, tile, architecture, "*i8", num_warps=tiling.num_warps)
    assert re.search(INTEGER_PRODUCT[architecture], text)
    assert not re.search(r"mma\S*\.(f16|bf16|tf32|e4m3|e5m2)\b", text)
    scale = {"QMAX": WIDE_QMAX, "BITS": WIDE_QMAX.bit_length(), "TILE_M": 32, "TILE_N": 64}
    combine = ptx(residues.combine_kernel, scale, architecture, "*fp32", y="*i8")
    taken = ptx(residues.residues_kernel, {"IS_B": True, "E": 1024}, architecture, "*i8", digits="*i8")
    assert "cvt.rn.f32.s64" in combine
    for kernel in (text, combine, taken):
        assert_exact(kernel)
        assert_no_float64(kernel)


@pytest.mark.parametrize("architecture", INTEGER_PRODUCT)
def test_scales_and_digits_and_the_last_rounding_are_ieee(architecture: int) -> None:
    limit = {"QMAX": WIDE_QMAX, "BITS": WIDE_QMAX.bit_length()}
    blocks = {"R": 32, "T": 128}
    assert_exact(ptx(scale.maxima_kernel, {**blocks, "SPAN": 8192}, architecture, "*i32"))
    digits = ptx(scale.digits_kernel, {**blocks, **limit, "DIGITS": 3}, architecture, "*i8")
    finish = ptx(matmul.finish_kernel, {**limit, "TILE_M": 32, "TILE_N": 32}, architecture, "*fp32")
    assert "add.rn.f32" in digits and "mul.rn.f32" in digits
    assert "cvt.rn.f32.s64" in finish and "mul.rn.f32" in finish
    for text in (digits, finish):
        assert_exact(text)
        assert_no_float64(text)


@pytest.mark.parametrize("op", (*elementwise.UNARY, *elementwise.BINARY))
def test_elementwise_arithmetic_is_ieee(op: str) -> None:
    kernel = elementwise.unary_kernel if op in elementwise.UNARY else elementwise.binary_kernel
    text = ptx(kernel, {"OP": op, "B": 1024}, 90, "*fp32")
    assert_exact(text, fused=op in elementwise.UNARY)
    instruction = INSTRUCTIONS.get(op)
    assert instruction is None or re.search(instruction, text)


def test_a_constant_of_a_function_is_compiled_as_the_exact_double() -> None:
    text = ptx(elementwise.unary_kernel, {"OP": "log2", "B": 1024}, 90, "*fp32")
    assert float(coefficients.LOG2E.value[0]).hex() == "0x1.71547652b82fep+0" and "0d3FF71547652B82FE" in text


@pytest.mark.parametrize("architecture", (80, 90))
def test_sums_are_exact_integers_and_ieee(architecture: int) -> None:
    bits = {"BITS": reduction.FRACTION_BITS}
    for split in (False, True):
        assert_exact(ptx(reduction.sum_kernel, {**bits, "SPLIT": split, "R": 8, "T": 256}, architecture, "*fp32"))
    sums = ptx(reduction.sum_kernel, {**bits, "SPLIT": False, "R": 8, "T": 256}, architecture, "*fp32")
    assert_exact(ptx(reduction.quantise_kernel, {**bits, "B": 1024}, architecture, "*i64"))
    assert_exact(ptx(reduction.store_kernel, {**bits, "B": 1024}, architecture, "*fp32", total="*i64"))
    assert "cvt.rn.f32.s64" in sums
    assert_no_float64(sums)


def test_random_bits_are_integer_arithmetic() -> None:
    assert not re.search(r"\.f(32|64)\b", ptx(random.philox_kernel, {"B": 1024}, 90, "*i32", words="*i64"))
