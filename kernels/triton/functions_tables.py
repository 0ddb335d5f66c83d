"""The tables and polynomials of functions_pairs.py, written by bench/fit_pairs.py.

A table has an entry for each of 32 parts of a range; what its rounding to float32 left is in the one ending in _REST.
"""

from __future__ import annotations

from kernels.triton.coefficients import doubles

TABLES: dict[str, tuple[float, ...]] = {}

# 2^(i/8), rounded
POWER = doubles(
    """
    0x1.000000p+0 0x1.172b84p+0 0x1.306fe0p+0 0x1.4bfdaep+0 0x1.6a09e6p+0 0x1.8ace54p+0 0x1.ae89fap+0
    0x1.d5818ep+0
    """
)

# ln of 2^(i/8) over its rounded value
POWER_REST = doubles(
    """
    0x0.0p+0 -0x1.9c0c22p-27 0x1.125002p-25 -0x1.0a3552p-25 0x1.26055cp-26 0x1.67a1cap-28 -0x1.f9c306p-27
    -0x1.a5217cp-28
    """
)

# ln 2 to 2^-21, so that 11 bits times it lose nothing, and the rest
LN2 = doubles(
    """
    0x1.62e430p-1 -0x1.05c610p-29
    """
)

# 1/6 and the rest
SIXTH = doubles(
    """
    0x1.555556p-3 -0x1.555556p-28
    """
)

# (e^r - 1 - r - r^2/2 - r^3/6) / r^4 on |r| <= ln(2)/16
POWER_POLYNOMIAL = doubles(
    """
    0x1.555556p-5 0x1.111112p-7 0x1.6c1ba0p-10 0x1.a0209ep-13
    """
)

# c near 1 / m on each part of [1, 2)
TABLES["INVERSE"] = doubles(
    """
    0x1.000000p+0 0x1.e80000p-1 0x1.d80000p-1 0x1.d00000p-1 0x1.c00000p-1 0x1.b40000p-1 0x1.a80000p-1
    0x1.a00000p-1 0x1.940000p-1 0x1.8c0000p-1 0x1.800000p-1 0x1.780000p-1 0x1.700000p-1 0x1.680000p-1
    0x1.600000p-1 0x1.580000p-1 0x1.500000p-1 0x1.4c0000p-1 0x1.440000p-1 0x1.400000p-1 0x1.380000p-1
    0x1.340000p-1 0x1.2c0000p-1 0x1.280000p-1 0x1.200000p-1 0x1.1c0000p-1 0x1.180000p-1 0x1.140000p-1
    0x1.100000p-1 0x1.0c0000p-1 0x1.080000p-1 0x1.000000p-1
    """
).value

# -ln c to 2^-16
TABLES["INVERSE_LOG"] = doubles(
    """
    0x0.0p+0 0x1.894000p-5 0x1.4d3000p-4 0x1.933000p-4 0x1.117800p-3 0x1.491000p-3 0x1.824000p-3
    0x1.a94000p-3 0x1.e53000p-3 0x1.071400p-2 0x1.269800p-2 0x1.3c2400p-2 0x1.522c00p-2 0x1.68ac00p-2
    0x1.7fb000p-2 0x1.973c00p-2 0x1.af5400p-2 0x1.bb9800p-2 0x1.d49000p-2 0x1.e14800p-2 0x1.fb3400p-2
    0x1.043600p-1 0x1.11b000p-1 0x1.188e00p-1 0x1.269600p-1 0x1.2dc000p-1 0x1.350200p-1 0x1.3c6000p-1
    0x1.43da00p-1 0x1.4b7000p-1 0x1.532200p-1 0x1.62e400p-1
    """
).value

# the rest of -ln c
TABLES["INVERSE_LOG_REST"] = doubles(
    """
    0x0.0p+0 0x1.542940p-18 0x1.15d208p-20 0x1.797566p-18 0x1.d044fcp-20 0x1.ec199ep-18 -0x1.f4d572p-18
    -0x1.2c3752p-19 0x1.dffce2p-20 -0x1.e7ecaap-20 -0x1.deecb2p-18 0x1.277334p-18 -0x1.1f8c76p-18 0x1.07d38ep-19
    -0x1.7109fap-20 -0x1.cbcecap-18 -0x1.6adb74p-18 -0x1.ee47f2p-18 0x1.236f7ep-21 0x1.4344e4p-19 0x1.8af7a4p-18
    0x1.7cec08p-22 -0x1.f70e2ap-19 0x1.c81e48p-18 0x1.089a6ep-20 -0x1.5509e4p-18 0x1.15b3b2p-18 0x1.0186d8p-18
    -0x1.a0db88p-26 -0x1.48347ap-20 0x1.c4d0d0p-18 0x1.7f7d00p-20
    """
).value

