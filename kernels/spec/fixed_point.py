"""Integers as fixed-point numbers: the series behind the functions, and the one rounding to float32 at their end.

A number with p fraction bits is the integer floor(value * 2^p), give or take the stated error. Nothing here is a float,
so that any machine with long integers can follow it.
"""

from __future__ import annotations

from collections.abc import Callable

FRACTION_BITS = 640
PI = int(
    "3243f6a8885a308d313198a2e03707344a4093822299f31d0082efa98ec4e6c89452821e638d01377be5466cf34e90c6"
    "cc0ac29b7c97c50dd3f84d5b5b5470917921 6d5d98979fb1bd1310ba698dfb5ac2",
    16,
)
LN2 = 0
POSITIVE_INFINITY = 0x7F800000
SIGN = 0x80000000
ONE = 0x3F800000
