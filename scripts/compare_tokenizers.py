#!/usr/bin/env python3
"""Compares our tokenizers with Hugging Face's and Google's: tokens, and the text made of them.

    pip install tokenizers sentencepiece
    scripts/compare_tokenizers.py build/train/longwave                        # every style
    scripts/compare_tokenizers.py build/train/longwave tokenizer.json [TEXT...]
    scripts/compare_tokenizers.py build/train/longwave tokenizer.model [TEXT...]

Without a file small tokenizers of every style are learnt (tokenizer_styles.py). Texts are made of
pieces that try every rule: contractions, runs of white space, scripts, marks that compose, emoji,
special tokens. Exit status 1 if any differs.
"""

import json
import pathlib
import random
import subprocess
import sys
import tempfile

import tokenizer_styles
from sentencepiece import SentencePieceProcessor
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


def compare_decoded(longwave: str, file: pathlib.Path, decode, size: int) -> int:
    """How many random sequences of tokens are decoded to something else."""
    rng = random.Random(5)
    lists = [rng.choices(range(size), k=rng.randint(1, 8)) for _ in range(1000)]
    inputs = [" ".join(map(str, ids)).encode() for ids in lists]
    differ = 0
    for ids, answer in zip(lists, run(longwave, "decode", file, inputs), strict=True):
        if answer["text"] != decode(ids):
            differ += 1
            print(f"differs: {ids}\n  ours   {answer['text']!r}\n  theirs {decode(ids)!r}")
    print(f"{file.name}: {len(lists)} random lists of tokens, {differ} differ")
    return differ


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


def compare_pieces(longwave: str, file: pathlib.Path, texts: list[str]) -> int:
    theirs = SentencePieceProcessor(model_file=str(file))
    # Google's does not find control pieces in text. It takes bytes that are no text, too.
    texts = [text for text in texts if "<|x|>" not in text and "</s>" not in text]
    broken = [text.encode()[:-1] + b"\xff a\xe6\x97" for text in texts[::7]]
    return (compare(longwave, file, theirs.encode, theirs.decode, texts + broken)
            + compare_decoded(longwave, file, theirs.decode, theirs.vocab_size()))


def main() -> int:
    longwave, *files = sys.argv[1:]
    texts = tokenizer_styles.texts(1, 1000)
    if files:
        texts += [pathlib.Path(name).read_text(encoding="utf-8") for name in files[1:]]
        file = pathlib.Path(files[0])
        check = compare_pieces if file.suffix == ".model" else compare_json
        return 1 if check(longwave, file, texts) else 0
    differ = 0
    sentences = tokenizer_styles.corpus(2, 2000)
    with tempfile.TemporaryDirectory() as folder:
        for style in [*tokenizer_styles.STYLES, *tokenizer_styles.MAPPED_STYLES]:
            file = pathlib.Path(folder, style + ".json")
            tokenizer_styles.train(style, 600, sentences).save(str(file))
            differ += compare_json(longwave, file, texts)
        for style in tokenizer_styles.PIECES_STYLES:
            file = pathlib.Path(folder, style + ".model")
            file.write_bytes(tokenizer_styles.train_pieces(style, 600, sentences))
            differ += compare_pieces(longwave, file, texts)
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
