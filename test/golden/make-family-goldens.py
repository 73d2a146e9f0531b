"""Seeded tiny checkpoints of every decoder family, in the field layout in which its models are published, and what
transformers answers to them: test/golden/models/families/. Run with Python, torch, transformers and safetensors:

    python test/golden/make-family-goldens.py [NAME ...]

The weights are noise in bfloat16, drawn so that every greedy choice has a clear margin. Same versions, same bytes.
"""

import json
import sys
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM

OUT = Path(__file__).parent / "models" / "families"
GREEDY = 16  # tokens of every answer
DISTINCT_MIN = 5  # of them
MARGIN_MIN = 0.01  # between the best and the second-best logit, at every step

SIZES = {
    "vocab_size": 256,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
}
RMS = {"rms_norm_eps": 1e-5, "hidden_act": "silu", "rope_theta": 10000.0}


def family(architecture, model_type, *parts, **own):
    merged = {"architectures": [architecture], "model_type": model_type, **SIZES}
    for part in (*parts, own):
        merged.update(part)
    return merged


def yarn(factor, original, **more):
    return {"type": "yarn", "factor": factor, "original_max_position_embeddings": original, **more}


MODELS = {
    "mistral-full": family("MistralForCausalLM", "mistral", RMS, head_dim=32, sliding_window=None),
    "mistral-window": family("MistralForCausalLM", "mistral", RMS, sliding_window=24),
    "ministral": family(
        "MinistralForCausalLM", "ministral", RMS, head_dim=32, sliding_window=24, num_hidden_layers=4,
        layer_types=["sliding_attention", "full_attention"] * 2,
    ),
    "qwen3": family(
        "Qwen3ForCausalLM", "qwen3", RMS, head_dim=32, rms_norm_eps=1e-6, rope_theta=1000000, attention_bias=False,
        tie_word_embeddings=True, use_sliding_window=False, sliding_window=None, max_window_layers=2, rope_scaling=None,
    ),
    "qwen3-window": family(
        "Qwen3ForCausalLM", "qwen3", RMS, head_dim=16, attention_bias=True, use_sliding_window=True, sliding_window=24,
        max_window_layers=1,
    ),
    "qwen3-yarn": family(
        "Qwen3ForCausalLM", "qwen3", RMS, head_dim=32, max_position_embeddings=64, rope_scaling=yarn(4.0, 64),
    ),
    "qwen2-yarn": family(
        "Qwen2ForCausalLM", "qwen2", RMS, rms_norm_eps=1e-6, max_position_embeddings=256, use_sliding_window=False,
        sliding_window=256, max_window_layers=2, rope_scaling=yarn(4.0, 64, beta_fast=16, beta_slow=2, truncate=False),
    ),
    "qwen2-dynamic": family(
        "Qwen2ForCausalLM", "qwen2", RMS, max_position_embeddings=64, use_sliding_window=False,
        rope_scaling={"type": "dynamic", "factor": 4.0},
    ),
    "starcoder2": family(
        "Starcoder2ForCausalLM", "starcoder2", hidden_act="gelu_pytorch_tanh", norm_epsilon=1e-5, norm_type="layer_norm",
        mlp_type="default", use_bias=True, rope_theta=100000, sliding_window=24, tie_word_embeddings=True,
    ),
    "granite": family(
        "GraniteForCausalLM", "granite", RMS, attention_bias=False, mlp_bias=False, attention_multiplier=0.11,
        embedding_multiplier=3.0, residual_multiplier=0.7, logits_scaling=0.5, tie_word_embeddings=True,
        rope_scaling=None,
    ),
    "phi3": family("Phi3ForCausalLM", "phi3", RMS, pad_token_id=0, num_key_value_heads=4, rope_scaling=None,
                   original_max_position_embeddings=512, sliding_window=24),
    "phi4-mini": family(
        "Phi3ForCausalLM", "phi3", RMS, hidden_size=128, head_dim=64, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1,
        pad_token_id=0, partial_rotary_factor=0.75, original_max_position_embeddings=64, max_position_embeddings=256,
        sliding_window=262144, tie_word_embeddings=True,
        rope_scaling={
            "type": "longrope",
            "short_factor": [1 + i / 50 for i in range(24)],
            "long_factor": [1 + i / 3 for i in range(24)],
        },
    ),
    "gemma2": family(
        "Gemma2ForCausalLM", "gemma2", head_dim=32, num_hidden_layers=4, hidden_act="gelu_pytorch_tanh",
        hidden_activation="gelu_pytorch_tanh", rms_norm_eps=1e-6, rope_theta=10000.0, sliding_window=24,
        query_pre_attn_scalar=24, attn_logit_softcapping=5.0, final_logit_softcapping=8.0, tie_word_embeddings=True,
        attention_bias=False,
    ),
    "gemma3": family(
        "Gemma3ForCausalLM", "gemma3_text", head_dim=32, num_hidden_layers=4, num_key_value_heads=1,
        hidden_activation="gelu_pytorch_tanh", rms_norm_eps=1e-6, rope_theta=1000000, rope_local_base_freq=10000,
        sliding_window=24, sliding_window_pattern=2, query_pre_attn_scalar=32, attn_logit_softcapping=None,
        final_logit_softcapping=None, tie_word_embeddings=True, attention_bias=False,
        rope_scaling={"rope_type": "linear", "factor": 8.0},
    ),
    "smollm3": family(
        "SmolLM3ForCausalLM", "smollm3", RMS, num_hidden_layers=4, attention_bias=False, mlp_bias=False,
        no_rope_layers=[1, 1, 1, 0], no_rope_layer_interval=4, use_sliding_window=False, sliding_window=None,
        rope_theta=5000000.0, tie_word_embeddings=True, layer_types=["full_attention"] * 4, pad_token_id=0,
    ),
    "olmo2": family("Olmo2ForCausalLM", "olmo2", RMS, rope_theta=500000, attention_bias=False, pad_token_id=0,
                    num_key_value_heads=4),
    "deepseek-coder": family(
        "LlamaForCausalLM", "llama", RMS, max_position_embeddings=256, rope_theta=100000, num_key_value_heads=4,
        rope_scaling={"type": "linear", "factor": 4.0},
    ),
    "qwen3-moe": family(
        "Qwen3MoeForCausalLM", "qwen3_moe", RMS, head_dim=16, num_experts=8, num_experts_per_tok=3,
        moe_intermediate_size=32, norm_topk_prob=True, decoder_sparse_step=1, mlp_only_layers=[],
        attention_bias=False, max_window_layers=2, use_sliding_window=False, sliding_window=None,
    ),
    "qwen3-moe-plain": family(
        "Qwen3MoeForCausalLM", "qwen3_moe", RMS, head_dim=16, num_experts=4, num_experts_per_tok=2,
        moe_intermediate_size=32, norm_topk_prob=False,
    ),
    "mixtral": family("MixtralForCausalLM", "mixtral", RMS, num_local_experts=4, num_experts_per_tok=2,
                      intermediate_size=32, sliding_window=None),
    "granite-moe": family(
        "GraniteMoeForCausalLM", "granitemoe", RMS, attention_bias=False, attention_multiplier=0.11,
        embedding_multiplier=3.0, residual_multiplier=0.7, logits_scaling=0.5, tie_word_embeddings=True,
        num_local_experts=6, num_experts_per_tok=2, intermediate_size=32, rope_scaling=None,
    ),
    "gpt-oss": family(
        "GptOssForCausalLM", "gpt_oss", RMS, head_dim=32, num_hidden_layers=2, num_local_experts=4,
        num_experts_per_tok=2, experts_per_token=2, intermediate_size=32, attention_bias=True, rope_theta=150000,
        swiglu_limit=1.5, sliding_window=24, layer_types=["sliding_attention", "full_attention"],
        max_position_embeddings=512, initial_context_length=64,
        rope_scaling={"rope_type": "yarn", "factor": 8.0, "beta_fast": 32.0, "beta_slow": 1.0, "truncate": False,
                      "original_max_position_embeddings": 64},
        quantization_config={"quant_method": "mxfp4", "modules_to_not_convert": ["model.layers.*.self_attn",
                             "model.layers.*.mlp.router", "model.embed_tokens", "lm_head"]},
    ),
}
GRANITE = {"attention_bias": False, "attention_multiplier": 0.11, "embedding_multiplier": 3.0, "residual_multiplier": 0.7,
           "logits_scaling": 0.5, "tie_word_embeddings": True, "rope_scaling": None}
