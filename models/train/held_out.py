"""Loss of a model directory on held-out files: per token, per character, and by position with rope scaling.

    python held_out.py --model ../spark-nano --size spark-nano [--lengths 1024,4096,8192] [--rope-factor 1]

Files are joined, so long windows hold several. Prints one JSON line per length.
"""
import argparse
import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch.nn import functional as F

from model import SIZES, Decoder

TOKENS_MAX = 65_536  # scored at each length; keeps two CPU cores under a minute


def main() -> None:
    p = argparse.ArgumentParser()
    p.add_argument("--model", type=Path, required=True)
    p.add_argument("--size", choices=SIZES, required=True)
    p.add_argument("--data", type=Path, default=Path(__file__).parent / "data")
    p.add_argument("--lengths", default="1024")
    p.add_argument("--rope-factor", type=float, default=1.0)
    options = p.parse_args()
    torch.set_num_threads(2)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = Decoder(SIZES[options.size]).to(device)
    tensors = {k: v.float() for file in options.model.glob("*.safetensors") for k, v in load_file(file).items()}
    tensors.pop("lm_head.weight", None)
    model.load_state_dict(tensors)
    tokenizer = Tokenizer.from_file(str(options.model / "tokenizer.json"))
    texts = [json.loads(line)["text"] for line in (options.data / "held.jsonl").open()]
    ids = np.concatenate([[*tokenizer.encode(text).ids, 8183] for text in texts])
    chars_per_token = sum(map(len, texts)) / len(ids)
    for length in map(int, options.lengths.split(",")):
        count = min(TOKENS_MAX, len(ids) - 1) // length
        losses = np.zeros(length)
        with torch.no_grad():
            for i in range(count):
                window = torch.from_numpy(ids[i * length : (i + 1) * length + 1]).to(device)
                logits = model(window[None, :-1], options.rope_factor)[0]
                losses += F.cross_entropy(logits.float(), window[1:], reduction="none").cpu().numpy() / count
        by_position = {f"{a}-{2 * a}": round(losses[a : 2 * a].mean(), 3) for a in (256, 512, 1024, 2048, 4096) if 2 * a <= length}
        print(json.dumps({"length": length, "tokens": count * length, "ropeFactor": options.rope_factor,
                          "natsPerToken": round(losses.mean(), 4),
                          "natsPerChar": round(losses.mean() / chars_per_token, 4), "byPosition": by_position}), flush=True)


if __name__ == "__main__":
    main()
