"""Conformance tests of the contract of :class:`kdbench.Method`.

``kdbench check my_method.py`` runs them. In the tests of a plugin::

    from kdbench.check import CLAIMS

    @pytest.mark.parametrize("claim", CLAIMS, ids=lambda c: c.__name__)
    def test_contract(claim):
        claim(MyMethod)

Everything runs on small synthetic networks, in about a second, without data sets or timm models.
"""

from kdbench.check.claim import Broken, Claim, Finding
from kdbench.check.runner import CLAIMS, check_method

__all__ = ["CLAIMS", "Broken", "Claim", "Finding", "check_method"]
