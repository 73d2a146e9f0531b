"""Writes steps.json: small tokenizers, one for each kind of step, and what Hugging Face tokenizers makes of texts.

    pip install tokenizers==0.23.3 && python3 test/golden/tokenizers/make.py
"""
import json
import pathlib

from tokenizers import Tokenizer

TEXTS = [
    "", " ", "  ", "hello world", " hello  world ", "hello\nworld\n\n x", "\t\n x", "it's 1234 abc12", "a.b, c!? (d) $e+f",
    "Hello WORLD ΟΔΟΣ Straße İ", "e\u0301 é ñ", "\u00a0a\u3000b\u0085c", "漢字 かな", "😀a👩‍💻", "a\x00b\x04c\x1d", "\ufffd\ufeff",
    "<s>hello</s>", "x <mask> y", "x<mask>y", "say word words sword word", "<s> <s>", "a<tag> b", "▁a ▁b▁", "١٢٣ ½²", "_a-b_c",
    "hello hello hello", "abababab", "zzz", "zz z", "don't", "\u0301a", "q\u200db", "wörld", "1,234.5",
]
CHARS = "abcdefghilmnorstuwxyHW'.,!?()$+_-0123456789 \n\t▁éñÉöeĠĊ"
BYTES = [chr(c) for c in list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256)) + list(range(256, 324))]


def pairs(words):
    """Merges that build each word from its characters, left to right."""
    merges = []
    for word in words:
        for end in range(2, len(word) + 1):
            pair = (word[: end - 1], word[end - 1])
            if pair not in merges:
                merges.append(pair)
    return merges


def bpe(alphabet, words, **changes):
    vocab = {}
    for token in [*changes.pop("extra", []), *alphabet]:
        vocab.setdefault(token, len(vocab))
    merges = pairs(words)
    for left, right in merges:
        vocab.setdefault(left + right, len(vocab))
    model = {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None,
             "fuse_unk": False, "byte_fallback": False, "ignore_merges": False, "vocab": vocab, "merges": [list(m) for m in merges]}
    return {**model, **changes}


def sentence_piece(words, extra):
    """As SentencePiece trains it: every way to cut a token in two is a merge, earlier tokens first."""
    tokens = list(dict.fromkeys(word[:end] for word in words for end in range(2, len(word) + 1)))
    vocab = {}
    for token in [*extra, *tokens, *CHARS]:
        vocab.setdefault(token, len(vocab))
    merges = [[token[:at], token[at:]] for token in tokens for at in range(1, len(token)) if token[:at] in vocab and token[at:] in vocab]
    return {**bpe(CHARS, []), "vocab": vocab, "merges": merges, "unk_token": "<unk>", "fuse_unk": True, "byte_fallback": True}


def unigram(**changes):
    pieces = [("<unk>", 0.0), ("▁hello", -3.0), ("▁wor", -4.0), ("ld", -4.5), ("▁", -5.0), ("he", -5.5), ("ll", -5.6), ("ab", -6.0),
              ("aba", -6.5), ("▁x", -7.0), *[(c, -8.0 - i / 8) for i, c in enumerate("abcdefghilnorstwxyH'.,123")],
              *[(f"<0x{b:02X}>", -20.0) for b in range(256) if changes.get("byte_fallback")]]
    return {"type": "Unigram", "unk_id": 0, "vocab": [list(p) for p in pieces], "byte_fallback": False, **changes}


def word_piece(**changes):
    words = ["[UNK]", "hello", "world", "wor", "##ld", "it", "a", "b", "c", "##b", "##c", "z", "##z", "strasse", "12", "##34", "say", "word",
             "##s", "x", "y", "don", "t", "'", ".", ",", "!", "?", "(", ")", "$", "+", "漢", "字", "e", "é", "n", "q", "_", "-", "<", ">"]
    vocab = {word: id for id, word in enumerate(words)}
    return {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 6, "vocab": vocab,
            **changes}


