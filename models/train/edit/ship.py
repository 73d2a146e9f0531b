"""A trained adapter → the directory that ships: float16, and a config that names the base model by its name on the hub.

    python ship.py --adapter runs/edit/adapter [--out ../../spark-edit]
"""
import argparse
import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

BASE = "HuggingFaceTB/SmolLM2-135M-Instruct"
FIELDS = ["peft_type", "task_type", "r", "lora_alpha", "lora_dropout", "bias", "fan_in_fan_out", "use_rslora", "use_dora"]


def main() -> None:
    p = argparse.ArgumentParser()
    p.add_argument("--adapter", type=Path, required=True)
    p.add_argument("--out", type=Path, default=Path(__file__).resolve().parents[2] / "spark-edit")
    options = p.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    config = json.loads((options.adapter / "adapter_config.json").read_text())
    shipped = {
        "base_model_name_or_path": BASE,
        **{name: config[name] for name in FIELDS},
        "target_modules": sorted(config["target_modules"]),
        "inference_mode": True,
    }
    (options.out / "adapter_config.json").write_text(json.dumps(shipped, indent=2) + "\n")
    tensors = load_file(options.adapter / "adapter_model.safetensors")
    halves = {name: tensor.to(torch.float16).contiguous() for name, tensor in sorted(tensors.items())}
    save_file(halves, options.out / "adapter_model.safetensors", metadata={"format": "pt"})


if __name__ == "__main__":
    main()
