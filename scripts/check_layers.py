#!/usr/bin/env python3
"""Checks that every include points to a room that the including room may use."""

import pathlib
import re
import sys

# A room may include itself and the rooms named here (docs/adr/0001-rooms.md).
MAY_USE = {
    "base": "",
    "theory": "base",
    "ops": "base theory",
    "nn": "base theory ops",
    "mixers": "base theory ops nn",
    "models": "base theory ops nn mixers",
    "io": "base",
    "text": "base io",
    "data": "base io text",
    "runtime": "base theory ops nn mixers models io text data",
    "c": "base theory ops nn mixers models io text data runtime",
    "inspect": "base theory ops nn mixers models io text data runtime",
    "train": "base theory ops nn mixers models io text data runtime inspect",
    "cli": "base theory ops nn mixers models io text data runtime inspect train",
}
# A test may judge its room by any other.
ANY_ROOM = re.compile(r"(_test|_bench|_fuzz)\.(cc|cu)$|/testing/")
TORCH_FILE = re.compile(r"_torch\.(h|cc)$|_torch_(test|bench)\.cc$")
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]')


def faults_of(path: pathlib.Path, root: pathlib.Path):
    relative = path.relative_to(root)
    room = relative.parts[1] if len(relative.parts) > 2 else None
    torch_allowed = room == "train" or TORCH_FILE.search(path.name)
    for number, line in enumerate(path.read_text().splitlines(), 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        target = match.group(1)
        place = f"{relative}:{number}"
        is_torch = target.startswith(("torch/", "ATen/", "c10/", "longwave/train/"))
        if (is_torch or TORCH_FILE.search(target)) and not torch_allowed:
            yield f"{place}: {target} belongs to the train target; only *_torch.* and train/ see it"
        if target.startswith("longwave/") and room and target.count("/") > 1:
            other = target.split("/")[1]
            allowed = other == room or other in MAY_USE.get(room, "").split()
            if not allowed and not ANY_ROOM.search(str(relative)):
                yield f"{place}: {room} must not use {other}"


def main() -> int:
    root = pathlib.Path(__file__).resolve().parent.parent
    sources = sorted(path for path in (root / "longwave").rglob("*")
                     if path.suffix in {".h", ".cc", ".cu", ".cuh"})
    faults = [fault for path in sources for fault in faults_of(path, root)]
    print("\n".join(faults) if faults else f"layers: {len(sources)} files, every include allowed")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
