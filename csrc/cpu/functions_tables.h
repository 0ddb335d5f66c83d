// The tables of functions_avx512.h, written by bench/fit_tables.py: an entry for each of 32 parts of the range.
#pragma once

#include <cstdint>

namespace {

// 2^(i/32), rounded
constexpr float POWER[] = {
    0x1.000000p+0f, 0x1.059b0ep+0f, 0x1.0b5586p+0f, 0x1.11301ep+0f, 0x1.172b84p+0f, 0x1.1d4874p+0f,
    0x1.2387a6p+0f, 0x1.29e9e0p+0f, 0x1.306fe0p+0f, 0x1.371a74p+0f, 0x1.3dea64p+0f, 0x1.44e086p+0f,
    0x1.4bfdaep+0f, 0x1.5342b6p+0f, 0x1.5ab07ep+0f, 0x1.6247ecp+0f, 0x1.6a09e6p+0f, 0x1.71f75ep+0f,
    0x1.7a1148p+0f, 0x1.82589ap+0f, 0x1.8ace54p+0f, 0x1.93737cp+0f, 0x1.9c4918p+0f, 0x1.a5503cp+0f,
    0x1.ae89fap+0f, 0x1.b7f770p+0f, 0x1.c199bep+0f, 0x1.cb720ep+0f, 0x1.d5818ep+0f, 0x1.dfc974p+0f,
    0x1.ea4afap+0f, 0x1.f50766p+0f,
};

// ln of 2^(i/32) over its rounded value
constexpr float POWER_REST[] = {
    0x0.0p+0f, -0x1.947416p-25f, 0x1.8d96d4p-25f, -0x1.dda2fep-25f, -0x1.9c0c22p-27f, -0x1.a2fbb4p-25f,
    0x1.964902p-25f, -0x1.2b0dbcp-25f, 0x1.125002p-25f, -0x1.cde8cep-26f, 0x1.370be4p-25f, 0x1.336de2p-30f,
    -0x1.0a3552p-25f, -0x1.c541b6p-26f, -0x1.00d8acp-27f, -0x1.6cb284p-25f, 0x1.26055cp-26f, 0x1.8b2bb8p-26f,
    -0x1.05cb44p-25f, -0x1.1c2142p-26f, 0x1.67a1cap-28f, -0x1.348e56p-25f, 0x1.a3b5e4p-28f, -0x1.0b7ec8p-25f,
    -0x1.f9c306p-27f, -0x1.e4c886p-26f, -0x1.6961b4p-28f, -0x1.b5151ep-28f, -0x1.a5217cp-28f, -0x1.ab7132p-26f,
    0x1.61428ep-28f, -0x1.2ad5f8p-27f,
};

// (e^r - 1 - r) / r^2 on |r| <= ln(2)/64
constexpr float POWER_POLYNOMIAL[] = {
    0x1.000000p-1f, 0x1.5555c8p-3f, 0x1.5555e6p-5f,
};

// bits of the float where the first part of [0.71, 1.42] starts; each has 2^18 floats
constexpr uint32_t LOG_FIRST = 0x3f360000;

// c near 1 / m on each part
constexpr float INVERSE[] = {
    0x1.640000p+0f, 0x1.5c0000p+0f, 0x1.540000p+0f, 0x1.500000p+0f, 0x1.480000p+0f, 0x1.400000p+0f,
    0x1.3c0000p+0f, 0x1.340000p+0f, 0x1.300000p+0f, 0x1.280000p+0f, 0x1.240000p+0f, 0x1.200000p+0f,
    0x1.1c0000p+0f, 0x1.140000p+0f, 0x1.100000p+0f, 0x1.0c0000p+0f, 0x1.080000p+0f, 0x1.040000p+0f,
    0x1.000000p+0f, 0x1.f00000p-1f, 0x1.e00000p-1f, 0x1.d40000p-1f, 0x1.c80000p-1f, 0x1.b80000p-1f,
    0x1.b00000p-1f, 0x1.a40000p-1f, 0x1.980000p-1f, 0x1.900000p-1f, 0x1.880000p-1f, 0x1.7c0000p-1f,
    0x1.740000p-1f, 0x1.6c0000p-1f,
};

// -ln c to 2^-16
constexpr float INVERSE_LOG[] = {
    -0x1.51ac00p-2f, -0x1.3a6400p-2f, -0x1.229400p-2f, -0x1.167400p-2f, -0x1.fb9000p-3f, -0x1.c90000p-3f,
    -0x1.af4000p-3f, -0x1.7ab800p-3f, -0x1.5ff000p-3f, -0x1.295800p-3f, -0x1.0d7800p-3f, -0x1.e27000p-4f,
    -0x1.a92000p-4f, -0x1.342000p-4f, -0x1.f0a000p-5f, -0x1.774000p-5f, -0x1.f84000p-6f, -0x1.fc0000p-7f,
    0x0.0p+0f, 0x1.042000p-5f, 0x1.086000p-4f, 0x1.701000p-4f, 0x1.da7000p-4f, 0x1.366000p-3f,
    0x1.5bf800p-3f, 0x1.95a800p-3f, 0x1.d10000p-3f, 0x1.f99000p-3f, 0x1.117800p-2f, 0x1.315000p-2f,
    0x1.471800p-2f, 0x1.5d5c00p-2f,
};

// the rest of -ln c
constexpr float INVERSE_LOG_REST[] = {
    0x1.278d20p-18f, -0x1.8aad28p-19f, -0x1.fbcf7ap-22f, -0x1.cababap-18f, -0x1.86d5e4p-19f, 0x1.070cacp-20f,
    0x1.b58bfap-18f, -0x1.20421cp-20f, -0x1.83853cp-18f, 0x1.683f00p-18f, 0x1.832f72p-23f, -0x1.db8abcp-22f,
    -0x1.b4e92cp-18f, 0x1.434f22p-19f, -0x1.86008cp-20f, -0x1.63d8ccp-19f, 0x1.64f188p-18f, -0x1.5161f8p-20f,
    0x0.0p+0f, -0x1.44ec32p-18f, -0x1.9d2988p-18f, -0x1.67a8aap-19f, 0x1.3b1c22p-19f, -0x1.a7f538p-22f,
    -0x1.fca55ep-18f, -0x1.291848p-18f, 0x1.bf932ap-18f, 0x1.c6cb3cp-19f, 0x1.d044fcp-19f, -0x1.c3c594p-19f,
    0x1.b84e38p-19f, -0x1.105350p-21f,
};

// (ln(1 + r) - r + r^2/2) / r^3 on |r| <= 0.0198
constexpr float INVERSE_POLYNOMIAL[] = {
    0x1.555554p-2f, -0x1.fffffep-3f, 0x1.99c526p-3f, -0x1.557fb2p-3f,
};

}  // namespace
