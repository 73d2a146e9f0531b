"""The Qwen2 decoder in PyTorch, its sizes, and its Hugging Face tensor names. It never reads data or trains.

Parameter names are those of Qwen2ForCausalLM, so that export.py only writes what stands here.
"""
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F


@dataclass(frozen=True)
class Size:
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    ffn: int
    vocab: int = 8192
    head_size: int = 64
    rope_theta: float = 10_000.0
    rms_eps: float = 1e-6


SIZES = {
    "spark-nano": Size(layers=6, hidden=256, heads=4, kv_heads=2, ffn=704),  # 6.5 M
    "spark-micro": Size(layers=8, hidden=512, heads=8, kv_heads=4, ffn=1408),  # 27.8 M: 56 MB as bf16
    "tiny": Size(layers=2, hidden=64, heads=1, kv_heads=1, ffn=128),  # the test's
}


class Attention(nn.Module):
    def __init__(self, size: Size):
        super().__init__()
        self.size = size
        self.q_proj = nn.Linear(size.hidden, size.heads * size.head_size)
        self.k_proj = nn.Linear(size.hidden, size.kv_heads * size.head_size)
        self.v_proj = nn.Linear(size.hidden, size.kv_heads * size.head_size)
        self.o_proj = nn.Linear(size.heads * size.head_size, size.hidden, bias=False)

    def forward(self, x, rotary):
        batch, length, _ = x.shape
        heads = lambda t: t.view(batch, length, -1, self.size.head_size).transpose(1, 2)  # [B, heads, T, 64]
        q, k, v = rotate(heads(self.q_proj(x)), rotary), rotate(heads(self.k_proj(x)), rotary), heads(self.v_proj(x))
        out = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        return self.o_proj(out.transpose(1, 2).reshape(batch, length, -1))


class Mlp(nn.Module):
    def __init__(self, size: Size):
        super().__init__()
        self.gate_proj = nn.Linear(size.hidden, size.ffn, bias=False)
        self.up_proj = nn.Linear(size.hidden, size.ffn, bias=False)
        self.down_proj = nn.Linear(size.ffn, size.hidden, bias=False)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    def __init__(self, size: Size):
        super().__init__()
        self.input_layernorm = nn.RMSNorm(size.hidden, eps=size.rms_eps)
        self.self_attn = Attention(size)
        self.post_attention_layernorm = nn.RMSNorm(size.hidden, eps=size.rms_eps)
        self.mlp = Mlp(size)

    def forward(self, x, rotary):
        x = x + self.self_attn(self.input_layernorm(x), rotary)
        return x + self.mlp(self.post_attention_layernorm(x))


class Decoder(nn.Module):
    """ids [B, T] → logits [B, T, vocab]. Embeddings are tied."""

    def __init__(self, size: Size):
        super().__init__()
        self.size = size
        self.model = nn.Module()
        self.model.embed_tokens = nn.Embedding(size.vocab, size.hidden)
        self.model.layers = nn.ModuleList(Layer(size) for _ in range(size.layers))
        self.model.norm = nn.RMSNorm(size.hidden, eps=size.rms_eps)
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                deep = name.endswith(("o_proj.weight", "down_proj.weight"))
                nn.init.normal_(parameter, std=0.02 / (2 * size.layers) ** 0.5 if deep else 0.02)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)

    def forward(self, ids, rope_factor: float = 1.0):
        rotary = rotary_table(self.size, ids.shape[1], ids.device, rope_factor)
        x = self.model.embed_tokens(ids)
        for layer in self.model.layers:
            x = layer(x, rotary)
        return F.linear(self.model.norm(x), self.model.embed_tokens.weight)


def rotary_table(size: Size, length: int, device, factor: float = 1.0):
    """(cos, sin), each [T, head_size / 2]; factor > 1 is linear scaling of positions."""
    steps = torch.arange(0, size.head_size, 2, device=device).float() / size.head_size
    angles = torch.outer(torch.arange(length, device=device).float() / factor, size.rope_theta**-steps)
    return angles.cos(), angles.sin()


def rotate(x, rotary):
    """Halves, not neighbours: the Hugging Face order."""
    cos, sin = (table.to(x.dtype) for table in rotary)
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)
