"""SHA-256 (FIPS 180-4) of the leaves and inner nodes of kernels/hashing.py's trees: one a lane, all in uint32."""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

import triton
import triton.language as tl

from kernels.triton.sha256_constants import START

S0, S1, S2, S3, S4, S5, S6, S7 = map(tl.constexpr, START)


@triton.jit
def one_round(a, b, c, d, e, f, g, h, word):
    """What becomes of d and of h in a round (FIPS 180-4, section 6.2.2); the other letters move on by one."""
    s1 = ((e >> 6) | (e << 26)) ^ ((e >> 11) | (e << 21)) ^ ((e >> 25) | (e << 7))
    t1 = h + s1 + (((f ^ g) & e) ^ g) + word
    s0 = ((a >> 2) | (a << 30)) ^ ((a >> 13) | (a << 19)) ^ ((a >> 22) | (a << 10))
    return d + t1, t1 + s0 + (((a ^ b) & (c ^ b)) ^ b)


@triton.jit
def schedule(x, w, y):
    """What is added to a word to give the one 16 places on; the words 1, 9 and 14 places on."""
    x = ((x >> 7) | (x << 25)) ^ ((x >> 18) | (x << 14)) ^ (x >> 3)
    y = ((y >> 17) | (y << 15)) ^ ((y >> 19) | (y << 13)) ^ (y >> 10)
    return x + w + y


@triton.jit
def sixteen_rounds(
    a, b, c, d, e, f, g, h, w0, w1, w2, w3, w4, w5, w6, w7, w8, w9, w10, w11, w12, w13, w14, w15, constants
):
    """The letters after 16 rounds; constants: [16] uint32."""
    d, h = one_round(a, b, c, d, e, f, g, h, w0 + tl.load(constants + 0))
    c, g = one_round(h, a, b, c, d, e, f, g, w1 + tl.load(constants + 1))
    b, f = one_round(g, h, a, b, c, d, e, f, w2 + tl.load(constants + 2))
    a, e = one_round(f, g, h, a, b, c, d, e, w3 + tl.load(constants + 3))
    h, d = one_round(e, f, g, h, a, b, c, d, w4 + tl.load(constants + 4))
    g, c = one_round(d, e, f, g, h, a, b, c, w5 + tl.load(constants + 5))
    f, b = one_round(c, d, e, f, g, h, a, b, w6 + tl.load(constants + 6))
    e, a = one_round(b, c, d, e, f, g, h, a, w7 + tl.load(constants + 7))
    d, h = one_round(a, b, c, d, e, f, g, h, w8 + tl.load(constants + 8))
    c, g = one_round(h, a, b, c, d, e, f, g, w9 + tl.load(constants + 9))
    b, f = one_round(g, h, a, b, c, d, e, f, w10 + tl.load(constants + 10))
    a, e = one_round(f, g, h, a, b, c, d, e, w11 + tl.load(constants + 11))
    h, d = one_round(e, f, g, h, a, b, c, d, w12 + tl.load(constants + 12))
    g, c = one_round(d, e, f, g, h, a, b, c, w13 + tl.load(constants + 13))
    f, b = one_round(c, d, e, f, g, h, a, b, w14 + tl.load(constants + 14))
    e, a = one_round(b, c, d, e, f, g, h, a, w15 + tl.load(constants + 15))
    return a, b, c, d, e, f, g, h


@triton.jit
def sixteen_words(w0, w1, w2, w3, w4, w5, w6, w7, w8, w9, w10, w11, w12, w13, w14, w15):
    """The schedule's next 16 words."""
    w0 += schedule(w1, w9, w14)
    w1 += schedule(w2, w10, w15)
    w2 += schedule(w3, w11, w0)
    w3 += schedule(w4, w12, w1)
    w4 += schedule(w5, w13, w2)
    w5 += schedule(w6, w14, w3)
    w6 += schedule(w7, w15, w4)
    w7 += schedule(w8, w0, w5)
    w8 += schedule(w9, w1, w6)
    w9 += schedule(w10, w2, w7)
    w10 += schedule(w11, w3, w8)
    w11 += schedule(w12, w4, w9)
    w12 += schedule(w13, w5, w10)
    w13 += schedule(w14, w6, w11)
    w14 += schedule(w15, w7, w12)
    w15 += schedule(w0, w8, w13)
    return w0, w1, w2, w3, w4, w5, w6, w7, w8, w9, w10, w11, w12, w13, w14, w15


