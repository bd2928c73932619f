#!/usr/bin/env python3
"""Compares our tokenizer with Hugging Face's on the same tokenizer.json.

    pip install tokenizers
    scripts/compare_tokenizers.py build/train/longwave tokenizer.json [TEXT...]

Encodes the given texts and 300 made of pieces that try every rule: contractions, runs of white
space, scripts, marks that compose, emoji, special tokens. Exit status 1 if any differs.
"""

import json
import pathlib
import random
import subprocess
import sys
import tempfile

import tokenizers

PIECES = ["don't", "'LL", "a", "  ", "    ", "\n\n", "\t", "\r\n", "\u00a0", "\u3000", "\u200b",
          "\x00", "é", "e\u0301", "\u1e9b\u0323", "\u1112\u1161\u11ab", "한글", "日本語", "र्",
          "😀", "👨‍👩‍👧", "123456", "٣", "½", "Ω", "ﬁ", "—", "“q”", "[]{}", "_x_",
          "<|endoftext|>", " <|endoftext|>"]


def main() -> int:
    longwave, file, *names = sys.argv[1:]
    theirs = tokenizers.Tokenizer.from_file(file)
    random.seed(1)
    texts = [pathlib.Path(name).read_text(encoding="utf-8") for name in names]
    texts += ["".join(random.choices(PIECES, k=random.randint(1, 25))) for _ in range(300)]
    with tempfile.TemporaryDirectory() as scratch:
        files = []
        for number, text in enumerate(texts):
            files.append(pathlib.Path(scratch, str(number)))
            files[-1].write_bytes(text.encode())
        command = [longwave, "tokenize", "encode", "--json", "--tokenizer", file, *files]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    differ = 0
    for text, line in zip(texts, done.stdout.splitlines(), strict=True):
        ours, expected = json.loads(line)["ids"], theirs.encode(text, add_special_tokens=False).ids
        if ours != expected:
            differ += 1
            print(f"differs: {text[:80]!r}\n  ours   {ours[:20]}\n  theirs {expected[:20]}")
    print(f"{file}: {len(texts)} texts, {differ} differ")
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
