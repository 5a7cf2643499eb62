"""Layers: which of them count, and the bytes of each (docs/design.md, section 11)."""

import os
import re

from pieces import Damaged, Fields, crc32, ends_with_crc, mutations, u32, u64
from sip import sip_hash
from sums import Sum

NAME = re.compile(r"(\d{20})-(\d{20})\.rows")
HEADER, FOOTER, PAGE, LONGEST_BLOCK = 36, 236, 4096, 64 << 10
M32, M64 = 2**32 - 1, 2**64 - 1


def that_count(directory):
    """The paths of the layers that count, the lowest first: they begin with batch 1 and follow each other without a gap to
    the last batch that any has. If there are several ways, the one with the longest layers counts. If there is none, a
    layer is missing: the second value is the path of the one behind the gap, else nothing."""
    spans = {}
    for name in os.listdir(directory):
        if match := NAME.fullmatch(name):
            spans[int(match[2]), int(match[1])] = os.path.join(directory, name)
    last = max((through for _, through in spans), default=0)

    def way(after):
        if after == last:
            return []
        for span in sorted((span for span in spans if span[0] == after and span[1] > after), reverse=True):
            behind = way(span[1])
            if behind is not None:
                return [spans[span]] + behind
        return None

    counting = way(0)
    if counting is not None:
        return counting, None
    reached, ways = {0}, sorted(spans)
    for after, through in ways:
        if after in reached:
            reached.add(through)
    return [], spans[next(span for span in ways if span[0] not in reached)]


class Layer:
    """A layer's file. Reading it checks all of it."""

    def __init__(self, path, report):
        self.path, self.report, self.sum = path, report, None
        with open(path, "rb") as file:
            self.data = file.read()
        name = NAME.fullmatch(os.path.basename(path))
        self.through, self.after = int(name[1]), int(name[2])
        self.blocks, self.salt = [], None

    def damaged(self, at, what):
        self.report.damaged(self.path, at, what)

    def rows(self):
        """All rows whose blocks are whole, as mutations. The rest is reported."""
        try:
            self.read_header()
            self.read_footer()
            self.read_block_index()
        except Damaged as damage:
            self.damaged(None, damage)
            return []
        self.check_filter()
        rows, last = [], None
        for begin, first, length in self.blocks:
            try:
                block = self.read_block(begin, first, length, last)
                last = block[-1][1:3]
                rows += block
            except Damaged as damage:
                self.damaged(begin, damage)
                last = "unknown"
        counted = len(self.blocks), len(rows), sum(not is_put for is_put, *_ in rows)
        if last != "unknown" and counted != self.counts and not self.is_reported():
            self.damaged(None, "the footer counts otherwise")
        return rows

    def is_reported(self):
        return any(damage["file"].endswith(os.path.basename(self.path)) for damage in self.report.damage)

    def is_sealed(self, begin, end):
        """Whether bytes end with their seal: a CRC-32 of the salt, of their place, and of themselves."""
        return u32(crc32(self.salt, u64(begin), self.data[begin:end - 4])) == self.data[end - 4:end]

    def read_header(self):
        header = self.data[:HEADER]
        fields = Fields(header[8:])
        if len(header) < HEADER or header[:8] != b"PSlayr\x01\n" or not ends_with_crc(header):
            raise Damaged("the header")
        if (fields.u64(), fields.u64()) != (self.after, self.through):
            raise Damaged("the header of another layer")
        self.salt = fields.take(8)

    def read_footer(self):
        self.end = len(self.data) - FOOTER
        footer = Fields(self.data[max(self.end, 0):])
        if self.end < HEADER or footer.take(8) != b"PSlend\x01\n" or not self.is_sealed(self.end, len(self.data)):
            raise Damaged("the footer")
        if (footer.u64(), footer.u64(), footer.take(8)) != (self.after, self.through, self.salt):
            raise Damaged("the footer of another layer")
        self.filter, self.index, end = footer.u64(), footer.u64(), footer.u64()
        if end != self.end or not HEADER <= self.filter < self.index <= end or (self.index - self.filter) % PAGE:
            raise Damaged("the places in the footer")
        self.counts = footer.u64(), footer.u64(), footer.u64()
        self.sum = Sum.read(footer)

    def read_block_index(self):
        if not self.is_sealed(self.index, self.end):
            raise Damaged("the block index")
        fields, begin = Fields(self.data[self.index:self.end - 4]), HEADER
        while fields.left():
            first = fields.u8(), fields.take(fields.u16())
            length = fields.u32()
            self.blocks.append((begin, first, length))
            begin += length
        if begin != self.filter:
            raise Damaged("the blocks do not end where the filter begins")

    def read_block(self, begin, first, length, last):
        data = self.data[begin:begin + length]
        if not 8 < length <= LONGEST_BLOCK or not self.is_sealed(begin, begin + length):
            raise Damaged("a block")
        if data[:4] != u32(length - 8):
            raise Damaged("the length of a block")
        block = list(mutations(data[4:-4]))
        if not block or (last != "unknown" and separator(block[0], last) != first):
            raise Damaged("a block that begins otherwise than the block index says")
        for _, tree, key, _ in block:
            if last not in (None, "unknown") and (tree, key) <= last:
                raise Damaged("rows that do not ascend")
            last = tree, key
            if not self.perhaps_has(tree, key):
                raise Damaged("the filter denies a row")
        return block

    def check_filter(self):
        """Notes which pages are whole. A damaged one says "perhaps" to all."""
        self.pages = [self.is_sealed(page, page + PAGE) for page in range(self.filter, self.index, PAGE)]
        for at, is_whole in enumerate(self.pages):
            if not is_whole:
                self.damaged(self.filter + at * PAGE, "a page of the filter")

    def perhaps_has(self, tree, key):
        salt = int.from_bytes(self.salt, "big")
        hash = sip_hash(salt, (salt << 32 | salt >> 32) & M64 ^ tree, key)
        page = (hash >> 32) * len(self.pages) >> 32
        first, step = hash & M32, (hash * 0x9E3779B97F4A7C15 & M64) >> 32 | 1
        bits = (((first + n * step & M32) * (PAGE - 4) * 8) >> 32 for n in range(6))
        begin = self.filter + page * PAGE
        return not self.pages[page] or all(self.data[begin + bit // 8] >> bit % 8 & 1 for bit in bits)


def separator(row, last):
    """What the block index says of a block that begins with `row`, behind the row `last`: the tree, and the shortest start
    of the key that is above the key before. It is empty where no row of the tree is before."""
    _, tree, key, _ = row
    if last is None or last[0] != tree:
        return tree, b""
    return tree, key[:len(os.path.commonprefix([key, last[1]])) + 1]
