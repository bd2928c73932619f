#!/usr/bin/env python3
"""Small tokenizers of every style that we read, learnt from generated text, and texts that try
every rule of theirs. Used by compare_tokenizers.py and tests/fixtures/make_tokenizers.py.

    pip install tokenizers sentencepiece
"""

import io
import json
import random

import sentencepiece
from sentencepiece import sentencepiece_model_pb2
from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers,
                        processors, trainers)

# Letters, marks, signs, spaces and controls of many scripts.
PIECES = ["don't", "'LL", "a", "  ", "    ", "\n\n", "\t", "\r\n", "\u00a0", "\u3000", "\u200b",
          "\x00", "é", "e\u0301", "\u1e9b\u0323", "\u1112\u1161\u11ab", "한글", "日本語", "र्",
          "😀", "👨‍👩‍👧", "123456", "٣", "½", "Ω", "ﬁ", "—", "“q”", "[]{}", "_x_", "▁", "▁▁a",
          "<0x41>", "Ünï", "ПРИВЕТ", "שלום", "مرحبا", "ไทย", "ქართ", "²³¹", "$+<=>^`|~", "\ufeff",
          "\U0010ffff", "\ue000", "12 345,67", " the", " cat", "hello world", "CamelCaseWord",
          "<|x|>", " <|x|>", "<|x|> ", "<y y>", "</s>", "<m>", " <m> ", "\t<m>", "ab1", "_ab1",
          "ab1\u0301", "ﬁ\u0301", "a\u0301\u0302", "\u200d", "İ", "ΑΣ", "\x07", "٠\u06dd"]
WORDS = ["the", "cat", "that", "hat", "sat", "on", "a", "mat", "and", "it's", "they'll", "12",
         "345", "naïve", "größe", "日本", "日本語", "привет", "мир", "😀", "x_y", "CamelCase",
         "end.\n", "hello", "world", "(sic)", "don't", "éa", "ab", "abab", "ababab"]
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
          r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
CASED = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|"
         r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}|"
         r" ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")


def corpus(seed: int, sentences: int) -> list[str]:
    rng = random.Random(seed)
    return [" ".join(rng.choices(WORDS, k=rng.randint(3, 12))) for _ in range(sentences)]


def texts(seed: int, count: int) -> list[str]:
    rng = random.Random(seed)
    made = ["", " ", "a", "hello world", "  two  blanks  ", "<|x|>", "<|x|>a", "a<|x|> b", "<y y>a"]
    made += [" ".join(rng.choices(WORDS, k=rng.randint(1, 8))) for _ in range(count // 4)]
    return made + ["".join(rng.choices(PIECES, k=rng.randint(1, 12)))
                   for _ in range(count - len(made))]


def byte_level(*cuts, prefix=False, regex=False, **model):
    """A model of bytes, cut by these first."""
    tokenizer = Tokenizer(models.BPE(**model))
    level = pre_tokenizers.ByteLevel(add_prefix_space=prefix, use_regex=regex)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*cuts, level]) if cuts else level
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer, pre_tokenizers.ByteLevel.alphabet(), ["<|x|>"]


def split(pattern: str, behaviour: str = "isolated"):
    return pre_tokenizers.Split(Regex(pattern), behaviour)


def falcon():
    tokenizer, alphabet, special = byte_level()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Punctuation("contiguous"),
        pre_tokenizers.ByteLevel(add_prefix_space=False), pre_tokenizers.Digits(),
        split("[0-9][0-9][0-9]")])
    return tokenizer, alphabet, special


def composed():
    tokenizer, alphabet, special = byte_level(regex=True)
    tokenizer.normalizer = normalizers.NFC()
    return tokenizer, alphabet, special


BYTES = [f"<0x{byte:02X}>" for byte in range(256)]


def fallback(normalizer, pre_tokenizer, decoder, **model):
    """A model of characters; what it lacks becomes bytes."""
    settings = {"unk_token": "<unk>", "byte_fallback": True, "fuse_unk": True, **model}
    tokenizer = Tokenizer(models.BPE(**settings))
    tokenizer.normalizer = normalizer
    if pre_tokenizer is not None:
        tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoder
    return tokenizer, [], ["<unk>", "<s>", "</s>", *(BYTES if settings["byte_fallback"] else [])]


def marks_to_blanks(*rest):
    return decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
                              *rest])


def llama():
    return fallback(normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]),
                    None, marks_to_blanks(decoders.Strip(" ", 1, 0)))


