// The tables of functions_avx512.h, written by bench/fit_tables.py: an entry for each of 32 parts of the range.
#pragma once

#include <cstdint>

namespace {

// 2^(i/32), rounded
constexpr float POWER[] = {
    0x1.000000p+0f, 0x1.059b0ep+0f, 0x1.0b5586p+0f, 0x1.11301ep+0f, 0x1.172b84p+0f, 0x1.1d4874p+0f, 0x1.2387a6p+0f,
    0x1.29e9e0p+0f, 0x1.306fe0p+0f, 0x1.371a74p+0f, 0x1.3dea64p+0f, 0x1.44e086p+0f, 0x1.4bfdaep+0f, 0x1.5342b6p+0f,
    0x1.5ab07ep+0f, 0x1.6247ecp+0f, 0x1.6a09e6p+0f, 0x1.71f75ep+0f, 0x1.7a1148p+0f, 0x1.82589ap+0f, 0x1.8ace54p+0f,
    0x1.93737cp+0f, 0x1.9c4918p+0f, 0x1.a5503cp+0f, 0x1.ae89fap+0f, 0x1.b7f770p+0f, 0x1.c199bep+0f, 0x1.cb720ep+0f,
    0x1.d5818ep+0f, 0x1.dfc974p+0f, 0x1.ea4afap+0f, 0x1.f50766p+0f,
};

// ln of 2^(i/32) over its rounded value
constexpr float POWER_REST[] = {
    0x0.0p+0f,        -0x1.947416p-25f, 0x1.8d96d4p-25f,  -0x1.dda2fep-25f, -0x1.9c0c22p-27f, -0x1.a2fbb4p-25f,
    0x1.964902p-25f,  -0x1.2b0dbcp-25f, 0x1.125002p-25f,  -0x1.cde8cep-26f, 0x1.370be4p-25f,  0x1.336de2p-30f,
    -0x1.0a3552p-25f, -0x1.c541b6p-26f, -0x1.00d8acp-27f, -0x1.6cb284p-25f, 0x1.26055cp-26f,  0x1.8b2bb8p-26f,
    -0x1.05cb44p-25f, -0x1.1c2142p-26f, 0x1.67a1cap-28f,  -0x1.348e56p-25f, 0x1.a3b5e4p-28f,  -0x1.0b7ec8p-25f,
    -0x1.f9c306p-27f, -0x1.e4c886p-26f, -0x1.6961b4p-28f, -0x1.b5151ep-28f, -0x1.a5217cp-28f, -0x1.ab7132p-26f,
    0x1.61428ep-28f,  -0x1.2ad5f8p-27f,
};

// (e^r - 1 - r) / r^2 on |r| <= ln(2)/64
constexpr float POWER_POLYNOMIAL[] = {
    0x1.000000p-1f,
    0x1.5555c8p-3f,
    0x1.5555e6p-5f,
};

// c near 1 / m on each part of [1, 2)
constexpr float INVERSE[] = {
    0x1.000000p+0f, 0x1.e80000p-1f, 0x1.d80000p-1f, 0x1.d00000p-1f, 0x1.c00000p-1f, 0x1.b40000p-1f, 0x1.a80000p-1f,
    0x1.a00000p-1f, 0x1.940000p-1f, 0x1.8c0000p-1f, 0x1.800000p-1f, 0x1.780000p-1f, 0x1.700000p-1f, 0x1.680000p-1f,
    0x1.600000p-1f, 0x1.580000p-1f, 0x1.500000p-1f, 0x1.4c0000p-1f, 0x1.440000p-1f, 0x1.400000p-1f, 0x1.380000p-1f,
    0x1.340000p-1f, 0x1.2c0000p-1f, 0x1.280000p-1f, 0x1.200000p-1f, 0x1.1c0000p-1f, 0x1.180000p-1f, 0x1.140000p-1f,
    0x1.100000p-1f, 0x1.0c0000p-1f, 0x1.080000p-1f, 0x1.000000p-1f,
};

// -ln c to 2^-16
constexpr float INVERSE_LOG[] = {
    0x0.0p+0f,      0x1.894000p-5f, 0x1.4d3000p-4f, 0x1.933000p-4f, 0x1.117800p-3f, 0x1.491000p-3f, 0x1.824000p-3f,
    0x1.a94000p-3f, 0x1.e53000p-3f, 0x1.071400p-2f, 0x1.269800p-2f, 0x1.3c2400p-2f, 0x1.522c00p-2f, 0x1.68ac00p-2f,
    0x1.7fb000p-2f, 0x1.973c00p-2f, 0x1.af5400p-2f, 0x1.bb9800p-2f, 0x1.d49000p-2f, 0x1.e14800p-2f, 0x1.fb3400p-2f,
    0x1.043600p-1f, 0x1.11b000p-1f, 0x1.188e00p-1f, 0x1.269600p-1f, 0x1.2dc000p-1f, 0x1.350200p-1f, 0x1.3c6000p-1f,
    0x1.43da00p-1f, 0x1.4b7000p-1f, 0x1.532200p-1f, 0x1.62e400p-1f,
};

// the rest of -ln c
constexpr float INVERSE_LOG_REST[] = {
    0x0.0p+0f,        0x1.542940p-18f,  0x1.15d208p-20f,  0x1.797566p-18f,  0x1.d044fcp-20f,  0x1.ec199ep-18f,
    -0x1.f4d572p-18f, -0x1.2c3752p-19f, 0x1.dffce2p-20f,  -0x1.e7ecaap-20f, -0x1.deecb2p-18f, 0x1.277334p-18f,
    -0x1.1f8c76p-18f, 0x1.07d38ep-19f,  -0x1.7109fap-20f, -0x1.cbcecap-18f, -0x1.6adb74p-18f, -0x1.ee47f2p-18f,
    0x1.236f7ep-21f,  0x1.4344e4p-19f,  0x1.8af7a4p-18f,  0x1.7cec08p-22f,  -0x1.f70e2ap-19f, 0x1.c81e48p-18f,
    0x1.089a6ep-20f,  -0x1.5509e4p-18f, 0x1.15b3b2p-18f,  0x1.0186d8p-18f,  -0x1.a0db88p-26f, -0x1.48347ap-20f,
    0x1.c4d0d0p-18f,  0x1.7f7d1cp-20f,
};

// (ln(1 + r) - r + r^2/2) / r^3 on |r| <= 0.0312
constexpr float INVERSE_POLYNOMIAL[] = {
    0x1.555550p-2f,
    -0x1.fffff4p-3f,
    0x1.9a064ap-3f,
    -0x1.55c2a2p-3f,
};

// erf(i/8 + r) on |r| <= 1/16: r^0
constexpr float ERF_0[] = {
    0x0.0p+0f,      0x1.1f5e1ap-3f, 0x1.1af54ep-2f, 0x1.9dd0d2p-2f, 0x1.0a7ef6p-1f, 0x1.3f196ep-1f, 0x1.6c1c98p-1f,
    0x1.91724ap-1f, 0x1.af767ap-1f, 0x1.c6dad2p-1f, 0x1.d8865ep-1f, 0x1.e5768cp-1f, 0x1.eea556p-1f, 0x1.f4f694p-1f,
    0x1.f92d08p-1f, 0x1.fbe61ep-1f, 0x1.fd9ae2p-1f, 0x1.fea422p-1f, 0x1.ff4048p-1f, 0x1.ff9960p-1f, 0x1.ffcaa8p-1f,
    0x1.ffe514p-1f, 0x1.fff2d0p-1f, 0x1.fff9bap-1f, 0x1.fffd1ap-1f, 0x1.fffeb4p-1f, 0x1.ffff70p-1f, 0x1.ffffc4p-1f,
    0x1.ffffe8p-1f, 0x1.fffff6p-1f, 0x1.fffffcp-1f, 0x1.fffffep-1f,
};

// the rest of r^0
constexpr float ERF_0_REST[] = {
    0x0.0p+0f,        0x1.ae1bf0p-30f,  0x1.1969cep-29f,  0x1.6e438cp-27f,  -0x1.f389bap-28f, -0x1.9787d6p-28f,
    -0x1.4c5e44p-26f, -0x1.5c8e02p-26f, 0x1.d04250p-27f,  0x1.053da4p-26f,  -0x1.9d5052p-27f, 0x1.da5244p-28f,
    -0x1.1d909ap-26f, -0x1.26109ep-27f, -0x1.00e558p-26f, 0x1.de99e6p-26f,  -0x1.7b0d4ap-26f, -0x1.ca69b8p-27f,
    -0x1.3f9ccep-26f, 0x1.e7d662p-26f,  0x1.e9937cp-26f,  0x1.77b832p-26f,  -0x1.3eeb08p-27f, 0x1.083a0ep-27f,
    0x1.8826c0p-26f,  -0x1.44d982p-29f, -0x1.82606ap-27f, -0x1.d24c26p-26f, -0x1.de5534p-26f, 0x1.8c3da6p-29f,
    0x1.78b8f2p-28f,  0x1.259db2p-26f,
};

// erf(i/8 + r) on |r| <= 1/16: r^1
constexpr float ERF_1[] = {
    0x1.20dd76p+0f,  0x1.1c62fap+0f,  0x1.0f5d16p+0f,  0x1.f5f0cep-1f,  0x1.c1efcap-1f,  0x1.86e96ap-1f,
    0x1.492e42p-1f,  0x1.0cab62p-1f,  0x1.a911f0p-2f,  0x1.45e99cp-2f,  0x1.e46530p-3f,  0x1.5ce596p-3f,
    0x1.e72372p-4f,  0x1.499d48p-4f,  0x1.b05530p-5f,  0x1.12ceb4p-5f,  0x1.529b9ep-6f,  0x1.94624ep-7f,
    0x1.d4143ap-8f,  0x1.06918cp-8f,  0x1.1d8318p-9f,  0x1.2ce898p-10f, 0x1.3360ccp-11f, 0x1.305390p-12f,
    0x1.2408eap-13f, 0x1.0f9e1cp-14f, 0x1.e9b5eap-16f, 0x1.abe0a0p-17f, 0x1.6a5974p-18f, 0x1.296a72p-19f,
    0x1.d93722p-21f, 0x1.6ce1aep-22f,
};

// the rest of r^1
constexpr float ERF_1_REST[] = {
    -0x1.f7aae2p-25f, 0x1.ddcf4ap-28f,  0x1.42c4d4p-31f,  -0x1.44e31ap-27f, 0x1.27c7f6p-27f,  -0x1.7c0d50p-26f,
    0x1.b12388p-26f,  -0x1.ce6c2cp-30f, 0x1.315130p-27f,  -0x1.99c282p-29f, -0x1.459336p-29f, -0x1.dfd42cp-30f,
    0x1.a5a976p-30f,  -0x1.dbcd62p-30f, 0x1.662fb8p-32f,  -0x1.08c4bcp-30f, 0x1.0dfbc6p-31f,  0x1.c8ff64p-33f,
    0x1.325bc6p-33f,  -0x1.37a56ep-33f, -0x1.d131fap-34f, 0x1.27c6d4p-35f,  0x1.ed9a12p-36f,  -0x1.152ddap-41f,
    0x1.2bb900p-41f,  -0x1.ca6248p-41f, 0x1.293a48p-46f,  0x1.1d9c96p-47f,  -0x1.fad712p-45f, 0x1.7cdfc8p-44f,
    -0x1.cb0fb0p-49f, -0x1.88299cp-50f,
};

// erf(i/8 + r) on |r| <= 1/16: r^2
constexpr float ERF_2[] = {
    -0x1.eecbdcp-31f, -0x1.1c62fap-3f,  -0x1.0f5d16p-2f,  -0x1.78749ap-2f,  -0x1.c1efcap-2f,  -0x1.e8a3c4p-2f,
    -0x1.edc564p-2f,  -0x1.d62becp-2f,  -0x1.a911f0p-2f,  -0x1.6ea6d0p-2f,  -0x1.2ebf3ep-2f,  -0x1.dfbbaep-3f,
    -0x1.6d5a96p-3f,  -0x1.0bcfcap-3f,  -0x1.7a4a8ap-4f,  -0x1.01a1c8p-4f,  -0x1.529b9ep-5f,  -0x1.ada874p-6f,
    -0x1.074b60p-6f,  -0x1.37ccd6p-7f,  -0x1.64e3dcp-8f,  -0x1.8af148p-9f,  -0x1.a6a51ap-10f, -0x1.b5781ep-11f,
    -0x1.b60d5ep-12f, -0x1.a8670cp-13f, -0x1.8de3cep-14f, -0x1.690586p-15f, -0x1.3d0e44p-16f, -0x1.0d8878p-17f,
    -0x1.bba3aep-19f, -0x1.617aa0p-20f,
};

// erf(i/8 + r) on |r| <= 1/16: r^3
constexpr float ERF_3[] = {
    -0x1.81273cp-2f, -0x1.6f5518p-2f, -0x1.3c9736p-2f, -0x1.e106bcp-3f, -0x1.2bf53cp-3f, -0x1.c810b4p-5f,
    0x1.b6e752p-6f,  0x1.7c9d34p-4f,  0x1.1b6130p-3f,  0x1.4cb3bep-3f,  0x1.571cfcp-3f,  0x1.4374dap-3f,
    0x1.1c2a0cp-3f,  0x1.d66334p-4f,  0x1.7148dap-4f,  0x1.143d2ep-4f,  0x1.8b0afcp-5f,  0x1.0ea484p-5f,
    0x1.63ef6cp-6f,  0x1.c1ec0cp-7f,  0x1.119d92p-7f,  0x1.407f96p-8f,  0x1.69cefcp-9f,  0x1.89e104p-10f,
    0x1.9db698p-11f, 0x1.a3728ap-12f, 0x1.9aa354p-13f, 0x1.8450bap-14f, 0x1.62cb40p-15f, 0x1.394952p-16f,
    0x1.0b689ep-17f, 0x1.b95bf6p-19f,
};

// erf(i/8 + r) on |r| <= 1/16: r^4
constexpr float ERF_4[] = {
    -0x1.7fe6d6p-17f, 0x1.196c70p-4f,   0x1.040e6ap-3f,   0x1.552986p-3f,   0x1.76f25cp-3f,   0x1.6963b2p-3f,
    0x1.349b54p-3f,   0x1.cc6062p-4f,   0x1.1b616ep-4f,   0x1.ca5128p-6f,   -0x1.93a74ap-8f,  -0x1.f3b864p-6f,
    -0x1.6d5a74p-5f,  -0x1.974bfcp-5f,  -0x1.8a0db4p-5f,  -0x1.5a317ap-5f,  -0x1.1a2c70p-5f,  -0x1.afe57ap-6f,
    -0x1.38a99ep-6f,  -0x1.ae5980p-7f,  -0x1.1a89c8p-7f,  -0x1.62d4cap-8f,  -0x1.ab0c0ep-9f,  -0x1.ed4a84p-10f,
    -0x1.11c81cp-10f, -0x1.2453eap-11f, -0x1.2c7cccp-12f, -0x1.298ecap-13f, -0x1.1c0680p-14f, -0x1.0574f2p-15f,
    -0x1.d06ceep-17f, -0x1.8e1d3cp-18f,
};

// erf(i/8 + r) on |r| <= 1/16: r^5
constexpr float ERF_5[] = {
    0x1.cfa158p-4f,  0x1.aa0ed8p-4f,  0x1.47723cp-4f,  0x1.743a88p-5f,  0x1.e258e4p-8f,  -0x1.bf9694p-6f,
    -0x1.b3228ep-5f, -0x1.12cc0ap-4f, -0x1.1af4ecp-4f, -0x1.f5d3a0p-5f, -0x1.824dcap-5f, -0x1.f59b2cp-6f,
    -0x1.e83276p-7f, -0x1.1d5a4ep-9f, 0x1.af6d32p-8f,  0x1.76811ap-7f,  0x1.ac25d0p-7f,  0x1.99089ep-7f,
    0x1.5d1490p-7f,  0x1.11e1d6p-7f,  0x1.912606p-8f,  0x1.14ba24p-8f,  0x1.69c970p-9f,  0x1.c2112ep-10f,
    0x1.0b2e3cp-10f, 0x1.2f72a8p-11f, 0x1.4a41f0p-12f, 0x1.58ec3ep-13f, 0x1.5a16a8p-14f, 0x1.4dee7ap-15f,
    0x1.3614acp-16f, 0x1.154960p-17f,
};

// erf(i/8 + r) on |r| <= 1/16: r^6
constexpr float ERF_6[] = {
    -0x1.49628cp-8f,  -0x1.727192p-6f,  -0x1.4b56f4p-5f,  -0x1.99aa56p-5f,  -0x1.993864p-5f,  -0x1.5234e6p-5f,
    -0x1.b7e520p-6f,  -0x1.543fc8p-7f,  0x1.2b66acp-8f,   0x1.fb5cd0p-7f,   0x1.5c2e52p-6f,   0x1.6a7a1ep-6f,
    0x1.3c4b3ap-6f,   0x1.d82e4ep-7f,   0x1.25f208p-7f,   0x1.0de70ep-8f,   0x1.f0859ep-12f,  -0x1.da47b6p-10f,
    -0x1.7b8782p-9f,  -0x1.977cecp-9f,  -0x1.6e7f4cp-9f,  -0x1.267522p-9f,  -0x1.b2b118p-10f, -0x1.2b31f4p-10f,
    -0x1.83973ap-11f, -0x1.db56e8p-12f, -0x1.1518cap-12f, -0x1.341148p-13f, -0x1.475c2ap-14f, -0x1.4d167ap-15f,
    -0x1.44fe62p-16f, -0x1.306e14p-17f,
};

}  // namespace
