"""The conformance suite: does a method keep the contract of :class:`kdbench.Method`?

``kdbench check my_method.py`` runs it. In an author's own tests::

    from kdbench.check import CLAIMS

    @pytest.mark.parametrize("claim", CLAIMS, ids=lambda c: c.__name__)
    def test_contract(claim):
        claim(MyMethod)

Everything runs on small made-up networks, in a second or so; no data and no timm model is needed.
"""

from kdbench.check.claim import Broken, Claim, Finding
from kdbench.check.runner import CLAIMS, check_method

__all__ = ["CLAIMS", "Broken", "Claim", "Finding", "check_method"]
