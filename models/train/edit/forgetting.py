"""What the adapter costs on other text: perplexity on the frozen texts of test/quality, the base model's beside it.

    python forgetting.py --adapter ../../spark-edit [--tokens 2048]     # of each text, windows of 512
"""
import argparse
import math
from pathlib import Path

import torch
from peft import PeftModel

from conversation import load_base

TEXTS = Path(__file__).resolve().parents[3] / "test/quality/text"
WINDOW = 512


@torch.no_grad()
def loss_on(model, ids: torch.Tensor) -> float:
    windows = ids[: len(ids) // WINDOW * WINDOW].view(-1, WINDOW)
    sums = []
    for window in windows:
        logits = model(window[None]).logits[0, :-1].float()
        sums.append(torch.nn.functional.cross_entropy(logits, window[1:]).item())
    return sum(sums) / len(sums)


def main() -> None:
    p = argparse.ArgumentParser()
    p.add_argument("--adapter", type=Path, required=True)
    p.add_argument("--tokens", type=int, default=2048)
    options = p.parse_args()
    base, tokenizer = load_base(torch.float32)
    texts = {path.name: tokenizer(path.read_text(), return_tensors="pt")["input_ids"][0][: options.tokens] for path in sorted(TEXTS.iterdir())}
    before = {name: loss_on(base, ids) for name, ids in texts.items()}
    tuned = PeftModel.from_pretrained(base, options.adapter).merge_and_unload()
    for name, ids in texts.items():
        after = loss_on(tuned, ids)
        change = 100 * (math.exp(after - before[name]) - 1)
        print(f"{name}: perplexity {math.exp(before[name]):.2f} -> {math.exp(after):.2f} ({change:+.1f} %)")


if __name__ == "__main__":
    main()
