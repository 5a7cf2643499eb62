"""Blobs: the file of each, its blocks, and its hash (docs/design.md, section 4)."""

import hashlib
import os
import re
import zlib

from sums import blake3

SHORT, LONG, LONG_FROM = 32 << 10, 256 << 10, 128 << 20
PIECE = 900
# Tables of CRCs that the standard library does not have: reflected polynomials.
POLYNOMIALS = {"crc32c": (0x82F63B78, 32), "crc64xz": (0xC96C5795D7870F42, 64), "crc64nvme": (0x9A6C9329AC4BC9B5, 64)}
# Beyond this length those take too long in Python.
SLOW_FROM = 1 << 20


def block_length(size, crcs):
    """The number of CRCs tells it: all blocks had 256 KiB once. Nothing if the number fits neither."""
    for length in (SHORT, LONG) if size <= LONG_FROM else (LONG,):
        if crcs == -(-size // length):
            return length
    return None


class Blobs:
    """The blobs of the rows, with what is wrong with each. `parts` are those that have its bytes."""

    def __init__(self, directory, rows, report):
        self.directory, self.report = directory, report
        pieces = {}
        for row in rows:
            pieces.setdefault(row["hash"], []).append(row)
        self.blobs = {hash: self.gather(hash, of) for hash, of in pieces.items()}

    def gather(self, hash, pieces):
        crcs = [crc for piece in pieces for crc in piece["crcs"]]
        numbers = [piece["piece"] for piece in pieces]
        size = pieces[0].get("size")
        length = None if size is None else block_length(size, len(crcs))
        if numbers != list(range(len(pieces))) or any(len(piece["crcs"]) != PIECE for piece in pieces[:-1]) or length is None:
            self.report.disagrees(f"the rows of the blob {hash} do not fit each other")
        return {"hash": hash, "size": size, "block": length, "crcs": crcs, "state": "not read"}

    def path(self, hash):
        return os.path.join(self.directory, hash[:2], hash)

    def orphans(self):
        """Files that no row names."""
        named = re.compile(r"[0-9a-f]{64}")
        found = []
        for shard in sorted(os.listdir(self.directory)):
            if re.fullmatch(r"[0-9a-f]{2}", shard) and os.path.isdir(os.path.join(self.directory, shard)):
                names = sorted(os.listdir(os.path.join(self.directory, shard)))
                found += [name for name in names if named.fullmatch(name) and name[:2] == shard and name not in self.blobs]
        return found

    def compare(self, parts):
        """Reads all blobs, and compares them with the checksums of their rows and of their parts."""
        of = {}
        for part in parts:
            of.setdefault(part["hash"], []).append(part)
        for hash, blob in self.blobs.items():
            blob["state"] = self.compare_one(blob, of.get(hash, []))
            if blob["state"] != "whole":
                self.report.damaged(self.path(hash), None, f"the blob is {blob['state']}")

    def compare_one(self, blob, parts):
        try:
            with open(self.path(blob["hash"]), "rb") as file:
                return self.compare_file(file, blob, parts)
        except FileNotFoundError:
            return "missing"

    def compare_file(self, file, blob, parts):
        digests, crcs, whole = Digests(blob["size"]), [], 0
        while block := file.read(blob["block"] or SHORT):
            crcs.append(zlib.crc32(block))
            whole += len(block)
            digests.add(block)
        if whole != blob["size"] or crcs != blob["crcs"] or (blake3 and digests.blake3.hexdigest() != blob["hash"]):
            return "damaged"
        for part in parts:
            for algorithm, value in part["checksums"].items():
                if digests.value(algorithm) not in (None, value):
                    self.report.disagrees(f"part {part['part']} of {part['id']} has another {algorithm} than its bytes")
        return "whole"


class Digests:
    """All digests of the bytes of a blob."""

    def __init__(self, size):
        self.blake3 = blake3() if blake3 else None
        self.hashes = {name: hashlib.new(name) for name in ("md5", "sha1", "sha256")}
        self.crc32, self.slow = 0, {name: 0 for name in POLYNOMIALS} if size < SLOW_FROM else {}

    def add(self, block):
        for hash in [*self.hashes.values(), *([self.blake3] if self.blake3 else [])]:
            hash.update(block)
        self.crc32 = zlib.crc32(block, self.crc32)
        for name, crc in self.slow.items():
            self.slow[name] = reflected(name, crc, block)

    def value(self, algorithm):
        if algorithm in self.hashes:
            return self.hashes[algorithm].hexdigest()
        if algorithm == "crc32":
            return f"{self.crc32:08x}"
        if algorithm in self.slow:
            return f"{self.slow[algorithm]:0{POLYNOMIALS[algorithm][1] // 4}x}"
        return None


def table(polynomial):
    def entry(byte):
        for _ in range(8):
            byte = byte >> 1 ^ (polynomial if byte & 1 else 0)
        return byte

    return [entry(byte) for byte in range(256)]


TABLES = {name: table(polynomial) for name, (polynomial, _) in POLYNOMIALS.items()}


def reflected(name, crc, data):
    """A CRC of these and the bytes before, all of whose bits are turned at the beginning and at the end."""
    entries, mask = TABLES[name], (1 << POLYNOMIALS[name][1]) - 1
    crc ^= mask
    for byte in data:
        crc = crc >> 8 ^ entries[(crc ^ byte) & 0xFF]
    return crc ^ mask
