"""The MTP head in vLLM's MiMo form, unrolled over its own outputs for training.

At slot q (0-based) the head sees the target's hidden state of position q after the final norm and the embedding of
token q+1, and predicts token q+2. Its next draft at the same slot feeds its own output back, with the position one
higher, and sees the first pass's keys up to q and the keys of its own chain.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from demos.drafters.blocks import MLP, Projections, RMSNorm, Rope, Shape


class MtpHead(nn.Module):
    """Parameter names are the checkpoint's, without ``model.mtp_layers.0.``."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        size, eps = shape.hidden_size, shape.eps
        self.token_layernorm = RMSNorm(size, eps)
        self.hidden_layernorm = RMSNorm(size, eps)
        self.input_proj = nn.Linear(2 * size, size, bias=False)
        self.input_layernorm = RMSNorm(size, eps)
        self.self_attn = Projections(shape, bias=True, head_norm=False)
        self.post_attention_layernorm = RMSNorm(size, eps)
        self.mlp = MLP(shape)
        self.final_layernorm = RMSNorm(size, eps)

    def forward(self, hidden: Tensor, embeddings: Tensor, steps: int) -> list[Tensor]:
        """The outputs of ``steps`` drafts from every slot.

        Args:
            hidden: [B, T, H], the target's state of positions 0 to T-1.
            embeddings: [B, T + steps, H], token embeddings of positions 0 to T+steps-1; draft s at slot q takes
                position q+s.
            steps: How many drafts, at least one.

        Returns:
            ``steps`` tensors [B, T, H]; entry s-1 at slot q predicts token q+s+1.
        """
        length = hidden.shape[1]
        mask = torch.ones(length, length, dtype=torch.bool, device=hidden.device).tril()
        slots = torch.arange(length)
        keys: list[Tensor] = []
        values: list[Tensor] = []
        outputs: list[Tensor] = []
        for step in range(1, steps + 1):
            embedded = embeddings[:, step : step + length]
            # vLLM zeroes the embedding where the position is 0.
            embedded = torch.cat([torch.zeros_like(embedded[:, :1]), embedded[:, 1:]], 1) if step == 1 else embedded
            joined = torch.cat([self.hidden_layernorm(hidden), self.token_layernorm(embedded)], dim=-1)
            residual = self.input_proj(joined)
            normed = self.input_layernorm(residual)
            rope = Rope(slots + step - 1, self.shape)
            keys.append(self.self_attn.keys(normed, rope))
            values.append(self.self_attn.values(normed))
            queries = self.self_attn.queries(normed, rope)
            residual = residual + self.self_attn.output(_attend(queries, keys, values, mask))
            residual = residual + self.mlp(self.post_attention_layernorm(residual))
            hidden = self.final_layernorm(residual)
            outputs.append(hidden)
        return outputs


def _attend(queries: Tensor, keys: list[Tensor], values: list[Tensor], mask: Tensor) -> Tensor:
    """Attention to the first pass (causal) and to the chain's own later keys (the same slot).

    queries: [B, G, R, T, D]; each key and value: [B, G, T, D].
    """
    scale = queries.shape[-1] ** -0.5
    queries = queries * scale
    scores = torch.matmul(queries, keys[0].unsqueeze(2).transpose(-1, -2)).float()
    scores = scores.masked_fill(~mask, float("-inf"))
    own = [(queries * key.unsqueeze(2)).sum(-1, keepdim=True).float() for key in keys[1:]]
    weights = torch.cat([scores, *own], dim=-1).softmax(-1).to(queries.dtype)
    length = mask.shape[0]
    out = torch.matmul(weights[..., :length], values[0].unsqueeze(2))
    for index, value in enumerate(values[1:]):
        out = out + weights[..., length + index, None] * value.unsqueeze(2)
    return out
