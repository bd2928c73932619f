#!/usr/bin/env python3
"""Compares our tokenizers with Hugging Face's and Google's: tokens, and the text made of them.

    pip install tokenizers sentencepiece
    scripts/compare_tokenizers.py build/train/longwave                        # every style
    scripts/compare_tokenizers.py build/train/longwave tokenizer.json [TEXT...]

Without a file small tokenizers of every style are learnt (tokenizer_styles.py). Texts are made of
pieces that try every rule: contractions, runs of white space, scripts, marks that compose, emoji,
special tokens. Exit status 1 if any differs.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

import tokenizer_styles
from tokenizers import Tokenizer


def run(longwave: str, action: str, file: pathlib.Path, inputs: list[bytes]) -> list[dict]:
    with tempfile.TemporaryDirectory() as scratch:
        names = []
        for number, content in enumerate(inputs):
            names.append(pathlib.Path(scratch, str(number)))
            names[-1].write_bytes(content)
        command = [longwave, "tokenize", action, "--json", "--tokenizer", file, *names]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def compare(longwave: str, file: pathlib.Path, encode, decode, texts: list[str | bytes]) -> int:
    """How many texts differ in their tokens or in what is decoded."""
    raw = [text if isinstance(text, bytes) else text.encode() for text in texts]
    expected = [encode(text) for text in texts]
    ours = [answer["ids"] for answer in run(longwave, "encode", file, raw)]
    numbers = [" ".join(map(str, ids)).encode() for ids in expected]
    shown = [answer["text"] for answer in run(longwave, "decode", file, numbers)]
    differ = 0
    for text, ids, theirs, got in zip(texts, ours, expected, shown, strict=True):
        if ids == theirs and got == decode(theirs):
            continue
        differ += 1
        if differ <= 5:
            print(f"differs: {text[:80]!r}\n  ours   {ids[:20]}\n  theirs {theirs[:20]}\n"
                  f"  ours   {got[:80]!r}\n  theirs {decode(theirs)[:80]!r}")
    print(f"{file.name}: {len(texts)} texts, {differ} differ")
    return differ


def compare_json(longwave: str, file: pathlib.Path, texts: list[str]) -> int:
    theirs = Tokenizer.from_file(str(file))
    return compare(longwave, file, lambda text: theirs.encode(text, add_special_tokens=False).ids,
                   theirs.decode, texts)


def main() -> int:
    longwave, *files = sys.argv[1:]
    texts = tokenizer_styles.texts(1, 1000)
    if files:
        texts += [pathlib.Path(name).read_text(encoding="utf-8") for name in files[1:]]
        return 1 if compare_json(longwave, pathlib.Path(files[0]), texts) else 0
    differ = 0
    sentences = tokenizer_styles.corpus(2, 2000)
    with tempfile.TemporaryDirectory() as folder:
        for style in tokenizer_styles.STYLES:
            file = pathlib.Path(folder, style + ".json")
            tokenizer_styles.train(style, 600, sentences).save(str(file))
            differ += compare_json(longwave, file, texts)
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
