"""What all readers of files share: fields, checksums, mutations, and the list of what is damaged."""

import os
import zlib

TREES = {
    1: "uploads", 2: "upload_names", 3: "metadata", 4: "parts", 5: "blobs", 6: "refs", 7: "garbage", 8: "keys",
    9: "namespaces", 10: "usage", 11: "tombstones",
}
UPLOADS, NAMES, METADATA, PARTS, BLOBS, REFS, GARBAGE, KEYS, NAMESPACES, USAGE, TOMBSTONES = TREES


class Damaged(Exception):
    """Bytes that are not what the format says."""


class Report:
    """What is damaged, in which file, and where. What does not agree has no file."""

    def __init__(self, root):
        self.root, self.damage, self.inconsistent = root, [], []

    def damaged(self, path, at, what):
        self.damage.append({"file": os.path.relpath(path, self.root), "offset": at, "what": str(what)})

    def disagrees(self, what):
        self.inconsistent.append(what)


class Fields:
    """Bytes that are taken from the front, field by field. Integers are big-endian."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, length):
        end = self.at + length
        if end > len(self.data):
            raise Damaged("the fields end early")
        taken = self.data[self.at:end]
        self.at = end
        return taken

    def number(self, length):
        return int.from_bytes(self.take(length), "big")

    def u8(self):
        return self.number(1)

    def u16(self):
        return self.number(2)

    def u32(self):
        return self.number(4)

    def u64(self):
        return self.number(8)

    def left(self):
        return len(self.data) - self.at

    def rest(self):
        return self.take(self.left())

    def end(self):
        if self.left():
            raise Damaged("bytes stand behind the last field")


def u32(number):
    return number.to_bytes(4, "big")


def u64(number):
    return number.to_bytes(8, "big")


def crc32(*pieces):
    crc = 0
    for piece in pieces:
        crc = zlib.crc32(piece, crc)
    return crc


def ends_with_crc(data):
    """Whether the last four bytes are the CRC-32 of all before."""
    return len(data) >= 4 and u32(crc32(data[:-4])) == data[-4:]


def mutations(data):
    """Yields whether a row is put (or removed), its tree, its key, and its value."""
    fields = Fields(data)
    while fields.left():
        op, tree, key_length, value_length = fields.u8(), fields.u8(), fields.u16(), fields.u16()
        if op > 1 or tree not in TREES or (op == 0 and value_length):
            raise Damaged("a mutation that cannot be one")
        yield op == 1, tree, fields.take(key_length), fields.take(value_length)
