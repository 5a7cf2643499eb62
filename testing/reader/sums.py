"""What rows add up to (docs/design.md, sections 11 and 12)."""

from pieces import BLOBS, PARTS, TOMBSTONES, TREES, Fields, u64

try:
    from blake3 import blake3
except ImportError:
    blake3 = None


class Sum:
    """The sum over some rows. Its hash is compared only where the package `blake3` is."""

    NUMBERS = ["bytes", "blobs", "blob_bytes", "part_bytes", "ended_parts", "ended_bytes"]

    def __init__(self):
        self.hash, self.rows = 0, dict.fromkeys(TREES, 0)
        self.numbers = dict.fromkeys(self.NUMBERS, 0)

    @classmethod
    def read(cls, fields):
        """Takes a sum from the front of fields."""
        read = cls()
        read.hash = fields.number(16)
        read.rows = {tree: fields.u64() for tree in TREES}
        read.numbers = {name: fields.u64() for name in cls.NUMBERS}
        return read

    @classmethod
    def of(cls, rows):
        """Adds up rows: values by tree and key. The value of the mark of a removed row is empty."""
        total = cls()
        for (tree, key), value in rows.items():
            total.add(tree, key, value)
        return total

    def add(self, tree, key, value):
        if blake3:
            digest = blake3(bytes([tree]) + u64(len(key)) + key + value).digest()
            self.hash = (self.hash + int.from_bytes(digest[:16], "big")) % 2**128
        self.rows[tree] += 1
        self.numbers["bytes"] += len(key) + len(value)
        is_blob = tree == BLOBS and key.endswith(b"\0\0")
        self.numbers["blobs"] += is_blob
        if not value:
            return
        fields = Fields(value[1:])
        if tree == PARTS:
            self.numbers["part_bytes"] += fields.u64()
        elif is_blob:
            self.numbers["blob_bytes"] += fields.u64()
        elif tree == TOMBSTONES:
            self.numbers["ended_parts"] += fields.u64()
            self.numbers["ended_bytes"] += fields.u64()

    def __eq__(self, other):
        same_hash = blake3 is None or self.hash == other.hash
        return same_hash and (self.rows, self.numbers) == (other.rows, other.numbers)