@triton.jit
def compress(
    h0, h1, h2, h3, h4, h5, h6, h7, w0, w1, w2, w3, w4, w5, w6, w7, w8, w9, w10, w11, w12, w13, w14, w15, constants
):
    """The state after one block of 16 words; constants: [64] uint32."""
    a, b, c, d, e, f, g, h = sixteen_rounds(
        h0, h1, h2, h3, h4, h5, h6, h7, w0, w1, w2, w3, w4, w5, w6, w7, w8, w9, w10, w11, w12, w13, w14, w15, constants
    )
    for i in range(16, 64, 16):
        w0, w1, w2, w3, w4, w5, w6, w7, w8, w9, w10, w11, w12, w13, w14, w15 = sixteen_words(
            w0, w1, w2, w3, w4, w5, w6, w7, w8, w9, w10, w11, w12, w13, w14, w15
        )
        a, b, c, d, e, f, g, h = sixteen_rounds(
            a, b, c, d, e, f, g, h, w0, w1, w2, w3, w4, w5, w6, w7, w8, w9, w10, w11, w12, w13, w14, w15, constants + i
        )
    return h0 + a, h1 + b, h2 + c, h3 + d, h4 + e, h5 + f, h6 + g, h7 + h


@triton.jit
def constant_word(C: tl.constexpr, L: tl.constexpr):
    return tl.full((L,), C, tl.uint32)


@triton.jit
def message_word(words, length, i, eight):
    """Big-endian word i of a leaf, its bytes beyond the length replaced by 0x80 and zeros.

    eight: 8, which the compiler does not know: where it does, Triton 3.9's dies on the pairs of byte swaps that it
    makes of this for sm_100 ("cannot select v2i32 = bswap")
    """
    x = tl.load(words + i, 4 * i < length, 0)
    x = (x << 16) | (x >> 16)
    x = ((x & 0x00FF00FF) << eight) | ((x >> eight) & 0x00FF00FF)
    left = length - 4 * i
    shift = (8 * tl.minimum(tl.maximum(left, 0), 3)).to(tl.uint32)
    kept = tl.where(left >= 4, x, x & ~(constant_word(0xFFFFFFFF, x.shape[0]) >> shift))
    return tl.where((left >= 0) & (left < 4), kept | (constant_word(0x80000000, x.shape[0]) >> shift), kept)


@triton.jit
def write_hash(out, lane, inside, h0, h1, h2, h3, h4, h5, h6, h7):
    at = out + lane * 8
    tl.store(at, h0, inside)
    tl.store(at + 1, h1, inside)
    tl.store(at + 2, h2, inside)
    tl.store(at + 3, h3, inside)
    tl.store(at + 4, h4, inside)
    tl.store(at + 5, h5, inside)
    tl.store(at + 6, h6, inside)
    tl.store(at + 7, h7, inside)


@triton.jit(do_not_specialize=["leaves", "eight"])
def leaf_kernel(addresses, lengths, out, leaves, eight, constants, L: tl.constexpr):
    """Hashes of leaves that lie anywhere: a zero byte before each, so every word straddles two of the leaf's."""
    lane = tl.program_id(0).to(tl.int64) * L + tl.arange(0, L)
    inside = lane < leaves
    words = tl.load(addresses + lane, inside, 0).to(tl.pointer_type(tl.uint32))
    length = tl.load(lengths + lane, inside, 0)
    blocks = (length + 73) // 64
    h0, h1, h2, h3 = constant_word(S0, L), constant_word(S1, L), constant_word(S2, L), constant_word(S3, L)
    h4, h5, h6, h7 = constant_word(S4, L), constant_word(S5, L), constant_word(S6, L), constant_word(S7, L)
    before = constant_word(0, L)
    for block in range(17):
        first = 16 * block
        b0 = message_word(words, length, first + 0, eight)
        b1 = message_word(words, length, first + 1, eight)
        b2 = message_word(words, length, first + 2, eight)
        b3 = message_word(words, length, first + 3, eight)
        b4 = message_word(words, length, first + 4, eight)
        b5 = message_word(words, length, first + 5, eight)
        b6 = message_word(words, length, first + 6, eight)
        b7 = message_word(words, length, first + 7, eight)
        b8 = message_word(words, length, first + 8, eight)
        b9 = message_word(words, length, first + 9, eight)
        b10 = message_word(words, length, first + 10, eight)
        b11 = message_word(words, length, first + 11, eight)
        b12 = message_word(words, length, first + 12, eight)
        b13 = message_word(words, length, first + 13, eight)
        b14 = message_word(words, length, first + 14, eight)
        b15 = message_word(words, length, first + 15, eight)
        bits = tl.where(block + 1 == blocks, 8 * length + 8, 0).to(tl.uint32)
        w0 = (before << 24) | (b0 >> 8)
        w1 = (b0 << 24) | (b1 >> 8)
        w2 = (b1 << 24) | (b2 >> 8)
        w3 = (b2 << 24) | (b3 >> 8)
        w4 = (b3 << 24) | (b4 >> 8)
        w5 = (b4 << 24) | (b5 >> 8)
        w6 = (b5 << 24) | (b6 >> 8)
        w7 = (b6 << 24) | (b7 >> 8)
        w8 = (b7 << 24) | (b8 >> 8)
        w9 = (b8 << 24) | (b9 >> 8)
        w10 = (b9 << 24) | (b10 >> 8)
        w11 = (b10 << 24) | (b11 >> 8)
        w12 = (b11 << 24) | (b12 >> 8)
        w13 = (b12 << 24) | (b13 >> 8)
        w14 = (b13 << 24) | (b14 >> 8)
        w15 = (b14 << 24) | (b15 >> 8) | bits
        n0, n1, n2, n3, n4, n5, n6, n7 = compress(
            h0,
            h1,
            h2,
            h3,
            h4,
            h5,
            h6,
            h7,
            w0,
            w1,
            w2,
            w3,
            w4,
            w5,
            w6,
            w7,
            w8,
            w9,
            w10,
            w11,
            w12,
            w13,
            w14,
            w15,
            constants,
        )
        going = block < blocks
        h0, h1 = tl.where(going, n0, h0), tl.where(going, n1, h1)
        h2, h3 = tl.where(going, n2, h2), tl.where(going, n3, h3)
        h4, h5 = tl.where(going, n4, h4), tl.where(going, n5, h5)
        h6, h7 = tl.where(going, n6, h6), tl.where(going, n7, h7)
        before = b15
    write_hash(out, lane, inside, h0, h1, h2, h3, h4, h5, h6, h7)


