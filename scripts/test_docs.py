#!/usr/bin/env python3
"""Runs the code blocks of the documentation, so that it can't rot.

All ```bash blocks of a page run in order in one scratch folder, with the build on PATH and the
repository's files linked in. A ```cpp block must stand word for word in a file under examples/,
which the build compiles. Blocks that build or test Longwave itself are left to CI, which does.

usage: test_docs.py BUILD PAGE...
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# Commands that set the project up: CI itself runs them on a clean checkout.
SET_UP = re.compile(r"^\s*(make|cmake|git clone|ctest|sudo|apt-get)\b", re.MULTILINE)
LINKED = ("recipes", "examples", "docs", "bench", "tests")
LIMIT_S = 600


def blocks_of(page: pathlib.Path):
    for match in BLOCK.finditer(page.read_text()):
        yield match.group(1), match.group(2)


def run_bash(root: pathlib.Path, build: pathlib.Path, script: str, page: str) -> str:
    with tempfile.TemporaryDirectory() as scratch:
        for name in LINKED:
            if (root / name).exists():
                os.symlink(root / name, pathlib.Path(scratch) / name)
        environment = dict(os.environ, PATH=f"{build}:{os.environ['PATH']}", NO_COLOR="1")
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", script], cwd=scratch, text=True,
                              env=environment, timeout=LIMIT_S, check=False,
                              stdin=subprocess.DEVNULL, capture_output=True)
    if done.returncode == 0:
        return ""
    return f"{page}: exit status {done.returncode}\n{done.stdout[-1500:]}\n{done.stderr[-1500:]}"


def main() -> int:
    root = pathlib.Path(__file__).resolve().parent.parent
    build = pathlib.Path(sys.argv[1]).resolve()
    examples = [path.read_text() for path in (root / "examples").rglob("*.cc")]
    faults = []
    for page in map(pathlib.Path, sys.argv[2:]):
        scripts = []
        for language, text in blocks_of(page):
            if language == "cpp" and not any(text in example for example in examples):
                faults.append(f"{page}: a cpp block is in no file under examples/:\n{text}")
            if language == "bash" and not SET_UP.search(text):
                scripts.append(text)
        if scripts:
            fault = run_bash(root, build, "".join(scripts), str(page))
            if fault:
                faults.append(fault)
        print(f"docs: {page}: {len(scripts)} blocks run")
    print("\n".join(faults))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
