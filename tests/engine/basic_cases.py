"""Functions of a [4, 6] tensor around the operators that most models use: each is traced and compared with torch."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from tests.engine.operator_cases import Function, classes, image, positive

ELEMENTWISE: dict[str, Function] = {
    "arithmetic": lambda x: (x + 2) * 3 - x / 4 + (5 - x) * x + torch.add(x, x, alpha=2) - torch.sub(x, 1, alpha=3),
    "scalars": lambda x: torch.rsub(x, x * x, alpha=2) + torch.ops.aten.rsub.Scalar(x, 2.0),
    "reciprocal": lambda x: positive(x).reciprocal() + 1 / positive(x),
    "roots": lambda x: positive(x).sqrt() + positive(x).rsqrt(),
    "exponentials": lambda x: x.exp() + torch.exp2(x) + torch.expm1(x),
    "logarithms": lambda x: positive(x).log() + positive(x).log2() + positive(x).log10() + torch.log1p(positive(x)),
    "circular": lambda x: x.sin() + x.cos() + x.tan() + x.tanh(),
    "erf": lambda x: torch.erf(x) + torch.erfc(x),
    "rounding": lambda x: x + x.floor() + x.ceil() + x.trunc() + (x * 4).round(),
    "division with rounding": lambda x: (
        x + torch.div(x, 0.3, rounding_mode="floor") + torch.div(x, 0.3, rounding_mode="trunc")
    ),
    "floor_divide": lambda x: x + (x.detach() * 10) // 3 + (x.detach() * 10).long() // 3,
    "remainder": lambda x: x + x % 0.7 + torch.remainder(x, positive(x.detach())) + ((x * 10).long() % 3),
    "integer division": lambda x: x + torch.div((x * 10).long(), 3, rounding_mode="trunc"),
    "sign and abs": lambda x: x.sign() * x + x.abs() - (-x) + x.sgn(),
    "powers": lambda x: x**2 + x**3 + x**4 + positive(x) ** 0.5 + positive(x) ** -0.5 + positive(x) ** -2,
    "more powers": lambda x: positive(x) ** 1.5 + positive(x) ** 2.7 + 1.7**x + positive(x) ** x + x**0 + x**1,
    "extremes": lambda x: torch.maximum(x, -x * 0.5) + torch.minimum(x, x * x),
    "clamp": lambda x: x.clamp(-0.5, 0.6) + x.clamp(min=0.1) + x.clamp(max=0.2) + torch.clamp(x, x * 0 - 0.1, x * x),
    "clamp_min, clamp_max": lambda x: (
        x.clamp_min(0.1) + x.clamp_max(0.2) + torch.clamp_min(x, x * 0.5) + torch.clamp_max(x, x * 0.5)
    ),
    "lerp": lambda x: torch.lerp(x, x * x, 0.3) + torch.lerp(x, x * x, positive(x) * 0.2),
    "addcmul, addcdiv": lambda x: torch.addcmul(x, x, x, value=0.5) + torch.addcdiv(x, x, positive(x), value=2),
    "comparisons": lambda x: (
        x * ((x > 0.1) | (x < -0.5)) + (x >= 0.2) * 1 + (x <= 0.3) * 2 + (x == x) * 3 + (x != 0) * 4
    ),
    "comparisons of two": lambda x: (x > x * x) * 1 + (x < -x) * 2 + (x >= x.abs()) * 3 + (x <= x.abs()) * 4 + x,
    "equal tensors": lambda x: (x.long() == x.floor().long()) * x + (x.long() != x.ceil().long()) * x,
    "logic": lambda x: (
        ((x > 0).logical_and(x < 1)).logical_not() * x + (x > 0).logical_or(x < -1) * x + (x > 0).logical_xor(x > 1)
    ),
    "bits": lambda x: ((x * 9).int() & 5) + ((x * 9).int() | 5) + ((x * 9).int() ^ 5) + ~(x * 9).int() + x,
    "bits of two": lambda x: ((x > 0) & (x < 1)) * x + ((x > 0) | (x < -1)) * x + ((x > 0) ^ (x < 1)) + ~(x > 0),
    "shifts": lambda x: x + ((x * 20).long() >> 2) + ((x * 20).long() << 3),
    "where": lambda x: torch.where(x > 0, x, 0.5) + torch.where(x > 0, 1.5, x) + torch.where(x > 0, x, x * x),
    "masked_fill": lambda x: x.masked_fill(x > 0.5, 2.0) + x.masked_fill(x < 0, x.detach().sum()),
    "isnan, isinf": lambda x: x + torch.isnan(x.detach().log()) + torch.isinf(x / 0 * 1) + x.isfinite(),
    "nan_to_num": lambda x: torch.nan_to_num(x) + torch.isnan(x.long()),
    "xlogy": lambda x: (
        torch.xlogy(x.relu().detach(), positive(x)) + torch.xlogy(2.0, positive(x)) + torch.xlogy(x * 0, 3.0)
    ),
    "casts": lambda x: x + x.long().float() + (x > 0).int() + x.bool().long() + x.to(torch.bfloat16).float() * 0,
    "in place": lambda x: x.clone().mul_(2).add_(1).clamp_(min=0).copy_(x * 3).fill_(2) + x.clone().fill_(x.sum()),
}
ACTIVATIONS: dict[str, Function] = {
    "relu": F.relu,
    "relu6": F.relu6,
    "leaky_relu": lambda x: F.leaky_relu(x, 0.2),
    "elu": lambda x: F.elu(x, 0.7),
    "elu in place": lambda x: F.elu(x * 1.0, 0.7, inplace=True),
    "selu, celu": lambda x: F.selu(x) + F.celu(x, 0.5),
    "gelu": lambda x: F.gelu(x) + F.gelu(x, approximate="tanh"),
    "silu, sigmoid": lambda x: F.silu(x) + x.sigmoid(),
    "mish": lambda x: x * F.softplus(x).tanh() + F.mish(x),
    "softplus": lambda x: F.softplus(x * 9, beta=2, threshold=5),
    "log_sigmoid": F.logsigmoid,
    "hard": lambda x: F.hardtanh(x, -0.5, 0.7) + F.hardsigmoid(x * 3) + F.hardswish(x * 3),
    "glu": lambda x: F.glu(x, 1),
    "softsign, tanhshrink": lambda x: F.softsign(x) + F.tanhshrink(x) + F.threshold(x, 0.1, 2.0),
}
LAYOUT: dict[str, Function] = {
    "views": lambda x: x.reshape(2, 12).view(3, 8).t().unsqueeze(1).squeeze(1).squeeze().unsqueeze(0).squeeze((0, 1)),
    "alias": lambda x: torch.ops.aten.alias(x) * 2,
    "permute": lambda x: x.view(2, 2, 6).permute(2, 0, 1).transpose(0, 1).movedim(0, 2).contiguous(),
    "expand, repeat": lambda x: (
        x[:, None].expand(4, 3, 6) + x.repeat(3, 1, 1).transpose(0, 1) + x.tile(1, 3).view(4, 3, 6)
    ),
    "repeat_interleave": lambda x: x.repeat_interleave(3, 1),
    "slices": lambda x: (
        x[1:3, ::2] * x[-1, :3] + x[:2, 1::2] + x[0, 3] + x[1:3, -3:] + x.narrow(1, 2, 3)[:2] + x[:2].select(1, 4).sum()
    ),
    "splits of cells": lambda x: x.unsafe_chunk(3, 1)[1] + torch.unsafe_split_with_sizes(x, [1, 2, 3], 1)[1],
    "splits": lambda x: (
        sum(x.split(2, 1)) + x.split([1, 3, 2], 1)[2] + x.chunk(3, 1)[1] + torch.stack(x.unbind(1)[:2], 1)
    ),
    "joins": lambda x: (
        torch.cat((x, x * x, x.long()), 1) + torch.stack((x, -x, x), 2).flatten(1) + torch.hstack((x, x, x))
    ),
    "flip, roll": lambda x: x.flip(0, 1) + x.roll(2) + x.roll((1, -2), (0, 1)),
    "pad": lambda x: F.pad(x, (1, 2, 0, 1), value=3.0)[:4, :6] + F.pad(x, (-1, 1)),
    "assigned slices": lambda x: _assigned(x),
    "triangles": lambda x: x.tril() + x.triu(1) + x.tril(-1),
    "diagonal": lambda x: x.diagonal(1) + torch.einsum("ii->i", x[:, :4]) + x.view(4, 2, 3).diagonal(-1, 0, 2).sum(),
    "created": lambda x: (
        x
        + torch.zeros(6)
        + torch.ones_like(x)
        + torch.full((4, 6), 2.5)
        + x.new_ones(6)
        + x.new_zeros(6)
        + torch.zeros_like(x)
        + torch.full_like(x, 3)
        + x.new_full((6,), 2)
        + torch.empty_like(x).fill_(1)
        + torch.empty(6).fill_(2)
        + x.new_empty(6).fill_(1)
        + torch.scalar_tensor(3.0)
    ),
    "ones": lambda x: x * torch.ones(6),
    "counted": lambda x: (
        x * torch.arange(6)
        + torch.arange(2, 8)
        + torch.arange(0, 3, 0.5)
        + torch.linspace(0, 1, 6)
        + torch.eye(4, 6)
        + torch.eye(6)[:4]
    ),
    "a literal": lambda x: x * torch.tensor([1.0, 2, 3, 4, 5, 6]),
    "as_strided": lambda x: x + x.detach().clone().as_strided((2, 12), (12, 1)).view(4, 6),
    "pixels": lambda x: (
        F.pixel_shuffle(x.reshape(1, 4, 2, 3), 2) + F.pixel_unshuffle(x.reshape(1, 1, 4, 6), 2).view(1, 1, 4, 6)
    ),
}
REDUCTIONS: dict[str, Function] = {
    "sum, mean": lambda x: x.sum(0) + x.mean((0,)) + x.sum() + x.mean() + x.sum(1, keepdim=True)[0] + (x > 0).sum(0),
    "extremes along axes": lambda x: x.amax(0) + x.amin(0) + x.max() + x.min() + x.max(0).values + x.min(0).values,
    "positions": lambda x: (
        x[0] + x.argmax(0) + x.argmin(0) + x.argmax() + x.max(0).indices + x.min(0, keepdim=True).indices
    ),
    "any, all": lambda x: (
        x[0]
        + (x > 1).any(0)
        + (x > -1).all(0)
        + (x > 2).any()
        + (x > -9).all()
        + (x > 1).any((0, 1))
        + (x > -9).all((0, 1))
    ),
    "variance": lambda x: (
        x.var(0) + x.std(0) + x.var(0, correction=0) + x.var() + torch.var_mean(x, 0)[0] + torch.var_mean(x, 0)[1]
    ),
    "norms": lambda x: (
        x.norm(dim=0)
        + torch.linalg.vector_norm(x, 1, 0)
        + torch.linalg.vector_norm(x, float("inf"), 0)
        + F.normalize(x, dim=0)[0]
    ),
    "norms of old": lambda x: torch.ops.aten.norm.ScalarOpt_dim(x, 2, [0]) + torch.ops.aten.norm.Scalar(x, 1),
    "prod": lambda x: positive(x).detach().prod(0) * x[0] + x.detach().prod() + (x > 9).long().prod(1).sum(),
    "cumsum": lambda x: x.cumsum(1) + (x > 0).long().cumsum(0),
    "softmax": lambda x: x.softmax(0) + x.log_softmax(1) + F.softmin(x, 1),
    "logsumexp": lambda x: x.logsumexp(0) + x.logsumexp((0, 1)),
    "layer norm": lambda x: F.layer_norm(x, (6,)) + F.layer_norm(x, (4, 6), x, x * x),
    "rms norm": lambda x: F.rms_norm(x, (6,)) + F.rms_norm(x, (6,), x[0], 1e-3),
    "group norm": lambda x: F.group_norm(x[None], 2, x[:, 0], x[:, 1]) + F.group_norm(x[None], 4),
    "batch norm": lambda x: F.batch_norm(x, None, None, x[0], x[1], training=True),
    "batch norm, frozen": lambda x: F.batch_norm(x, x[0].detach(), positive(x[1].detach()), x[2], x[3]),
}
PRODUCTS: dict[str, Function] = {
    "matmul": lambda x: x @ x.t() + torch.mm(x, x.t()) + torch.addmm(x[:, :4], x, x.t(), beta=0.5, alpha=2),
    "batched": lambda x: (
        torch.bmm(x.view(2, 2, 6), x.view(2, 6, 2)) + torch.baddbmm(x[:2, :2], x.view(2, 2, 6), x.view(2, 6, 2))
    ),
    "vectors": lambda x: torch.mv(x, x[0]) + torch.dot(x[0], x[1]) + torch.outer(x[0], x[1])[:4, 0] + x @ x[2],
    "einsum": lambda x: torch.einsum("ij,kj->ik", x, x) + torch.einsum("ij,ik,il->jkl", x, x, x)[:4, :4, 0],
    "attention": lambda x: F.scaled_dot_product_attention(x[None], x[None], x[None]),
    "conv2d": lambda x: F.conv2d(image(x), x.view(4, 2, 3, 1), x[:, 0], (2, 1), (1, 0), (1, 2)),
    "conv1d": lambda x: F.conv1d(image(x)[:, :, 0], x.view(2, 2, 6), x[0, :2], padding=2),
    "transposed": lambda x: F.conv_transpose2d(image(x), x.view(2, 2, 3, 2), x[0, :2], 2, 1, 1, 1, 1),
    "transposed 1d": lambda x: F.conv_transpose1d(image(x)[:, :, 0], x.view(2, 2, 6), stride=3),
}
INDEXING: dict[str, Function] = {
    "embedding": lambda x: (
        F.embedding(torch.tensor([[0, 3], [1, 3]]), x) + F.embedding(torch.tensor([1, 3]), x, padding_idx=3)
    ),
    "one_hot": lambda x: F.one_hot((x.abs() * 2).long()[:, 0], 6) * x,
    "gather": lambda x: (
        x.gather(1, torch.tensor([[0, 5], [1, 1], [2, 2]])) + x.take_along_dim(torch.tensor([[1]]), 1)[0]
    ),
    "scatter": lambda x: (
        torch.zeros(4, 6).scatter(1, torch.tensor([[1], [0], [5]]), x[:3, :1])
        + x.scatter(0, torch.tensor([[2, 1]]), 7.0)
    ),
    "scatter_add": lambda x: x.scatter_add(1, torch.tensor([[1, 1], [0, 2]]), x[:2, :2] * x[2:, :2]),
    "index": lambda x: (
        x[torch.tensor([0, 3, 0])] * x[:, torch.tensor([1, -1, 2])][:3].sum()
        + x[torch.tensor([1, 2]), torch.tensor([0, -1])].sum()
    ),
    "index of three axes": lambda x: x.view(2, 2, 6)[:, torch.tensor([[0, 1], [1, 1]]), torch.tensor([2, 3])],
    "index_select": lambda x: (
        x.index_select(1, torch.tensor([5, 0])) + x.index_add(0, torch.tensor([1, 1]), x[:2])[:, :2]
    ),
    "index_put": lambda x: _put(x),
    "sort": lambda x: (
        x.sort(1).values + x.sort(0, descending=True).values + x.argsort(1) + torch.argsort(x, dim=0, stable=True)
    ),
    "topk": lambda x: x.topk(2).values * x.topk(2, largest=False).indices + x.sort(stable=True, dim=1).values[:, :2],
    "max_pool2d": lambda x: (
        F.max_pool2d(image(x), 2) + F.max_pool2d(image(x), 3, 2, 1) + F.max_pool2d(image(x)[0], 2, dilation=1)
    ),
    "max_pool1d": lambda x: F.max_pool1d(x[None], 2),
    "avg_pool2d": lambda x: (
        F.avg_pool2d(image(x), 2) + F.adaptive_avg_pool2d(image(x), 4) + F.adaptive_avg_pool2d(image(x), 1)
    ),
    "upsample": lambda x: F.interpolate(image(x), scale_factor=2, mode="nearest"),
}


def _assigned(x: Tensor) -> Tensor:
    y = x * 1.0
    y[1:3] = x[0]
    y[:, 2] = 5.0
    y[3, ::2] = x[0, :3]
    y[:, 1::2] += x[:, :3]
    y[y > 1] = 0.5
    return y


def _put(x: Tensor) -> Tensor:
    y = x * 1.0
    y[torch.tensor([0, 2])] = x[1] * 2
    y[:, torch.tensor([1, 4])] = 3.0
    return y.index_put((torch.tensor([1, 1]), torch.tensor([0, 3])), x[0, :2], accumulate=True)


LOSSES: dict[str, Function] = {
    "squares": lambda x: (
        F.mse_loss(x, x * x) + F.huber_loss(x, x * x, delta=0.2) + F.smooth_l1_loss(x, x * x, beta=0.2)
    ),
    "each of squares": lambda x: F.mse_loss(x, x * x, reduction="none") + F.l1_loss(x, x * x, reduction="sum"),
    "classes": lambda x: F.cross_entropy(x, classes()) + F.nll_loss(x, classes(), x[0].detach(), reduction="sum"),
    "classes of pixels": lambda x: F.nll_loss(x.view(2, 3, 2, 2), classes().view(2, 2, 1).expand(2, 2, 2) % 3),
    "one sample": lambda x: F.cross_entropy(x[0], torch.tensor(3)),
    "binary": lambda x: (
        F.binary_cross_entropy(x.sigmoid(), x.detach().sin() ** 2, positive(x.detach()))
        + F.binary_cross_entropy_with_logits(x, x.detach().cos() ** 2, pos_weight=positive(x.detach()[0]))
    ),
    "margins": lambda x: (
        F.cosine_similarity(x, x * x)
        + F.margin_ranking_loss(x[0], x[1], x[2].detach().sign())
        + F.cosine_embedding_loss(x, x.flip(0), torch.ones(4))
        + F.triplet_margin_loss(x, x * x, x.flip(0))
    ),
    "Poisson": lambda x: F.poisson_nll_loss(x, x.detach().abs()),
}
