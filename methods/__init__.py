"""kdbench's built-in methods, a plugin like any other.

It is found through the entry-point group ``kdbench``.
"""

from __future__ import annotations

from collections.abc import Iterable

from kdbench_methods.adversarial.adversarial import Adversarial
from kdbench_methods.attention.at import AT
from kdbench_methods.feature.fitnets import FitNets
from kdbench_methods.feature.vid import VID
from kdbench_methods.logit.dist import DIST
from kdbench_methods.logit.dkd import DKD
from kdbench_methods.logit.kd import KD
from kdbench_methods.logit.supervised import Supervised
from kdbench_methods.multi_teacher.ca_mkd import CaMKD
from kdbench_methods.multi_teacher.mean_teachers import MeanTeachers
from kdbench_methods.online.dml import DML
from kdbench_methods.online.kdcl import KDCL
from kdbench_methods.relation.pkt import PKT
from kdbench_methods.relation.rkd import RKD
from kdbench_methods.relation.sp import SP
from kdbench_methods.self_distillation.born_again import BornAgain
from kdbench_methods.self_distillation.byot import Byot
from kdbench_methods.self_distillation.cs_kd import CsKD
from kdbench_methods.self_distillation.ps_kd import PsKD
from kdbench_methods.self_distillation.tf_kd import TfKD

from kdbench import Method, hookimpl

METHODS: list[type[Method]] = [
    Supervised,
    KD,
    DKD,
    DIST,
    FitNets,
    VID,
    AT,
    RKD,
    SP,
    PKT,
    Adversarial,
    TfKD,
    Byot,
    BornAgain,
    CsKD,
    PsKD,
    MeanTeachers,
    CaMKD,
    DML,
    KDCL,
]
"""Every built-in method, grouped by family."""


@hookimpl
def kdbench_methods() -> Iterable[type[Method]]:
    """Every built-in method."""
    return METHODS
