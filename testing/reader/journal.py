"""The journal: segments, frames, and where it ends (docs/design.md, section 10)."""

import os
import re

from pieces import Damaged, Fields, crc32, ends_with_crc, mutations, u32

NAME = re.compile(r"(\d{20})\.log")
HEADER, FRAME = 32, 32
BATCH, SEAL = b"PSb1", b"PSs1"


class Journal:
    """All batches that the segments have, oldest first, as pairs of a number and mutations."""

    def __init__(self, directory, report):
        self.report, self.batches, self.last, self.torn, self.end = report, [], None, None, directory
        names = sorted(name for name in os.listdir(directory) if NAME.fullmatch(name))
        self.paths = [os.path.join(directory, name) for name in names]
        numbers = [int(NAME.fullmatch(name)[1]) for name in names]
        if not names:
            raise Damaged("the journal has no segment")
        for number in range(numbers[0], numbers[-1]):
            if number not in numbers:
                self.missing(directory, number)
                return
        segments = [Segment(path, number) for path, number in zip(self.paths, numbers)]
        for at, segment in enumerate(segments):
            self.read(segment, segments[at:])
            if not segment.is_sealed:
                return
        # A segment gets its seal when the next one is there.
        self.missing(directory, numbers[-1] + 1)

    def missing(self, directory, number):
        self.report.damaged(os.path.join(directory, f"{number:020}.log"), 0, "the segment is missing")

    def read(self, segment, from_here):
        if not segment.has_header:
            # It is durable before the segment before is sealed.
            self.report.damaged(segment.path, 0, "the header of a segment")
            return
        for frame in segment.frames():
            # A seal has the number of the batch before it.
            step = 1 if frame.magic == BATCH else 0
            if self.last is not None and frame.number != self.last + step:
                self.report.damaged(segment.path, frame.at, "a gap in the sequence numbers")
                return
            if frame.magic == BATCH:
                self.last = frame.number
                try:
                    self.batches.append((frame.number, list(mutations(frame.payload))))
                except Damaged as damage:
                    self.report.damaged(segment.path, frame.at, f"a batch that does not decode: {damage}")
        if not segment.is_sealed:
            self.judge_end(segment, from_here)

    def judge_end(self, segment, from_here):
        """Is the first place without a whole frame the end, or damage? If it is durable, a later frame may say so."""
        here, self.end = segment.end, segment.path
        later = list(segment.headers_behind(here))
        behind = [frame for other in from_here[1:] for frame in other.headers_behind(HEADER)]
        expected = (self.last or 0) + 1
        if behind or any(frame.durable >= expected for frame in later):
            self.report.damaged(segment.path, here, "a place without a frame that was durable")
        elif segment.data[here:].strip(b"\0"):
            self.torn = {"file": os.path.basename(segment.path), "offset": here}


class Segment:
    """A segment's file."""

    def __init__(self, path, number):
        self.path, self.number, self.is_sealed, self.end = path, number, False, 0
        with open(path, "rb") as file:
            self.data = file.read()
        header = Fields(self.data[:HEADER].ljust(HEADER, b"\0"))
        magic, named, crc, salt = header.take(8), header.u64(), header.u32(), header.take(8)
        # Segments of 0.1.0 have no salt: their headers end with zeros.
        is_salted = ends_with_crc(header.data) or (salt == bytes(8) and header.u32() == 0)
        self.has_header = (magic, named) == (b"PSjrnl\x01\n", number) and crc32(header.data[:16]) == crc and is_salted
        self.covered = header.data[8:16] + (salt if salt != bytes(8) else b"")

    def frames(self):
        """The whole frames from the front. Behind the last one is `end`."""
        if not self.has_header:
            return
        self.end = HEADER
        while frame := self.header_at(self.end):
            begin = frame.at + FRAME
            end = begin + (frame.length + 7) // 8 * 8
            frame.payload, padding = self.data[begin:begin + frame.length], self.data[begin + frame.length:end]
            if end > len(self.data) or crc32(frame.payload) != frame.crc or padding.strip(b"\0"):
                return
            self.end = end
            yield frame
            if frame.magic == SEAL:
                self.is_sealed = True
                return

    def headers_behind(self, begin):
        """Headers of frames at any place, whether or not their payloads are whole."""
        at = begin - 1
        while (at := self.data.find(b"PS", at + 1)) >= 0:
            if at % 8 == 0 and (frame := self.header_at(at)):
                yield frame

    def header_at(self, at):
        frame = Frame(at, self.data[at:at + FRAME])
        if len(frame.header) < FRAME or frame.magic not in (BATCH, SEAL):
            return None
        covers_itself = crc32(self.covered, frame.header[:28]) == int.from_bytes(frame.header[28:], "big")
        return frame if covers_itself else None


class Frame:
    def __init__(self, at, header):
        self.at, self.header, self.magic = at, header, header[:4]
        if len(header) == FRAME:
            fields = Fields(header[4:])
            self.length, self.number, self.durable, self.crc = fields.u32(), fields.u64(), fields.u64(), fields.u32()
