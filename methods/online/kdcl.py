"""Knowledge distillation by collaborative learning (KDCL).

Source: Guo et al. 2020, CVPR, pp. 11020-11029. The student and peers of its own architecture learn the labels
and one common soft target, made of all their logits::

    L = Σ_i CE(y, p_i) + λ·T²·KL(t at T ‖ p_i at T)

with the target's logits t constant and, of the networks' logits z_i for a sample with label y, one of

- ``naive``: those of the network with the lowest cross-entropy (the paper's KDCL-Naive),
- ``linear``: their convex combination with the lowest cross-entropy (KDCL-Linear; a convex problem for each
  sample),
- ``min_logit``: with each z_i shifted so that its entry y is 0, the minimum over i of each entry
  (KDCL-MinLogit),
- ``mean``: their mean (not in the paper; what simple re-implementations use).

The default is ``min_logit``: it needs no solver, and its target is never worse on the label than the best
network's. The paper's KDCL-General is left out: it sets weights by the networks' errors on held-out data
after each epoch, and a method sees training batches only. In the paper each network gets an augmentation of
its own; here all see the same batch, and differ by their initial weights. No code of the authors was found.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from kdbench import BuildContext, Method, NonNegativeFloat, PositiveFloat, PositiveInt, Search, Step, full_precision

cross_entropy = full_precision(F.cross_entropy)

Ensemble = Literal["naive", "linear", "min_logit", "mean"]

BISECTIONS = 30
"""Halvings of an interval in [0, 1]: beyond the precision of float32."""

SWEEPS = 8
"""Passes over all pairs of networks; two networks need a single pass."""


@full_precision
@torch.no_grad()
def ensemble_logits(logits: Sequence[Tensor], targets: Tensor, ensemble: Ensemble) -> Tensor:
    """Logits of the common soft target, N×C, without gradients.

    Args:
        logits: of each network, N×C.
        targets: classes, int64, N.
        ensemble: how they are combined.
    """
    z = torch.stack(list(logits))
    if ensemble == "mean":
        return z.mean(dim=0)
    if ensemble == "naive":
        best = torch.stack([F.cross_entropy(each, targets, reduction="none") for each in z]).argmin(dim=0)
        return z[best, torch.arange(len(targets), device=z.device)]
    label = targets[None, :, None].expand(len(z), -1, 1)
    shifted = z - z.gather(2, label)  # the same probabilities, with 0 at the label
    if ensemble == "min_logit":
        return shifted.amin(dim=0)
    return (_simplex_weights(shifted)[..., None] * shifted).sum(dim=0)


def _simplex_weights(shifted: Tensor) -> Tensor:
    """Convex weights K×N that minimize each sample's cross-entropy of Σ_k w_k z_k.

    With the label's entries at 0 the cross-entropy is logsumexp(Σ_k w_k z_k). It is convex; along a pair of
    networks its slope is a mean of differences of logits under the softmax, whose zero bisection finds.
    Passes over all pairs lead to the optimum.
    """
    count = len(shifted)
    weights = shifted.new_full((count, shifted.shape[1]), 1.0 / count)
    for _ in range(1 if count == 2 else SWEEPS):
        for i, j in combinations(range(count), 2):
            total = weights[i] + weights[j]
            rest = (
                (weights[..., None] * shifted).sum(dim=0) - weights[i, :, None] * shifted[i] - weights[j, :, None] * shifted[j]
            )
            low, high = torch.zeros_like(total), total
            for _ in range(BISECTIONS):
                middle = (low + high) / 2
                mixed = rest + middle[:, None] * shifted[i] + (total - middle)[:, None] * shifted[j]
                slope = (torch.softmax(mixed, dim=1) * (shifted[i] - shifted[j])).sum(dim=1)
                low, high = torch.where(slope < 0, middle, low), torch.where(slope < 0, high, middle)
            best = (low + high) / 2
            weights = weights.clone()
            weights[i], weights[j] = best, total - best
    return weights


@full_precision
def kdcl_loss(logits: Tensor, target: Tensor, temperature: float) -> Tensor:
    """T²·KL(target ‖ network), mean over samples.

    Args:
        logits: of the network that learns, N×C.
        target: logits of the common soft target, N×C.
        temperature: T.
    """
    log_p = F.log_softmax(logits / temperature, dim=1)
    log_t = F.log_softmax(target.detach() / temperature, dim=1)
    return temperature**2 * F.kl_div(log_p, log_t, reduction="batchmean", log_target=True)


class KDCL(Method):
    """Collaborative learning of student and peers from an ensemble (Guo et al. 2020).

    Defaults: two networks, as in the paper's pairs; T 2 and λ 1, which could not be checked against published
    code.
    """

    name = "kdcl"
    family = "online"

    class Params(Method.Params):
        """Hyper-parameters of KDCL.

        Args:
            peers: number of networks beside the student.
            ensemble: how the soft target is made: ``naive``, ``linear``, ``min_logit`` or ``mean``.
            temperature: T.
            kd_weight: λ.
        """

        peers: Annotated[PositiveInt, Field(le=64)] = 1
        ensemble: Ensemble = "min_logit"
        temperature: Annotated[PositiveFloat, Search.log(1, 10)] = 2.0
        kd_weight: Annotated[NonNegativeFloat, Search.log(0.1, 10)] = 1.0

    def build(self, context: BuildContext) -> None:
        """Create the peers."""
        self.peers = nn.ModuleList(context.new_student() for _ in range(self.params.peers))

    def loss(self, step: Step) -> dict[str, Tensor]:
        """Cross-entropy and divergence from the common target, for student and peers."""
        p = self.params
        logits = [step.student.logits, *(step.run(peer) for peer in self.peers)]
        target = ensemble_logits(logits, step.targets, p.ensemble)
        ce = [cross_entropy(z, step.targets) for z in logits]
        kd = [p.kd_weight * kdcl_loss(z, target, p.temperature) for z in logits]
        return {
            "ce": ce[0],
            "kd": kd[0],
            "peers_ce": torch.stack(ce[1:]).sum(),
            "peers_kd": torch.stack(kd[1:]).sum(),
        }
