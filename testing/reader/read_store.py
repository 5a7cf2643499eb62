#!/usr/bin/env python3
"""Reads the directory of a closed store, and prints what it holds as one JSON document.

    read_store.py [--no-blobs] [--metadata] DIR

Blobs are read and compared, unless `--no-blobs` is given. `--metadata` prints the bytes of metadata, in hex.

It shares no line with the engine, and was written from docs/design.md (README.md says how far). It writes nothing, and takes no lock: nobody may have
the store open. The exit code is 0 if all is sound, 2 if the command line is wrong, 4 if damage was found, and 6 if no store
of format 3 or 4 is there.
"""

import json
import os
import re
import sys

from agree import Store
from blobs import Blobs
from journal import Journal
from layers import Layer, that_count
from pieces import BLOBS, PARTS, Damaged, Fields, Report, ends_with_crc
from rows import Rows
from sums import Sum, blake3


class Reading:
    """The rows of a store: first those of its layers, then what the journal changes behind them."""

    def __init__(self, root, report):
        self.report, self.values, self.through, self.layers = report, {}, 0, []
        self.in_index = {}
        self.meta = os.path.join(root, "meta")
        self.marker = self.read_marker()
        self.read_layers(os.path.join(self.meta, "snapshot"))
        self.read_journal(os.path.join(self.meta, "journal"))
        self.compare_with_marker()

    def apply(self, mutations):
        for is_put, tree, key, value in mutations:
            if is_put:
                self.values[tree, key] = value
            else:
                self.values.pop((tree, key), None)

    def read_marker(self):
        path = os.path.join(self.meta, "CLEAN")
        try:
            with open(path, "rb") as file:
                data = file.read()
        except FileNotFoundError:
            return None
        try:
            if data[:8] != b"PSclean\x03" or not ends_with_crc(data):
                raise Damaged("the marker of a clean close")
            fields = Fields(data[8:-4])
            marker = {"last": fields.u64(), "through": fields.u64(), "index": Sum.read(fields), "all": Sum.read(fields)}
            marker["orphans"] = fields.u8() != 0
            fields.end()
            return marker
        except Damaged as damage:
            self.report.damaged(path, 0, damage)
            return None

    def read_layers(self, directory):
        paths, behind_gap = that_count(directory)
        if behind_gap:
            self.report.damaged(behind_gap, None, "a layer before it is missing")
            self.through = None
            return
        for path in paths:
            layer = Layer(path, self.report)
            self.apply(layer.rows())
            self.through = layer.through
            self.layers.append(os.path.basename(path))
            if layer.sum and not self.report.damage and layer.sum != Sum.of(self.values):
                layer.damaged(None, "the sum over all rows")

    def read_journal(self, directory):
        self.last, self.torn, before, self.end = self.through, None, len(self.report.damage), directory
        try:
            journal = Journal(directory, self.report)
        except Damaged as damage:
            self.report.damaged(directory, None, damage)
            return
        self.torn, self.end = journal.torn, journal.end
        if self.through is None:
            return
        numbers = [number for number, _ in journal.batches]
        joins = not numbers or numbers[0] <= self.through + 1
        is_read = len(self.report.damage) == before
        if is_read and (not joins or (self.through and not numbers) or (numbers and numbers[-1] < self.through)):
            self.report.damaged(directory, None, "the journal does not join the layers")
        for number, mutations in journal.batches:
            if number > self.through:
                self.apply(mutations)
                self.in_index |= {(tree, key): value for _, tree, key, value in mutations}
                self.last = number

    def compare_with_marker(self):
        marker = self.marker
        if marker is None or self.report.damage:
            return
        path = os.path.join(self.meta, "CLEAN")
        if (marker["last"], marker["through"]) != (self.last, self.through):
            self.report.damaged(self.end, None, f"the marker knows batch {marker['last']}, the journal ends with {self.last}")
        elif marker["all"] != Sum.of(self.values):
            self.report.damaged(path, None, "the sum over all rows")


def format_of(root):
    try:
        with open(os.path.join(root, "FORMAT"), "rb") as file:
            match = re.fullmatch(rb"partstore format\n(\d+)\n", file.read())
    except (FileNotFoundError, NotADirectoryError):
        return None
    return int(match[1]) if match else None


def read(root, with_blobs, with_metadata):
    """The document of a store."""
    report = Report(root)
    reading = Reading(root, report)
    rows_are_whole = not report.damage
    rows = Rows(reading.values, report)
    blobs = Blobs(os.path.join(root, "blobs"), rows.of[BLOBS], report)
    store = Store(rows, report)
    store.check()
    if not rows_are_whole:
        # Where rows are lost, the others need not agree, and files of blobs may be missing.
        report.inconsistent.clear()
    elif with_blobs:
        blobs.compare(rows.of[PARTS])
    said = store.listings(with_metadata)
    said["blobs"] = [{"hash": blob["hash"], "size": blob["size"], "block": blob["block"], "state": blob["state"]}
                     for blob in blobs.blobs.values()]
    marker = reading.marker
    return {
        "format": format_of(root), "hashes_compared": blake3 is not None, "closed": marker is not None,
        "index_is_of_journal": marker and marker["index"] == Sum.of(reading.in_index),
        "layers": reading.layers, "last_batch": reading.last, "torn": reading.torn,
        **said, "orphans": blobs.orphans(), "orphans_possible": marker["orphans"] if marker else True,
        "clean": not (report.damage or report.inconsistent),
        "damage": report.damage, "inconsistent": report.inconsistent,
    }


def main(args):
    options = {"--no-blobs", "--metadata"} & set(args)
    roots = [arg for arg in args if arg not in options]
    if len(roots) != 1 or roots[0].startswith("-"):
        print(__doc__, file=sys.stderr)
        return 2
    if format_of(roots[0]) not in (3, 4):
        print(f"{roots[0]} is no store of format 3 or 4", file=sys.stderr)
        return 6
    document = read(roots[0], "--no-blobs" not in options, "--metadata" in options)
    print(json.dumps(document, indent=1))
    return 0 if document["clean"] else 4


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
