"""Exact answers by kind on the held-out cases: a greedy answer is exact if, and only if, each of its tokens is the most
likely one after those before it, so one pass over the expected answer judges it.

    python judge.py --adapter runs/edit/adapter [--count 50]       # without --adapter: the base model
"""
import argparse
import json
from pathlib import Path

import torch
from peft import PeftModel

from conversation import answer_logits, batch_of, encode, load_base


@torch.no_grad()
def exact_by_kind(model, tokenizer, rows: list[dict], count: int) -> dict[str, float]:
    """Share of exact answers among the first `count` cases of each kind."""
    model.eval()
    right: dict[str, list[bool]] = {}
    for row in rows:
        mine = right.setdefault(row["kind"], [])
        if len(mine) < count:
            logits, targets = answer_logits(model, batch_of([encode(tokenizer, row["question"], row["answer"])]))
            mine.append(bool((logits.argmax(-1) == targets).all()))
    return {kind: round(sum(mine) / len(mine), 3) for kind, mine in right.items()}


def main() -> None:
    p = argparse.ArgumentParser()
    p.add_argument("--data", type=Path, default=Path(__file__).parent / "data")
    p.add_argument("--adapter", type=Path)
    p.add_argument("--count", type=int, default=50)
    options = p.parse_args()
    model, tokenizer = load_base(torch.float32)
    if options.adapter:
        model = PeftModel.from_pretrained(model, options.adapter).merge_and_unload()
    rows = [json.loads(line) for line in (options.data / "held-out.jsonl").open()]
    print(json.dumps(exact_by_kind(model, tokenizer, rows, options.count)))


if __name__ == "__main__":
    main()
