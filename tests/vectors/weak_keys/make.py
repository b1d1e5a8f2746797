#!/usr/bin/env python3
"""Makes the RSA keys beside it that a CA must not certify, each with one fault: python3 make.py.
Nobody's keys: they are drawn anew each time."""

import base64
import math
import pathlib
import random

SMALL = [p for p in range(3, 1000) if all(p % d for d in range(2, int(p**0.5) + 1))]


def is_prime(n):
    if any(n % p == 0 for p in SMALL if p < n):
        return False
    d, s = n - 1, 0
    while d % 2 == 0:
        d, s = d // 2, s + 1
    for _ in range(24):
        x = pow(random.randrange(2, n - 1), d, n)
        if x in (1, n - 1):
            continue
        for _ in range(s - 1):
            x = x * x % n
            if x == n - 1:
                break
        else:
            return False
    return True


def prime_from(n, e):
    """The first prime from n on that fits the exponent."""
    n |= 1
    while not (math.gcd(n - 1, e) == 1 and is_prime(n)):
        n += 2
    return n


def roca_prime(bits, e):
    """k * M + (65537^a mod M), M the product of the first 126 primes (Nemec et al., CCS 2017)."""
    primorial = 2 * math.prod(SMALL[:125])
    while True:
        power = pow(65537, random.getrandbits(200), primorial)
        k = random.getrandbits(bits - primorial.bit_length()) | 1 << (bits - primorial.bit_length() - 1)
        n = k * primorial + power
        if n.bit_length() == bits and n >> (bits - 2) == 3 and math.gcd(n - 1, e) == 1 and is_prime(n):
            return n


def tlv(tag, content):
    size = len(content)
    length = bytes([size]) if size < 128 else (
        bytes([0x80 | (size.bit_length() + 7) // 8]) + size.to_bytes((size.bit_length() + 7) // 8, "big"))
    return bytes([tag]) + length + content


def pkcs8(p, q, e):
    d = pow(e, -1, (p - 1) * (q - 1))
    numbers = [0, p * q, e, d, p, q, d % (p - 1), d % (q - 1), pow(q, -1, p)]
    key = tlv(0x30, b"".join(tlv(2, n.to_bytes(n.bit_length() // 8 + 1, "big")) for n in numbers))
    algorithm = tlv(0x30, bytes.fromhex("06092A864886F70D010101") + b"\x05\x00")
    return tlv(0x30, b"\x02\x01\x00" + algorithm + tlv(4, key))


def write(name, what, p, q, e=65537):
    if p < q:
        p, q = q, p
    text = base64.b64encode(pkcs8(p, q, e)).decode()
    lines = "\n".join(text[i:i + 64] for i in range(0, len(text), 64))
    path = pathlib.Path(__file__).with_name(name + ".pem")
    path.write_text(f"{what}\n-----BEGIN PRIVATE KEY-----\n{lines}\n-----END PRIVATE KEY-----\n")


def strong(bits):
    return random.getrandbits(bits) | 3 << (bits - 2)


first = prime_from(strong(1024), 65537)
write("roca", "RSA-2048 as Infineon's RSALib makes it (CVE-2017-15361).",
      roca_prime(1024, 65537), roca_prime(1024, 65537))
write("close_primes", "RSA-2048 of two primes that lie 2^515 apart.",
      first, prime_from(first + (1 << 515), 65537))
write("neighbours", "RSA-2048 of two primes that follow each other.",
      first, prime_from(first + 2, 65537))
write("small_factor", "RSA-2048 with the factor 251.",
      251, prime_from(strong(2040), 65537))
write("exponent_3", "RSA-2048 with the public exponent 3.",
      prime_from(strong(1024), 3), prime_from(strong(1024), 3), 3)
write("rsa_512", "RSA-512.", prime_from(strong(256), 65537), prime_from(strong(256), 65537))
# rsa_8192.pem is no weak key, but one that is dear to verify with:
#   openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:8192 \\
#     -pkeyopt rsa_keygen_pubexp:18446744073709551557