# the rest of that
TABLES["INVERSE_LOG_TINY"] = doubles(
    """
    0x0.0p+0 -0x1.32f32cp-43 -0x1.53a258p-48 -0x1.b3ba90p-43 0x1.1ef78cp-45 -0x1.53e436p-44 -0x1.c3e448p-43
    -0x1.872436p-45 0x1.212276p-51 0x1.89cdb2p-48 -0x1.1b61f2p-44 -0x1.cf8956p-43 0x1.ebe708p-45 -0x1.7af966p-44
    -0x1.72090cp-45 -0x1.2a4628p-43 0x1.ba0ceap-43 0x1.7d85c0p-45 -0x1.948a02p-46 0x1.b36538p-44 0x1.1085fap-43
    -0x1.4c45fep-47 0x1.53cdc2p-44 -0x1.accec4p-44 -0x1.b61f10p-47 -0x1.7a6e50p-46 -0x1.bd1f02p-44 -0x1.2b7368p-47
    0x1.33d85cp-51 0x1.f7115ep-49 -0x1.ea333cp-43 0x1.cf79acp-40
    """
).value

# ln 2 to 2^-16, then to 2^-36 (8 bits times either lose nothing), and the rest
LN2_PARTS = doubles(
    """
    0x1.62e400p-1 0x1.7f7d00p-20 0x1.cf79acp-40
    """
)

# 1/3 and the rest
THIRD = doubles(
    """
    0x1.555556p-2 -0x1.555556p-27
    """
)

# (ln(1 + r) - r + r^2/2 - r^3/3) / r^4 on |r| <= 0.0312
INVERSE_POLYNOMIAL = doubles(
    """
    -0x1.000000p-2 0x1.999990p-3 -0x1.555544p-3 0x1.24ee22p-3 -0x1.006ad0p-3
    """
)

# tanh a = a - a^3/3 + a^5 (these, times powers of a^2)
TANH_POLYNOMIAL = doubles(
    """
    0x1.111112p-3 -0x1.ba1ba2p-5 0x1.664f48p-6 -0x1.226e36p-7
    """
)

# erf(i/8 + r) on |r| <= 1/16: r^0
TABLES["ERF_0"] = doubles(
    """
    0x0.0p+0 0x1.1f5e1ap-3 0x1.1af54ep-2 0x1.9dd0d2p-2 0x1.0a7ef6p-1 0x1.3f196ep-1 0x1.6c1c98p-1
    0x1.91724ap-1 0x1.af767ap-1 0x1.c6dad2p-1 0x1.d8865ep-1 0x1.e5768cp-1 0x1.eea556p-1 0x1.f4f694p-1
    0x1.f92d08p-1 0x1.fbe61ep-1 0x1.fd9ae2p-1 0x1.fea422p-1 0x1.ff4048p-1 0x1.ff9960p-1 0x1.ffcaa8p-1
    0x1.ffe514p-1 0x1.fff2d0p-1 0x1.fff9bap-1 0x1.fffd1ap-1 0x1.fffeb4p-1 0x1.ffff70p-1 0x1.ffffc4p-1
    0x1.ffffe8p-1 0x1.fffff6p-1 0x1.fffffcp-1 0x1.fffffep-1
    """
).value

# the rest of r^0
TABLES["ERF_0_REST"] = doubles(
    """
    0x0.0p+0 0x1.ae1dc4p-30 0x1.196b04p-29 0x1.6e43e8p-27 -0x1.f38916p-28 -0x1.978766p-28 -0x1.4c5e34p-26
    -0x1.5c8e08p-26 0x1.d04222p-27 0x1.053d8cp-26 -0x1.9d5080p-27 0x1.da51fep-28 -0x1.1d90a4p-26 -0x1.2610a2p-27
    -0x1.00e552p-26 0x1.de99eep-26 -0x1.7b0d44p-26 -0x1.ca69aep-27 -0x1.3f9ccap-26 0x1.e7d664p-26 0x1.e9937ep-26
    0x1.77b832p-26 -0x1.3eeb0ap-27 0x1.083a0ep-27 0x1.8826c0p-26 -0x1.44d984p-29 -0x1.82606ap-27 -0x1.d24c26p-26
    -0x1.de5534p-26 0x1.8c3da6p-29 0x1.78b8f2p-28 0x1.259db2p-26
    """
).value

