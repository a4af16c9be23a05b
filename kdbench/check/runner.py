"""All claims, and testing of a method against them."""

from __future__ import annotations

from collections.abc import Iterator

from kdbench.check import conduct, declaration, loss, state
from kdbench.check.claim import Broken, Claim, Finding, describe_error, sentence
from kdbench.method import Method
from kdbench.method.guard import is_users_interrupt

BASIC: tuple[Claim, ...] = (
    conduct.raises_ordinary_exceptions,
    conduct.leaves_settings_alone,
    declaration.defaults_make_an_instance,
    conduct.leaves_labels_alone,
    conduct.state_can_be_stored,
    declaration.builds,
    state.leaves_shared_tensors_alone,
    declaration.reads_only_what_it_declares,
    loss.terms_are_finite_scalars,
)
"""Claims that the others build on: if one of them fails, testing stops."""

CLAIMS: tuple[Claim, ...] = (
    *BASIC,
    declaration.says_what_it_is,
    declaration.parameters_are_strict,
    declaration.ranges_hold_the_defaults,
    declaration.declares_only_what_it_reads,
    declaration.works_or_refuses,
    declaration.takes_units,
    declaration.takes_more_teachers,
    loss.gradient_reaches_the_student,
    loss.all_parameters_learn,
    loss.half_precision_outputs,
    loss.any_batch_size,
    loss.any_number_of_classes,
    loss.sure_networks,
    loss.equal_samples,
    loss.deploys_a_classifier,
    state.repeats_itself,
    state.draws_from_torch_only,
    state.goes_on_after_an_interruption,
    state.is_the_same_in_company,
    state.owns_no_network_of_others,
)
"""All claims about a method, in the order of testing."""


def check_method(cls: type[Method]) -> list[Finding]:
    """Return what :func:`findings_of` yields."""
    return list(findings_of(cls))


def findings_of(cls: type[Method]) -> Iterator[Finding]:
    """Test every claim about a method, with its default parameters.

    Args:
        cls: the method.

    Yields:
        A finding for each claim, in the order of :data:`CLAIMS`. They end with the first claim of
        :data:`BASIC` that fails.
    """
    for claim in CLAIMS:
        finding = _test(claim, cls)
        yield finding
        if claim in BASIC and not finding.passed:
            return


def _test(claim: Claim, cls: type[Method]) -> Finding:
    try:
        return Finding(sentence(claim), True, claim(cls))
    except Broken as error:
        return Finding(sentence(claim), False, str(error))
    except BaseException as error:
        if is_users_interrupt(error):
            raise
        return Finding(sentence(claim), False, f"it fails: {describe_error(error)}")
