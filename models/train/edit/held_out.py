"""This repository's own functions → the held-out cases, one JSON line each: {kind, question, answer, expected}.

    python held_out.py --out data [--count 50]

Nothing of this repository is trained on, and the phrasings are those of phrases.HELD_OUT. Functions of at most ten lines.
"""
import argparse
import json
import random
from pathlib import Path

from blocks import blocks_of
from kinds import KINDS, edit_of
from phrases import HELD_OUT, answer_of, instruction_of

ROOT = Path(__file__).resolve().parents[3]
LINES_MAX = 10


def main() -> None:
    p = argparse.ArgumentParser()
    p.add_argument("--out", type=Path, default=Path(__file__).parent / "data")
    p.add_argument("--count", type=int, default=50, help="of each kind")
    p.add_argument("--seed", type=int, default=4242)
    options = p.parse_args()
    draw = random.Random(options.seed)
    pool = []
    for folder in ("models", "kernels", "server", "loadtest"):
        for file in sorted((ROOT / folder).rglob("*.ts")):
            pool += [one for one in blocks_of(file.read_text(), file.name) if one.code.count("\n") < LINES_MAX]
    options.out.mkdir(parents=True, exist_ok=True)
    with (options.out / "held-out.jsonl").open("w") as out:
        for kind in KINDS:
            draw.shuffle(pool)
            made = 0
            for one in pool:
                edit = edit_of(kind, one, draw)
                if edit is None or made == options.count:
                    continue
                made += 1
                question = f"{instruction_of(edit, HELD_OUT, draw)}\n\n```ts\n{edit.code}\n```"
                row = {"kind": kind, "question": question, "answer": answer_of(edit, "whole", "ts"), "expected": edit.after}
                out.write(json.dumps(row) + "\n")
    print(f"{len(pool)} functions")


if __name__ == "__main__":
    main()
