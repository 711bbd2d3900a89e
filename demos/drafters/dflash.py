"""The DFlash drafter in vLLM's ``DFlashDraftModel`` form: a block of masks filled in one pass.

The context is a projection of the target's layers; a block is [last token, mask, mask, ...] at the positions from the
last token's on, and the mask i places after the last token predicts the token of its own position. Within a block
attention goes both ways, so the output depends on the number of masks.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from demos.drafters.blocks import MLP, Projections, RMSNorm, Rope, Shape


class DFlashLayer(nn.Module):
    """A decoder layer whose keys and values come from the context and the block."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(shape.hidden_size, shape.eps)
        self.self_attn = Projections(shape, bias=False, head_norm=True)
        self.post_attention_layernorm = RMSNorm(shape.hidden_size, shape.eps)
        self.mlp = MLP(shape)

    def forward(
        self, block: Tensor, context: Tensor, block_rope: Rope, context_rope: Rope, visible: Tensor, inside: Tensor
    ) -> Tensor:
        """block: [B, A, S, H] (A blocks of S places a sequence); context: [B, T, H]; visible: [B, A, T], what each
        block sees of the context; inside: [B, A, S], which of its places exist."""
        attention = self.self_attn
        normed = self.input_layernorm(block)
        queries = attention.queries(normed, block_rope) * attention.shape.head_dim**-0.5
        # [B, A, G, R, S, D] against [B, G, T, D]: the blocks of a sequence share its context.
        keys, values = attention.keys(context, context_rope), attention.values(context)
        batch, blocks, groups, ratio, size, width = queries.shape
        flat = queries.permute(0, 2, 1, 3, 4, 5).reshape(batch, groups, -1, width)
        far = torch.unflatten(torch.matmul(flat, keys.transpose(-1, -2)), 2, (blocks, ratio, size))
        far = far.float().masked_fill(~visible[:, None, :, None, None], float("-inf"))
        near_keys, near_values = attention.keys(normed, block_rope), attention.values(normed)
        near = torch.matmul(queries, near_keys.unsqueeze(3).transpose(-1, -2)).transpose(1, 2)
        near = near.float().masked_fill(~inside[:, None, :, None, None], float("-inf"))
        weights = torch.cat([far, near], dim=-1).softmax(-1).to(block.dtype)
        length = context.shape[1]
        out = torch.matmul(weights[..., :length].flatten(2, 4), values)
        out = torch.unflatten(out, 2, (blocks, ratio, size)).transpose(1, 2) + torch.matmul(
            weights[..., length:].transpose(1, 2), near_values.unsqueeze(3)
        )
        block = block + attention.output(out)
        result: Tensor = block + self.mlp(self.post_attention_layernorm(block))
        return result


class DFlash(nn.Module):
    """Parameter names are the checkpoint's, but for ``mask_embedding``, which ships as a file of its own."""

    def __init__(self, shape: Shape, *, layers: int, features: int) -> None:
        super().__init__()
        self.shape = shape
        self.fc = nn.Linear(features * shape.hidden_size, shape.hidden_size, bias=False)
        self.hidden_norm = RMSNorm(shape.hidden_size, shape.eps)
        self.layers = nn.ModuleList(DFlashLayer(shape) for _ in range(layers))
        self.norm = RMSNorm(shape.hidden_size, shape.eps)
        self.mask_embedding = nn.Parameter(torch.zeros(shape.hidden_size))

    def forward(self, features: Tensor, last: Tensor, anchors: Tensor, sizes: Tensor, most: int) -> Tensor:
        """What every place of every block predicts.

        Args:
            features: [B, T, features * H], the target's layers at positions 0 to T-1.
            last: [B, A, H], embedding of each block's last token.
            anchors: int64 [B, A], the last tokens' positions; a block sees the context before its anchor.
            sizes: int64 [B, A], masks in each block, at most ``most``.
            most: Masks that are computed per block.

        Returns:
            [B, A, most, H]; entry i-1 predicts the token at anchor + i.
        """
        context = self.hidden_norm(self.fc(features))
        places = torch.arange(most + 1)
        masks = self.mask_embedding.to(last.dtype).expand(*last.shape[:2], most, -1)
        block = torch.cat([last.unsqueeze(2), masks], dim=2)
        block_rope = Rope(anchors.unsqueeze(-1) + places, self.shape)
        length = features.shape[1]
        context_rope = Rope(torch.arange(length), self.shape)
        visible = torch.arange(length) < anchors.unsqueeze(-1)
        inside = places <= sizes.unsqueeze(-1)
        for layer in self.layers:
            block = layer(block, context, block_rope, context_rope, visible, inside)
        normed: Tensor = self.norm(block[:, :, 1:])
        return normed
