"""Writes pre-tokenizers.json: how Hugging Face tokenizers cuts texts with the published pre-tokenizers that GGUF files name.

    pip install tokenizers==0.23.3 && python3 test/golden/tokenizers/pre-tokenizers.py
"""
import json
import pathlib

from tokenizers import Tokenizer
from tokenizers.models import BPE

TEXTS = ["Hello's HELLO'S don'T we'll 1234567 12a", "  two\n\n  lines \n\r\n\tx \n", "camelCaseHTTPServer_x-y", "if (x >= 10) { return a[0] + 'b'; } // !\n",
         "Élève naïve — “quotes” …", "Привет мир 漢字かな 한국어 नमस्ते", "x²½ ٠١٢ Ⅷ", "a\u00a0b\u3000c", "#include <a>\n\n\n#define", "😀👩‍💻!? ...", "   "]
BYTE = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
GPT2 = {**BYTE, "use_regex": True}
DIGITS = {"type": "Digits", "individual_digits": True}
CUT = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"


def split(pattern):
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}


PUBLISHED = {  # from the tokenizer.json of Qwen2, Llama 3, GPT-4o, Mistral Nemo, DeepSeek-V3, SmolLM2, DeepSeek-Coder, GPT-2
    "qwen2": [split(CUT + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"), BYTE],
    "llama-bpe": [split(CUT + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"), BYTE],
    "gpt-4o": [split(r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+" + CUT + r"?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*" + CUT + r"?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"), BYTE],
    "tekken": [split(r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"), BYTE],
    "deepseek-v3": [split(r"\p{N}{1,3}"), split("[一-龥぀-ゟ゠-ヿ]+"), split(r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"""), BYTE],
    "deepseek-coder": [split(r"[\r\n]"), split(r"\s?\p{L}+"), split(r"\s?\p{P}+"), split("[一-龥ࠀ-一가-퟿]+"), DIGITS, BYTE],
    "smollm": [DIGITS, GPT2],
    "gpt-2": [GPT2],
}


def main():
    pieces = {}
    for name, steps in PUBLISHED.items():
        tokenizer = Tokenizer(BPE())
        tokenizer = Tokenizer.from_str(json.dumps({**json.loads(tokenizer.to_str()), "pre_tokenizer": {"type": "Sequence", "pretokenizers": steps}}))
        pieces[name] = [[text[start:end] for _, (start, end) in tokenizer.pre_tokenizer.pre_tokenize_str(text)] for text in TEXTS]
    path = pathlib.Path(__file__).with_name("pre-tokenizers.json")
    path.write_text(json.dumps({"texts": TEXTS, "pieces": pieces}, indent=1) + "\n")


main()