# erf(i/8 + r) on |r| <= 1/16: r^1
TABLES["ERF_1"] = doubles(
    """
    0x1.20dd76p+0 0x1.1c62fap+0 0x1.0f5d16p+0 0x1.f5f0cep-1 0x1.c1efcap-1 0x1.86e96ap-1 0x1.492e42p-1
    0x1.0cab62p-1 0x1.a911f0p-2 0x1.45e99cp-2 0x1.e46530p-3 0x1.5ce596p-3 0x1.e72372p-4 0x1.499d48p-4
    0x1.b05530p-5 0x1.12ceb4p-5 0x1.529b9ep-6 0x1.94624ep-7 0x1.d4143ap-8 0x1.06918cp-8 0x1.1d8318p-9
    0x1.2ce898p-10 0x1.3360ccp-11 0x1.305390p-12 0x1.2408eap-13 0x1.0f9e1cp-14 0x1.e9b5e8p-16 0x1.abe09ep-17
    0x1.6a5972p-18 0x1.296a70p-19 0x1.d9371ep-21 0x1.6ce1aap-22
    """
).value

# the rest of r^1
TABLES["ERF_1_REST"] = doubles(
    """
    -0x1.f7ac92p-25 0x1.e86912p-28 0x1.7bef12p-31 -0x1.43ab3ep-27 0x1.26942cp-27 -0x1.7d966cp-26 0x1.af1a7cp-26
    -0x1.ef6700p-30 0x1.2df7a6p-27 -0x1.a2435ap-29 -0x1.48d294p-29 -0x1.dd5360p-30 0x1.ae0832p-30 -0x1.d0d700p-30
    0x1.910602p-32 -0x1.000cbcp-30 0x1.19f352p-31 0x1.e3853cp-33 0x1.3bfedap-33 -0x1.3953b4p-33 -0x1.e07edap-34
    0x1.012750p-35 0x1.a47e00p-36 -0x1.121de8p-38 -0x1.173770p-39 -0x1.646086p-39 0x1.9ffbb2p-41 0x1.2257f6p-42
    0x1.9858f8p-46 0x1.e7ca62p-44 0x1.7c2f46p-48 0x1.fab154p-49
    """
).value

# erf(i/8 + r) on |r| <= 1/16: r^2
TABLES["ERF_2"] = doubles(
    """
    0x1.54f068p-44 -0x1.1c62fap-3 -0x1.0f5d16p-2 -0x1.78749ap-2 -0x1.c1efcap-2 -0x1.e8a3c4p-2 -0x1.edc564p-2
    -0x1.d62becp-2 -0x1.a911f0p-2 -0x1.6ea6d0p-2 -0x1.2ebf3ep-2 -0x1.dfbbaep-3 -0x1.6d5a96p-3 -0x1.0bcfcap-3
    -0x1.7a4a8ap-4 -0x1.01a1c8p-4 -0x1.529b9ep-5 -0x1.ada874p-6 -0x1.074b60p-6 -0x1.37ccd6p-7 -0x1.64e3dcp-8
    -0x1.8af148p-9 -0x1.a6a51ap-10 -0x1.b5781ep-11 -0x1.b60d5ep-12 -0x1.a8670ap-13 -0x1.8de3cep-14 -0x1.690586p-15
    -0x1.3d0e44p-16 -0x1.0d8876p-17 -0x1.bba3acp-19 -0x1.617a9cp-20
    """
).value

# the rest of r^2
TABLES["ERF_2_REST"] = doubles(
    """
    -0x1.e4f93ap-69 -0x1.e864a6p-31 -0x1.7bd028p-33 -0x1.0d3e64p-28 -0x1.26931ep-28 0x1.b9f8cap-28 -0x1.0d4f24p-28
    0x1.362f36p-27 -0x1.2df7dep-27 0x1.75a298p-27 0x1.9b0600p-29 0x1.20a156p-31 0x1.7af276p-30 -0x1.0ca31ep-30
    -0x1.5ee504p-31 -0x1.1fe77cp-30 -0x1.19f296p-30 0x1.3f227ap-31 -0x1.f1be5cp-31 0x1.e8296ep-33 -0x1.a76008p-33
    -0x1.460aa4p-36 0x1.7ba498p-36 -0x1.3afe62p-36 -0x1.2e9eb2p-37 -0x1.533700p-38 0x1.adedbcp-39 0x1.ab9b3cp-42
    0x1.4cb634p-43 -0x1.7482e6p-43 -0x1.331de6p-45 -0x1.db35fcp-45
    """
).value

