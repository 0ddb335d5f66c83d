"""Functions of a [4, 6] tensor around small matrices' decompositions, solutions and norms, compared with torch."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, linalg
from torch.distributions import MultivariateNormal

Function = Callable[[Tensor], Tensor]


def definite(x: Tensor) -> Tensor:
    return x @ x.T + torch.eye(4)


def regular(x: Tensor) -> Tensor:
    """[4, 4], whose largest elements are off the diagonal."""
    return x[:, :4] + 2 * torch.eye(4)[[2, 0, 3, 1]]


def several(x: Tensor) -> Tensor:
    return torch.stack([regular(x), regular(x).T * 0.5 + torch.eye(4)])


MATRICES: dict[str, Function] = {
    "Cholesky": lambda x: linalg.cholesky(definite(x)) + linalg.cholesky(definite(x) * 2, upper=True),
    "Cholesky of several": lambda x: linalg.cholesky(torch.stack([definite(x), definite(x) * 2])),
    "Cholesky, solved": lambda x: torch.cholesky_solve(x, linalg.cholesky(definite(x))),
    "Cholesky, inverted": lambda x: torch.cholesky_inverse(linalg.cholesky(definite(x))),
    "triangle below": lambda x: linalg.solve_triangular(x[:, :4].tril() + 2 * torch.eye(4), x, upper=False),
    "triangle above": lambda x: linalg.solve_triangular(x[:, :4].triu() + 2 * torch.eye(4), x, upper=True),
    "triangle to the right": lambda x: linalg.solve_triangular(
        x[:, :4].triu(1) + torch.eye(4), x.T, upper=True, left=False, unitriangular=True
    ),
    "exponential": lambda x: linalg.matrix_exp(x[:, :4]) + linalg.matrix_exp(x[:, :4] * 5).log1p().tanh(),
    "Gaussian of many": lambda x: MultivariateNormal(x[0, :4], definite(x)).log_prob(x[:, 1:5]),
    "drawn from many": lambda x: MultivariateNormal(x[0, :4], scale_tril=linalg.cholesky(definite(x))).rsample(),
    "solved": lambda x: linalg.solve(regular(x), x).sum() * linalg.solve(several(x), x),
    "solved for vectors": lambda x: linalg.solve(regular(x), x[:, 0]) + linalg.solve(several(x), x[:2, :4]).sum(0),
    "solved from the right": lambda x: linalg.solve(regular(x), x.T, left=False),
    "inverted": lambda x: linalg.inv(regular(x)) + linalg.inv(several(x)),
    "determinants": lambda x: linalg.det(regular(x)) * 0.01 + linalg.det(several(x).mT) * 0.01,
    "logarithms of determinants": lambda x: (
        linalg.slogdet(several(x))[1] + linalg.slogdet(regular(x).T)[1] + torch.logdet(definite(x))
    ),
    "a determinant of 0": lambda x: linalg.det(x.detach()[:, :1] @ torch.ones(1, 4)) * x,
    "a sign": lambda x: linalg.slogdet(regular(x))[0] * x,
    "factors, used twice": lambda x: (
        linalg.lu_solve(*linalg.lu_factor(regular(x.detach())), x)
        + linalg.lu_solve(*linalg.lu_factor(regular(x.detach())), x, adjoint=True)
    ),
    "norms of matrices": lambda x: linalg.matrix_norm(x) + linalg.matrix_norm(x, 1) + linalg.norm(x, ord=torch.inf),
    "products of many": lambda x: linalg.multi_dot([x, x.T, x]) + linalg.matrix_power(x[:, :4], 3) @ x,
}
REFLECTIONS: dict[str, Function] = {
    "orthogonal and triangle": lambda x: sum(part.sum() * 0.3 + part for part in linalg.qr(regular(x))),
    "orthogonal of tall": lambda x: linalg.qr(x.T)[0].T + linalg.qr(x.T)[1].sum(),
    "orthogonal of wide": lambda x: torch.cat(linalg.qr(x), 1),
    "orthogonal of several": lambda x: linalg.qr(several(x))[0] @ linalg.qr(several(x)).R.mT,
    "orthogonal, complete": lambda x: linalg.qr(x.detach().T, "complete")[0] @ x.T,
    "triangle alone": lambda x: linalg.qr(x.detach(), "r")[1] * x,
    "orthogonal of zeros": lambda x: torch.cat(linalg.qr(torch.tensor([[0.0, 1], [0, 2], [0, 0]])), 0).sum() * x,
    "reflections": lambda x: linalg.householder_product(x.T.tril(-1), 2 / (1 + x.T.tril(-1).square().sum(0))),
    "reflections of fewer": lambda x: linalg.householder_product(x.T, x[0, :2] * 0.3),
    "factors of reflections": lambda x: sum(part.sum() for part in torch.geqrf(x.detach().T)) * x,
}
CASES: dict[str, Function] = {f"matrices: {name}": function for name, function in (MATRICES | REFLECTIONS).items()}
