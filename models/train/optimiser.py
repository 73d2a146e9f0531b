"""Muon for the matrices, AdamW for the rest, as one object with one learning-rate factor.

Muon: Keller Jordan, https://kellerjordan.github.io/posts/muon/ (momentum 0.95, 5 Newton-Schulz steps).
"""
import torch


class Muon(torch.optim.Optimizer):
    def __init__(self, parameters, lr: float, momentum: float = 0.95):
        super().__init__(parameters, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                state = self.state[p]
                average = state.setdefault("average", torch.zeros_like(p))
                average.lerp_(p.grad, 1 - group["momentum"])
                update = orthogonal(p.grad.lerp(average, group["momentum"]))
                # Tall matrices get a larger step, so that every output moves alike.
                p.add_(update.to(p.dtype), alpha=-group["lr"] * max(1, p.shape[0] / p.shape[1]) ** 0.5)


def orthogonal(g: torch.Tensor, steps: int = 5) -> torch.Tensor:
    """Nearest matrix whose singular values are about 1, by Newton-Schulz, in bf16 on a GPU."""
    a, b, c = 3.4445, -4.7750, 2.0315  # source: the post above
    x = g.bfloat16() if g.is_cuda else g.float()
    tall = x.shape[0] > x.shape[1]
    x = x.mT if tall else x
    x = x / (x.norm() + 1e-7)
    for _ in range(steps):
        s = x @ x.mT
        x = a * x + (b * s + c * s @ s) @ x
    return x.mT if tall else x


class Optimisers:
    """`muon_lr` and `adam_lr` are peaks; step(factor) uses factor × peak, factor in [0, 1]."""

    def __init__(self, model: torch.nn.Module, muon_lr: float, adam_lr: float):
        matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed_tokens" not in n]
        rest = [p for n, p in model.named_parameters() if p.ndim != 2 or "embed_tokens" in n]
        self.all = [Muon(matrices, muon_lr), torch.optim.AdamW(rest, adam_lr, betas=(0.9, 0.95), weight_decay=0.0)]
        self.peaks = (muon_lr, adam_lr)

    def step(self, factor: float) -> None:
        for optimiser, peak in zip(self.all, self.peaks):
            for group in optimiser.param_groups:
                group["lr"] = peak * factor
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)

    def state_dict(self) -> list[dict]:
        return [optimiser.state_dict() for optimiser in self.all]

    def load_state_dict(self, states: list[dict]) -> None:
        for optimiser, state in zip(self.all, states):
            optimiser.load_state_dict(state)
