"""What a GGUF file of each tiny family says, by the writer and the tables of the Python package `gguf`: its metadata and
the names of its tensors, as gguf.json beside the checkpoint that make-family-goldens.py made. A test makes the file.

    python test/golden/make-family-ggufs.py

Metadata and transformations are those of llama.cpp's convert_hf_to_gguf.py.
"""

import json
import math
from pathlib import Path

import gguf
from safetensors import safe_open

ROOT = Path(__file__).parent / "models" / "families"
ARCHITECTURES = {
    "mistral-full": "llama", "qwen3": "qwen3", "qwen3-yarn": "qwen3", "starcoder2": "starcoder2",
    "granite": "granite", "phi3": "phi3", "phi4-mini": "phi3", "gemma2": "gemma2", "gemma3": "gemma3",
    "smollm3": "smollm3", "olmo2": "olmo2", "deepseek-coder": "llama",
    "qwen3-moe": "qwen3moe", "granite-moe": "granitemoe", "mixtral": "llama", "gpt-oss": "gpt-oss",
    "llama-narrow": "llama", "phi4-narrow": "phi3",
    "qwen2-moe": "qwen2moe", "granite-moe-shared": "granitemoe", "granite-hybrid-dense": "granite",
    "ministral3": "mistral3", "olmo3": "olmo2", "seed-oss": "seed_oss",
}
PERMUTED = ("llama", "granite", "smollm3", "granitemoe", "mistral3")  # q and k rows in pairs of neighbours


class Recorder(gguf.GGUFWriter):
    """Keeps what would be written."""

    def __init__(self, arch):
        super().__init__(None, arch)

    def recorded(self):
        return [[key, str(value.type.name).lower(), value.value] for key, value in self.kv_data[0].items()]


def metadata(name, arch, config):
    out = Recorder(arch)
    out.add_context_length(config["max_position_embeddings"])
    out.add_embedding_length(config["hidden_size"])
    out.add_block_count(config["num_hidden_layers"])
    dense_granite = arch == "granite" and shared_size(config)
    out.add_feed_forward_length(dense_granite or config["intermediate_size"])
    out.add_head_count(config["num_attention_heads"])
    out.add_head_count_kv(config["num_key_value_heads"])
    head = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    if config.get("head_dim"):
        out.add_key_length(head)
        out.add_value_length(head)
    out.add_rope_dimension_count(int(head * config.get("partial_rotary_factor", 1)))
    scaling = config.get("rope_scaling") or config.get("rope_parameters") or {}
    out.add_rope_freq_base(scaling.get("rope_theta") or config["rope_theta"])
    if arch == "starcoder2":
        out.add_layer_norm_eps(config["norm_epsilon"])
    else:
        out.add_layer_norm_rms_eps(config["rms_norm_eps"])
    experts = config.get("num_experts") or config.get("num_local_experts")
    if experts:
        out.add_expert_count(experts)
        out.add_expert_used_count(config["num_experts_per_tok"])
        if arch in ("qwen2moe", "qwen3moe", "gpt-oss"):
            out.add_expert_feed_forward_length(config.get("moe_intermediate_size") or config["intermediate_size"])
    if shared_size(config) and experts:
        out.add_expert_shared_feed_forward_length(shared_size(config))
    kind = scaling.get("type", scaling.get("rope_type"))
    if kind == "yarn":
        out.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        out.add_rope_scaling_factor(scaling["factor"])
        out.add_rope_scaling_orig_ctx_len(scaling["original_max_position_embeddings"])
        if "beta_fast" in scaling:
            out.add_rope_scaling_yarn_beta_fast(scaling["beta_fast"])
            out.add_rope_scaling_yarn_beta_slow(scaling["beta_slow"])
    if "attention_factor" in scaling:
        out.add_rope_scaling_yarn_attn_factor(scaling["attention_factor"])
    if arch == "mistral3":
        out.add_rope_scaling_yarn_log_mul(scaling["mscale_all_dim"])
        out.add_attn_temperature_scale(scaling["llama_4_scaling_beta"])
    if kind == "linear":
        out.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        out.add_rope_scaling_factor(scaling["factor"])
    if arch in ("gemma2", "gemma3", "phi3", "starcoder2", "gpt-oss") or name == "olmo3":
        out.add_sliding_window(config["sliding_window"])
    if arch == "gemma2":
        out.add_attn_logit_softcapping(config["attn_logit_softcapping"])
        out.add_final_logit_softcapping(config["final_logit_softcapping"])
        out.add_attention_scale(config["query_pre_attn_scalar"] ** -0.5)
    if arch == "gemma3":
        out.add_sliding_window_pattern(config["sliding_window_pattern"])
        out.add_rope_freq_base_swa(config["rope_local_base_freq"])
    if arch in ("granite", "granitemoe"):
        out.add_attention_scale(config["attention_multiplier"])
        out.add_embedding_scale(config["embedding_multiplier"])
        out.add_residual_scale(config["residual_multiplier"])
        out.add_logit_scale(config["logits_scaling"])
    if kind == "longrope":
        original = config["original_max_position_embeddings"]
        scale = config["max_position_embeddings"] / original
        out.add_rope_scaling_orig_ctx_len(original)
        out.add_rope_scaling_attn_factors(math.sqrt(1 + math.log(scale) / math.log(original)))
    return out.recorded()