def metaspace(scheme, words):
    def make():
        return fallback(None, pre_tokenizers.Metaspace("▁", scheme, words),
                        decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(),
                                           decoders.Fuse(), decoders.Strip(" ", 1, 0)]))
    return make


def unknown_runs(together):
    def make():
        return fallback(None, pre_tokenizers.Metaspace(), decoders.Metaspace(),
                        byte_fallback=False, fuse_unk=together)
    return make


def gemma():
    return fallback(normalizers.Replace(" ", "▁"),
                    pre_tokenizers.Split(" ", "merged_with_previous"), marks_to_blanks())


def digits():
    return fallback(
        normalizers.Sequence([normalizers.NFKC(), normalizers.Strip(),
                              normalizers.Replace(Regex(" {2,}"), " ")]),
        pre_tokenizers.Sequence([pre_tokenizers.Digits(True), pre_tokenizers.Punctuation(),
                                 pre_tokenizers.Metaspace("▁", "always")]),
        marks_to_blanks(decoders.Strip(" ", 1, 0)))


def unigram(normalizer, pre_tokenizer, decoder=None, byte_fallback=False):
    """A model of pieces with scores."""
    pieces = [("<unk>", 0.0), *((byte, -9.0) for byte in BYTES if byte_fallback)]
    tokenizer = Tokenizer(models.Unigram(pieces, 0, byte_fallback))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoder or decoders.Metaspace()
    return tokenizer, [], ["<unk>", "<s>", "</s>", *(BYTES if byte_fallback else [])]


def precompiled(rules: str | None = None) -> normalizers.Precompiled:
    """The map of characters that SentencePiece makes of its NFKC, or of a file of rules."""
    settings = {"normalization_rule_tsv": rules} if rules else {}
    model = sentencepiece_model_pb2.ModelProto.FromString(
        train_pieces("pieces_unigram", 100, corpus(1, 100), **settings))
    return normalizers.Precompiled(model.normalizer_spec.precompiled_charsmap)


def t5(rules):
    return unigram(normalizers.Sequence([precompiled(rules), normalizers.Strip(False, True),
                                         normalizers.Replace(Regex(" {2,}"), "▁")]),
                   pre_tokenizers.Metaspace("▁", "first"), decoders.Metaspace("▁", "first"))


def roberta(rules):
    return unigram(precompiled(rules), pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()]))


def lower():
    return unigram(normalizers.Sequence([normalizers.Nmt(), normalizers.NFKD(),
                                         normalizers.StripAccents(), normalizers.Lowercase()]),
                   pre_tokenizers.Sequence([pre_tokenizers.Whitespace(),
                                            pre_tokenizers.Punctuation("removed"),
                                            pre_tokenizers.CharDelimiterSplit("x")]))


def unigram_bytes():
    return unigram(None, pre_tokenizers.Metaspace(), decoders.Sequence(
        [decoders.ByteFallback(), decoders.Metaspace(), decoders.Fuse()]), byte_fallback=True)


def bert():
    tokenizer, alphabet, special = byte_level()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.BertPreTokenizer(),
                                                       pre_tokenizers.ByteLevel(False)])
    return tokenizer, alphabet, special


