"""The connectionist temporal classification loss as the recurrence of Graves et al. (2006) over the steps of time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

NEVER = -1e30  # the logarithm of a probability of 0, kept finite: its exponential is 0 and its gradient no NaN
MEAN, SUM = 1, 2


def ctc_loss(
    torchs: Callable[..., Any],
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: int = MEAN,
    zero_infinity: bool = False,
) -> Tensor:
    """log_probs [T, N, C] or [T, C], targets [N, S] or [S] -> [N], or their mean or sum."""
    if log_probs.dim() == 2:
        log_probs, targets = log_probs.unsqueeze(1), targets.reshape(1, -1)
    if targets.dim() != 2:
        return torchs(log_probs, targets, input_lengths, target_lengths, blank, reduction, zero_infinity)
    steps, labels = (_lengths(value, log_probs.shape[1]) for value in (input_lengths, target_lengths))
    loss = -_log_likelihood(log_probs, targets.long(), steps, labels, blank)
    is_impossible = loss > -NEVER / 2
    loss = torch.where(is_impossible, 0.0 if zero_infinity else float("inf"), loss)
    if reduction == MEAN:
        return (loss / labels.clamp_min(1)).mean()
    return loss.sum() if reduction == SUM else loss


def _lengths(value: Any, count: int) -> Tensor:
    return torch.as_tensor(value).long().reshape(-1).expand(count)


def _log_likelihood(log_probs: Tensor, targets: Tensor, steps: Tensor, labels: Tensor, blank: int) -> Tensor:
    """[N]: over all ways to spread the labels, with blanks between them, over the steps of time."""
    blanks = torch.full_like(targets, blank)
    path = torch.cat([torch.stack([blanks, targets], -1).flatten(1), torch.full((len(targets), 1), blank)], 1)
    emitted = log_probs.gather(2, path.expand(len(log_probs), -1, -1))
    may_skip = (path != blank) & (path != _moved(path, 2, blank))
    reached = torch.where(torch.arange(path.shape[1]) < 2, emitted[0], NEVER)
    for t in range(1, len(emitted)):
        skipped = torch.where(may_skip, _moved(reached, 2, NEVER), NEVER)
        ways = torch.stack([reached, _moved(reached, 1, NEVER), skipped])
        after = (ways.logsumexp(0) + emitted[t]).clamp_min(NEVER)
        reached = torch.where((steps > t).unsqueeze(1), after, reached)
    last = reached.gather(1, (2 * labels).unsqueeze(1)).squeeze(1)
    label = reached.gather(1, (2 * labels - 1).clamp_min(0).unsqueeze(1)).squeeze(1)
    return torch.logaddexp(last, torch.where(labels > 0, label, NEVER))


def _moved(x: Tensor, places: int, fill: float) -> Tensor:
    """The last axis moved to the right."""
    return torch.cat([x.new_full((len(x), places), fill), x], 1)[:, : x.shape[1]]