# erf(i/8 + r) on |r| <= 1/16: r^3
TABLES["ERF_3"] = doubles(
    """
    -0x1.812746p-2 -0x1.6f552ep-2 -0x1.3c9744p-2 -0x1.e106c6p-3 -0x1.2bf532p-3 -0x1.c81050p-5 0x1.b6e85ap-6
    0x1.7c9d76p-4 0x1.1b614cp-3 0x1.4cb3d0p-3 0x1.571d02p-3 0x1.4374d8p-3 0x1.1c2a02p-3 0x1.d6631ep-4
    0x1.7148c4p-4 0x1.143d1cp-4 0x1.8b0ae4p-5 0x1.0ea476p-5 0x1.63ef62p-6 0x1.c1ec10p-7 0x1.119da0p-7
    0x1.407fbep-8 0x1.69cf46p-9 0x1.89e17cp-10 0x1.9db74cp-11 0x1.a3737ep-12 0x1.9aa48ap-13 0x1.845230p-14
    0x1.62cceap-15 0x1.394b20p-16 0x1.0b6a7cp-17 0x1.b95fa4p-19
    """
).value

# the rest of r^3
TABLES["ERF_3_REST"] = doubles(
    """
    -0x1.614f2cp-27 0x1.1584dcp-28 -0x1.5e3c5ap-28 0x1.c5fadap-28 0x1.de0cfcp-29 -0x1.79ad70p-32 -0x1.fd8336p-31
    -0x1.383e9ap-29 -0x1.e4f0e2p-28 -0x1.eb6fc0p-28 -0x1.cb2c80p-30 0x1.7c227ap-30 0x1.80ad0cp-28 0x1.cd77e4p-32
    -0x1.468232p-31 0x1.c004d8p-30 -0x1.6edc84p-31 -0x1.36ec52p-32 -0x1.aaa440p-34 0x1.48a15ap-34 0x1.813b54p-32
    -0x1.d769e0p-33 0x1.a1d5f6p-35 0x1.539746p-40 -0x1.befd8cp-36 0x1.b46b80p-39 -0x1.7e8090p-44 0x1.1ed3bcp-42
    0x1.3f19e0p-40 -0x1.64447ep-45 -0x1.231ea2p-42 0x1.d0db64p-45
    """
).value

# erf(i/8 + r) on |r| <= 1/16: r^4
TABLES["ERF_4"] = doubles(
    """
    0x1.bf7c5ap-29 0x1.196c9cp-4 0x1.040e8ap-3 0x1.5529acp-3 0x1.76f27ep-3 0x1.6963c8p-3 0x1.349b5ep-3
    0x1.cc6056p-4 0x1.1b614cp-4 0x1.ca5084p-6 -0x1.93a9a8p-8 -0x1.f3b8d6p-6 -0x1.6d5a96p-5 -0x1.974c04p-5
    -0x1.8a0da6p-5 -0x1.5a3166p-5 -0x1.1a2c5ap-5 -0x1.afe554p-6 -0x1.38a984p-6 -0x1.ae5962p-7 -0x1.1a89bap-7
    -0x1.62d4c6p-8 -0x1.ab0c28p-9 -0x1.ed4ac8p-10 -0x1.11c85cp-10 -0x1.245450p-11 -0x1.2c7d5ep-12 -0x1.298f8ep-13
    -0x1.1c0772p-14 -0x1.05760ap-15 -0x1.d06f58p-17 -0x1.8e1fc4p-18
    """
).value