def normal_bytes():
    """Bytes that are written as characters before anything is cut."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.ByteLevel()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split("Ġ", "merged_with_next"),
                                                       pre_tokenizers.FixedLength(7)])
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer, pre_tokenizers.ByteLevel.alphabet(), ["<|x|>"]


def words():
    tokenizer = Tokenizer(models.WordLevel(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return tokenizer, [], ["<unk>", "<s>", "</s>"]


def word_pieces(cleanup=True, **normalizer):
    def make():
        tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        tokenizer.normalizer = normalizers.BertNormalizer(**normalizer)
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        tokenizer.decoder = decoders.WordPiece(cleanup=cleanup)
        return tokenizer, [], ["[UNK]", "<s>", "</s>"]
    return make


STYLES = {
    "normal_bytes": normal_bytes,
    "words": words,
    "word_pieces": word_pieces(),
    "word_pieces_cased": word_pieces(False, lowercase=False, handle_chinese_chars=False),
    "gpt2": lambda: byte_level(prefix=True, regex=True),
    "neox": composed,
    "llama3": lambda: byte_level(split(LLAMA3), ignore_merges=True),
    "qwen2": lambda: byte_level(split(QWEN2)),
    "cased": lambda: byte_level(split(CASED), ignore_merges=True),
    "starcoder": lambda: byte_level(pre_tokenizers.Digits(True), regex=True),
    "falcon": falcon,
    "llama": llama,
    "metaspace_always": metaspace("always", True),
    "metaspace_first": metaspace("first", False),
    "metaspace_never": metaspace("never", True),
    "unknown": unknown_runs(False),
    "unknown_runs": unknown_runs(True),
    "gemma": gemma,
    "digits": digits,
    "lower": lower,
    "unigram_bytes": unigram_bytes,
    "bert": bert,
}
# These also take a file of rules, or None, for their map of characters.
MAPPED_STYLES = {"t5": t5, "roberta": roberta}
# These have added tokens that ask for something around them, which a GGUF file can't say.
DEMANDING_STYLES = {"normal_bytes", "words", "word_pieces", "gpt2", "neox", "llama", "digits",
                    "bert", "lower", "unigram_bytes", *MAPPED_STYLES}


def trainer_of(tokenizer, vocabulary, alphabet, special):
    settings = {"vocab_size": vocabulary, "initial_alphabet": alphabet, "special_tokens": special,
                "show_progress": False}
    if isinstance(tokenizer.model, models.Unigram):
        return trainers.UnigramTrainer(unk_token="<unk>", **settings)
    if isinstance(tokenizer.model, models.WordPiece):
        return trainers.WordPieceTrainer(**settings)
    if isinstance(tokenizer.model, models.WordLevel):
        del settings["initial_alphabet"]
        # Some words of the corpus stay unknown.
        return trainers.WordLevelTrainer(**{**settings, "vocab_size": min(vocabulary, 24)})
    return trainers.BpeTrainer(**settings)


def train(style: str, vocabulary: int, sentences: list[str], rules: str | None = None) -> Tokenizer:
    mapped = MAPPED_STYLES.get(style)
    tokenizer, alphabet, special = mapped(rules) if mapped else STYLES[style]()
    tokenizer.train_from_iterator(sentences, trainer_of(tokenizer, vocabulary, alphabet, special))
    # Bytes are tokens like others, not found in text.
    file = json.loads(tokenizer.to_str())
    file["added_tokens"] = [each for each in file["added_tokens"] if each["content"] not in BYTES]
    # Training forgets this.
    if BYTES[0] in tokenizer.get_vocab():
        file["model"]["byte_fallback"] = True
    tokenizer = Tokenizer.from_str(json.dumps(file))
    tokenizer.add_tokens([AddedToken("<y y>", special=False, normalized=True)])
    if style in DEMANDING_STYLES:
        tokenizer.add_tokens([AddedToken("<m>", lstrip=True, rstrip=True, normalized=False),
                              AddedToken("ab1", single_word=True, lstrip=style == "neox")])
    begin = "<s>" if tokenizer.token_to_id("<s>") is not None else "<|x|>"
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{begin} $A", special_tokens=[(begin, tokenizer.token_to_id(begin))])
    return tokenizer


# Settings of SentencePiece's trainer, by style.
PIECES_STYLES = {
    "pieces_llama": {"model_type": "bpe", "byte_fallback": True,
                     "normalization_rule_name": "identity", "remove_extra_whitespaces": False},
    "pieces_plain": {"model_type": "bpe", "add_dummy_prefix": False,
                     "normalization_rule_name": "identity",
                     "user_defined_symbols": ["<y y>", "12", "▁▁"]},
    "pieces_unigram": {"model_type": "unigram", "normalization_rule_name": "nmt_nfkc"},
    "pieces_unigram_bytes": {"model_type": "unigram", "byte_fallback": True,
                             "normalization_rule_name": "nfkc_cf",
                             "user_defined_symbols": ["<y y>", "12"], "split_digits": True,
                             "remove_extra_whitespaces": False},
}


def train_pieces(style: str, vocabulary: int, sentences: list[str], **changes) -> bytes:
    """The bytes of a SentencePiece model, in which every seventh long piece is not used."""
    settings = {"hard_vocab_limit": False, "character_coverage": 0.995,
                "control_symbols": ["<|x|>"], **PIECES_STYLES[style], **changes}
    made = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences), model_writer=made, vocab_size=vocabulary,
        minloglevel=2, num_threads=1, **settings)
    model = sentencepiece_model_pb2.ModelProto.FromString(made.getvalue())
    for piece in [piece for piece in model.pieces if piece.type == 1 and len(piece.piece) > 1][::7]:
        piece.type = model.SentencePiece.UNUSED
    return model.SerializeToString()
