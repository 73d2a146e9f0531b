"""Self-check in seconds: one batch is learnt by heart, a saved run resumes, the export has the loader's layout.

    python overfit.py OUT     prints one line of JSON: first and last loss; OUT then holds a model directory
"""
import json
import sys
from pathlib import Path

import torch

from export import export
from model import SIZES, Decoder
from optimiser import Optimisers
from train import save, window_loss

STEPS = 60


def main(out: Path) -> None:
    torch.manual_seed(17)
    torch.set_num_threads(1)
    model = Decoder(SIZES["tiny"])
    optimisers = Optimisers(model, muon_lr=0.02, adam_lr=3e-3)
    windows = torch.randint(0, 8192, (2, 33))
    losses = []
    for step in range(STEPS):
        if step == STEPS // 2:  # a break in the middle must not show
            save(out / "checkpoint.pt", model, optimisers, step, "tiny")
            state = torch.load(out / "checkpoint.pt")
            model = Decoder(SIZES["tiny"])
            model.load_state_dict(state["model"])
            optimisers = Optimisers(model, muon_lr=0.02, adam_lr=3e-3)
            optimisers.load_state_dict(state["optimisers"])
        loss = window_loss(model, windows)
        loss.backward()
        optimisers.step(1.0)
        losses.append(loss.item())
    save(out / "checkpoint.pt", model, optimisers, STEPS, "tiny")
    export(out / "checkpoint.pt", out / "tiny", context=64, shard_mb=0.5)
    with torch.no_grad():
        model.bfloat16().float()  # as exported
        logits = model(windows[:1, :-1])[0, -1]
    print(json.dumps({"first": losses[0], "last": losses[-1], "ids": windows[0, :-1].tolist(), "next": int(logits.argmax())}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
