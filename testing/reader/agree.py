"""Which rows must agree (docs/design.md, sections 4, 6 and 7), and the listings that they add up to."""

import hashlib
from collections import Counter, defaultdict

from pieces import BLOBS, GARBAGE, KEYS, METADATA, NAMES, NAMESPACES, PARTS, REFS, TOMBSTONES, UPLOADS, USAGE

USES = ("keys", "objects", "bytes", "open_uploads")


class Store:
    """Rows, put together."""

    def __init__(self, rows, report):
        self.rows, self.report = rows.of, report
        self.by_number = self.namespaces()
        self.uploads = {row["id"]: row for row in self.rows[UPLOADS]}
        self.ended = {row["id"]: row for row in self.rows[TOMBSTONES]}
        self.parts = defaultdict(list)
        for row in self.rows[PARTS]:
            self.parts[row["id"]].append(row)
        self.used = defaultdict(Counter)

    def says(self, holds, what):
        if not holds:
            self.report.disagrees(what)

    def namespaces(self):
        """The namespaces by number. The default one, number 0, has rows only if it has had a quota."""
        by_name = {row["number"]: row for row in self.rows[NAMESPACES] if row["by"] == "name"}
        by_number = {row["of"]: row for row in self.rows[NAMESPACES] if row["by"] == "number"}
        same = ("namespace", "number", "created_ms", "quota_bytes", "quota_keys")
        for number in by_name.keys() | by_number.keys():
            one, other = by_name.get(number), by_number.get(number)
            agree = one and other and all(one[field] == other[field] for field in same)
            self.says(agree, f"the two rows of namespace {number} differ")
        return by_number

    def named(self, number):
        """The name of a namespace."""
        return self.by_number[number]["namespace"] if number in self.by_number else "" if number == 0 else None

    def check(self):
        for upload in self.uploads.values():
            self.check_upload(upload)
        for id in self.parts:
            self.says(id in self.uploads or id in self.ended, f"parts of {id}, which does not exist")
        self.check_names()
        self.check_references()
        self.check_metadata()
        self.check_ended()
        self.check_usage()

    def check_upload(self, upload):
        id, parts = upload["id"], self.parts[upload["id"]]
        self.says(self.named(upload["namespace"]) is not None, f"{id} is in no namespace")
        self.says(id not in self.ended, f"{id} exists, and has ended")
        used = self.used[upload["namespace"], int(id[-2:], 16)]
        used["bytes"] += sum(part["size"] for part in parts)
        if upload["state"] == 0:
            used["open_uploads"] += 1
            return
        used["objects"] += 1
        used["keys"] += upload["current"]
        self.says(upload["parts"] == len(parts), f"the object {id} has {len(parts)} parts, not {upload['parts']}")
        self.says(upload["size"] == sum(part["size"] for part in parts), f"the object {id} has another size than its parts")
        self.says(etag_fits(upload, parts), f"the object {id} has another ETag than its parts")
        places, place = [], 0
        for at, part in enumerate(parts, 1):
            place += part["size"]
            if at % 64 == 0:
                places.append((part["part"], place))
        self.says(upload["state"] == 1 or upload["marks"] == places, f"the marks of the object {id} are wrong")

    def check_names(self):
        """A name for each open upload, and a key for each current object."""
        names = sorted((row["namespace"], row["key"], row["id"]) for row in self.rows[NAMES])
        is_open = sorted((row["namespace"], row["key"], row["id"]) for row in self.uploads.values() if row["state"] == 0)
        self.says(names == is_open, "the names are not those of the open uploads")

        def said(row, checksums, composite):
            row = [row[field] for field in ("namespace", "key", "id", "modified_ms", "size", "etag")]
            return (*row, tuple(checksums), tuple(composite))

        keys = sorted(said(row, row["checksums"], row["composite"]) for row in self.rows[KEYS])
        objects = [row for row in self.uploads.values() if row["state"] and row["current"]]
        current = sorted(said(row, row["checksums"], row["composite"]) for row in objects)
        self.says(keys == current, "the keys are not those of the current objects")

    def check_references(self):
        references = {(row["hash"], row["id"], row["part"]) for row in self.rows[REFS]}
        parts = {(row["hash"], row["id"], row["part"]) for row in self.rows[PARTS]}
        for hash, id, part in references ^ parts:
            self.report.disagrees(f"part {part} of {id} and its reference to {hash}: only one of them exists")
        sizes = {row["hash"]: row["size"] for row in self.rows[BLOBS] if row["piece"] == 0}
        for part in self.rows[PARTS]:
            same = sizes.get(part["hash"]) == part["size"]
            self.says(same, f"part {part['part']} of {part['id']} has no blob of its size")
        unused = sizes.keys() - {hash for hash, _, _ in references} - {row["hash"] for row in self.rows[GARBAGE]}
        for hash in unused:
            self.report.disagrees(f"the blob {hash} has no reference, and is no garbage")

    def check_metadata(self):
        pieces = defaultdict(list)
        for row in self.rows[METADATA]:
            pieces[row["id"]].append(row)
        for id in pieces.keys() - self.uploads.keys():
            self.report.disagrees(f"metadata of {id}, which does not exist")
        for id, upload in self.uploads.items():
            of = pieces.get(id, [])
            upload["metadata"] = b"".join(row["bytes"] for row in of)
            in_order = [row["piece"] for row in of] == list(range(len(of)))
            whole = len(upload["metadata"]) == upload["metadata_length"]
            self.says(in_order and whole, f"the metadata of {id} is not whole")

    def check_ended(self):
        for id, row in self.ended.items():
            left = self.parts[id]
            counts = (len(left), sum(part["size"] for part in left)) == (row["parts"], row["bytes"])
            self.says(counts, f"the tombstone of {id} counts otherwise than its parts")

    def check_usage(self):
        rows = {(row["namespace"], row["stripe"]): Counter({use: row[use] for use in USES}) for row in self.rows[USAGE]}
        for stripe in rows.keys() | self.used.keys():
            same = +rows.get(stripe, Counter()) == +self.used.get(stripe, Counter())
            self.says(same, f"the usage of stripe {stripe[1]} of namespace {stripe[0]} is another one than its uploads'")

    def listings(self, with_metadata):
        """What the store holds, in the words of `partstore ls --json`."""
        named = lambda row: {"namespace": self.named(row["namespace"]), "key": row["key"], "id": row["id"]}
        pick = lambda row, *fields: {field: row[field] for field in fields}
        said = {"namespaces": [], "keys": [], "uploads": [], "objects": [], "parts": [], "left_parts": []}
        for number, row in sorted({0: None, **self.by_number}.items()):
            used = sum((of for (namespace, _), of in self.used.items() if namespace == number), Counter())
            limits = {field: row[field] if row else None for field in ("created_ms", "quota_bytes", "quota_keys")}
            if number == 0:
                # It exists from the beginning.
                limits["created_ms"] = None
            said["namespaces"].append({"namespace": self.named(number), **limits, **{use: used[use] for use in USES}})
        for row in self.rows[KEYS]:
            said["keys"].append(named(row) | pick(row, "size", "etag", "modified_ms", "checksums", "composite"))
        for row in self.uploads.values():
            upload = named(row) | pick(row, "initiated_ms", "metadata_length")
            if with_metadata:
                upload["metadata"] = row["metadata"].hex()
            if row["state"] == 0:
                said["uploads"].append(upload | {"wanted": row["wanted"], "composite_wanted": row["composite_wanted"]})
            else:
                fields = ("completed_ms", "modified_ms", "size", "etag", "parts", "checksums", "composite", "current")
                said["objects"].append(upload | pick(row, *fields))
        for id, parts in self.parts.items():
            upload, fields = self.uploads.get(id), ("part", "size", "etag", "hash", "stored_ms", "checksums")
            if upload:
                kind = {"kind": "object" if upload["state"] else "upload"}
                said["parts"] += [named(upload) | kind | pick(part, *fields) for part in parts]
            else:
                said["left_parts"] += [pick(part, "id", *fields) for part in parts]
        return said


def etag_fits(upload, parts):
    """Whether an ETag with a number of parts is the MD5 of their MD5s. Opaque ones say nothing."""
    tag, _, number = upload["etag"].partition("-")
    if not number or len(tag) != 32 or any(len(part["etag"]) != 32 for part in parts):
        return True
    md5s = b"".join(bytes.fromhex(part["etag"]) for part in parts)
    return int(number) == len(parts) and tag == hashlib.md5(md5s).hexdigest()
