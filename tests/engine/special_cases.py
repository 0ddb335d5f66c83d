"""Functions of a [4, 6] tensor around special functions, powers, distributions and draws, compared with torch."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.distributions as D
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from tests.engine.operator_cases import classes, image, positive, volume

Function = Callable[[Tensor], Tensor]
tensor = torch.tensor
special = torch.special
SPECIAL: dict[str, Function] = {
    "arcs": lambda x: torch.atan(x * 3) + torch.asin(x * 0.5) + torch.acos(x * 0.5) + torch.atan((x * 9).long()),
    "arcs of two": lambda x: (
        torch.atan2(x, x.flip(0) * 2 - 0.1) + torch.atan2(x * 3, tensor([1.0, -2, 0.5, 3, -0.1, 2]))
    ),
    "gamma": lambda x: torch.lgamma(positive(x) * 4) + torch.lgamma(x - 0.05) + torch.mvlgamma(positive(x) + 2, 2),
    "digamma": lambda x: torch.digamma(positive(x) * 5) + torch.digamma(x.detach() - 2.4),
    "polygamma": lambda x: torch.polygamma(1, positive(x)) + torch.polygamma(2, positive(x) * 3),
    "error functions": lambda x: torch.erfc(x * 3) + special.erfcx(x) + torch.erfinv(x * 0.5),
    "normal integrals": lambda x: special.ndtr(x) + special.log_ndtr(x * 4) + special.ndtri(x.sigmoid()),
    "entropies": lambda x: special.entr(positive(x)) + special.xlog1py(positive(x), positive(x)),
    "powers of tensors": lambda x: (
        x.detach() ** tensor([2.0, 3, -1, 0, 2, 1]) + x * 2 ** torch.arange(6) + x * tensor([-2, 3]).repeat(3) ** 3
    ),
    "powers of numbers": lambda x: 10000.0 ** -positive(x) + 0.3**x + 2.0**x + positive(x) ** (1 / 3) + x**65 * 1e-20,
    "signs and infinities": lambda x: (
        torch.heaviside(x.detach(), tensor(0.5)) * x
        + torch.signbit(x * 0)
        + torch.isposinf(x / 0)
        + torch.isneginf(x / 0)
    ),
    "scaled and rounded": lambda x: torch.ldexp(x, tensor(3)) + x.round(decimals=1) + (x * 99).round(decimals=-1),
    "shifts by tensors": lambda x: x + ((x * 9).long() << (x > 0).long()) + ((x * 9).long() >> (x > 0).long()),
    "bitwise shifts": lambda x: (
        x
        + torch.bitwise_left_shift((x * 9).long(), (x > 0).long())
        + torch.bitwise_right_shift((x * 9).long(), 1)
        + torch.bitwise_left_shift((x * 9).int(), 2)
        + torch.bitwise_right_shift((x * 9).int(), (x > 0).int())
    ),
    "of integers": lambda x: (
        x + tensor(4).reciprocal() + torch.sinh(classes())[:, None] + torch.tan(classes())[:, None]
    ),
}


def _written(x: Tensor) -> Tensor:
    parts = [row.clone() for row in x]
    torch._foreach_mul_(parts, 2.0)
    torch._foreach_add_(parts, list(x * x), alpha=0.5)
    torch._foreach_clamp_min_(parts, -0.5)
    torch._foreach_addcdiv_(parts, list(x), list(positive(x)), -0.1)
    torch._foreach_lerp_(parts, list(x), 0.2)
    with torch.no_grad():
        moved = [row.clone() for row in x]
        torch._foreach_copy_(moved[:1], moved[1:2])
        torch._foreach_zero_(moved[2:3])
    return torch.stack(parts) + torch.stack(moved)


def attended(x: Tensor) -> Tensor:
    with sdpa_kernel([SDPBackend.FLASH_ATTENTION, SDPBackend.MATH]):
        return F.scaled_dot_product_attention(x[None, None], x[None, None], x[None, None], is_causal=True)


OTHERS: dict[str, Function] = {
    "renormed": lambda x: x * x.detach().renorm(2, 0, 1.0),
    "a diagonal, written": lambda x: x.diagonal_scatter(x[:, 0] * 2),
    "of pairs of rows": lambda x: F.pdist(x) * F.pdist(x, 1.0),
    "searched": lambda x: (
        x
        + torch.searchsorted(tensor([-0.5, 0.0, 0.5]), x.detach())
        + torch.searchsorted(x.detach().sort(1).values, x.detach().flip(0), right=True, out_int32=True)
    ),
    "on a grid": lambda x: (
        torch.fake_quantize_per_tensor_affine(x, 0.1, 2, -8, 7)
        + torch.fake_quantize_per_tensor_affine(x, tensor(0.1), tensor(0, dtype=torch.int32), -8, 7)
        + torch.fake_quantize_per_channel_affine(
            x, torch.linspace(0.1, 0.2, 6), torch.zeros(6, dtype=torch.int32), 1, -8, 7
        )
    ),
    "margins of classes": lambda x: (
        F.multi_margin_loss(x, classes(), 2, 0.5, positive(x.detach()[0]), reduction="none")
        + F.multi_margin_loss(x, classes())
    ),
    "margins of several classes": lambda x: (
        F.multilabel_margin_loss(x, tensor([[0, 5, -1, 2, 0, 0], [3, -1, 0, 0, 0, 0], [-1] * 6, [0, 1, 2, 3, 4, 5]]))
        + F.multilabel_margin_loss(x[0] * 2, tensor([1, 2, -1, -1, -1, -1]), reduction="sum")
    ),
    "attention of another kernel": lambda x: attended(x),
    "unpooled": lambda x: F.max_unpool2d(*F.max_pool2d(image(x), 2, return_indices=True), 2),
    "unpooled volumes": lambda x: F.max_unpool3d(*F.max_pool3d(volume(x), 2, return_indices=True), 2),
}
LISTS: dict[str, Function] = {
    "lists, one by one": lambda x: torch.stack(
        [
            *torch._foreach_add(list(x), list(x * 2), alpha=3),
            *torch._foreach_mul(list(x), [0.5, 1, 2, 3]),
            *torch._foreach_sqrt(list(positive(x))),
            *torch._foreach_addcmul(list(x), list(x), list(x), value=0.3),
            *torch._foreach_addcdiv(list(x), list(x), list(positive(x)), [0.1, 0.2, 0.3, 0.4]),
            *torch._foreach_lerp(list(x), list(x * x), 0.3),
            *torch._foreach_maximum(list(x), 0.1),
            *torch._foreach_minimum(list(x), list(x * x)),
            *torch._foreach_pow(list(positive(x)), 1.5),
            *torch._foreach_sub(list(x), 1.0),
            *torch._foreach_div(list(x), list(positive(x))),
            *torch._foreach_neg(torch._foreach_exp(list(x))),
        ]
    ),
    "norms of lists": lambda x: (
        torch.stack(torch._foreach_norm(list(x))) + torch.stack(torch._foreach_norm(list(x), 1)) + x.sum()
    ),
    "lists, written": lambda x: _written(x),
}
DRAWN: dict[str, Function] = {
    "random slopes": lambda x: F.rrelu(x, training=True) + F.rrelu(x, 0.1, 0.3) + F.rrelu(x * 1, 0.1, 0.4, True, True),
    "drawn classes": lambda x: (
        x * torch.multinomial(x.detach().softmax(1), 3)[:, :1]
        + torch.multinomial(x.detach().softmax(1), 7, replacement=True).sum()
        + torch.multinomial(tensor([0.0, 2, 1]), 2).sum()
    ),
    "drawn numbers of other kinds": lambda x: (
        x * D.Gamma(positive(x.detach()) * 2 - 0.8, tensor(2.0)).sample()
        + D.Beta(tensor(0.2), tensor(0.2)).sample((4, 6))
        + D.Dirichlet(positive(x.detach())).sample()
        + torch.empty(4, 6).cauchy_(0.1, 0.01)
        + torch.empty(4, 6).log_normal_(0.1, 0.2)
        + torch.empty(4, 6).geometric_(0.4)
    ),
    "drawn integers": lambda x: x * torch.empty(4, 6).random_(5) + torch.empty(4, 6, dtype=torch.long).random_(2, 9),
}


def likelihood(make: Callable[[Tensor, Tensor], D.Distribution], value: float, x: Tensor) -> Tensor:
    return make(x, positive(x)).log_prob(tensor(value))


def sample(make: Callable[[Tensor, Tensor], D.Distribution], x: Tensor) -> Tensor:
    return make(x, positive(x)).rsample()


DISTRIBUTIONS: dict[str, Function] = {
    **{
        f"likelihood: {name}": partial(likelihood, make, value)
        for name, make, value in (
            ("normal", lambda x, s: D.Normal(x, s), 0.3),
            ("beta", lambda x, s: D.Beta(s + 1, s), 0.3),
            ("gamma", lambda x, s: D.Gamma(s + 1, s), 0.3),
            ("Student", lambda x, s: D.StudentT(s + 1, x, s), 0.3),
            ("negative binomial", lambda x, s: D.NegativeBinomial(s, logits=x), 3.0),
            ("Poisson", lambda x, s: D.Poisson(s), 3.0),
            ("mixture", lambda x, s: D.MixtureSameFamily(D.Categorical(logits=x), D.Normal(x, s)), 0.3),
            ("squashed", lambda x, s: D.TransformedDistribution(D.Normal(x, s), [D.TanhTransform()]), 0.3),
        )
    },
    **{
        f"sample: {name}": partial(sample, make)
        for name, make in (
            ("normal", lambda x, s: D.Normal(x, s)),
            ("Gumbel", lambda x, s: D.Gumbel(x, s)),
            ("Laplace", lambda x, s: D.Laplace(x, s)),
            ("concrete", lambda x, s: D.RelaxedOneHotCategorical(tensor(0.5), logits=x)),
        )
    },
    "Dirichlet": lambda x: D.Dirichlet(positive(x)).log_prob(x.detach().softmax(-1)),
    "entropy": lambda x: D.Categorical(logits=x).entropy(),
    "divergence": lambda x: D.kl_divergence(D.Normal(x, positive(x)), D.Normal(0, 1)),
    "policy": lambda x: -D.Categorical(logits=x).log_prob(D.Categorical(logits=x).sample()),
}
CASES: dict[str, Function] = {
    f"special: {name}": function
    for group in (SPECIAL, OTHERS, LISTS, DRAWN, DISTRIBUTIONS)
    for name, function in group.items()
}
