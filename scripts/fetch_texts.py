#!/usr/bin/env python3
"""Unpacks public-domain books from Debian packages into folders of plain text.

    scripts/fetch_texts.py [FOLDER] [AUTHOR...]

FOLDER is /usr/local/share/longwave/texts unless given. Without authors it is austen alone: six
novels of r-cran-janeaustenr (1.6 MB), for language models. The other authors are for the data
source `authors`. Nothing is installed: packages are downloaded by apt-get and taken apart.
"""

import bz2
import glob
import lzma
import os
import pathlib
import re
import struct
import subprocess
import sys
import tempfile
import zlib

FOLDER = "/usr/local/share/longwave/texts"
LZ4 = "usr/share/gocode/src/github.com/pierrec/lz4/testdata"


class RReader:
    """Reads R's serialised form (XDR, versions 2 and 3) as far as lists of texts need it."""

    def __init__(self, data):
        if data[:2] != b"X\n":
            raise ValueError("not R's XDR form")
        self.data, self.at, self.seen = data, 2, []
        version, _, _ = self.integer(), self.integer(), self.integer()
        if version == 3:
            size_of_encoding = self.integer()
            self.at += size_of_encoding

    def integer(self):
        self.at += 4
        return struct.unpack_from(">i", self.data, self.at - 4)[0]

    def pairs(self, flags):
        """A linked list of tagged values as a dictionary."""
        result = {}
        while flags & 255 == 2:
            if flags & 0x200:
                self.value()
            tag = self.value() if flags & 0x400 else None
            result[tag] = self.value()
            flags = self.integer()
        return result

    def value(self):
        flags = self.integer()
        kind, has_attributes = flags & 255, flags & 0x200
        if kind in (254, 242, 253):  # nothing
            return None
        if kind == 255:
            return self.seen[(flags >> 8 or self.integer()) - 1]
        if kind == 1:  # a name
            self.seen.append(self.value())
            return self.seen[-1]
        if kind == 9:  # one text
            size = self.integer()
            self.at += max(size, 0)
            return self.data[self.at - size:self.at].decode("utf-8") if size >= 0 else ""
        if kind == 2:
            return self.pairs(flags)
        count = self.integer()
        if kind in (10, 13):
            result = list(struct.unpack_from(f">{count}i", self.data, self.at))
            self.at += 4 * count
        elif kind in (16, 19):
            result = [self.value() for _ in range(count)]
        else:
            raise ValueError(f"R type {kind} is not read here")
        if has_attributes:
            names = self.pairs(self.integer()).get("names")
            return dict(zip(names, result)) if names else result
        return result


def unpack(package, scratch):
    subprocess.run(["apt-get", "download", "-q", package], cwd=scratch, check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deb = glob.glob(f"{scratch}/{package}_*.deb")[0]
    root = pathlib.Path(scratch, package)
    subprocess.run(["dpkg-deb", "-x", deb, root], check=True)
    return root


def decompress(data):
    """gzip, zlib, or R's forms "2" and "Z": bzip2 and bare LZMA2."""
    if data[:1] == b"2":
        return bz2.decompress(data[1:])
    if data[:1] == b"Z":
        chain = [{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 26}]
        return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=chain).decompress(data[1:])
    return zlib.decompress(data, 47)


def janeaustenr(root):
    base = root / "usr/lib/R/site-library/janeaustenr/data"
    index = RReader(decompress((base / "Rdata.rdx").read_bytes())).value()
    store = (base / "Rdata.rdb").read_bytes()
    for name, (offset, size) in index["variables"].items():
        # Four bytes of length, then the compressed object.
        lines = RReader(decompress(store[offset + 4:offset + size])).value()
        yield name, "".join(line + "\n" for line in lines)


def sword(root, module):
    """A compressed commentary: an index of blocks, each a zlib stream, tagged text within."""
    for part in ("ot", "nt"):
        for index in glob.glob(f"{root}/usr/share/sword/modules/comments/zcom/{module}/{part}.?zs"):
            blocks, store = pathlib.Path(index).read_bytes(), pathlib.Path(index[:-1] + "z")
            data, text = store.read_bytes(), b""
            for offset, size, _ in struct.iter_unpack("<III", blocks[:len(blocks) // 12 * 12]):
                text += zlib.decompress(data[offset:offset + size]) if size else b""
            text = re.sub(rb"(?s)<note.*?</note>|<[^>]*>", b"", text).decode("utf-8", "replace")
            yield f"{module}_{part}", re.sub(r"[ \t]+", " ", text)


def plain(root, path, name):
    text = (root / path).read_text(encoding="utf-8", errors="replace").replace("\r\n", "\n")
    # What Project Gutenberg added names it, and would give the author away.
    begin = re.search(r"\*\*\* ?START OF.*?\*\*\*\n", text)
    end = re.search(r"\*\*\* ?END OF", text)
    yield name, text[begin.end() if begin else 0:end.start() if end else len(text)]


AUTHORS = {
    "austen": ("r-cran-janeaustenr", janeaustenr),
    "spurgeon": ("sword-comm-tdavid", lambda root: sword(root, "tdavid")),
    "henry": ("sword-comm-mhcc", lambda root: sword(root, "mhcc")),
    "doyle": ("golang-github-pierrec-lz4-dev",
              lambda root: plain(root, f"{LZ4}/pg1661.txt", "holmes")),
    "twain": ("golang-github-pierrec-lz4-dev",
              lambda root: plain(root, f"{LZ4}/Mark.Twain-Tom.Sawyer.txt", "sawyer")),
    "newton": ("golang-github-andybalholm-brotli-dev",
               lambda root: plain(root, "usr/share/gocode/src/github.com/andybalholm/brotli/"
                                        "testdata/Isaac.Newton-Opticks.txt", "opticks")),
}


def main() -> int:
    arguments = sys.argv[1:]
    folder = pathlib.Path(arguments.pop(0) if arguments else FOLDER)
    authors = arguments or ["austen"]
    unknown = [author for author in authors if author not in AUTHORS]
    if unknown:
        print(f"unknown: {' '.join(unknown)}; there are {' '.join(AUTHORS)}", file=sys.stderr)
        return 2
    for author in authors:
        package, read = AUTHORS[author]
        with tempfile.TemporaryDirectory() as scratch:
            os.chmod(scratch, 0o755)
            target = folder / author
            target.mkdir(parents=True, exist_ok=True)
            for name, text in read(unpack(package, scratch)):
                if not text:
                    continue
                (target / f"{name}.txt").write_text(text, encoding="utf-8")
                print(f"{target / name}.txt: {len(text.encode()):,} bytes from {package}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
