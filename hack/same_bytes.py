"""Write a collection's tarball again without what differs from build to build: the order of its files, their times and owners.

usage: same_bytes.py FROM TO EPOCH
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import sys
import tarfile
from pathlib import Path

#: What lists all files, with its place in what lists that.
FILES, MANIFEST = "FILES.json", "MANIFEST.json"


def rewritten(data: bytes, epoch: int) -> bytes:
    """The tarball, sorted, each entry of the time epoch."""
    with tarfile.open(fileobj=io.BytesIO(data)) as source:
        entries = {member.name: (member, _content(source, member)) for member in source}
    listing = json.loads(entries[FILES][1])
    listing["files"].sort(key=lambda file: str(file["name"]))
    entries[FILES] = (entries[FILES][0], _text(listing))
    manifest = json.loads(entries[MANIFEST][1])
    manifest["file_manifest_file"]["chksum_sha256"] = hashlib.sha256(entries[FILES][1]).hexdigest()
    entries[MANIFEST] = (entries[MANIFEST][0], _text(manifest))
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.GNU_FORMAT) as target:
        for name in sorted(entries, key=lambda each: (each not in (MANIFEST, FILES), each)):
            member, content = entries[name]
            target.addfile(_named(member, len(content), epoch), io.BytesIO(content))
    return gzip.compress(plain.getvalue(), compresslevel=9, mtime=epoch)


def _content(source: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = source.extractfile(member) if member.isfile() else None
    return file.read() if file is not None else b""


def _text(value: object) -> bytes:
    return json.dumps(value, indent=1).encode()


def _named(member: tarfile.TarInfo, size: int, epoch: int) -> tarfile.TarInfo:
    """An entry of nobody's; the mode says only whether it can be run."""
    made = tarfile.TarInfo(member.name)
    made.type, made.linkname, made.size, made.mtime = member.type, member.linkname, size, epoch
    made.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
    return made


def main() -> int:
    source, destination, epoch = sys.argv[1:]
    Path(destination).write_bytes(rewritten(Path(source).read_bytes(), int(epoch)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
