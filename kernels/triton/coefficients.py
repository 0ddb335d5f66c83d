"""The coefficients of the correctly rounded functions, the same doubles as in csrc/cpu/functions_coefficients.h."""

from __future__ import annotations

import triton.language as tl


def doubles(text: str) -> tl.constexpr:
    """Hexadecimal doubles, separated by blanks, as a constant of kernels."""
    return tl.constexpr(tuple(float.fromhex(word) for word in text.split()))


def ties(steps: dict[int, int]) -> tl.constexpr:
    """Bit patterns of inputs, as signed numbers, each followed by the step that puts its result right."""
    signed = ((bits - 2**32 if bits >= 2**31 else bits, step) for bits, step in steps.items())
    return tl.constexpr(tuple(number for pair in signed for number in pair))


EXP = doubles(
    """
    0x1.0000000000005p-1 0x1.555555555555cp-3 0x1.55555555520f9p-5 0x1.111111110e780p-7 0x1.6c16c17f364ddp-10
    0x1.a01a01b5a08bcp-13 0x1.a019a6891d3c6p-16 0x1.71ddea7eeb0e0p-19 0x1.28a2a85e8d861p-22 0x1.af75efaed7e1ep-26
    """
)
EXP2 = doubles(
    """
    0x1.62e42fefa39efp-1 0x1.ebfbdff82c598p-3 0x1.c6b08d704a0c9p-5 0x1.3b2ab6fba1e69p-7 0x1.5d87fe78a3385p-10
    0x1.4309130952479p-13 0x1.ffcbfc72073fep-17 0x1.62bfd4bf26092p-20 0x1.b524e185c8afdp-24 0x1.e605cbafabb22p-28
    0x1.e9fd00bf618a4p-32
    """
)
ERF = doubles(
    """
    0x1.6fcd22af732c0p-2 -0x1.7b26f08c9b346p-6 0x1.237b69152a75ep-9 -0x1.ea83a92770e10p-13 0x1.a51fecdf5aadbp-16
    -0x1.642a6adc7c9bdp-19 0x1.2240dad80bde3p-22 -0x1.c18ac05b879cbp-26 0x1.4826fb8b7ee12p-29 -0x1.c1d07a3b45baep-33
    0x1.2116da64d2a03p-36 -0x1.5c95110b3021fp-40 0x1.8ad7eb34aeb5ep-44 -0x1.a4f26dfbf82adp-48 0x1.a750de21810b3p-52
    -0x1.927795e14db02p-56 0x1.6a964ea482f07p-60 -0x1.3636acc8274a3p-64 0x1.f934efd551f36p-69 -0x1.887676ba6ba36p-73
    0x1.231dc17cdba1dp-77 -0x1.9bd316c876ddfp-82 0x1.18c9dfb24ac69p-86 -0x1.7a66eb2a8ab00p-91 0x1.d813ee048197dp-96
    -0x1.d59f903dc65f3p-101 0x1.1c55e5e6acbefp-105 -0x1.28f53cf020f91p-109 0x1.3743d4a54745ep-114
    """
)
LOG = doubles(
    """
    0x1.5555555555592p-1 0x1.999999997fdaep-2 0x1.24924941f1375p-2 0x1.c71c52098a33ep-3 0x1.74663ed88e217p-3
    0x1.39a1bc8f97591p-3 0x1.2f05517f51b16p-3
    """
)
SIN = doubles(
    """
    -0x1.5555555555555p-3 0x1.11111111110cbp-7 -0x1.a01a01a01519cp-13 0x1.71de3a52c2026p-19 -0x1.ae6454e4f00d5p-26
    0x1.6123d15a31079p-33 -0x1.ae44ab7ec5e48p-41 0x1.88521fb6d72d8p-49
    """
)
LN2 = doubles(
    """
    0x1.62e42fefa39efp-1 0x1.abc9e3b39803fp-56
    """
)
LOG10_2 = doubles(
    """
    0x1.34413509f79ffp-2 -0x1.9dc1da994fd21p-59
    """
)
PI = doubles(
    """
    0x1.921fb54442d18p+1 0x1.1a62633145c07p-53
    """
)
LOG2E = doubles("0x1.71547652b82fep+0")
LOG10E = doubles("0x1.bcb7b1526e50ep-2")
INV_PI = doubles("0x1.45f306dc9c883p-2")
SIGMOID_SLOPE = doubles("0x1.ffffff8000000p-3")
# The inputs whose value is so near to a tie that double falls on its wrong side; no other of the 2^32 needs a step.
EXP2_TIES = ties({0x3B429D37: 1, 0xBCF3A937: 1})
SIGMOID_TIES = ties({0xBA928601: 1})
LOG_TIES = ties({0x3C413D3A: -1, 0x41178FEB: -1, 0x4C5D65A5: 1, 0x65D890D3: 1, 0x6F31A8EC: 1})
LOG10_TIES = ties({0x0EFEEE7A: 1})
LOG1P_TIES = ties(
    {
        **{0x35400003: 1, 0x3710001B: 1, 0x3EFD81AD: -1, 0x41078FEB: -1, 0x65D890D3: 1},
        **{0x6F31A8EC: 1, 0xB53FFFFD: -1, 0xB70FFFE5: -1, 0xBB0EC8C4: 1},
    }
)
SIN_TIES = ties({0x46199998: -1})  # of |x|
COS_TIES = ties({0x5F18B878: -1, 0x6115CB11: 1, 0x7908CD73: -1})  # of |x|
# 1 / pi in binary: 32 zero bits, then the first 288 bits of its fraction.
INV_PI_BITS = (
    0x00000000,
    0x517CC1B7,
    0x27220A94,
    0xFE13ABE8,
    0xFA9A6EE0,
    0x6DB14ACC,
    0x9E21C820,
    0xFF28B1D5,
    0xEF5DE2B0,
    0xDB92371D,
)
