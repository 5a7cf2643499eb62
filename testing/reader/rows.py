"""Rows: their keys and values (docs/design.md, section 4; values of version 1 are in section 18)."""

from pieces import (
    BLOBS, GARBAGE, KEYS, METADATA, NAMES, NAMESPACES, PARTS, REFS, TOMBSTONES, TREES, UPLOADS, USAGE, Damaged, Fields, crc32,
    u32,
)

ALGORITHMS = [
    ("md5", 16), ("crc32", 4), ("crc32c", 4), ("crc64xz", 8), ("crc64nvme", 8), ("sha1", 20), ("sha256", 32),
]
NO_LIMIT = 2**64 - 1


def decode(tree, key, value):
    """A row as a dict of its key's fields and its value's. Raises `Damaged` if its checksum or its form is wrong."""
    if len(value) < 5 or u32(crc32(bytes([tree]), key, value[:-4])) != value[-4:]:
        raise Damaged("the checksum of a row")
    if value[0] not in (1, 2):
        raise Damaged("a row of an unknown version")
    keys, fields = Fields(key), Fields(value[1:-4])
    row = DECODERS[tree](keys, fields, value[0])
    keys.end()
    fields.end()
    return row


def id_text(id):
    return f"{int.from_bytes(id[:8], 'big'):010}{id[8:].hex()}"


def name(fields, length):
    """An object key behind the number of its namespace."""
    data = Fields(fields.take(length))
    number = 0
    if data.data[:1] == b"\0":
        data.take(1)
        number = data.u32()
    return {"namespace": number, "key": data.rest().decode()}


def etag(fields):
    kind = fields.u8()
    if kind > 1:
        raise Damaged("an ETag of an unknown kind")
    return kind, fields.take(20 if kind else 16)


def object_etag(fields):
    """An object's ETag as text, and its MD5 if that is the ETag."""
    kind, tag = etag(fields)
    parts = fields.u16()
    md5 = tag.hex() if kind == 0 and parts == 0 else None
    return {"etag": tag.hex() + (f"-{parts}" if parts else ""), "md5": md5}


def algorithms(fields):
    mask = fields.u16()
    if mask >> len(ALGORITHMS):
        raise Damaged("an unknown algorithm")
    return [name for at, (name, _) in enumerate(ALGORITHMS) if mask >> at & 1]


def checksums(fields, md5=None):
    """Values by algorithm. `md5` is the ETag, if it is one."""
    values = {name: fields.take(dict(ALGORITHMS)[name]).hex() for name in algorithms(fields)}
    return {"md5": md5, **values} if md5 else values


def upload(key, fields, version):
    row = {"id": id_text(key.take(40)), "initiated_ms": fields.u64(), "metadata_length": fields.u32()}
    length = fields.u16()
    row |= {"namespace": 0, "key": fields.take(length).decode(), "wanted": [], "composite_wanted": []}
    if version == 1:
        # What is completed has more fields.
        row["state"] = state = 1 if fields.left() else 0
    else:
        row |= {"namespace": fields.u32(), "wanted": algorithms(fields), "composite_wanted": algorithms(fields)}
        row["state"] = state = fields.u8()
    if state > 2:
        raise Damaged("an upload in an unknown state")
    if state == 0:
        return row
    row["completed_ms"] = row["modified_ms"] = fields.u64()
    if version == 1:
        row |= {"size": fields.u64(), "parts": fields.u16()}
        row |= {"etag": f"{fields.take(16).hex()}-{row['parts']}", "checksums": {"crc64xz": fields.take(8).hex()}}
        row |= {"composite": {}, "current": False, "list": fields.take(32).hex(), "marks": []}
        return row
    row |= {"modified_ms": fields.u64(), "size": fields.u64(), "parts": fields.u16()}
    tag = object_etag(fields)
    row |= {"etag": tag["etag"], "checksums": checksums(fields, tag["md5"]), "composite": checksums(fields)}
    row |= {"current": bool(fields.u8()), "list": fields.take(32).hex(), "marks": []}
    if state == 2:
        row["marks"] = [(fields.u16(), fields.u64()) for _ in range(fields.u16())]
    return row


def upload_name(key, fields, version):
    row = name(key, key.left() - 41)
    if key.take(1) != b"\0":
        raise Damaged("a name that does not end with a zero")
    return row | {"id": id_text(key.take(40))}


def metadata(key, fields, version):
    return {"id": id_text(key.take(40)), "piece": key.u16(), "bytes": fields.rest()}


def part(key, fields, version):
    row = {"id": id_text(key.take(40)), "part": key.u16(), "size": fields.u64()}
    if version == 1:
        md5 = fields.take(16).hex()
        row |= {"etag": md5, "hash": fields.take(32).hex()}
        row["checksums"] = {"md5": md5, "crc32": fields.take(4).hex(), "crc64xz": fields.take(8).hex()}
        return row | {"stored_ms": fields.u64()}
    kind, tag = etag(fields)
    row |= {"etag": tag.hex(), "hash": fields.take(32).hex(), "stored_ms": fields.u64()}
    return row | {"checksums": checksums(fields, None if kind else tag.hex())}


def blob(key, fields, version):
    row = {"hash": key.take(32).hex(), "piece": key.u16()}
    if row["piece"] == 0:
        row["size"] = fields.u64()
        row["location"] = fields.take(fields.u8()).hex() if version == 2 else ""
    row["crcs"] = [fields.u32() for _ in range(fields.left() // 4)]
    return row


def reference(key, fields, version):
    return {"hash": key.take(32).hex(), "id": id_text(key.take(40)), "part": key.u16()}


def garbage(key, fields, version):
    return {"hash": key.take(32).hex()}


def current(key, fields, version):
    row = name(key, key.left())
    row |= {"id": id_text(fields.take(40)), "modified_ms": fields.u64(), "size": fields.u64()}
    row["etag"] = object_etag(fields)["etag"]
    return row | {"checksums": algorithms(fields), "composite": algorithms(fields)}


def namespace(key, fields, version):
    row = {"by": "name", "namespace": None}
    if key.data[:1] == b"\0":
        key.take(1)
        row |= {"by": "number", "of": key.u32()}
    else:
        row["namespace"] = key.rest().decode()
    row |= {"number": fields.u32(), "created_ms": fields.u64()}
    limits = [None if limit == NO_LIMIT else limit for limit in (fields.u64(), fields.u64())]
    row |= {"quota_bytes": limits[0], "quota_keys": limits[1]}
    if row["by"] == "number":
        row["namespace"] = fields.rest().decode()
    return row


def usage(key, fields, version):
    row = {"namespace": key.u32(), "stripe": key.u8()}
    return row | {name: fields.u64() for name in ("keys", "objects", "bytes", "open_uploads")}


def tombstone(key, fields, version):
    return {"id": id_text(key.take(40)), "parts": fields.u64(), "bytes": fields.u64()}


DECODERS = {
    UPLOADS: upload, NAMES: upload_name, METADATA: metadata, PARTS: part, BLOBS: blob, REFS: reference, GARBAGE: garbage,
    KEYS: current, NAMESPACES: namespace, USAGE: usage, TOMBSTONES: tombstone,
}


class Rows:
    """All rows, decoded, by tree. Rows that do not decode are reported."""

    def __init__(self, values, report):
        self.of = {tree: [] for tree in TREES}
        for (tree, key), value in sorted(values.items()):
            try:
                self.of[tree].append(decode(tree, key, value))
            except (Damaged, UnicodeDecodeError) as damage:
                report.disagrees(f"the row {key.hex()} of {TREES[tree]}: {damage}")
