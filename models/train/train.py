"""Token shards → checkpoint.pt and a loss log. Resumable: the same command goes on where the checkpoint stands.

    python train.py --size spark-nano --out runs/nano --tokens 400e6 --length 1024 --batch 64

Step n draws its windows by (seed, n), so a resumed run sees what an unbroken one would have seen.
Before it: prepare.py; after it: export.py.
"""
import argparse
import json
import math
import os
import time
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from model import SIZES, Decoder
from optimiser import Optimisers

HERE = Path(__file__).parent


def options_of() -> argparse.Namespace:
    p = argparse.ArgumentParser()
    p.add_argument("--size", choices=SIZES, required=True)
    p.add_argument("--data", type=Path, default=HERE / "data")
    p.add_argument("--out", type=Path, required=True)
    p.add_argument("--start", type=Path, help="safetensors to continue from; default: from scratch")
    p.add_argument("--tokens", type=float, required=True, help="total of the run; the schedule's length")
    p.add_argument("--length", type=int, default=1024, help="window, tokens")
    p.add_argument("--batch", type=int, default=16, help="windows a step")
    p.add_argument("--micro-batch", type=int, default=0, help="windows a backward pass; 0: the whole batch")
    p.add_argument("--muon-lr", type=float, default=0.02)
    p.add_argument("--adam-lr", type=float, default=3e-3)
    p.add_argument("--warmup", type=int, default=60, help="steps")
    p.add_argument("--decay", type=float, default=0.3, help="last part of the run that falls to 0, linearly")
    p.add_argument("--seed", type=int, default=17)
    p.add_argument("--minutes", type=float, default=math.inf, help="checkpoint and stop after so long")
    p.add_argument("--save-every", type=float, default=120.0, help="seconds between checkpoints")
    p.add_argument("--compile", action="store_true", help="torch.compile: worth it on a GPU")
    p.add_argument("--threads", type=int, default=2)
    return p.parse_args()


def window_loss(model, windows: torch.Tensor) -> torch.Tensor:
    """Mean nats a token; windows [B, T + 1]."""
    # On a processor float32 stays: without bf16 units autocast is several times slower.
    with torch.autocast(windows.device.type, dtype=torch.bfloat16, enabled=windows.is_cuda):
        logits = model(windows[:, :-1])
    return F.cross_entropy(logits.float().flatten(0, 1), windows[:, 1:].flatten())


def draw(tokens: np.ndarray, count: int, length: int, seed: tuple[int, int], device) -> torch.Tensor:
    starts = np.random.default_rng(seed).integers(0, len(tokens) - length - 1, count)
    return torch.from_numpy(np.stack([tokens[s : s + length + 1] for s in starts]).astype(np.int64)).to(device)


@torch.no_grad()
def held_out_loss(model, tokens: np.ndarray, length: int, device, windows_max: int = 64) -> float:
    """Mean nats a token over the first windows of the held-out shard, always the same ones."""
    count = min(windows_max, (len(tokens) - 1) // length)
    losses = []
    for at in range(0, count, 8):
        rows = [tokens[i * length : (i + 1) * length + 1] for i in range(at, min(at + 8, count))]
        losses += [window_loss(model, torch.from_numpy(np.stack(rows).astype(np.int64)).to(device)).item()] * len(rows)
    return sum(losses) / len(losses)


def factor_at(step: int, steps: int, warmup: int, decay: float) -> float:
    falling = (steps - step) / max(1.0, steps * decay)
    return max(0.0, min(1.0, (step + 1) / max(1, warmup), falling))


def save(path: Path, model, optimisers: Optimisers, step: int, size: str) -> None:
    """Whole or not at all: a kill in between leaves the old checkpoint."""
    fresh = path.with_suffix(".part")
    torch.save({"model": model.state_dict(), "optimisers": optimisers.state_dict(), "step": step, "size": size}, fresh)
    os.replace(fresh, path)


def main() -> None:
    options = options_of()
    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)  # a softmax is full of them, and a processor is slow at each
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = Decoder(SIZES[options.size]).to(device)
    if options.start:
        from safetensors.torch import load_file

        model.load_state_dict({k: v.float() for k, v in load_file(options.start).items() if k != "lm_head.weight"})
    optimisers = Optimisers(model, options.muon_lr, options.adam_lr)
    options.out.mkdir(parents=True, exist_ok=True)
    checkpoint, step = options.out / "checkpoint.pt", 0
    if checkpoint.exists():
        state = torch.load(checkpoint, map_location=device)
        model.load_state_dict(state["model"])
        optimisers.load_state_dict(state["optimisers"])
        step = state["step"]
    train, held = (np.memmap(options.data / f"{name}.bin", dtype=np.uint16, mode="r") for name in ("train", "held"))
    per_step = options.batch * options.length
    steps, parts = math.ceil(options.tokens / per_step), math.ceil(options.batch / (options.micro_batch or options.batch))
    run = torch.compile(model) if options.compile else model
    first, began = step, time.monotonic()
    log = (options.out / "log.jsonl").open("a")

    def report(loss: float | None) -> None:
        seconds = time.monotonic() - began  # later rows hold the earlier held-out passes
        row = {"step": step, "tokens": step * per_step, "loss": loss, "seconds": round(seconds, 1),
               "tokens_per_s": round((step - first) * per_step / max(seconds, 1e-9)),
               "held": round(held_out_loss(model, held, options.length, device), 4)}
        print(json.dumps(row), file=log, flush=True)
        print(row, flush=True)

    report(None)
    began = saved = time.monotonic()  # the first report is not training
    while step < steps and time.monotonic() - began < options.minutes * 60:
        windows = draw(train, options.batch, options.length, (options.seed, step), device)
        total = 0.0
        for part in windows.chunk(parts):
            loss = window_loss(run, part) * (len(part) / len(windows))
            loss.backward()
            total += loss.detach()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimisers.step(factor_at(step, steps, options.warmup, options.decay))
        step += 1
        if time.monotonic() - saved > options.save_every:
            saved = time.monotonic()
            save(checkpoint, model, optimisers, step, options.size)
            report(round(float(total), 4))
    save(checkpoint, model, optimisers, step, options.size)
    report(None)


if __name__ == "__main__":
    main()
