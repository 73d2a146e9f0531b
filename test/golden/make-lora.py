"""Adapters with random weights on test/golden/models/llama-gqa, and what PEFT says with them: golden of models/checkpoint/lora.ts.

    pip install torch transformers peft safetensors gguf numpy
    python test/golden/make-lora.py

Writes test/golden/models/lora/: plain (PEFT directory), scaled (rank-stabilised, an alpha of its own for v_proj), plain.gguf
(the same as plain, as llama.cpp's converter writes it), golden.json.
"""
import json
import shutil
from pathlib import Path

import gguf
import numpy as np
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

HERE = Path(__file__).parent / "models"
BASE, OUT = HERE / "llama-gqa", HERE / "lora"
ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
ADAPTERS = {
    "plain": LoraConfig(r=3, lora_alpha=6, target_modules=ALL, task_type="CAUSAL_LM"),
    "scaled": LoraConfig(r=4, lora_alpha=5, target_modules=["q_proj", "v_proj", "lm_head"], task_type="CAUSAL_LM",
                         use_rslora=True, alpha_pattern={"v_proj": 9}),
}
GGUF_NAMES = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
              "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down"}
PROMPT = [5, 300, 17, 17, 42, 128, 5, 99]


def said(model) -> dict:
    with torch.no_grad():
        logits = model(torch.tensor([PROMPT])).logits[0, -1]
        ids = model.generate(input_ids=torch.tensor([PROMPT]), max_new_tokens=16, min_new_tokens=16, do_sample=False)
    return {"last_logits": [round(x, 6) for x in logits.tolist()], "greedy": ids[0, len(PROMPT):].tolist()}


def as_gguf(folder: Path, out: Path) -> None:
    config = json.loads((BASE / "config.json").read_text())
    writer = gguf.GGUFWriter(out, "llama")
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", json.loads((folder / "adapter_config.json").read_text())["lora_alpha"])
    for name, value in load_file(folder / "adapter_model.safetensors").items():
        _, _, module = name.partition("base_model.model.model.layers.")
        layer, _, rest = module.partition(".")
        part, _, half = rest.rpartition(".lora_")
        rows = value.numpy().astype(np.float32)
        if half.startswith("B") and part in ("self_attn.q_proj", "self_attn.k_proj"):
            heads = config["num_attention_heads" if "q_proj" in part else "num_key_value_heads"]
            rows = rows.reshape(heads, 2, rows.shape[0] // heads // 2, -1).swapaxes(1, 2).reshape(rows.shape)
        writer.add_tensor(f"blk.{layer}.{GGUF_NAMES[part]}.weight.lora_{half[0].lower()}", np.ascontiguousarray(rows))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main() -> None:
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir()
    golden = {"prompt": PROMPT, "base": said(AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32))}
    for seed, (name, config) in enumerate(ADAPTERS.items()):
        torch.manual_seed(seed)
        model = get_peft_model(AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32), config)
        for key, value in model.named_parameters():
            if ".lora_" in key:
                torch.nn.init.normal_(value, std=0.08)
        model.save_pretrained(OUT / name)
        (OUT / name / "README.md").unlink()
        model.eval()
        golden[name] = said(model)
    for folder in ADAPTERS:  # no path of the machine it was made on
        file = OUT / folder / "adapter_config.json"
        config = json.loads(file.read_text())
        config["base_model_name_or_path"] = "llama-gqa"
        file.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    as_gguf(OUT / "plain", OUT / "plain.gguf")
    base = AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32)
    both = PeftModel.from_pretrained(base, OUT / "plain", adapter_name="plain")
    both.load_adapter(OUT / "scaled", adapter_name="scaled")
    both.base_model.set_adapter(["plain", "scaled"])
    for module in both.modules():
        if isinstance(getattr(module, "scaling", None), dict) and "scaled" in module.scaling:
            module.scaling["scaled"] *= 0.5
    both.eval()
    golden["plain, half of scaled"] = said(both)
    (OUT / "golden.json").write_text(json.dumps(golden))


if __name__ == "__main__":
    main()
