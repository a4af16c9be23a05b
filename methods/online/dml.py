"""Deep mutual learning (DML).

Source: Zhang, Xiang, Hospedales, Lu 2018, CVPR, arXiv:1706.00384. The student learns together with peers of
its own architecture and other initial weights; each learns the labels and the others'
predictions, at temperature 1::

    L_k = CE(y, p_k) + 1/(K − 1)·Σ_{l≠k} KL(p_l ‖ p_k)

with p_l constant in L_k. All L_k are added up and minimised together. The paper's algorithm and the
authors' code (YingZhangDUT/Deep-Mutual-Learning, ``train_models.py``) update the networks one after the
other, each on the others' newest predictions; that code also draws a new batch for each network. Here they
learn at once, on one batch. That code sums over l without the factor 1/(K − 1), which is the paper's. It
makes no difference for two networks, the default; for more the paper is followed, so that peers do not
outweigh the labels.

The peers see the same batch and augmentation as the student, in float32. Only the student is evaluated and
kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from kdbench import BuildContext, Method, PositiveInt, Step, full_precision

cross_entropy = full_precision(F.cross_entropy)


@full_precision
def mutual_loss(logits: Tensor, others: Sequence[Tensor]) -> Tensor:
    """1/(K − 1)·Σ_l KL(p_l ‖ p), mean over samples; no gradient reaches the others.

    Args:
        logits: of the network that learns, N×C.
        others: logits of the other K − 1 networks, N×C.
    """
    log_p = F.log_softmax(logits, dim=1)
    each = [F.kl_div(log_p, F.log_softmax(z.detach(), dim=1), reduction="batchmean", log_target=True) for z in others]
    return torch.stack(each).mean()


class DML(Method):
    """Deep mutual learning of student and peers (Zhang et al. 2018, arXiv:1706.00384).

    Default: one peer, as in the paper's comparisons of pairs.
    """

    name = "dml"
    family = "online"

    class Params(Method.Params):
        """Hyper-parameters of DML.

        Args:
            peers: number of networks beside the student, K − 1.
        """

        peers: Annotated[PositiveInt, Field(le=64)] = 1

    def build(self, context: BuildContext) -> None:
        """Create the peers."""
        self.peers = nn.ModuleList(context.new_student() for _ in range(self.params.peers))

    def loss(self, step: Step) -> dict[str, Tensor]:
        """Cross-entropy and mutual divergence of the student, and sums over the peers."""
        logits = [step.student.logits, *(step.run(peer) for peer in self.peers)]
        ce = [cross_entropy(z, step.targets) for z in logits]
        mutual = [mutual_loss(z, [*logits[:k], *logits[k + 1 :]]) for k, z in enumerate(logits)]
        return {
            "ce": ce[0],
            "mutual": mutual[0],
            "peers_ce": torch.stack(ce[1:]).sum(),
            "peers_mutual": torch.stack(mutual[1:]).sum(),
        }