def shared_size(config):
    return config.get("shared_expert_intermediate_size") or config.get("shared_intermediate_size")


def tensors(arch, folder, config):
    number = {name: kind for kind, name in gguf.MODEL_ARCH_NAMES.items()}[arch]
    names = gguf.get_tensor_name_map(number, config["num_hidden_layers"])
    found = []
    with safe_open(folder / "model.safetensors", "np") as file:
        for name in file.keys():
            if "experts." in name or "_linear." in name:
                continue
            change = None
            if arch in PERMUTED and ("q_proj." in name or "k_proj." in name):
                change = "permute"
            if arch.startswith("gemma") and name.endswith("norm.weight"):
                change = "plus-one"
            to = names.get_name(name, try_suffixes=(".weight", ".bias"))
            found.append([f"{to}.weight" if name.endswith("sinks") else to, name, change])
    for layer in range(config["num_hidden_layers"] if config.get("shared_intermediate_size") else 0):
        for part in ("gate", "up", "down"):
            ours, theirs = ("mlp.shared", "shexp") if config["num_local_experts"] else ("mlp", "")
            to = f"blk.{layer}.ffn_{part}{theirs and '_' + theirs}.weight"
            found.append([to, f"model.layers.{layer}.{ours}.{part}_proj.weight", "ours"])
    if config.get("num_experts") or config.get("num_local_experts"):
        for layer in range(config["num_hidden_layers"]):
            for part in ("gate_proj", "up_proj", "down_proj"):
                to = names.get_name(f"model.layers.{layer}.mlp.experts.{part}")
                for kind in ("weight", "bias") if arch == "gpt-oss" else ("weight",):
                    found.append([f"{to}.{kind}", f"model.layers.{layer}.mlp.experts.*.{part}.{kind}", "stack"])
    return found


def llama3_divisors(config):
    scaling, size = config["rope_scaling"], config["hidden_size"] // config["num_attention_heads"]
    factor, original = scaling["factor"], scaling["original_max_position_embeddings"]
    low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
    divisors = []
    for index in range(size // 2):
        turns = original / (2 * math.pi * config["rope_theta"] ** (2 * index / size))
        smooth = min(1, max(0, (turns - low) / (high - low)))
        divisors.append(1 / ((1 - smooth) / factor + smooth))
    return divisors


for name, arch in ARCHITECTURES.items():
    folder = ROOT / name
    config = json.loads((folder / "config.json").read_text())
    scaling = config.get("rope_scaling") or {}
    divisors = {f"rope_factors_{kind}.weight": scaling[f"{kind}_factor"] for kind in ("long", "short")
                if f"{kind}_factor" in scaling}
    if scaling.get("rope_type") == "llama3":
        divisors["rope_freqs.weight"] = llama3_divisors(config)
    content = {"divisors": divisors, "metadata": metadata(name, arch, config), "tensors": tensors(arch, folder, config)}
    (folder / "gguf.json").write_text(json.dumps(content) + "\n")
    print(name, len(content["tensors"]))
