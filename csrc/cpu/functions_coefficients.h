// The constants of functions.h: minimax polynomials (bench/fit_functions.py), lowest power first, and constants that
// need more than one double. kernels/portable/coefficients.py holds the same numbers; tests/kernels/test_functions.py
// compares.
#pragma once

#include <cstdint>

namespace {

// (e^r - 1 - r) / r^2 on |r| <= ln(2)/2, error of r^2 * polynomial 2^-55 relative to r
constexpr double EXP[] = {
    0x1.0000000000005p-1,  0x1.555555555555cp-3,  0x1.55555555520f9p-5,  0x1.111111110e780p-7,  0x1.6c16c17f364ddp-10,
    0x1.a01a01b5a08bcp-13, 0x1.a019a6891d3c6p-16, 0x1.71ddea7eeb0e0p-19, 0x1.28a2a85e8d861p-22, 0x1.af75efaed7e1ep-26,
};

// (2^r - 1) / r on |r| <= 1/2, relative error 2^-56
constexpr double EXP2[] = {
    0x1.62e42fefa39efp-1,  0x1.ebfbdff82c598p-3,  0x1.c6b08d704a0c9p-5,  0x1.3b2ab6fba1e69p-7,
    0x1.5d87fe78a3385p-10, 0x1.4309130952479p-13, 0x1.ffcbfc72073fep-17, 0x1.62bfd4bf26092p-20,
    0x1.b524e185c8afdp-24, 0x1.e605cbafabb22p-28, 0x1.e9fd00bf618a4p-32,
};

// (ln((1 + s) / (1 - s)) / s - 2) / z with z = s^2 <= 0.0295, error of z * polynomial 2^-58
constexpr double LOG[] = {
    0x1.5555555555592p-1, 0x1.999999997fdaep-2, 0x1.24924941f1375p-2, 0x1.c71c52098a33ep-3,
    0x1.74663ed88e217p-3, 0x1.39a1bc8f97591p-3, 0x1.2f05517f51b16p-3,
};

// (sin(r) / r - 1) / z with z = r^2 <= (pi/2)^2, error of z * polynomial 2^-62
constexpr double SIN[] = {
    -0x1.5555555555555p-3,  0x1.11111111110cbp-7,  -0x1.a01a01a01519cp-13, 0x1.71de3a52c2026p-19,
    -0x1.ae6454e4f00d5p-26, 0x1.6123d15a31079p-33, -0x1.ae44ab7ec5e48p-41, 0x1.88521fb6d72d8p-49,
};

// erf(a) / a in v = a^2 - 7.75 on 0 <= a <= 3.925, relative error 2^-60
constexpr double ERF[] = {
    0x1.6fcd22af732c0p-2,   -0x1.7b26f08c9b346p-6,   0x1.237b69152a75ep-9,   -0x1.ea83a92770e10p-13,
    0x1.a51fecdf5aadbp-16,  -0x1.642a6adc7c9bdp-19,  0x1.2240dad80bde3p-22,  -0x1.c18ac05b879cbp-26,
    0x1.4826fb8b7ee12p-29,  -0x1.c1d07a3b45baep-33,  0x1.2116da64d2a03p-36,  -0x1.5c95110b3021fp-40,
    0x1.8ad7eb34aeb5ep-44,  -0x1.a4f26dfbf82adp-48,  0x1.a750de21810b3p-52,  -0x1.927795e14db02p-56,
    0x1.6a964ea482f07p-60,  -0x1.3636acc8274a3p-64,  0x1.f934efd551f36p-69,  -0x1.887676ba6ba36p-73,
    0x1.231dc17cdba1dp-77,  -0x1.9bd316c876ddfp-82,  0x1.18c9dfb24ac69p-86,  -0x1.7a66eb2a8ab00p-91,
    0x1.d813ee048197dp-96,  -0x1.d59f903dc65f3p-101, 0x1.1c55e5e6acbefp-105, -0x1.28f53cf020f91p-109,
    0x1.3743d4a54745ep-114,
};

// ln(2), the sum of two doubles
constexpr double LN2[] = {0x1.62e42fefa39efp-1, 0x1.abc9e3b39803fp-56};

// log10(2), the sum of two doubles
constexpr double LOG10_2[] = {0x1.34413509f79ffp-2, -0x1.9dc1da994fd21p-59};

// pi, the sum of two doubles
constexpr double PI[] = {0x1.921fb54442d18p+1, 0x1.1a62633145c07p-53};

constexpr double LOG2E = 0x1.71547652b82fep+0;   // 1 / ln(2)
constexpr double LOG10E = 0x1.bcb7b1526e50ep-2;  // 1 / ln(10)
constexpr double INV_PI = 0x1.45f306dc9c883p-2;  // 1 / pi

// Inputs whose value is so near to a tie that double falls on its wrong side: bits of x, and the step in the last place
// that puts the result right. No other input of the 2^32 needs one.
struct isobit_tie {
    uint32_t x;
    int32_t step;
};

constexpr isobit_tie EXP2_TIES[] = {{0x3b429d37, 1}, {0xbcf3a937, 1}};
constexpr isobit_tie SIGMOID_TIES[] = {{0xba928601, 1}};
constexpr isobit_tie LOG_TIES[] = {
    {0x3c413d3a, -1}, {0x41178feb, -1}, {0x4c5d65a5, 1}, {0x65d890d3, 1}, {0x6f31a8ec, 1}};
constexpr isobit_tie LOG10_TIES[] = {{0x0efeee7a, 1}};
constexpr isobit_tie LOG1P_TIES[] = {
    {0x35400003, 1}, {0x3710001b, 1},  {0x3efd81ad, -1}, {0x41078feb, -1}, {0x65d890d3, 1},
    {0x6f31a8ec, 1}, {0xb53ffffd, -1}, {0xb70fffe5, -1}, {0xbb0ec8c4, 1},
};
constexpr isobit_tie SIN_TIES[] = {{0x46199998, -1}};                                     // of |x|
constexpr isobit_tie COS_TIES[] = {{0x5f18b878, -1}, {0x6115cb11, 1}, {0x7908cd73, -1}};  // of |x|

// 1 / pi in binary: 32 zero bits, then the first 288 bits of its fraction.
constexpr uint32_t INV_PI_BITS[] = {
    0x00000000, 0x517cc1b7, 0x27220a94, 0xfe13abe8, 0xfa9a6ee0,
    0x6db14acc, 0x9e21c820, 0xff28b1d5, 0xef5de2b0, 0xdb92371d,
};

}  // namespace
