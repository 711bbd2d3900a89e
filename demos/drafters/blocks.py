"""Parts that both drafters share, equal to vLLM's layers of the same names."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True, slots=True)
class Shape:
    """The target's dimensions, which its drafters share."""

    hidden_size: int
    intermediate_size: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab_size: int
    eps: float
    rope_theta: float


class RMSNorm(nn.Module):
    """Root mean square norm, in float32 inside."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        x32 = x.float()
        scaled = x32 * torch.rsqrt(x32.pow(2).mean(-1, keepdim=True) + self.eps)
        return (scaled * self.weight).to(x.dtype)


class MLP(nn.Module):
    """SwiGLU."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(shape.hidden_size, shape.intermediate_size, bias=False)
        self.up_proj = nn.Linear(shape.hidden_size, shape.intermediate_size, bias=False)
        self.down_proj = nn.Linear(shape.intermediate_size, shape.hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))
        return out


class Projections(nn.Module):
    """The four matrices of an attention layer, with vLLM's names.

    ``bias`` puts biases on q, k and v (Qwen2's way, which MiMo shares); ``head_norm`` norms each head of q and k
    (Qwen3's way).
    """

    def __init__(self, shape: Shape, *, bias: bool, head_norm: bool) -> None:
        super().__init__()
        self.shape = shape
        q_size, kv_size = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
        self.q_proj = nn.Linear(shape.hidden_size, q_size, bias=bias)
        self.k_proj = nn.Linear(shape.hidden_size, kv_size, bias=bias)
        self.v_proj = nn.Linear(shape.hidden_size, kv_size, bias=bias)
        self.o_proj = nn.Linear(q_size, shape.hidden_size, bias=False)
        if head_norm:
            self.q_norm: nn.Module = RMSNorm(shape.head_dim, shape.eps)
            self.k_norm: nn.Module = RMSNorm(shape.head_dim, shape.eps)
        else:
            self.q_norm = self.k_norm = nn.Identity()

    def queries(self, x: Tensor, rope: Rope) -> Tensor:
        """[..., S, H] to [..., kv_heads, heads per kv head, S, D], rotated."""
        q = self.q_norm(torch.unflatten(self.q_proj(x), -1, (self.shape.heads, self.shape.head_dim)))
        return torch.unflatten(rope.rotate(q.transpose(-3, -2)), -3, (self.shape.kv_heads, -1))

    def keys(self, x: Tensor, rope: Rope) -> Tensor:
        """[..., S, H] to [..., kv_heads, S, D], rotated."""
        k = self.k_norm(self.k_proj(x).unflatten(-1, (self.shape.kv_heads, self.shape.head_dim)))
        return rope.rotate(k.transpose(-3, -2))

    def values(self, x: Tensor) -> Tensor:
        """[..., S, H] to [..., kv_heads, S, D]."""
        v: Tensor = self.v_proj(x).unflatten(-1, (self.shape.kv_heads, self.shape.head_dim))
        return v.transpose(-3, -2)

    def output(self, heads: Tensor) -> Tensor:
        """[..., kv_heads, heads per kv head, S, D] to [..., S, H]."""
        out: Tensor = self.o_proj(heads.flatten(-4, -3).transpose(-3, -2).flatten(-2))
        return out


class Rope:
    """Rotary embedding of given positions [..., S], in the half-rotation ("neox") layout."""

    def __init__(self, positions: Tensor, shape: Shape) -> None:
        half = torch.arange(0, shape.head_dim, 2, dtype=torch.float32) / shape.head_dim
        angles = positions.unsqueeze(-1).float() * shape.rope_theta**-half
        # A heads axis goes in front of S.
        self.cos = angles.cos().unsqueeze(-3)
        self.sin = angles.sin().unsqueeze(-3)

    def rotate(self, x: Tensor) -> Tensor:
        """x: [..., heads, S, D]."""
        first, second = x.chunk(2, dim=-1)
        cos, sin = self.cos.to(x.dtype), self.sin.to(x.dtype)
        return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)