# What comes beside experts: layers without any, and feed-forwards that all tokens share.
MODELS |= {
    "qwen3-moe-dense": family(
        "Qwen3MoeForCausalLM", "qwen3_moe", RMS, head_dim=16, num_hidden_layers=4, num_experts=4, num_experts_per_tok=2,
        moe_intermediate_size=32, norm_topk_prob=True, decoder_sparse_step=2, mlp_only_layers=[1], attention_bias=False,
    ),
    "qwen2-moe": family(
        "Qwen2MoeForCausalLM", "qwen2_moe", RMS, num_experts=6, num_experts_per_tok=2, moe_intermediate_size=32,
        shared_expert_intermediate_size=64, norm_topk_prob=False, decoder_sparse_step=1, use_sliding_window=False,
        sliding_window=512, max_window_layers=2,
    ),
    "granite-moe-shared": family(
        "GraniteMoeSharedForCausalLM", "granitemoeshared", RMS, GRANITE, num_local_experts=4, num_experts_per_tok=2,
        intermediate_size=32, shared_intermediate_size=64,
    ),
    "granite-hybrid-dense": family(
        "GraniteMoeHybridForCausalLM", "granitemoehybrid", RMS, GRANITE, num_local_experts=0, num_experts_per_tok=0,
        intermediate_size=64, shared_intermediate_size=96, position_embedding_type="rope", layer_types=["attention"] * 2,
    ),
    "granite-hybrid-moe": family(
        "GraniteMoeHybridForCausalLM", "granitemoehybrid", RMS, GRANITE, num_local_experts=4, num_experts_per_tok=2,
        intermediate_size=32, shared_intermediate_size=64, position_embedding_type="nope", layer_types=["attention"] * 2,
    ),
}
# Families that are others' but for a trait.
MODELS |= {
    "ministral3": family(
        "Ministral3ForCausalLM", "ministral3", rms_norm_eps=1e-5, hidden_act="silu", head_dim=32, sliding_window=None,
        max_position_embeddings=128,
        rope_parameters={"rope_type": "yarn", "type": "yarn", "rope_theta": 1000000.0, "factor": 4.0, "beta_fast": 32.0,
                         "beta_slow": 1.0, "mscale": 1.0, "mscale_all_dim": 1.0, "llama_4_scaling_beta": 0.5,
                         "original_max_position_embeddings": 32},
    ),
    "olmo3": family(
        "Olmo3ForCausalLM", "olmo3", RMS, num_hidden_layers=4, rope_theta=500000, attention_bias=False, pad_token_id=0,
        sliding_window=24, layer_types=["sliding_attention"] * 3 + ["full_attention"], max_position_embeddings=256,
        rope_scaling={"rope_type": "yarn", "factor": 4.0, "beta_fast": 32.0, "beta_slow": 1.0, "attention_factor": 1.2,
                      "original_max_position_embeddings": 64},
    ),
    "seed-oss": family(
        "SeedOssForCausalLM", "seed_oss", RMS, head_dim=32, attention_bias=True, attention_out_bias=False, mlp_bias=False,
        pad_token_id=0, rope_scaling={"rope_type": "default"},
    ),
}
# Sizes that kernels do not take as they are: heads and their turned parts that are no multiples of 16, experts no whole blocks.
MODELS |= {
    "llama-narrow": family(
        "LlamaForCausalLM", "llama", RMS, num_attention_heads=8, num_key_value_heads=4, attention_bias=True, mlp_bias=True,
        tie_word_embeddings=True,
        rope_scaling={"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                      "original_max_position_embeddings": 32},
    ),
    "qwen3-narrow": family("Qwen3ForCausalLM", "qwen3", RMS, rms_norm_eps=1e-3, head_dim=24, attention_bias=False),
    "phi4-narrow": family(
        "Phi3ForCausalLM", "phi3", RMS, hidden_size=128, num_hidden_layers=2, pad_token_id=0, partial_rotary_factor=0.75,
        original_max_position_embeddings=64, max_position_embeddings=256, sliding_window=None, tie_word_embeddings=True,
        rope_scaling={
            "type": "longrope",
            "short_factor": [1 + i / 20 for i in range(12)],
            "long_factor": [1 + i for i in range(12)],
        },
    ),
    "mixtral-narrow": family("MixtralForCausalLM", "mixtral", RMS, num_local_experts=3, num_experts_per_tok=1, head_dim=40,
                             intermediate_size=40, sliding_window=9),
}
E2M1 = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6])
LENGTHS = [9, 40, 90]  # within any window and original context; past windows; past original contexts


