"""Self-check of the edits, without torch: fixed functions, every kind, many draws. Exits 1 at the first fault."""
import random

from examples import _hunk, apply_patch, chat_edit, fill_in_the_middle, tool_call
from functions import edit_of, functions_of, remove_line, rename

TS = """\
const before = 1;
export function sum(numbers: number[]): number {
  let answer = 0;
  for (const one of numbers) answer += one;
  answer = answer + before;
  return answer;
}
"""
PY = """\
def mean(numbers):
    answer = 0
    for one in numbers:
        answer += one
    return answer / len(numbers)

other = 1
"""

draw = random.Random(17)
for text, path in ((TS, "a/sum.ts"), (PY, "a/mean.py")):
    (one,) = functions_of(text, path)
    assert one.code in text and one.code.split("\n")[-1].strip(), one
    for _ in range(200):
        edit = edit_of(one, draw)
        if edit is None:
            continue
        hunk = _hunk(edit.before.split("\n"), edit.after.split("\n")).split("\n")
        old = "\n".join(line[1:] for line in hunk if line[0] != "+")
        new = "\n".join(line[1:] for line in hunk if line[0] != "-")
        assert edit.before.replace(old, new, 1) == edit.after, (hunk, edit)
        for make in (chat_edit, apply_patch, tool_call):
            assert make(one, edit).count("<|im_end|>") == make(one, edit).count("<|im_start|>")
        fim = fill_in_the_middle(text, draw).removesuffix("<|endoftext|>").removeprefix("<|fim_prefix|>")
        prefix, rest = fim.split("<|fim_suffix|>")
        suffix, middle = rest.split("<|fim_middle|>")
        assert prefix + middle + suffix == text
    renamed = rename(one, draw)
    assert renamed and renamed.instruction.startswith("Rename `")
    assert len(remove_line(one, draw).after.split("\n")) == len(one.code.split("\n")) - 1
print("ok")
