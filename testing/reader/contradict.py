#!/usr/bin/env python3
"""Makes one row of a closed store contradict the others, as a mistake of the engine would. For tests of `verify`.

    contradict.py TREE remove|alter|move SEED DIR

A batch that removes, alters or moves a row of the tree is appended to the journal, with all checksums right. SEED chooses the
row and the bit. `CLEAN` is removed, so the next open reads the journal. What was done is printed.
"""

import os
import random
import sys

from journal import BATCH, Journal, Segment
from pieces import TREES, Report, crc32, u32, u64
from read_store import Reading


def sealed(tree, key, body):
    """A value: its version and fields, with their checksum."""
    return body + u32(crc32(bytes([tree]), key, body))


def flipped(data, first, chance):
    """One bit of the bytes from `first` on is another."""
    at = chance.randrange(first, len(data))
    return data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1:]


def mutation(tree, key, value):
    head = bytes([value is not None, tree]) + len(key).to_bytes(2, "big") + len(value or b"").to_bytes(2, "big")
    return head + key + (value or b"")


def changes(tree, doing, values, chance):
    """The mutations that do it to one row. Nothing if no row can be chosen."""
    rows = [(key, value) for (of, key), value in values.items() if of == tree]
    if doing == "alter":
        rows = [(key, value) for key, value in rows if len(value) > 5]
    if not rows:
        return []
    key, value = chance.choice(rows)
    if doing == "alter":
        return [mutation(tree, key, sealed(tree, key, flipped(value[:-4], 1, chance)))]
    if doing == "remove":
        return [mutation(tree, key, None)]
    to = flipped(key, 0, chance)
    return [mutation(tree, key, None), mutation(tree, to, sealed(tree, to, value[:-4]))]


def append(root, payload):
    journal = Journal(os.path.join(root, "meta/journal"), Report(root))
    segment = Segment(journal.end, int(os.path.basename(journal.end)[:20]))
    for _ in segment.frames():
        pass
    header = BATCH + u32(len(payload)) + u64(journal.last + 1) + u64(journal.last) + u32(crc32(payload))
    frame = header + u32(crc32(segment.covered, header)) + payload + bytes(-len(payload) % 8)
    with open(segment.path, "r+b") as file:
        file.seek(segment.end)
        file.write(frame)


def main(tree, doing, seed, root):
    number = next(number for number, name in TREES.items() if name == tree)
    values = Reading(root, Report(root)).values
    done = changes(number, doing, dict(sorted(values.items())), random.Random(seed))
    if done:
        append(root, b"".join(done))
        os.remove(os.path.join(root, "meta/CLEAN"))
    print(f"{doing} a row of {tree}: {b''.join(done).hex()}")


if __name__ == "__main__":
    main(*sys.argv[1:])
