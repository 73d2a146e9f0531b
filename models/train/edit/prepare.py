"""npm packages, unpacked → edits as conversations, one JSON line each: {kind, form, question, answer}.

    python prepare.py --packages DIR --out data [--count 60000] [--seed 17]

DIR holds one unpacked package in each folder. A package whose package.json does not say MIT, MIT-0, ISC, BSD, Apache-2.0
is left out by name. Before it: npm pack; after it: train.py.
"""
import argparse
import json
import random
from collections import Counter
from pathlib import Path

from blocks import LANGUAGES, blocks_of
from kinds import KINDS, edit_of
from phrases import FORMS, TRAIN, answer_of, instruction_of, question_of

LICENCES = {"MIT", "MIT-0", "ISC", "BSD-2-Clause", "BSD-3-Clause", "Apache-2.0", "0BSD"}
FILE_CHARS_MAX = 200_000
PER_PACKAGE_MAX = 1500  # functions: a large package must not be the style
WEIGHTS = {"rename": 16, "remove": 9, "add": 7, "literal": 12, "operator": 18, "parameter": 10}  # tries: literals and operators often find no place
TYPESCRIPT_SHARE = 0.6  # of edits: packages hold mostly JavaScript, people edit mostly TypeScript
FORM_WEIGHTS = {"whole": 18, "blocks": 1, "diff": 1}


def functions(folder: Path) -> list:
    found, seen = [], set()
    for file in sorted(folder.rglob("*")):
        name = file.relative_to(folder).as_posix()
        if not file.is_file() or file.suffix not in LANGUAGES or name.endswith((".d.ts", ".min.js", ".d.mts")) or "node_modules/" in name:
            continue
        if file.stat().st_size > FILE_CHARS_MAX:
            continue
        for one in blocks_of(file.read_text(errors="replace"), name):
            if one.code not in seen:
                seen.add(one.code)
                found.append(one)
    return found


def main() -> None:
    p = argparse.ArgumentParser()
    p.add_argument("--packages", type=Path, required=True)
    p.add_argument("--out", type=Path, default=Path(__file__).parent / "data")
    p.add_argument("--count", type=int, default=60_000)
    p.add_argument("--seed", type=int, default=17)
    options = p.parse_args()
    draw = random.Random(options.seed)
    pool, table = [], []
    for folder in sorted(options.packages.iterdir()):
        info = json.loads((folder / "package.json").read_text())
        licence = info.get("license")
        if licence not in LICENCES:
            print(f"left out: {info['name']} {info['version']} ({licence})")
            continue
        found = functions(folder)
        draw.shuffle(found)
        pool += found[:PER_PACKAGE_MAX]
        table.append((info["name"], info["version"], licence, min(len(found), PER_PACKAGE_MAX)))
    by_language = {language: [one for one in pool if one.language == language] for language in ("ts", "js")}
    short = {language: [one for one in own if one.code.count("\n") < 10] for language, own in by_language.items()}
    counts: Counter = Counter()
    options.out.mkdir(parents=True, exist_ok=True)
    with (options.out / "edits.jsonl").open("w") as out:
        while sum(counts.values()) < options.count:
            kind = draw.choices(list(WEIGHTS), WEIGHTS.values())[0]
            language = "ts" if draw.random() < TYPESCRIPT_SHARE else "js"
            one = draw.choice((short if draw.random() < 0.85 else by_language)[language])
            edit = edit_of(kind, one, draw)
            if edit is None:
                continue
            form = draw.choices(list(FORM_WEIGHTS), FORM_WEIGHTS.values())[0]
            tag = edit.language if draw.random() < 0.8 else ""
            question = question_of(edit, instruction_of(edit, TRAIN, draw), form, tag, draw)
            row = {"kind": kind, "form": form, "question": question, "answer": answer_of(edit, form, tag)}
            out.write(json.dumps(row) + "\n")
            counts[kind, form] += 1
    assert set(WEIGHTS) == set(KINDS) and set(FORM_WEIGHTS) == set(FORMS)
    print(f"{len(pool)} functions, {sum(map(len, short.values()))} of at most ten lines, {len(by_language['ts'])} in TypeScript; edits: {dict(counts)}")
    for row in table:
        print("| {} | {} | {} | {} |".format(*row))


if __name__ == "__main__":
    main()