def rebuild(model, seed):
    """Weights that keep activations near 1 and give logits a spread that makes choices clear, as bfloat16 holds them."""
    generator = torch.Generator().manual_seed(seed)
    zero_centred = model.config.model_type.startswith("gemma")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.dim() == 3 and model.config.model_type == "gpt_oss":
                parameter.copy_(dequantised(*microscaled(parameter, seed)))
                continue
            if "norm" in name and name.endswith("weight"):
                value = (0 if zero_centred else 1) + 0.15 * noise
            elif parameter.dim() == 1:
                value = 0.2 * noise
            elif "embed_tokens" in name:
                value = noise * (0.05 if model.config.tie_word_embeddings else 0.25)
            else:
                value = 1.5 * noise / parameter.shape[-1] ** 0.5
            parameter.copy_(value.to(torch.bfloat16).float())
    model.tie_weights()


def microscaled(parameter, seed):
    """MXFP4: [experts, out, in / 32, 16] bytes of two values, low half first, and a power of two for each 32."""
    experts, inputs, outputs = parameter.shape
    generator = torch.Generator().manual_seed(seed + inputs * outputs)
    blocks = torch.randint(0, 256, (experts, outputs, inputs // 32, 16), generator=generator)
    scales = torch.randint(123, 126, (experts, outputs, inputs // 32), generator=generator)
    return blocks, scales


def dequantised(blocks, scales):
    """What transformers makes of it: [experts, in, out]."""
    values = torch.stack([E2M1[blocks & 15], E2M1[blocks >> 4]], dim=-1).flatten(-2)
    return (values * 2.0 ** (scales - 127)[..., None]).flatten(-2).transpose(1, 2)


def answer(model, prompt):
    """Greedy, the whole sequence anew for every token: what transformers means by it, whatever it caches."""
    ids, logits, margins = list(prompt), None, []
    for _ in range(GREEDY):
        step = logits_of(model, ids)
        logits = step if logits is None else logits
        top = step.topk(2).values
        margins.append((top[0] - top[1]).item())
        ids.append(int(step.argmax()))
    return {"input_ids": list(prompt), "last_logits": [round(x, 5) for x in logits.tolist()],
            "greedy": ids[len(prompt):]}, min(margins) if len(set(ids[len(prompt):])) >= DISTINCT_MIN else 0


def logits_of(model, ids):
    dynamic = (getattr(model.config, "rope_parameters", None) or {}).get("rope_type") == "dynamic"
    with torch.no_grad():
        if not dynamic:
            return model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1]
        # The frequencies grow with the text, and what is cached keeps those that it was computed with.
        cache = None
        for index, token in enumerate(ids):
            output = model(input_ids=torch.tensor([[token]]), cache=cache, use_cache=True,
                           position_ids=torch.tensor([[index]]))
            cache = output.cache
        return output.logits[0, -1]


def known_fields(published):
    known = {k: v for k, v in published.items() if k != "quantization_config"}
    return {k: (dict(v) if isinstance(v, dict) else v) for k, v in known.items()}


def make(name, published):
    config = AutoConfig.for_model(**known_fields(published))
    config._attn_implementation = "eager"
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    for seed in range(1000):
        rebuild(model, seed)
        prompts = torch.Generator().manual_seed(1000 + seed)
        cases, margin = [], 1.0
        for length in LENGTHS:
            case, own = answer(model, torch.randint(3, 256, (length,), generator=prompts).tolist())
            cases.append(case)
            margin = min(margin, own)
            if margin < MARGIN_MIN:
                break
        if margin >= MARGIN_MIN:
            break
    else:
        raise SystemExit(f"{name}: no seed gives clear choices")
    folder = OUT / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(published, indent=1) + "\n")
    with tempfile.TemporaryDirectory() as saved:  # the same in the words of transformers 5
        AutoConfig.for_model(**known_fields(published)).save_pretrained(saved)
        (folder / "saved-config.json").write_text((Path(saved) / "config.json").read_text())
    tensors = {k: v.to(torch.bfloat16).contiguous() for k, v in published_tensors(model, published).items()}
    for k in [k for k, v in tensors.items() if v.dim() == 3 and published["model_type"] == "gpt_oss"]:
        blocks, scales = microscaled(tensors.pop(k), seed)
        tensors |= {f"{k}_blocks": blocks.to(torch.uint8), f"{k}_scales": scales.to(torch.uint8)}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "golden.json").write_text(json.dumps({"cases": cases}, separators=(",", ":")) + "\n")
    print(f"{name}: seed {seed}, margin {margin:.3f}, {sum(p.numel() for p in model.parameters())} weights")


def published_tensors(model, published):
    """As save_pretrained writes them: under the names and in the parts in which the models are published."""
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        tensors = load_file(Path(folder) / "model.safetensors")
    tied = published["tie_word_embeddings"]
    return {k: v for k, v in tensors.items() if not (tied and k == "lm_head.weight")}


torch.set_num_threads(1)
for wanted in sys.argv[1:] or MODELS:
    make(wanted, MODELS[wanted])
