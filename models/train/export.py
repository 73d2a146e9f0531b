"""checkpoint.pt → a Hugging Face directory (Qwen2ForCausalLM, bf16 safetensors) that the server loads.

    python export.py --checkpoint runs/nano/checkpoint.pt --out spark-nano --context 4096

Tokenizer files are taken from ../spark-nano. Weights above --shard-mb are split, with the usual index file.
"""
import argparse
import json
import shutil
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import save_file

from model import SIZES

BESIDE = Path(__file__).parent.parent / "spark-nano"
COPIED = ("tokenizer.json", "tokenizer_config.json", "generation_config.json")


def config_of(size, context: int, rope_factor: float) -> dict:
    scaling = {"rope_type": "linear", "factor": rope_factor} if rope_factor != 1 else None
    return {
        "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "vocab_size": size.vocab,
        "hidden_size": size.hidden, "intermediate_size": size.ffn, "num_hidden_layers": size.layers,
        "num_attention_heads": size.heads, "num_key_value_heads": size.kv_heads, "head_dim": size.head_size,
        "hidden_act": "silu", "max_position_embeddings": context, "rms_norm_eps": size.rms_eps,
        "rope_theta": size.rope_theta, "rope_scaling": scaling, "tie_word_embeddings": True,
        "attention_dropout": 0.0, "use_sliding_window": False, "initializer_range": 0.02, "use_cache": True,
        "bos_token_id": 8183, "eos_token_id": 8183, "pad_token_id": 8189, "torch_dtype": "bfloat16",
    }


def shards_of(tensors: dict, bytes_max: int) -> list[dict]:
    shards, room = [{}], bytes_max
    for name, tensor in tensors.items():
        size = tensor.nbytes
        if size > room and shards[-1]:
            shards.append({})
            room = bytes_max
        shards[-1][name] = tensor
        room -= size
    return shards


def export(checkpoint: Path, out: Path, context: int, rope_factor: float = 1.0, shard_mb: float = 15.0) -> None:
    state = torch.load(checkpoint, map_location="cpu")
    size = SIZES[state["size"]]
    tensors = {name: t.to(torch.bfloat16).contiguous() for name, t in state["model"].items()}
    out.mkdir(parents=True, exist_ok=True)
    shards = shards_of(tensors, int(shard_mb * 1e6))
    names = [f"model-{i + 1:05}-of-{len(shards):05}.safetensors" for i in range(len(shards))]
    names = names if len(shards) > 1 else ["model.safetensors"]
    for name, shard in zip(names, shards):
        save_file(shard, out / name, metadata={"format": "pt"})
        (out / name).chmod(0o644)  # save_file writes for the owner alone
    if len(shards) > 1:
        index = {"metadata": {"total_size": sum(t.nbytes for t in tensors.values())},
                 "weight_map": {key: name for name, shard in zip(names, shards) for key in shard}}
        (out / "model.safetensors.index.json").write_text(json.dumps(index, indent=1) + "\n")
    (out / "config.json").write_text(json.dumps(config_of(size, context, rope_factor), indent=2) + "\n")
    for name in COPIED:
        shutil.copyfile(BESIDE / name, out / name)
    print(asdict(size), sum(t.numel() for t in tensors.values()), "parameters,", len(shards), "file(s)")


def main() -> None:
    p = argparse.ArgumentParser()
    p.add_argument("--checkpoint", type=Path, required=True)
    p.add_argument("--out", type=Path, required=True)
    p.add_argument("--context", type=int, default=4096)
    p.add_argument("--rope-factor", type=float, default=1.0)
    p.add_argument("--shard-mb", type=float, default=15.0)
    export(**vars(p.parse_args()))


if __name__ == "__main__":
    main()
