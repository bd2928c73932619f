#!/usr/bin/env python3
"""Checks that files stay readable in size; an exception needs a line with a reason."""

import pathlib
import sys

SOFT_LIMIT, HARD_LIMIT = 400, 600
LINE_LIMIT = 100
SUFFIXES = {".h", ".cc", ".cu", ".cuh", ".py", ".sh"}
FOLDERS = ("longwave", "examples", "scripts", "bench", "tests")


def main() -> int:
    root = pathlib.Path(__file__).resolve().parent.parent
    listed = (root / "scripts" / "size_exceptions.txt").read_text().splitlines()
    exceptions = {line.split()[0] for line in listed if line.strip() and not line.startswith("#")}
    faults, large = [], []
    for path in sorted(path for folder in FOLDERS for path in (root / folder).rglob("*")):
        name = str(path.relative_to(root))
        if path.suffix not in SUFFIXES or "generated" in path.parts or name in exceptions:
            continue
        lines = path.read_text().splitlines()
        if len(lines) > HARD_LIMIT:
            faults.append(f"{name}: {len(lines)} lines, more than {HARD_LIMIT}")
        elif len(lines) > SOFT_LIMIT:
            large.append(f"{name} ({len(lines)})")
        faults += [f"{name}:{i}: {len(line)} columns, more than {LINE_LIMIT}"
                   for i, line in enumerate(lines, 1) if len(line) > LINE_LIMIT]
    print("\n".join(faults) if faults else "sizes: every file within its limit")
    if large:
        print("sizes: over the soft limit: " + ", ".join(large))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
