"""Held-out files → the cases of models/EVAL.md, as data/cases.jsonl: {kind, path, prompt, suffix?, expected}.

    python cases.py --data data

Kinds: rename and remove-line (chat; functions of at most 10 lines), fim-line (one line between 1,500 characters
before and 500 after), complete (a TypeScript function cut after its first line). Before it: prepare.py; after it:
test/bench/model-quality.ts, which asks the server.
"""
import argparse
import json
import random
from collections import Counter
from pathlib import Path

from functions import functions_of, remove_line, rename

COUNT_MAX = 200  # of each kind
FILE_COUNT_MAX = 6  # of each kind from one file: a long test file must not be the measure
EDIT_LINES_MAX = 10


def chat_case(kind: str, path: str, language: str, edit) -> dict:
    return {"kind": kind, "path": path, "prompt": f"{edit.instruction}\n\n```{language}\n{edit.before}\n```",
            "expected": edit.after}


def cases_of(path: str, text: str, draw: random.Random) -> list[dict]:
    cases = []
    for one in functions_of(text, path):
        lines = one.code.split("\n")
        for kind, make in (("rename", rename), ("remove-line", remove_line)):
            edit = make(one, draw) if len(lines) <= EDIT_LINES_MAX else None
            if edit:
                cases.append(chat_case(kind, path, one.language, edit))
        if one.language == "ts" and lines[0].endswith("{"):
            before = text[: text.find(lines[0])][-1500:]
            cases.append({"kind": "complete", "path": path, "prompt": before + lines[0] + "\n", "head": lines[0],
                          "expected": "\n".join(lines[1:])})
    lines = text.splitlines(keepends=True)
    usable = [i for i in range(3, len(lines) - 1) if 8 <= len(lines[i].strip()) <= 80]
    for i in draw.sample(usable, min(8, len(usable))):
        cases.append({"kind": "fim-line", "path": path, "prompt": "".join(lines[:i])[-1500:],
                      "suffix": "".join(lines[i + 1 :])[:500], "expected": lines[i].rstrip("\n")})
    return cases


def main() -> None:
    p = argparse.ArgumentParser()
    p.add_argument("--data", type=Path, default=Path(__file__).parent / "data")
    p.add_argument("--seed", type=int, default=17)
    options = p.parse_args()
    draw = random.Random(options.seed)
    files = [json.loads(line) for line in (options.data / "held.jsonl").open()]
    cases = [case for file in files for case in cases_of(file["path"], file["text"], draw)]
    draw.shuffle(cases)
    kept: dict[str, list] = {}
    counts: Counter = Counter()
    for case in cases:
        counts[case["kind"], case["path"]] += 1
        if counts[case["kind"], case["path"]] <= FILE_COUNT_MAX:
            kept.setdefault(case["kind"], []).append(case)
    with (options.data / "cases.jsonl").open("w") as out:
        out.writelines(json.dumps(case) + "\n" for kind in kept.values() for case in kind[:COUNT_MAX])
    print({kind: min(COUNT_MAX, len(found)) for kind, found in kept.items()})


if __name__ == "__main__":
    main()
