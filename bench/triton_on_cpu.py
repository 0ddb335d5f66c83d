"""An elementwise Triton kernel as C++ for the CPU, line by line from what Triton's front end makes of it (its IR).

Each operation of IEEE arithmetic and integers has one result, so the C++ computes what a GPU does, and fast enough to
try all inputs. Kernels without branches, reductions and masks are taken.
"""

from __future__ import annotations

import re
import struct
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FLAGS = ["-O3", "-std=c++17", "-march=native", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math"]
FLAGS += ["-mprefer-vector-width=512", "-shared", "-fPIC"]
TYPES = {"f32": "float", "f64": "double", "i64": "int64_t", "i32": "int32_t", "i8": "int8_t", "i1": "bool"}
BINARY = {"addf": "+", "subf": "-", "mulf": "*", "divf": "/", "andi": "&", "ori": "|", "xori": "^"}
WRAPPING = {"addi": "+", "subi": "-", "muli": "*", "shli": "<<", "shrui": ">>"}
COMPARED = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
HEADER = """\
#include <cmath>
#include <cstdint>
#include <cstring>
template <class To, class From> static inline To bits(From x) {
    static_assert(sizeof(To) == sizeof(From));
    To y;
    std::memcpy(&y, &x, sizeof y);
    return y;
}
static inline float select_max(float a, float b) { return a > b ? a : b; }
static inline float select_min(float a, float b) { return a < b ? a : b; }
"""


def c_type(text: str) -> str:
    """float for f32 and tensor<256xf32>, float * for !tt.ptr<f32>."""
    text = re.sub(r"^tensor<(?:\d+x)*(.*)>$", r"\1", text.strip())
    pointer = re.match(r"!tt\.ptr<(\w+)>", text)
    return f"{TYPES[pointer[1]]} *" if pointer else TYPES[text]


def literal(text: str, kind: str) -> str:
    """A constant; floats with unusual values stand as their bits."""
    text = re.sub(r"^dense<(.*)>$", r"\1", text)
    if kind in ("float", "double"):
        if text.startswith("0x"):
            return f"bits<{kind}>(({'uint32_t' if kind == 'float' else 'uint64_t'}){text}u)"
        value = struct.unpack("f", struct.pack("f", float(text)))[0] if kind == "float" else float(text)
        return f"({kind}){value.hex()}"
    return {"true": "true", "false": "false"}.get(text, f"({kind}){text}" + ("ll" if kind == "int64_t" else ""))


def statement(line: str) -> str:
    """One operation in C++."""
    line = re.sub(r" loc\(.*\)$", "", line.strip())
    if line.startswith("tt.store"):
        place, value = re.findall(r"%\w+", line)[:2]
        return f"*{name(place)} = {name(value)};"
    result, rest = line.split(" = ", 1)
    operation, rest = rest.split(" ", 1)
    operands, _, types = rest.rpartition(" : ")
    kinds = re.split(r" -> | to |, ", types)
    kind = c_type(kinds[0] if operation == "tt.addptr" else kinds[-1])
    return f"const auto {name(result)} = {expression(operation, operands, types, kind)};"


def name(value: str) -> str:
    return "v_" + value.removeprefix("%")


def expression(operation: str, operands: str, types: str, kind: str) -> str:
    """The value of an operation of type `kind`."""
    short = operation.split(".")[1]
    v = [name(word) for word in re.findall(r"%\w+", operands)]
    unsigned = "u" + kind
    match short:
        case "constant":
            return literal(operands.strip(), kind)
        case "get_program_id":
            return "(int32_t)0"
        case "make_range":
            return "lane"
        case "splat" | "broadcast":
            return v[0]
        case "addptr":
            return f"{v[0]} + {v[1]}"
        case "load":
            return f"*{v[0]}"
        case "bitcast":
            source = c_type(types.split(" -> ")[0])
            return f"({kind})({v[0]})" if "*" in kind else f"bits<{kind}, {source}>({v[0]})"
        case "extsi" | "extf" | "truncf" | "trunci" | "sitofp" | "fptosi":
            return f"({kind}){v[0]}"
        case "extui":
            source = c_type(types.split(" to ")[0])
            return f"({kind}){v[0]}" if source == "bool" else f"({kind})(u{source}){v[0]}"
        case "select":
            return f"{v[0]} ? {v[1]} : {v[2]}"
        case "cmpf" | "cmpi":
            return compared(operands.split(",")[0].split()[0], v[0], v[1], c_type(types))
        case "fma":
            return f"{'__builtin_fmaf' if kind == 'float' else '__builtin_fma'}({v[0]}, {v[1]}, {v[2]})"
        case "absf":
            return f"{'__builtin_fabsf' if kind == 'float' else '__builtin_fabs'}({v[0]})"
        case "negf":
            return f"-{v[0]}"
        case "precise_divf":
            return f"{v[0]} / {v[1]}"
        case "precise_sqrt":
            return f"__builtin_sqrtf({v[0]})"
        case "maxnumf" | "minnumf":  # of numbers
            return f"select_{short[:3]}({v[0]}, {v[1]})"
        case "shrsi":
            return f"{v[0]} >> {v[1]}"
    if short in BINARY:
        return f"({kind})({v[0]} {BINARY[short]} {v[1]})"
    if short in WRAPPING:
        return f"({kind})(({unsigned}){v[0]} {WRAPPING[short]} ({unsigned}){v[1]})"
    raise ValueError(f"triton_on_cpu: got {operation}, want an elementwise operation")


def compared(predicate: str, a: str, b: str, kind: str) -> str:
    """A comparison: eq, slt, ult of integers; oeq, une of floats."""
    if kind in ("float", "double"):
        if (predicate[0] == "u") != (predicate == "une"):
            raise ValueError(f"triton_on_cpu: got the comparison {predicate}, want an ordered one or une")
        return f"{a} {COMPARED[predicate[1:]]} {b}"
    if predicate[0] == "u":
        return f"(u{kind}){a} {COMPARED[predicate[1:]]} (u{kind}){b}"
    return f"{a} {COMPARED[predicate.removeprefix('s')]} {b}"


def source(ttir: str) -> str:
    """C++ with `kernel(its pointers..., int64 n)`, which runs the kernel's n lanes."""
    lines = ttir.splitlines()
    start = next(i for i, line in enumerate(lines) if "tt.func public" in line)
    stop = next(i for i, line in enumerate(lines) if line.strip().startswith("tt.return"))
    arguments = re.findall(r"%(\w+): (!tt\.ptr<\w+>|i32)", lines[start])
    head = ", ".join(f"{c_type(kind)} __restrict v_{argument}" for argument, kind in arguments)
    body = "\n        ".join(statement(line) for line in lines[start + 1 : stop])
    loop = "for (int32_t lane = 0; lane < n; lane++)"
    return f'{HEADER}extern "C" void kernel({head}, int64_t n) {{\n    {loop} {{\n        {body}\n    }}\n}}\n'


def ttir(kernel: Any, constants: Mapping[str, Any], pointers: Mapping[str, str]) -> str:
    """What Triton's front end makes of a kernel, for a GPU that need not be here."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    types = {argument: "constexpr" if argument in constants else pointers[argument] for argument in kernel.arg_names}
    compiled = triton.compile(
        ASTSource(fn=kernel, signature=types, constexprs=dict(constants)),
        target=GPUTarget("cuda", 89, 32),
        options={"enable_fp_fusion": False},
    )
    return str(compiled.asm["ttir"])


def build(text: str, folder: Path, stem: str) -> Path:
    """The shared library of a C++ source."""
    (folder / f"{stem}.cpp").write_text(text)
    subprocess.run(["g++", *FLAGS, str(folder / f"{stem}.cpp"), "-o", str(folder / f"{stem}.so")], check=True)
    return folder / f"{stem}.so"
