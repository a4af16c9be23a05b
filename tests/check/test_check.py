"""The conformance suite: sound methods pass, each breach is found, and is found by its claim alone."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from kdbench import Method
from kdbench.check import CLAIMS, Broken, Claim, Finding, check_method
from kdbench.check.claim import sentence
from tests.check.broken import BROKEN, CountsSamples, RefusesUnits, Sound, SoundKD, warned

BREACHES = [(claim, cls) for claim, classes in BROKEN.items() for cls in classes]
NAMES = {c.__name__: c for c in CLAIMS}


def built_in() -> list[type[Method]]:
    from kdbench_methods import METHODS

    return METHODS


def failed(findings: list[Finding]) -> dict[str, str]:
    return {f.claim: f.detail for f in findings if not f.passed}


@pytest.mark.parametrize("cls", built_in(), ids=lambda c: c.name)
def test_every_built_in_method_keeps_the_contract(cls: type[Method]) -> None:
    findings = check_method(cls)
    assert failed(findings) == {}
    assert [f.claim for f in findings] == [sentence(c) for c in CLAIMS]
    assert not any("warning" in f.detail for f in findings)


@pytest.mark.parametrize("cls", [Sound, SoundKD])
def test_a_sound_method_passes_without_remarks(cls: type[Method]) -> None:
    assert all(f.passed and not f.detail for f in check_method(cls))


@pytest.mark.parametrize(("claim", "cls"), BREACHES, ids=[f"{c}-{m.__name__}" for c, m in BREACHES])
def test_a_breach_is_found_by_its_claim_alone(claim: str, cls: type[Method]) -> None:
    found = failed(check_method(cls))
    assert list(found) == [sentence(NAMES[claim])], found
    assert all(found.values())


def test_every_claim_has_a_method_that_breaks_it() -> None:
    only_warns = {"declares_only_what_it_reads", "takes_units"}
    assert set(NAMES) - only_warns == set(BROKEN)


def test_units_that_a_method_takes_for_samples_are_a_warning() -> None:
    findings = check_method(CountsSamples)
    assert failed(findings) == {}
    (remark,) = [f.detail for f in findings if f.detail]
    assert remark.startswith("warning: for samples of many units it fails: RuntimeError: The size of tensor")


def test_a_method_may_refuse_units_that_are_not_samples() -> None:
    findings = check_method(RefusesUnits)
    assert [f.detail for f in findings if f.detail] == ["it refuses samples of many units: it takes whole samples only"]


def test_what_is_asked_for_in_vain_is_a_warning() -> None:
    findings = check_method(warned())
    assert failed(findings) == {}
    (remark,) = [f.detail for f in findings if f.detail]
    assert remark == "warning: it never reads teacher_logits, student_embedding, indices; leave them out of its Needs"


def test_a_claim_can_be_called_alone_as_in_an_authors_own_tests() -> None:
    claim = NAMES["gradient_reaches_the_student"]
    assert claim(Sound) == ""
    with pytest.raises(Broken, match="no parameter of the student gets a gradient"):
        claim(BROKEN["gradient_reaches_the_student"][0])


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda c: c.__name__)
def test_a_claim_says_what_it_claims_in_one_line(claim: Claim) -> None:
    assert 10 < len(sentence(claim)) < 110
    assert not sentence(claim).endswith(".")


def test_checking_leaves_random_numbers_as_they_were() -> None:
    before = torch.get_rng_state(), random.getstate(), repr(np.random.get_state())
    for cls in (Sound, *BROKEN["draws_from_torch_only"]):
        check_method(cls)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (random.getstate(), repr(np.random.get_state())) == before[1:]


def test_a_claim_that_trips_over_a_method_is_a_finding_and_no_traceback() -> None:
    class Explodes(Sound):
        """Fails in a place that no claim looks at."""

        def state_dict(self, *args: object, **kwargs: object) -> dict[str, object]:
            raise OSError("no state today")

    found = failed(check_method(Explodes))
    assert found
    assert all(detail.endswith("fails: OSError: no state today") for detail in found.values())
