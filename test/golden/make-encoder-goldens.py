"""Seeded tiny checkpoints of every encoder family and of a decoder that embeds, in the layout in which such models are
published, and what transformers makes of token ids: test/golden/models/encoders/. Run with Python, torch, transformers,
tokenizers and safetensors:

    python test/golden/make-encoder-goldens.py [NAME ...]

The weights are noise in bfloat16. Same versions, same bytes. Pooling is written out here, as sentence-transformers does it.
"""

import json
import shutil
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import AutoConfig, AutoModel

OUT = Path(__file__).parent / "models" / "encoders"
LENGTHS = [1, 9, 50]
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + list("abcdefghijklmnopqrstuvwxyz0123456789.,!?") + [
    "##" + c for c in "abcdefghijklmnopqrstuvwxyz0123456789"
] + "the cat sat on mat a dog ran fast str ##ing ##ings hello world caf ##e".split()
BERT = {"vocab_size": 128, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 48,
        "max_position_embeddings": 64, "type_vocab_size": 2, "layer_norm_eps": 1e-12, "hidden_act": "gelu"}
DECODER = {"vocab_size": 128, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
           "head_dim": 16, "intermediate_size": 48, "max_position_embeddings": 128, "rms_norm_eps": 1e-6, "rope_theta": 1e6,
           "tie_word_embeddings": True, "hidden_act": "silu", "bos_token_id": 1, "eos_token_id": 2}


def model(kind, architecture, config, modes, normalise=True, dense=None, published=None, rename=dict):
    return {"kind": kind, "architecture": architecture, "config": config, "modes": modes, "normalise": normalise,
            "dense": dense, "published": published or {}, "rename": rename}


def nomic_names(tensors):
    """As published: fused projections, and GPT-2's names of everything."""
    out = {}
    for name, value in tensors.items():
        layer = name.replace("layers.", "encoder.layers.")
        if ".self_attn.q_proj" in name:
            parts = [tensors[name.replace("q_proj", part)] for part in ("q_proj", "k_proj", "v_proj")]
            out[layer.replace("self_attn.q_proj", "attn.Wqkv")] = torch.cat(parts)
        elif ".self_attn.k_proj" in name or ".self_attn.v_proj" in name or name.startswith("pooler"):
            continue
        else:
            for old, new in [("self_attn.o_proj", "attn.out_proj"), ("up_proj", "fc11"), ("gate_proj", "fc12"),
                             ("down_proj", "fc2"), ("post_attention_layernorm", "norm1"), ("post_mlp_layernorm", "norm2"),
                             ("embeddings.LayerNorm", "emb_ln")]:
                layer = layer.replace(old, new)
            out[layer] = value
    return out


def prefixed(prefix):
    return lambda tensors: {prefix + name: value for name, value in tensors.items()}


def older(tensors):
    """LayerNorm.gamma and LayerNorm.beta, as BERT was first converted."""
    swap = lambda name: name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
    return {f"bert.{swap(name)}": value for name, value in tensors.items()}