@triton.jit(do_not_specialize=["nodes"])
def node_kernel(below, left, right, out, nodes, constants, L: tl.constexpr):
    """One level up: the hash of two nodes, or the left one as it is where the right one is -1."""
    lane = tl.program_id(0).to(tl.int64) * L + tl.arange(0, L)
    inside = lane < nodes
    a = below + tl.load(left + lane, inside, 0).to(tl.int64) * 8
    other = tl.load(right + lane, inside, -1)
    b = below + tl.maximum(other, 0).to(tl.int64) * 8
    a0, a1, a2, a3 = (
        tl.load(a, inside, 0),
        tl.load(a + 1, inside, 0),
        tl.load(a + 2, inside, 0),
        tl.load(a + 3, inside, 0),
    )
    a4, a5, a6, a7 = (
        tl.load(a + 4, inside, 0),
        tl.load(a + 5, inside, 0),
        tl.load(a + 6, inside, 0),
        tl.load(a + 7, inside, 0),
    )
    b0, b1, b2, b3 = (
        tl.load(b, inside, 0),
        tl.load(b + 1, inside, 0),
        tl.load(b + 2, inside, 0),
        tl.load(b + 3, inside, 0),
    )
    b4, b5, b6, b7 = (
        tl.load(b + 4, inside, 0),
        tl.load(b + 5, inside, 0),
        tl.load(b + 6, inside, 0),
        tl.load(b + 7, inside, 0),
    )
    w0 = (a0 >> 8) | 0x01000000
    w1 = (a0 << 24) | (a1 >> 8)
    w2 = (a1 << 24) | (a2 >> 8)
    w3 = (a2 << 24) | (a3 >> 8)
    w4 = (a3 << 24) | (a4 >> 8)
    w5 = (a4 << 24) | (a5 >> 8)
    w6 = (a5 << 24) | (a6 >> 8)
    w7 = (a6 << 24) | (a7 >> 8)
    w8 = (a7 << 24) | (b0 >> 8)
    w9 = (b0 << 24) | (b1 >> 8)
    w10 = (b1 << 24) | (b2 >> 8)
    w11 = (b2 << 24) | (b3 >> 8)
    w12 = (b3 << 24) | (b4 >> 8)
    w13 = (b4 << 24) | (b5 >> 8)
    w14 = (b5 << 24) | (b6 >> 8)
    w15 = (b6 << 24) | (b7 >> 8)
    h0, h1, h2, h3 = constant_word(S0, L), constant_word(S1, L), constant_word(S2, L), constant_word(S3, L)
    h4, h5, h6, h7 = constant_word(S4, L), constant_word(S5, L), constant_word(S6, L), constant_word(S7, L)
    h0, h1, h2, h3, h4, h5, h6, h7 = compress(
        h0, h1, h2, h3, h4, h5, h6, h7, w0, w1, w2, w3, w4, w5, w6, w7, w8, w9, w10, w11, w12, w13, w14, w15, constants
    )
    zero, length = constant_word(0, L), constant_word(520, L)
    h0, h1, h2, h3, h4, h5, h6, h7 = compress(
        h0,
        h1,
        h2,
        h3,
        h4,
        h5,
        h6,
        h7,
        (b7 << 24) | 0x00800000,
        zero,
        zero,
        zero,
        zero,
        zero,
        zero,
        zero,
        zero,
        zero,
        zero,
        zero,
        zero,
        zero,
        zero,
        length,
        constants,
    )
    alone = other < 0
    h0, h1, h2, h3 = tl.where(alone, a0, h0), tl.where(alone, a1, h1), tl.where(alone, a2, h2), tl.where(alone, a3, h3)
    h4, h5, h6, h7 = tl.where(alone, a4, h4), tl.where(alone, a5, h5), tl.where(alone, a6, h6), tl.where(alone, a7, h7)
    write_hash(out, lane, inside, h0, h1, h2, h3, h4, h5, h6, h7)
