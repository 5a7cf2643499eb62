"""SipHash-1-3, which chooses the bits of a layer's filter."""

import struct

MASK = 2**64 - 1


def sip_hash(k0, k1, message):
    a, b, c, d = (
        k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D, k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573,
    )
    whole = len(message) // 8 * 8
    words = list(struct.unpack(f"<{whole // 8}Q", message[:whole]))
    words.append(int.from_bytes(message[whole:], "little") | (len(message) & 0xFF) << 56)
    for word in words:
        a, b, c, d = round(a, b, c, d ^ word)
        a ^= word
    c ^= 0xFF
    for _ in range(3):
        a, b, c, d = round(a, b, c, d)
    return a ^ b ^ c ^ d


def round(a, b, c, d):
    a, c = a + b & MASK, c + d & MASK
    b, d = (b << 13 | b >> 51) & MASK ^ a, (d << 16 | d >> 48) & MASK ^ c
    a = (a << 32 | a >> 32) & MASK
    c, a = c + b & MASK, a + d & MASK
    b, d = (b << 17 | b >> 47) & MASK ^ c, (d << 21 | d >> 43) & MASK ^ a
    return a, b, (c << 32 | c >> 32) & MASK, d
