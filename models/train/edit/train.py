"""LoRA of rank 16 on all projections of SmolLM2, trained on edits. Resumes; each step draws its examples by (seed, step).

    python train.py --data data --out runs/edit [--minutes 60] [--lr 8e-4] [--decay-minutes 0] [--keep 1] [--replay-tokens 512]

An example whose every token is as good as certain already costs its forward pass alone. Where data/replay.jsonl stands,
each step also holds the model near its base on plain text (KL divergence, times --keep): an edit is learnt without
forgetting the rest. Writes runs/edit/adapter (Hugging Face PEFT layout), state.pt (optimiser, for resuming) and log.jsonl. With
--decay-minutes the learning rate falls to 0 over the last so many minutes: for the last run before an adapter ships.
"""
import argparse
import json
import random
import time
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model

from conversation import answer_logits, batch_of, encode, load_base
from judge import exact_by_kind

RANK, ALPHA = 16, 32
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
BATCH = 16
LENGTH_MAX = 512  # tokens; longer examples are left out
CERTAIN = 0.03  # nats: an example without a token above it is known
KEPT_SHARE = 0.5  # of a replayed text's positions, drawn: the head over the vocabulary is a third of the work
WARMUP_STEPS = 40
SAVE_MINUTES, JUDGE_MINUTES, JUDGED = 5, 20, 16  # held-out cases of each kind while training


def open_model(out: Path):
    base, tokenizer = load_base(torch.bfloat16)
    if (out / "adapter").exists():
        model = PeftModel.from_pretrained(base, out / "adapter", is_trainable=True)
    else:
        torch.manual_seed(17)
        model = get_peft_model(base, LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=TARGETS, task_type="CAUSAL_LM"))
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    return model, tokenizer


def learn(model, pair: tuple[list[int], int], answer_count: int) -> tuple[float, bool]:
    """Adds the gradient of one example's share of the batch's loss. Its loss in nats (a sum), and whether it was known."""
    logits, targets = answer_logits(model.base_model.model, batch_of([pair]))
    losses = torch.nn.functional.cross_entropy(logits, targets, reduction="none")
    known = losses.max().item() < CERTAIN
    if not known:
        (losses.sum() / answer_count).backward()
    return losses.sum().item(), known


def hold(model, ids: list[int], weight: float, draw: random.Random) -> float:
    """Adds the gradient of `weight` times the mean KL divergence base || tuned on one text, in nats."""
    tokens = torch.tensor([ids])
    chosen = torch.tensor([draw.random() < KEPT_SHARE for _ in ids])
    inner = model.base_model.model
    with torch.no_grad(), model.disable_adapter():
        before = inner.lm_head(inner.model(input_ids=tokens).last_hidden_state[0, chosen]).float().log_softmax(-1)
    after = inner.lm_head(inner.model(input_ids=tokens).last_hidden_state[0, chosen]).float().log_softmax(-1)
    distance = torch.nn.functional.kl_div(after, before, reduction="batchmean", log_target=True)
    (weight * distance).backward()
    return distance.item()


def main() -> None:
    p = argparse.ArgumentParser()
    p.add_argument("--data", type=Path, default=Path(__file__).parent / "data")
    p.add_argument("--out", type=Path, default=Path(__file__).parent / "runs/edit")
    p.add_argument("--minutes", type=float, default=60)
    p.add_argument("--decay-minutes", type=float, default=0)
    p.add_argument("--lr", type=float, default=8e-4)
    p.add_argument("--keep", type=float, default=1.0)
    p.add_argument("--replay-tokens", type=int, default=512, help="a step, in texts of 256")
    p.add_argument("--seed", type=int, default=17)
    p.add_argument("--threads", type=int, default=2)
    options = p.parse_args()
    torch.set_num_threads(options.threads)
    options.out.mkdir(parents=True, exist_ok=True)
    model, tokenizer = open_model(options.out)
    rows = [json.loads(line) for line in (options.data / "edits.jsonl").open()]
    replay = options.data / "replay.jsonl"
    texts = [json.loads(line)["text"] for line in replay.open()] if replay.exists() else []
    held = [json.loads(line) for line in (options.data / "held-out.jsonl").open()]
    trainable = [q for q in model.parameters() if q.requires_grad]
    optimiser = torch.optim.AdamW(trainable, lr=options.lr, betas=(0.9, 0.95), weight_decay=0.0)
    state = options.out / "state.pt"
    step = tokens = 0
    if state.exists():
        saved = torch.load(state)
        optimiser.load_state_dict(saved["optimiser"])
        step, tokens = saved["step"], saved["tokens"]
    log = (options.out / "log.jsonl").open("a")

    def note(**what) -> None:
        log.write(json.dumps({"step": step, "tokens": tokens, **what}) + "\n")
        log.flush()

    def save() -> None:
        model.save_pretrained(options.out / "adapter")
        torch.save({"optimiser": optimiser.state_dict(), "step": step, "tokens": tokens}, state)

    started = saved_at = judged_at = time.time()
    while (minutes := (time.time() - started) / 60) < options.minutes:
        left = options.minutes - minutes
        share = min(1.0, (step + 1) / WARMUP_STEPS) * min(1.0, left / options.decay_minutes if options.decay_minutes else 1.0)
        for group in optimiser.param_groups:
            group["lr"] = options.lr * share
        draw = random.Random(options.seed * 1_000_003 + step)
        pairs = []
        while len(pairs) < BATCH:
            row = draw.choice(rows)
            pair = encode(tokenizer, row["question"], row["answer"])
            if len(pair[0]) <= LENGTH_MAX:
                pairs.append(pair)
        answer_count = sum(len(ids) - start for ids, start in pairs)
        loss_sum, known_count, distances, began = 0.0, 0, [], time.time()
        model.train()
        for pair in pairs:
            loss, known = learn(model, pair, answer_count)
            loss_sum += loss
            known_count += known
        kept = [tokenizer(draw.choice(texts))["input_ids"][:256] for _ in range(options.replay_tokens // 256 if texts else 0)]
        for ids in kept:
            distances.append(hold(model, ids, options.keep / len(kept), draw))
        torch.nn.utils.clip_grad_norm_(trainable, 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        step += 1
        count = sum(len(ids) for ids, _ in pairs) + sum(len(ids) for ids in kept)
        tokens += count
        away = round(sum(distances) / len(distances), 4) if distances else None
        note(loss=round(loss_sum / answer_count, 4), known=known_count, kl=away, tokens_per_s=round(count / (time.time() - began)))
        if time.time() - saved_at > SAVE_MINUTES * 60:
            save()
            saved_at = time.time()
        if time.time() - judged_at > JUDGE_MINUTES * 60:
            note(exact=exact_by_kind(model.base_model.model, tokenizer, held, JUDGED))
            judged_at = time.time()
    save()
    note(exact=exact_by_kind(model.base_model.model, tokenizer, held, 50))


if __name__ == "__main__":
    main()
