"""csrc/cuda/matmul_hopper.cu: bit-tested on fibers of the CPU, compiled where nvcc is; no GPU is needed."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from kernels import spec
from kernels.spec.rounding import product_scale, quantise
from tests.kernels.cuda_operands import CUDA, FLAGS, ROOT, Case, Product, aligned, library, operands

EMULATED = ROOT / "tests" / "kernels" / "hopper_on_cpu.cpp"
TRITON = Path("triton") / "backends" / "nvidia" / "bin"
KERNELS = {  # what multiply_on_hopper starts: digits, columns of a tile, blocks of a cluster
    "narrow": [(2, 64, 1), (2, 128, 1), (2, 128, 2)],
    "wide": [(3, 32, 1), (3, 64, 1), (3, 64, 2)],
    "residues": [(1, 128, 1), (1, 256, 1), (1, 256, 2)],
}
CUTS = [(width, *cut) for width in ("narrow", "wide") for cut in KERNELS[width]]
SHAPES = [  # B, M, N, K: one element, edges within a tile, several tiles and batch entries, whole tiles
    (1, 1, 1, 1),
    (2, 70, 67, 300),
    (1, 300, 131, 129),
    (3, 9, 65, 700),
    (1, 256, 256, 128),
]
LATE, SEEDS = 0, (1, 2)
MODULI = (256, 255, 253, 251, 247, 241, 239, 233)


def load(source: Path, folder: Path, *flags: str) -> ctypes.CDLL:
    """The kernel as the machine of hopper_on_cpu.h runs it."""
    found = library(source, folder, *flags)
    found.multiply_on_cpu.restype = ctypes.c_char_p
    return found


@pytest.fixture(scope="module")
def on_cpu(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    return load(EMULATED, tmp_path_factory.mktemp("hopper"))


def run(machine: ctypes.CDLL, product: Product, cut: tuple[int, int, int], processors: int, seed: int) -> str:
    """What went wrong; empty where nothing did."""
    error = machine.multiply_on_cpu(ctypes.byref(product), *cut, processors, ctypes.c_uint64(seed))
    return (error or b"").decode()


@pytest.mark.parametrize(("width", "digits", "tile", "cluster"), CUTS)
@pytest.mark.parametrize(("B", "M", "N", "K"), SHAPES)
def test_every_tile_has_the_bits_of_the_spec(
    on_cpu: ctypes.CDLL, width: str, digits: int, tile: int, cluster: int, B: int, M: int, N: int, K: int
) -> None:
    a, b = operands(B, M, N, K)
    want = spec.run("matmul", [a, b], {"width": width}).tobytes()
    for seed, processors in ((LATE, 2), (SEEDS[0], 2), (SEEDS[1], 6)):
        case = Case(width, a, b)
        assert run(on_cpu, case.product(), (digits, tile, cluster), processors, seed) == ""
        assert case.out.tobytes() == want


@pytest.mark.parametrize(("width", "digits", "tile", "cluster"), CUTS)
def test_parts_of_the_terms_add_to_the_whole_sum(
    on_cpu: ctypes.CDLL, width: str, digits: int, tile: int, cluster: int
) -> None:
    numbers = np.random.default_rng(1)
    a, b = (numbers.standard_normal(shape, dtype=np.float32) for shape in ((2, 66, 900), (2, 900, 37)))
    case = Case(width, a, b)
    assert run(on_cpu, case.product(terms=384), (digits, tile, cluster), 4, SEEDS[0]) == ""
    highest = ((a, case.high_a), (np.swapaxes(b, 1, 2), case.high_b))
    q = [quantise(x, product_scale(high, case.limit)[:, :, None]) for x, high in highest]
    assert (case.sums == q[0] @ np.swapaxes(q[1], 1, 2)).all()


@pytest.mark.parametrize("width", ["narrow", "wide"])
def test_the_longest_part_holds_the_largest_digits(on_cpu: ctypes.CDLL, width: str) -> None:
    terms = {"narrow": 131_071, "wide": 43_690}[width] // 128 * 128
    a, b = np.ones((1, 1, terms + 128), np.float32), -np.ones((1, terms + 128, 1), np.float32)
    case = Case(width, a, b)
    digits = [-128, -64] if width == "narrow" else [-128, -128, -128]  # at least as large as any integer's
    for side in (case.left, case.right):
        side[...] = np.array(digits, np.int8)[None, :, None, None]
    assert run(on_cpu, case.product(terms=terms), KERNELS[width][0], 1, LATE) == ""
    q = sum(digit * 256**place for place, digit in enumerate(digits))
    assert case.sums.item() == q * q * (terms + 128)


@pytest.mark.parametrize(("digits", "tile", "cluster"), KERNELS["residues"])
@pytest.mark.parametrize(("planes", "M", "N", "P"), [(8, 1, 1, 128), (16, 130, 67, 384), (8, 65, 260, 256)])
def test_residues_are_those_of_the_sums(
    on_cpu: ctypes.CDLL, digits: int, tile: int, cluster: int, planes: int, M: int, N: int, P: int
) -> None:
    numbers = np.random.default_rng(3)
    a, b = (aligned((numbers.integers(-128, 128, (planes, R, P), np.int8), np.empty(0)))[0] for R in (M, N))
    out = np.full((planes, M, N), 7, np.int8)
    product = Product(a.ctypes.data, b.ctypes.data, None, None, None, None, planes, M, N, P, P)
    product.residues, product.moduli = out.ctypes.data, (ctypes.c_int32 * 8)(*MODULI)
    assert run(on_cpu, product, (digits, tile, cluster), 4, SEEDS[0]) == ""
    sums = np.matmul(a.astype(np.int64), np.swapaxes(b, 1, 2).astype(np.int64))
    m = np.resize(MODULI, planes)[:, None, None]
    assert ((out - sums) % m == 0).all() and (2 * np.abs(out.astype(int)) <= m).all()


def test_what_tma_cannot_address_is_refused(on_cpu: ctypes.CDLL) -> None:
    case = Case("narrow", *operands(1, 1, 1, 1))
    product = case.product()
    product.M = 2**31 - 1
    assert run(on_cpu, product, (2, 64, 1), 1, LATE) == "matrix too large"
    product.M, product.batch = 2**30, 2**20
    assert run(on_cpu, product, (2, 64, 1), 1, LATE) == "too many tiles"
    product = case.product()
    product.a += 8
    assert run(on_cpu, product, (2, 64, 1), 1, LATE) == "the driver refuses to describe a to TMA"
    assert run(on_cpu, case.product(), (2, 96, 1), 1, LATE) == "no such kernel"


# One word of the kernel, and another in its place: each must change a byte or be found out by the machine.
MUTATIONS = {
    "the producer waits for the wrong phase": ("turn.parity ^ 1);", "turn.parity);"),
    "consumers wait for the wrong phase": (
        "barrier_wait(at.full(turn.stage), turn.parity)",
        "barrier_wait(at.full(turn.stage), turn.parity ^ 1)",
    ),
    "nobody waits for a full stage": ("barrier_wait(at.full(turn.stage), turn.parity);", ""),
    "nobody waits for an empty stage": ("barrier_wait(at.empty(turn.stage), turn.parity ^ 1);", ""),
    "a stage is released before its products are done": (
        "release<CLUSTER>(at.empty(last));\n            last",
        "release<CLUSTER>(at.empty(turn.stage));\n            last",
    ),
    "the last stage of a tile is not released": (
        "        release<CLUSTER>(at.empty(last));\n        write",
        "        write",
    ),
    "sums are read before the products are done": ("wait_for_products<0>();", ""),
    "too few bytes are expected": ("Layout<DIGITS, N>::STAGE);", "Layout<DIGITS, N>::STAGE - 128);"),
    "one warp arrives for eight": ("threadIdx.x % 32 < CLUSTER", "threadIdx.x % 128 < CLUSTER"),
    "blocks of a cluster do not tell each other": (
        "threadIdx.x % 32 < CLUSTER",
        "threadIdx.x % 32 == (unsigned)cluster_rank()",
    ),
    "both blocks fetch the same half of b": ("tile.n + rank * SHARE", "tile.n"),
    "a block of a cluster keeps its half of b": ("(1 << CLUSTER) - 1", "1 << rank"),
    "steps along the terms are too short": ("k < STEP; k += DEPTH", "k < STEP; k += DEPTH / 2"),
    "both warp groups read the first rows": ("group * GROUP_ROWS * STEP + k", "k"),
    "a descriptor without its swizzle": ("swizzle_128 << 62", "0ull << 62"),
    "a descriptor with another stride": ("eight_rows >> 4", "eight_rows >> 5"),
    "shared memory that is not aligned to the pattern": ("ALIGNMENT = 1024", "ALIGNMENT = 128"),
    "tiles are left out where they are not a multiple": ("ceil(p.N, N)", "p.N / N"),
    "a tile begins at the wrong row": ("% width) * CLUSTER + rank) * ROWS", "% width) * CLUSTER + rank) * GROUP_ROWS"),
    "sums are not cleared between tiles": ("sums[w][i] = 0;", "sums[w][i] = unit < (int)gridDim.x ? 0 : sums[w][i];"),
    "registers beyond the pool": ("CONSUMER_REGISTERS = 232", "CONSUMER_REGISTERS = 256"),
    "no barrier is published": ("        publish_barriers();\n", ""),
    "no fence before products": ("begin_products();", ""),
    "scales are read before they are written": (
        "        scales[i] = scale_or_none(maximum, p);\n    }\n    group_sync(group);",
        "        scales[i] = scale_or_none(maximum, p);\n    }",
    ),
    "rows of the fragment change places": ("8 * half;", "8 * (1 - half);"),
    "columns of the fragment change places": ("2 * (lane % 4), i", "2 * (lane / 8), i"),
}


def mutated(folder: Path, old: str, new: str) -> Path:
    """The machine with a copy of csrc/cuda in which one place is changed."""
    count = 0
    (folder / "csrc" / "cuda").mkdir(parents=True)
    for source in CUDA.iterdir():
        text = source.read_text()
        count += text.count(old)
        (folder / "csrc" / "cuda" / source.name).write_text(text.replace(old, new))
    assert count == 1, f"{count} places hold {old!r}"
    (folder / "tests" / "kernels").mkdir(parents=True)
    for name in ("cuda_words.h", "fibers.h", "hopper_on_cpu.h", "wgmma_on_cpu.h", "hopper_on_cpu.cpp"):
        shutil.copy(EMULATED.parent / name, folder / "tests" / "kernels")
    return folder / "tests" / "kernels" / EMULATED.name


@pytest.mark.long
@pytest.mark.parametrize("name", MUTATIONS)
def test_a_fault_of_the_kernel_is_found(name: str, tmp_path: Path) -> None:
    machine = load(mutated(tmp_path, *MUTATIONS[name]), tmp_path, "-O1")
    a, b = operands(2, 300, 131, 700)
    found = []
    for cut in ((2, 64, 1), (2, 128, 2)):
        for seed in (LATE, *SEEDS):
            case = Case("narrow", a, b)
            error = run(machine, case.product(), cut, 2, seed)
            found.append(error or case.out.tobytes() != spec.run("matmul", [a, b], {"width": "narrow"}).tobytes())
    assert any(found)


needs_nvcc = pytest.mark.skipif(shutil.which("nvcc") is None, reason="a machine with nvcc on its PATH runs this")


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The kernels for sm_90a, their PTX beside them, and what the assembler says of each."""
    target = tmp_path_factory.mktemp("sm_90a") / "matmul_hopper.cubin"
    command = [
        "nvcc",
        "-arch=sm_90a",
        "-O3",
        "-std=c++17",
        *FLAGS,
        "-Xptxas=-v",
        "-keep",
        "-keep-dir",
        str(target.parent),
    ]
    command += ["-cubin", str(CUDA / "matmul_hopper.cu"), "-o", str(target)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return target, done.stderr


@needs_nvcc
def test_no_kernel_spills_or_serialises_its_products(compiled: tuple[Path, str]) -> None:
    said = compiled[1]
    count = sum(map(len, KERNELS.values()))
    assert len(re.findall(r"\b0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads", said)) == count, said
    assert len(re.findall("bytes stack frame", said)) == count
    assert "wgmma" not in said and "setmaxnreg" not in said  # no warning of either
    assert set(re.findall(r"Used (\d+) registers", said)) == {"168"}  # 3 * 128 threads of 65536


@needs_nvcc
def test_the_ptx_multiplies_int8_by_wgmma_and_rounds_as_ieee(compiled: tuple[Path, str]) -> None:
    text = next(compiled[0].parent.glob("*.ptx")).read_text()
    for kernels in KERNELS.values():
        for _, tile, _ in kernels:
            assert f"wgmma.mma_async.sync.aligned.m64n{tile}k32.s32.s8.s8 " in text
    assert "satfinite" not in text
    assert "cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster" in text
    wrong = r"\b\w+\.[\w.]*(?:ftz|approx|full)\b|\b(?:fma|mad)\.[\w.]*f(?:32|64)\b|cvt\.r[zmp]\.f\w+"
    assert re.findall(wrong, text) == []
    assert "cvt.rn.f32.s64" in text and "cvt.rn.f32.f64" in text


@needs_nvcc
def test_the_machine_code_holds_the_instructions_of_hopper(compiled: tuple[Path, str]) -> None:
    tool = disassembler()
    if tool is None:
        pytest.skip("a machine with nvdisasm, or with triton, which brings it, runs this")
    done = subprocess.run([tool, "-c", str(compiled[0])], check=True, capture_output=True, text=True)
    kernels = re.split(r"\n\.text\.", done.stdout)[1:]
    assert len(kernels) == sum(map(len, KERNELS.values()))
    for text in kernels:
        assert re.search(r"\bIGMMA\.64x\d+x32\.S8\.S8\b", text) and "UTMALDG.3D" in text and "SYNCS." in text
        assert "USETMAXREG" in text and not re.search(r"\b(LDL|STL)\b", text)  # nothing in local memory
        ring = text[text.index("IGMMA") : text.index("WARPGROUP.DEPBAR.LE gsb0, 0x0")]
        assert ring.count("IGMMA") == text.count("IGMMA")  # a group stays in flight until a tile's end
        assert "MEMBAR" not in ring
        assert ("UTMALDG.3D.MULTICAST" in text) == ("ELi2EEE" in text.split("\n", 1)[0])


def disassembler() -> str | None:
    """nvdisasm, from the toolkit or from Triton's wheel."""
    from importlib.util import find_spec

    found = shutil.which("nvdisasm")
    if found is None and (triton := find_spec("triton")) is not None and triton.origin:
        beside = Path(triton.origin).parents[1] / TRITON / "nvdisasm"
        found = str(beside) if beside.exists() else None
    return found