# erf(i/8 + r) on |r| <= 1/16: r^5
TABLES["ERF_5"] = doubles(
    """
    0x1.ce2eeap-4 0x1.aaba44p-4 0x1.47e5bep-4 0x1.7488b8p-5 0x1.dfefa4p-8 -0x1.c123cap-6 -0x1.b429e2p-5
    -0x1.1350dep-4 -0x1.1b613ep-4 -0x1.f65d10p-5 -0x1.8281dap-5 -0x1.f572f0p-6 -0x1.e723d0p-7 -0x1.17d568p-9
    0x1.b221f6p-8 0x1.779b0ap-7 0x1.ace744p-7 0x1.9973c4p-7 0x1.5d3b2cp-7 0x1.11daf8p-7 0x1.90e82ep-8
    0x1.146c5cp-8 0x1.6935a6p-9 0x1.c11f2ep-10 0x1.0a7b50p-10 0x1.2e7e60p-11 0x1.490a20p-12 0x1.57752cp-13
    0x1.586b44p-14 0x1.4c1f56p-15 0x1.343610p-16 0x1.1370aep-17
    """
).value

# erf(i/8 + r) on |r| <= 1/16: r^6
TABLES["ERF_6"] = doubles(
    """
    0x1.d48218p-18 -0x1.734e78p-6 -0x1.4c0afep-5 -0x1.9a791cp-5 -0x1.99f11ap-5 -0x1.52b258p-5 -0x1.b84782p-6
    -0x1.53bb96p-7 0x1.2e44dap-8 0x1.fd1c06p-7 0x1.5cffe2p-6 0x1.6b16e8p-6 0x1.3ca3dcp-6 0x1.d85810p-7
    0x1.25b39ep-7 0x1.0d09e2p-8 0x1.e1963ep-12 -0x1.dd789cp-10 -0x1.7cae0ap-9 -0x1.982b3ap-9 -0x1.6ecddap-9
    -0x1.267f54p-9 -0x1.b27580p-10 -0x1.2add34p-10 -0x1.82f24cp-11 -0x1.da4978p-12 -0x1.14545ep-12 -0x1.330a92p-13
    -0x1.46150ep-14 -0x1.4b97d0p-15 -0x1.435746p-16 -0x1.2eb204p-17
    """
).value

# erf(i/8 + r) on |r| <= 1/16: r^7
TABLES["ERF_7"] = doubles(
    """
    -0x1.ba56e2p-6 -0x1.887fc2p-6 -0x1.087984p-6 -0x1.65af02p-8 0x1.60fdd0p-8 0x1.c6c286p-7 0x1.2d791ap-6
    0x1.303460p-6 0x1.f00c4ap-7 0x1.3ab1dcp-7 0x1.dc4590p-9 -0x1.705fe4p-10 -0x1.35dbccp-8 -0x1.947b2cp-8
    -0x1.8c8d60p-8 -0x1.42c744p-8 -0x1.baef38p-9 -0x1.eaae00p-10 -0x1.61358cp-11 0x1.f89e1cp-14 0x1.1b3a60p-11
    0x1.6444d0p-11 0x1.52622cp-11 0x1.150c56p-11 0x1.99abecp-12 0x1.17a8cep-12 0x1.64f96ap-13 0x1.ad61dep-14
    0x1.e948dcp-15 0x1.091996p-15 0x1.11f440p-16 0x1.0e9254p-17
    """
).value

# erf(i/8 + r) on |r| <= 1/16: r^8
TABLES["ERF_8"] = doubles(
    """
    0x1.555f8cp-10 0x1.6ea548p-8 0x1.3d1434p-7 0x1.6fe8b8p-7 0x1.48b36ep-7 0x1.b5ae36p-8 0x1.2df45cp-9
    -0x1.e17e1ep-10 -0x1.3839ecp-8 -0x1.8a743cp-8 -0x1.74dbbcp-8 -0x1.17075ap-8 -0x1.35cecap-9 -0x1.3037c6p-11
    0x1.7c53c2p-11 0x1.75e670p-10 0x1.a0575cp-10 0x1.6a4c58p-10 0x1.05fab8p-10 0x1.37c904p-11 0x1.123284p-12
    0x1.291e34p-15 -0x1.72ecb6p-14 -0x1.1ba376p-13 -0x1.1a4bccp-13 -0x1.d280a2p-14 -0x1.568e88p-14 -0x1.cc7ce8p-15
    -0x1.1fcb64p-15 -0x1.51b194p-16 -0x1.765122p-17 -0x1.89af2cp-18
    """
).value

# Where each table starts in what kernels are given (elementwise.py): the first 32 words are 1/pi's.
PLACES = {name: 32 * place for place, name in enumerate(TABLES, 1)}
