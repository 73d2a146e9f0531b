"""Files and functions → training texts: plain code, fill-in-the-middle, chat edits, apply_patch, tool calls.

Texts carry the special tokens by name; prepare.py encodes them. The chat frame is ChatML, as in tokenizer_config.json;
the tool prompt is what the server writes for Qwen-style models. Before it: functions.py; after it: prepare.py.
"""
import json
import re

from functions import Edit, Function, edit_of

END = "<|endoftext|>"
SPECIAL = re.compile(r"<\|\w+\|>")
FIM_CHARS_MAX = 3_000  # a middle must fit the window with both sides
TOOLS = (
    {
        "type": "function",
        "function": {
            "name": "replace_in_file",
            "description": "Replaces a text by another in a file.",
            "parameters": {
                "type": "object",
                "properties": {"path": {"type": "string"}, "old": {"type": "string"}, "new": {"type": "string"}},
                "required": ["path", "old", "new"],
            },
        },
    },
    {
        "type": "function",
        "function": {
            "name": "read_file",
            "description": "Reads a file.",
            "parameters": {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]},
        },
    },
)
TOOL_PROMPT = (
    "# Tools\n\nYou may call one or more functions to assist with the user query.\n\n"
    "You are provided with function signatures within <tools></tools> XML tags:\n<tools>\n{tools}\n</tools>\n\n"
    "For each function call, return a json object with function name and arguments within <tool_call></tool_call> "
    'XML tags:\n<tool_call>\n{{"name": <function-name>, "arguments": <args-json-object>}}\n</tool_call>'
)


def plain(text: str, path: str, random) -> str:
    head = f"<|file_sep|>{path}\n" if random.random() < 0.3 else ""
    return f"{head}{text}{END}"


def fill_in_the_middle(text: str, random) -> str:
    """Prefix, suffix, middle; half of the spans are whole lines, the rest start and end anywhere."""
    start = random.randrange(max(1, len(text) - FIM_CHARS_MAX))
    text = text[start : start + FIM_CHARS_MAX]
    if random.random() < 0.5:
        lines = text.splitlines(keepends=True)
        first = random.randrange(len(lines))
        last = min(len(lines), first + random.choice((1, 1, 1, 2, 3, 5)))
        prefix, middle, suffix = "".join(lines[:first]), "".join(lines[first:last]), "".join(lines[last:])
    else:
        a, b = sorted((random.randrange(len(text)), random.randrange(len(text))))
        b = min(b, a + 400)
        prefix, middle, suffix = text[:a], text[a:b], text[b:]
    return f"<|fim_prefix|>{prefix}<|fim_suffix|>{suffix}<|fim_middle|>{middle}{END}"


def chat_edit(one: Function, edit: Edit) -> str:
    return _chat(f"{edit.instruction}\n\n{_fence(one.language, edit.before)}", _fence(one.language, edit.after))


def apply_patch(one: Function, edit: Edit) -> str:
    """The answer is one apply_patch hunk: three lines of context around what changes."""
    question = f"{edit.instruction} Answer with apply_patch.\n\n{one.path}:\n{_fence(one.language, edit.before)}"
    hunk = _hunk(edit.before.split("\n"), edit.after.split("\n"))
    return _chat(question, f"*** Begin Patch\n*** Update File: {one.path}\n@@\n{hunk}\n*** End Patch")


def tool_call(one: Function, edit: Edit) -> str:
    """The answer calls replace_in_file with the lines that change, JSON as Python and JavaScript both write it."""
    old, new = _changed(edit.before.split("\n"), edit.after.split("\n"))
    call = {"name": "replace_in_file", "arguments": {"path": one.path, "old": "\n".join(old), "new": "\n".join(new)}}
    system = TOOL_PROMPT.format(tools="\n".join(json.dumps(tool) for tool in TOOLS))
    question = f"{edit.instruction}\n\n{one.path}:\n{_fence(one.language, edit.before)}"
    return _chat(question, f"<tool_call>\n{json.dumps(call, ensure_ascii=False)}\n</tool_call>", system)


def function_texts(one: Function, random) -> list[str]:
    """At most one chat example for one function."""
    edit = edit_of(one, random)
    if edit is None:
        return []
    kind = random.choices((chat_edit, apply_patch, tool_call), weights=(8, 1, 1))[0]
    return [kind(one, edit)]


def _chat(question: str, answer: str, system: str | None = None) -> str:
    turns = ([("system", system)] if system else []) + [("user", question), ("assistant", answer)]
    return "".join(f"<|im_start|>{role}\n{content}<|im_end|>\n" for role, content in turns) + END


def _fence(language: str, code: str) -> str:
    return f"```{language}\n{code}\n```"


def _span(before: list[str], after: list[str]) -> tuple[int, int]:
    """Lines equal at the head and at the tail."""
    short = min(len(before), len(after))
    head = next((i for i in range(short) if before[i] != after[i]), short)
    tail = next((i for i in range(short - head) if before[-1 - i] != after[-1 - i]), short - head)
    return head, tail


def _changed(before: list[str], after: list[str]) -> tuple[list[str], list[str]]:
    """The changed lines and one line above them, so that an empty replacement can still be found."""
    head, tail = _span(before, after)
    head = max(0, head - 1)
    return before[head : len(before) - tail], after[head : len(after) - tail]


def _hunk(before: list[str], after: list[str]) -> str:
    head, tail = _span(before, after)
    above, below = before[max(0, head - 3) : head], before[len(before) - tail : len(before) - tail + 3]
    old, new = before[head : len(before) - tail], after[head : len(after) - tail]
    marked = [" " + x for x in above] + ["-" + x for x in old] + ["+" + x for x in new] + [" " + x for x in below]
    return "\n".join(marked)
