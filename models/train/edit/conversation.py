"""The base model and its tokenizer from the GGUF in ../../smollm2-135m-instruct, and conversations as token ids.

The chat frame is the template's own, its default system message included: that is what a server shows the model.
"""
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

BASE = Path(__file__).resolve().parents[2] / "smollm2-135m-instruct"
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
IGNORE = -100


def load_base(dtype: torch.dtype):
    tokenizer = AutoTokenizer.from_pretrained(BASE, gguf_file=FILE)
    model = AutoModelForCausalLM.from_pretrained(BASE, gguf_file=FILE, dtype=dtype)
    return model, tokenizer


def encode(tokenizer, question: str, answer: str) -> tuple[list[int], int]:
    """Ids of the whole conversation, and how many of them come before the answer. The answer's end token is part of it."""
    head = tokenizer.apply_chat_template([{"role": "user", "content": question}], add_generation_prompt=True, tokenize=False)
    prompt = tokenizer(head, add_special_tokens=False)["input_ids"]
    reply = tokenizer(answer + "<|im_end|>", add_special_tokens=False)["input_ids"]
    return prompt + reply, len(prompt)


def batch_of(pairs: list[tuple[list[int], int]]) -> dict[str, torch.Tensor]:
    """[n, longest] padded right; labels are the answer alone."""
    longest = max(len(ids) for ids, _ in pairs)
    ids = torch.zeros(len(pairs), longest, dtype=torch.long)
    mask = torch.zeros_like(ids)
    labels = torch.full_like(ids, IGNORE)
    for row, (tokens, start) in enumerate(pairs):
        ids[row, : len(tokens)] = torch.tensor(tokens)
        mask[row, : len(tokens)] = 1
        labels[row, start : len(tokens)] = torch.tensor(tokens[start:])
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def answer_logits(model, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits [m, vocabulary] in float32 and targets [m] of the answers' tokens only: the head is a third of the work."""
    hidden = model.model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state
    chosen = batch["labels"][:, 1:] != IGNORE
    return model.lm_head(hidden[:, :-1][chosen]).float(), batch["labels"][:, 1:][chosen]