def bert(**changes):
    return {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": True, **changes}


def added(content, **changes):
    return {"id": 0, "content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True,
            **changes}


def seq(key, *steps):
    return {"type": "Sequence", key: list(steps)}


BYTE = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
BARE = {**BYTE, "use_regex": False}
META = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
WORDS = ["hello", "world", "▁hello", "▁world", "12", "ab", "abab", "▁▁", "word"]
BWORDS = ["hello", "world", "Ġhello", "Ġworld", "12", "ab", "abab", "ĠĠ", "word", "Ã©"]
REPLACE = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
SPM = seq("decoders", {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
          {"type": "Strip", "content": " ", "start": 1, "stop": 0})
BYTE_TOKENS = [f"<0x{b:02X}>" for b in range(256)]


def split(pattern, behavior, invert=False):
    return {"type": "Split", "pattern": pattern, "behavior": behavior, "invert": invert}


def case(name, model, normalizer=None, pre=None, decoder=None, tokens=(), post=None):
    placed = []
    for token in tokens:
        known = model["vocab"].get(token["content"]) if isinstance(model["vocab"], dict) else None
        new = len(model["vocab"]) + sum(t["id"] >= len(model["vocab"]) for t in placed)
        placed.append({**token, "id": new if known is None else known})
    return name, {"version": "1.0", "truncation": None, "padding": None, "added_tokens": placed, "normalizer": normalizer,
                  "pre_tokenizer": pre, "post_processor": post, "decoder": decoder, "model": model}


def byte_case(name, pre=BYTE, words=BWORDS, alphabet=BYTES, normalizer=None, tokens=(), **changes):
    return case(name, bpe(alphabet, words, **changes), normalizer, pre, BYTE, tokens)


def char_case(name, pre=None, normalizer=REPLACE, words=WORDS, tokens=(), **changes):
    changes = {"unk_token": "<unk>", "fuse_unk": True, "extra": ["<unk>"], **changes}
    return case(name, bpe(CHARS, words, **changes), normalizer, pre, SPM, tokens)

WORD_PIECE = {"type": "WordPiece", "prefix": "##", "cleanup": False}

CASES = [
    byte_case("bytes without a token are dropped, and what was beside them merges", alphabet=[b for b in BYTES if b not in "ĀĄĝb"],
              words=["hello", "Ġhello", "ac"]),
    byte_case("bytes without a token become the unknown token", alphabet=[b for b in BYTES if b not in "ĀĄĝb"], words=["hello"],
              extra=["<unk>"], unk_token="<unk>"),
    byte_case("unknown bytes in a row are one token", alphabet=[b for b in BYTES if b not in "ĀĄĝzb"], words=["hello"],
              extra=["<unk>"], unk_token="<unk>", fuse_unk=True),
    byte_case("pieces that are tokens are not merged up", ignore_merges=True),
    byte_case("a space before every piece", pre={**BYTE, "add_prefix_space": True}),
    byte_case("digits one by one", pre=seq("pretokenizers", {"type": "Digits", "individual_digits": True}, BYTE)),
    byte_case("digits together, each piece with a space", pre=seq("pretokenizers", {"type": "Digits", "individual_digits": False},
                                                                {**BYTE, "add_prefix_space": True})),
    *[byte_case(f"punctuation {behavior}", pre=seq("pretokenizers", {"type": "Punctuation", "behavior": behavior}, BARE))
      for behavior in ["Removed", "Isolated", "Contiguous", "MergedWithPrevious", "MergedWithNext"]],
    *[byte_case(f"split {behavior}{' inverted' if invert else ''}",
                pre=seq("pretokenizers", split({"Regex": "[lo ]"}, behavior, invert), BARE))
      for behavior in ["Removed", "Isolated", "Contiguous", "MergedWithPrevious", "MergedWithNext"] for invert in [False, True]],
    byte_case("words", pre=seq("pretokenizers", {"type": "Whitespace"}, BARE)),
    byte_case("white space removed", pre=seq("pretokenizers", {"type": "WhitespaceSplit"}, BARE)),
    byte_case("a delimiter", pre=seq("pretokenizers", {"type": "CharDelimiterSplit", "delimiter": "l"}, BARE)),
    byte_case("BERT's words", pre=seq("pretokenizers", {"type": "BertPreTokenizer"}, BARE)),
    *[byte_case(f"normaliser {form}", normalizer={"type": form}) for form in ["NFC", "NFD", "NFKC", "NFKD", "Lowercase"]],
    byte_case("accents stripped", normalizer=seq("normalizers", {"type": "NFD"}, {"type": "StripAccents"})),
    byte_case("white space stripped", normalizer={"type": "Strip", "strip_left": True, "strip_right": True}),
    byte_case("replaced by an expression", normalizer={"type": "Replace", "pattern": {"Regex": "\\s+"}, "content": "$&-"}),
    byte_case("added tokens and white space", tokens=[added("<s>", lstrip=True), added("</s>", rstrip=True), added("<mask>", lstrip=True, rstrip=True),
                                                      added("<tag>"), added("word", single_word=True, special=False)]),
    byte_case("added tokens in normalised text", normalizer={"type": "Lowercase"},
              tokens=[added("World", normalized=True, special=False), added("<s>")]),
    char_case("characters, unknown ones fused"),
    char_case("characters, unknown ones apart", fuse_unk=False),
    char_case("characters, unknown ones dropped", unk_token=None),
    char_case("characters with bytes to fall back to", byte_fallback=True, extra=["<unk>", *BYTE_TOKENS]),
    char_case("characters with some bytes to fall back to", byte_fallback=True, extra=["<unk>", *BYTE_TOKENS[:0xe0]]),
    char_case("a mark before each text", normalizer=seq("normalizers", {"type": "Prepend", "prepend": "▁"}, REPLACE), byte_fallback=True,
              extra=["<unk>", *BYTE_TOKENS, "<s>", "</s>"], tokens=[added("<s>"), added("</s>")]),
    *[char_case(f"metaspace {scheme}{'' if cut else ', whole'}", normalizer=None, pre={**META, "prepend_scheme": scheme, "split": cut},
                tokens=[added("<s>")]) for scheme in ["always", "first", "never"] for cut in [True, False]],
    char_case("a merge that reaches across words", words=[*WORDS, "o▁w"]),
    case("SentencePiece", sentence_piece(WORDS, ["<unk>", "<s>", "</s>", *BYTE_TOKENS]),
         seq("normalizers", {"type": "Prepend", "prepend": "▁"}, REPLACE), None, SPM, [added("<unk>"), added("<s>"), added("</s>")]),
    case("SentencePiece without a space before", sentence_piece(WORDS, ["<unk>", "<s>", "</s>", *BYTE_TOKENS]), REPLACE, None, SPM,
         [added("<unk>"), added("<s>"), added("</s>")]),
    case("unigram", unigram(), None, META, SPM, [added("<s>")]),
    case("unigram with bytes to fall back to", unigram(byte_fallback=True), None, META, SPM),
    case("unigram over the whole text", unigram(), REPLACE, None, SPM),
    *[case(f"WordPiece {name}", word_piece(**model), bert(**changes), {"type": "BertPreTokenizer"}, WORD_PIECE, [added("<s>")])
      for name, model, changes in [
          ("without capitals", {}, {}), ("with capitals", {}, {"lowercase": False}), ("with accents", {}, {"strip_accents": False}),
          ("as it is written", {}, {"clean_text": False, "handle_chinese_chars": False, "lowercase": False}),
          ("of long words", {"max_input_chars_per_word": 100}, {"lowercase": False, "strip_accents": True})]],
]


def main():
    cases = []
    for name, tokenizer in CASES:
        reference = Tokenizer.from_str(json.dumps(tokenizer))
        encoded = [reference.encode(text, add_special_tokens=False).ids for text in TEXTS]
        decoded = [reference.decode(ids, skip_special_tokens=False) for ids in encoded]
        cases.append({"name": name, "tokenizer": tokenizer, "ids": encoded, "decoded": decoded})
    path = pathlib.Path(__file__).with_name("steps.json")
    lines = ",\n".join(json.dumps(case, ensure_ascii=True, separators=(",", ":")) for case in cases)
    path.write_text(f'{{"texts":{json.dumps(TEXTS)},\n"cases":[\n{lines}\n]}}\n')


main()