MODERN = {**{k: v for k, v in BERT.items() if k not in ("type_vocab_size", "layer_norm_eps", "hidden_act")},
          "num_hidden_layers": 4, "norm_eps": 1e-5, "hidden_activation": "gelu", "local_attention": 12,
          "global_attn_every_n_layers": 3, "global_rope_theta": 160000.0, "local_rope_theta": 10000.0, "pad_token_id": 0,
          "bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2}
MODELS = {
    "bert-mean": model("bert", "BertModel", BERT, ["mean_tokens"]),
    "bert-cls": model("bert", "BertForMaskedLM", BERT, ["cls_token"], rename=older),
    "bert-dense": model("bert", "BertModel", {**BERT, "hidden_act": "gelu_new"}, ["max_tokens", "mean_tokens"], dense=(64, 24)),
    "roberta": model("roberta", "RobertaModel", {**BERT, "type_vocab_size": 1, "layer_norm_eps": 1e-5, "pad_token_id": 0},
                     ["mean_sqrt_len_tokens"], normalise=False),
    "xlm-roberta": model("xlm-roberta", "XLMRobertaModel",
                         {**BERT, "type_vocab_size": 1, "layer_norm_eps": 1e-5, "pad_token_id": 0}, ["cls_token"],
                         rename=prefixed("roberta.")),
    "distilbert": model("distilbert", "DistilBertModel",
                        {"vocab_size": 128, "dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 48, "activation": "gelu",
                         "max_position_embeddings": 64}, ["weightedmean_tokens"], rename=prefixed("distilbert.")),
    "modernbert": model("modernbert", "ModernBertModel", MODERN, ["cls_token"]),
    "modernbert-biases": model("modernbert", "ModernBertForMaskedLM",
                               {**MODERN, "norm_bias": True, "attention_bias": True, "mlp_bias": True}, ["mean_tokens"],
                               rename=prefixed("model.")),
    "nomic": model("nomic_bert", "NomicBertModel",
                   {**BERT, "hidden_act": "silu", "rope_parameters": {"rope_type": "default", "rope_theta": 1000.0}}, ["mean_tokens"],
                   published={"n_embd": 32, "n_layer": 3, "n_head": 4, "n_inner": 48, "n_positions": 256,
                              "max_trained_positions": 64, "vocab_size": 128, "type_vocab_size": 2, "layer_norm_epsilon": 1e-12,
                              "activation_function": "swiglu", "rotary_emb_base": 1000, "rotary_emb_fraction": 1.0,
                              "rotary_emb_interleaved": False, "rotary_emb_scale_base": None, "rotary_scaling_factor": None,
                              "qkv_proj_bias": False, "mlp_fc1_bias": False, "mlp_fc2_bias": False, "prenorm": False,
                              "use_rms_norm": False, "parallel_block": False}, rename=nomic_names),
    "qwen3-embedding": model("qwen3", "Qwen3ForCausalLM", DECODER, ["lasttoken"]),
    "llama-mean": model("llama", "LlamaForCausalLM", DECODER, None, rename=prefixed("model.")),
}


def fill(net, seed):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.dim() == 1:
                value = (1 if name.endswith("weight") else 0) + 0.2 * noise
            elif "embeddings" in name or "embed_tokens" in name:
                value = 0.5 * noise
            else:
                value = 1.5 * noise / parameter.shape[-1] ** 0.5
            parameter.copy_(value.to(torch.bfloat16).float())


def pool(mode, states):
    count = states.shape[0]
    if mode == "cls_token":
        return states[0]
    if mode == "lasttoken":
        return states[-1]
    if mode == "max_tokens":
        return states.max(0).values
    if mode == "mean_sqrt_len_tokens":
        return states.sum(0) / count**0.5
    if mode == "weightedmean_tokens":
        weights = torch.arange(1, count + 1).float()
        return (states * weights[:, None]).sum(0) / weights.sum()
    return states.mean(0)


def wordpiece():
    tokenizer = Tokenizer(models.WordPiece({word: id for id, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.add_special_tokens(WORDS[:5])
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return tokenizer


def dump(path, value):
    path.write_text(json.dumps(value, indent=1) + "\n")


def make(name, seed, own):
    directory = OUT / name
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    config = AutoConfig.for_model(own["kind"], **own["config"])
    config._attn_implementation = "eager"
    net = AutoModel.from_config(config, dtype=torch.float32).eval()
    fill(net, seed)
    tensors = {key: value.to(torch.bfloat16).contiguous() for key, value in net.state_dict().items()
               if not key.endswith(("position_ids", "inv_freq")) and not key.startswith("pooler")}
    save_file(own["rename"](tensors), directory / "model.safetensors")
    published = own["published"] or own["config"]
    dump(directory / "config.json", {"architectures": [own["architecture"]], "model_type": own["kind"], **published})
    dense = None
    if own["modes"] is not None:
        dense = layout(directory, own, seed)
    tokenizer = wordpiece()
    (directory / "tokenizer.json").write_text(tokenizer.to_str())
    texts = ["The cat sat on the mat.", "Strings, STRINGING! café 漢字 zzz", "hello " * 20, "[SEP] a"]
    cases = [{"ids": torch.randint(5, 100, (length,), generator=torch.Generator().manual_seed(seed + length)).tolist()}
             for length in LENGTHS]
    cases += [{"text": text, "ids": tokenizer.encode(text).ids} for text in texts[:3]]
    for case in cases:
        with torch.no_grad():
            states = net(input_ids=torch.tensor([case["ids"]])).last_hidden_state[0]
        vector = torch.cat([pool(mode, states) for mode in own["modes"] or ["mean_tokens"]])
        if dense is not None:
            vector = torch.tanh(dense[0] @ vector + dense[1])
        if own["normalise"]:
            vector = torch.nn.functional.normalize(vector, dim=0)
        case["vector"] = [round(value, 6) for value in vector.tolist()]
    (directory / "golden.json").write_text("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n")


def layout(directory, own, seed):
    types = ["Transformer", "Pooling", *(["Dense"] if own["dense"] else []), *(["Normalize"] if own["normalise"] else [])]
    paths = [f"{index}_{kind}" if index else "" for index, kind in enumerate(types)]
    dump(directory / "modules.json", [{"idx": i, "name": str(i), "path": paths[i], "type": f"sentence_transformers.models.{t}"}
                                      for i, t in enumerate(types)])
    pooling = directory / "1_Pooling"
    pooling.mkdir()
    every = ["cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken"]
    dump(pooling / "config.json", {"word_embedding_dimension": 32, **{f"pooling_mode_{m}": m in own["modes"] for m in every}})
    dump(directory / "sentence_bert_config.json", {"max_seq_length": 60, "do_lower_case": False})
    if not own["dense"]:
        return None
    size, out = own["dense"]
    generator = torch.Generator().manual_seed(seed)
    weight, bias = torch.randn(out, size, generator=generator) / size**0.5, torch.randn(out, generator=generator) / 5
    (directory / "2_Dense").mkdir()
    dump(directory / "2_Dense" / "config.json", {"in_features": size, "out_features": out, "bias": True,
                                                 "activation_function": "torch.nn.modules.activation.Tanh"})
    save_file({"linear.weight": weight, "linear.bias": bias}, directory / "2_Dense" / "model.safetensors")
    return weight, bias


for seed, (name, own) in enumerate(MODELS.items()):
    if not sys.argv[1:] or name in sys.argv[1:]:
        make(name, seed, own)
