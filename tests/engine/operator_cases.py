"""Functions of a [4, 6] tensor around the operators that fewer models use: each is traced and compared with torch."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.engine.complex_cases import COMPLEX

Function = Callable[[Tensor], Tensor]
tensor = torch.tensor


def positive(x: Tensor) -> Tensor:
    return x.abs() + 0.5


def image(x: Tensor) -> Tensor:
    return torch.outer(x.flatten()[:16], torch.linspace(-1, 1, 16)).view(2, 2, 8, 8) + torch.arange(64).view(8, 8).sin()


def sequence(x: Tensor) -> Tensor:
    return image(x)[:, :, 0]


def volume(x: Tensor) -> Tensor:
    return image(x).view(1, 2, 4, 4, 8)


def classes() -> Tensor:
    return tensor([0, 5, 2, 2])


def resized(mode: str, **options: bool) -> Function:
    def run(x: Tensor) -> Tensor:
        whole = F.interpolate(image(x), scale_factor=2, mode=mode, **options).flatten()
        return torch.cat((whole, F.interpolate(image(x), size=(5, 11), mode=mode, **options).flatten()))

    return run


def padded(mode: str) -> Function:
    return lambda x: torch.cat(
        (
            F.pad(image(x), (1, 2, 3, 1), mode=mode).flatten(),
            F.pad(sequence(x), (1, 2), mode=mode).flatten(),
            F.pad(volume(x), (1, 2, 1, 1, 1, 0), mode=mode).flatten(),
        )
    )


def _written(x: Tensor) -> Tensor:
    y = x.view(2, 2, 6) * 1.0
    y[tensor([0, 1]), :, tensor([2, 3])] = x[:2, :2]
    return y


MODULES: dict[str, Function] = {
    name: partial(lambda module, x: module()(x * 3), getattr(nn, name))
    for name in (
        "CELU ELU GELU GLU Hardshrink Hardsigmoid Hardswish Hardtanh LeakyReLU LogSigmoid Mish PReLU ReLU ReLU6 SELU"
        " SiLU Sigmoid Softplus Softshrink Softsign Tanh Tanhshrink"
    ).split()
}
ACTIVATIONS: dict[str, Function] = {
    "PReLU per channel": lambda x: F.prelu(image(x), x[0, :2]),
    "shrinks": lambda x: F.hardshrink(x, 0.3) + F.softshrink(x, 0.3),
    "logit": lambda x: torch.logit(x.sigmoid()) + torch.logit(x.sigmoid(), 0.3),
    "softmax of pixels": lambda x: nn.Softmax2d()(image(x)),
    "Gumbel softmax": lambda x: F.gumbel_softmax(x),
}
FUNCTIONS: dict[str, Function] = {
    "hyperbolic": lambda x: torch.sinh(x) + torch.cosh(x) + torch.asinh(x) + torch.atanh(x * 0.4),
    "acosh": lambda x: torch.acosh(positive(x) + 1),
    "hypot": lambda x: torch.hypot(x, positive(x)),
    "fmod": lambda x: torch.fmod(x, 0.3) + torch.fmod(x, positive(x.detach())) + torch.fmod((x * 10).long(), 3),
    "fmax, fmin": lambda x: torch.fmax(x, x * x) + torch.fmin(x, x * x) + torch.fmax((x * 0).log().detach(), x),
    "copysign": lambda x: torch.copysign(x, x.flip(0).detach()) + torch.copysign(x, -1.0),
    "logaddexp": lambda x: torch.logaddexp(x, x * 2) + torch.logaddexp2(x, x * 2),
    "sinc, frac": lambda x: torch.sinc(x) + torch.frac(x * 3),
    "angles": lambda x: torch.deg2rad(x * 90) + torch.rad2deg(x),
    "cumprod": lambda x: x.cumprod(1) + (x > 0).long().cumprod(0),
    "prod": lambda x: positive(x).prod(0) + positive(x).prod(),
    "triangle indices": lambda x: x[tuple(torch.tril_indices(4, 4))] + x[tuple(torch.triu_indices(4, 4))],
    "logspace": lambda x: x * torch.logspace(0, 1, 6),
    "counts": lambda x: x + x.count_nonzero() + x.count_nonzero(0),
    "buckets": lambda x: x + torch.bucketize(x.detach(), tensor([-0.5, 0.0, 0.5])),
    "isin": lambda x: x * torch.isin(classes(), tensor([0, 2]))[:, None] + torch.isin(classes(), 5)[:, None],
    "isin of a number": lambda x: x + torch.isin(5, classes()),
}
REDUCTIONS: dict[str, Function] = {
    "norms": lambda x: (
        x.norm(3, dim=1) + x.norm(0) + x.norm(-float("inf")) + x.norm(0.5, dim=1) + torch.linalg.matrix_norm(x)
    ),
    "deviation and mean": lambda x: sum(torch.std_mean(x, 1)),
    "least and most": lambda x: sum(x.aminmax(dim=1)),
    "of numbers": lambda x: x.nansum(1) + x.nanmean(1),
    "ranks": lambda x: x.median(1).values + x.kthvalue(2, 1).values + x.quantile(0.3, 1),
    "trace": lambda x: x[:, :4].trace() * x,
    "distance": lambda x: torch.dist(x, x * 2) * x,
    "of pairs": lambda x: F.pairwise_distance(x, x * 2),
    "of all pairs": lambda x: sum(torch.cdist(x, x.flip(0) * 1.5, p) for p in (0.0, 1.0, 2.0, 3.0, float("inf"))),
    "of all pairs, one equal": lambda x: torch.cdist(x, torch.cat([x[:1], x[1:] * 2]).detach()),
    "of many pairs": lambda x: torch.cdist(x.repeat(8, 1) * torch.linspace(0.5, 2, 32)[:, None], x * 3),
    "running extremes": lambda x: torch.cummax(x.sin() * 3, 1).values + torch.cummin(x.sin() * 3, 0).values,
    "running sums of exponentials": lambda x: torch.logcumsumexp(x * 5, 1) + torch.logcumsumexp(x, 0),
    "running extremes' places": lambda x: (
        x + torch.cummax(x.detach().round(), 1).indices + torch.cummin(x.detach().round(), 0).indices
    ),
    "median": lambda x: x * x.median() + x[:3, :3].median(),
}
PRODUCTS: dict[str, Function] = {
    "vectors": lambda x: torch.addmv(x[:, 0], x, x[0], beta=0.5)[:, None] + torch.addr(x, x[:, 0], x[0]),
    "inner": lambda x: torch.vdot(x[0], x[1]) * x,
    "cross": lambda x: torch.linalg.cross(x[:, :3], x[:, 3:]),
    "addbmm": lambda x: torch.addbmm(x[:2, :2], x.view(2, 2, 6), x.view(2, 6, 2), beta=0.5, alpha=2),
    "bilinear layer": lambda x: F.bilinear(x, x * 2, torch.outer(x[0], x.flatten()[:18]).view(3, 6, 6)),
    "tensordot, kron": lambda x: torch.tensordot(x, x, ([1], [1])).sum() * torch.kron(x, x[:2, :2]),
    "conv3d": lambda x: F.conv3d(volume(x), x.view(3, 2, 2, 2, 1), x[0, :3], (2, 2, 1), (1, 0, 1), (2, 1, 1)),
    "conv3d of groups": lambda x: F.conv3d(volume(x), x.view(4, 1, 2, 3, 1), groups=2),
    "conv3d transposed": lambda x: F.conv_transpose3d(volume(x), x.view(2, 3, 2, 2, 1), stride=2, padding=1),
    "transposed, of groups": lambda x: F.conv_transpose2d(image(x), x.view(2, 2, 3, 2), None, 2, 1, 1, 2),
    "transposed, dilated": lambda x: F.conv_transpose2d(
        image(x), x.view(2, 2, 3, 2), x[0, :2], (2, 1), (1, 0), (1, 0), 1, (1, 2)
    ),
    "conv of one image": lambda x: F.conv2d(image(x)[0], x.view(4, 2, 3, 1), padding="same"),
    "conv without padding": lambda x: F.conv2d(image(x), x.view(4, 2, 3, 1), padding="valid", stride=2),
}
REARRANGED: dict[str, Function] = {
    "diagonals": lambda x: torch.diag(x[0]).sum(0) + torch.diag_embed(x).sum(1) * 2,
    "blocks": lambda x: torch.block_diag(x, x * 2),
    "rot90": lambda x: x.rot90(),
    "shuffled channels": lambda x: F.channel_shuffle(image(x), 2),
    "windows": lambda x: x.unfold(1, 3, 2),
    "im2col": lambda x: F.unfold(image(x), 3, padding=1, stride=2),
    "col2im": lambda x: F.fold(F.unfold(image(x), 2, stride=2), (8, 8), 2, stride=2),
    "copied": lambda x: x.index_copy(0, tensor([0, 2]), x[:2] * 2),
    "filled": lambda x: x.index_fill(0, tensor([0, 2]), 3.0) + x.index_fill(0, tensor([1]), x.detach().sum()),
    "separated indices": lambda x: x.view(2, 2, 6)[tensor([0, 1]), :, tensor([2, 3])],
    "separated, written": lambda x: _written(x),
    "scattered": lambda x: torch.zeros(4, 6).scatter_reduce(1, tensor([[1], [0], [5], [2]]), x[:, :1], "sum"),
}
RESAMPLED: dict[str, Function] = {
    "bilinear": resized("bilinear"),
    "bilinear, corners": resized("bilinear", align_corners=True),
    "bilinear, smoothed": resized("bilinear", antialias=True),
    "bicubic": resized("bicubic"),
    "bicubic, corners": resized("bicubic", align_corners=True),
    "bicubic, smoothed": resized("bicubic", antialias=True),
    "nearest": resized("nearest"),
    "nearest exact": resized("nearest-exact"),
    "area": resized("area"),
    "of one axis": lambda x: (
        F.interpolate(sequence(x), scale_factor=2, mode="linear")
        + F.interpolate(sequence(x), scale_factor=2)
        + F.interpolate(sequence(x), size=16, mode="nearest-exact")
    ),
    "of three axes": lambda x: (
        F.interpolate(volume(x), scale_factor=2, mode="trilinear")
        + F.interpolate(volume(x), scale_factor=2)
        + F.interpolate(volume(x), size=(8, 8, 16), mode="nearest-exact")
    ),
    "one and a half": lambda x: F.interpolate(image(x), scale_factor=1.5) + 0.0,
    "reflected": padded("reflect"),
    "replicated": padded("replicate"),
    "circular": padded("circular"),
    "affine grid": lambda x: F.affine_grid(x[:2].reshape(2, 2, 3), (2, 1, 4, 4), align_corners=False),
}
POOLED: dict[str, Function] = {
    "overlapping": lambda x: F.avg_pool2d(image(x), 3, 2, 1) + F.avg_pool2d(image(x), 3, 2, 1, count_include_pad=False),
    "partial": lambda x: F.avg_pool2d(image(x), 3, 2, ceil_mode=True) + F.max_pool2d(image(x), 3, 2, ceil_mode=True),
    "partial columns": lambda x: F.max_pool2d(image(x)[..., :7], (2, 4), ceil_mode=True),
    "divisor": lambda x: F.avg_pool2d(image(x), 3, 1, divisor_override=5),
    "pool of one axis": lambda x: F.avg_pool1d(sequence(x), 3, 1, 1) + F.lp_pool1d(positive(sequence(x)), 2, 1, 1),
    "pool of three axes": lambda x: F.avg_pool3d(volume(x), (2, 2, 3), 1, 1) + F.avg_pool3d(volume(x), 2, 2).sum(),
    "uneven": lambda x: F.adaptive_avg_pool2d(image(x), 3),
    "uneven, one and three axes": lambda x: (
        F.adaptive_avg_pool1d(sequence(x), 3).sum() * F.adaptive_avg_pool3d(volume(x), (3, 2, 5))
    ),
    "adaptive max": lambda x: F.adaptive_max_pool2d(image(x), 4) + F.adaptive_max_pool1d(sequence(x), 4)[..., None],
    "max of three axes": lambda x: (
        F.max_pool3d(volume(x), (2, 2, 3), 1, (1, 1, 0)).sum() * F.max_pool3d(volume(x).round(), 2)
    ),
    "max of three axes, partial": lambda x: F.max_pool3d(volume(x)[0], 3, 2, 1, (1, 1, 2), ceil_mode=True),
    "local response": lambda x: F.local_response_norm(image(x), 3),
}
LOSSES: dict[str, Function] = {
    "everything of cross-entropy": lambda x: F.cross_entropy(
        x, classes(), positive(x[0].detach()), label_smoothing=0.1, ignore_index=2
    ),
    "soft targets, smoothed": lambda x: F.cross_entropy(
        x, x.detach().softmax(1), positive(x[0].detach()), label_smoothing=0.1
    ),
    "pixels": lambda x: F.cross_entropy(x.view(2, 3, 2, 2), torch.zeros(2, 2, 2).long()),
    "KL of logarithms": lambda x: F.kl_div(
        x.log_softmax(1), x.detach().log_softmax(1), reduction="batchmean", log_target=True
    ),
    "NLL, ignored": lambda x: F.nll_loss(x.log_softmax(1), classes(), ignore_index=2),
    "soft margin": lambda x: F.soft_margin_loss(x, x.detach().sign()),
    "multilabel": lambda x: F.multilabel_soft_margin_loss(x, (x.detach() > 0).float()),
    "hinge": lambda x: F.hinge_embedding_loss(x, x.detach().sign()),
}


def sampled(**options: bool | str) -> Function:
    def run(x: Tensor) -> Tensor:
        grid = torch.stack([x[:3], x[1:] * 1.3], -1).expand(2, 3, 6, 2) * torch.tensor([0.9, 1.1]).view(2, 1, 1, 1)
        return F.grid_sample(image(x), grid if options["mode"] == "bilinear" else grid.detach(), **options)

    return run


REWRITTEN: dict[str, Function] = {
    **{
        f"sampled: {mode}, {padding}{', corners' * corners}": sampled(
            mode=mode, padding_mode=padding, align_corners=corners
        )
        for mode in ("bilinear", "nearest")
        for padding in ("zeros", "border", "reflection")
        for corners in (False, True)
    },
    "uneven max": lambda x: (
        F.adaptive_max_pool2d(image(x), (3, 5)) * F.adaptive_max_pool2d(image(x), (None, 5))[:, :, :3]
    ),
    "uneven max, places": lambda x: x.sum() * F.adaptive_max_pool2d(image(x), 3, return_indices=True)[1],
    "bags": lambda x: sum(F.embedding_bag(tensor([[0, 1, 1], [3, 2, 0]]), x, mode=m) for m in ("sum", "mean", "max")),
    "bags, padded": lambda x: F.embedding_bag(tensor([[0, 1, 1], [3, 2, 0]]), x, padding_idx=1),
    "bags, weighed": lambda x: F.embedding_bag(
        tensor([[0, 1, 1], [3, 2, 0]]), x, mode="sum", per_sample_weights=x[:2, :3]
    ),
    "Gaussian": lambda x: (
        F.gaussian_nll_loss(x, x.detach() * 2, positive(x), full=True)
        + F.gaussian_nll_loss(x, x.detach() * 2, x[:, 0].square(), eps=0.3, reduction="sum")
        + F.gaussian_nll_loss(x, x.detach() * 2, 0.5, reduction="none")
    ),
    "CTC": lambda x: F.ctc_loss(
        image(x).view(16, 4, 4).log_softmax(2),
        tensor([[1, 2, 2], [3, 1, 1], [1, 1, 1], [2, 0, 0]]),
        tensor([16, 9, 5, 4]),
        tensor([3, 2, 3, 0]),
        reduction="none",
    ),
    "CTC, mean": lambda x: (
        F.ctc_loss(image(x).view(16, 4, 4).log_softmax(2), tensor([[3, 2]]).expand(4, 2), (16,) * 4, (2,) * 4, blank=1)
        + F.ctc_loss(x.log_softmax(1), tensor([3, 3, 3]), (4,), (3,), zero_infinity=True)
        + F.ctc_loss(x.log_softmax(1), tensor([3, 3]), (4,), (2,), reduction="sum")
    ),
}
WEIGHTS: dict[str, Function] = {
    "weight norm": lambda x: torch._weight_norm(x.view(4, 3, 2), positive(x[:, :1, None])),
    "weight norm of columns": lambda x: torch._weight_norm(x, positive(x[:1]), 1),
}
RANDOM: dict[str, Function] = {
    "normal of tensors": lambda x: (
        x + torch.normal(x.detach(), 1.0) + torch.normal(0.0, positive(x.detach())) + torch.normal(0.0, 1.0, (4, 6))
    ),
    "normal of both": lambda x: x + torch.normal(x.detach(), positive(x.detach())),
    "exponential": lambda x: x + torch.empty_like(x).exponential_(2.0),
    "channels dropped": lambda x: F.dropout2d(image(x), 0.5) + F.feature_alpha_dropout(image(x), 0.3),
}
GROUPS = (
    *(
        MODULES,
        ACTIVATIONS,
        FUNCTIONS,
        REDUCTIONS,
        PRODUCTS,
        REARRANGED,
        RESAMPLED,
        POOLED,
        LOSSES,
        WEIGHTS,
        COMPLEX,
        REWRITTEN,
        RANDOM,
    ),
)
MORE: dict[str, Function] = {f"more: {name}": function for group in GROUPS for name, function in group.items()}
