"""Claims about what a method declares."""

from __future__ import annotations

import json
import re

from pydantic import BaseModel, ValidationError

from kdbench.check.claim import Broken, claim, describe_error
from kdbench.check.harness import Harness
from kdbench.check.member import Undeclared
from kdbench.check.networks import OTHERS, TOKENS
from kdbench.errors import KdbenchError
from kdbench.method import Method, Needs
from kdbench.method.guard import PluginFailed
from kdbench.method.params import plain_data
from kdbench.method.search import search_space, value_at
from kdbench.seeding import canonical_json


@claim
def defaults_make_an_instance(cls: type[Method]) -> None:
    """It can be created without arguments, and its parameters survive JSON."""
    try:
        method = cls()
        plain = plain_data(method.params)
        again = cls.Params(**json.loads(canonical_json(plain)))
    except Exception as error:
        raise Broken(f"give every parameter a default that JSON can hold: {describe_error(error)}") from error
    if again != method.params or plain_data(again) != plain:
        raise Broken(f"parameters {method.params!r} come back from JSON as {again!r}")
    if not isinstance(method.needs, Needs):
        raise Broken(f"needs is {method.needs!r}: make it a kdbench.Needs")


@claim
def parameters_are_strict(cls: type[Method]) -> None:
    """Its parameters are frozen and refuse unknown names."""
    params = cls().params
    if not isinstance(params, BaseModel):
        raise Broken("Params must be a pydantic model: derive it from Method.Params")
    try:
        cls.Params(**{"no_such_parameter": 1})
    except ValidationError:
        pass
    else:
        raise Broken('an unknown parameter is accepted: derive Params from Method.Params, and leave extra="forbid" alone')
    if not type(params).model_config.get("frozen"):
        raise Broken("parameters can be changed after they were checked: leave frozen=True alone")


@claim
def ranges_hold_the_defaults(cls: type[Method]) -> None:
    """Its search ranges hold its defaults, and its parameters take their ends."""
    defaults = cls().params.model_dump(mode="json")
    for name, search in search_space(cls.Params).items():
        if not search.holds(defaults[name]):
            raise Broken(f"the default of {name}, {defaults[name]!r}, lies outside its search range, {search}")
        for share in (0.0, 1.0 - 1e-9):
            value = value_at(cls.Params, name, search, share)
            try:
                cls(cls.Params(**{name: value}))
            except Exception as error:
                raise Broken(
                    f"{name} does not take {value!r} of its search range, {search}: {describe_error(error)}"
                ) from error


@claim
def says_what_it_is(cls: type[Method]) -> None:
    """It has a name, a family and a docstring of its own."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", cls.name):
        raise Broken(f'the name "{cls.name}" must be lower-case letters, digits and underscores, beginning with a letter')
    if not any("family" in base.__dict__ for base in cls.__mro__ if base is not Method):
        raise Broken(
            'it has no family: set family = "logit", "feature", "attention", "relation", "self", "online", "multi_teacher" '
            "or another"
        )
    if not (cls.__doc__ or "").strip():
        raise Broken("it has no docstring, whose first line listings and reports show")


@claim
def builds(cls: type[Method]) -> None:
    """It builds for two ordinary convolutional networks."""
    try:
        Harness(cls)
    except Exception as error:
        raise Broken(f"build(context) fails: {describe_error(error)}") from error


@claim
def reads_only_what_it_declares(cls: type[Method]) -> None:
    """It reads only what its Needs declare."""
    try:
        Harness(cls).train()
    except Undeclared as error:
        raise Broken(str(error)) from error
    except Exception:
        return  # errors are tested by another claim


@claim
def declares_only_what_it_reads(cls: type[Method]) -> str:
    """It reads everything that it declares (a warning: the rest is computed in vain)."""
    harness = Harness(cls)
    harness.train()
    needs = harness.member.needs
    declared = {
        "teacher_logits": needs.teachers > 0 and needs.teacher_logits,
        "teacher_features": needs.teachers > 0 and needs.teacher_features != (),
        "teacher_embedding": needs.teachers > 0 and needs.teacher_embedding,
        "student_features": needs.student_features != (),
        "student_embedding": needs.student_embedding,
        "indices": needs.indices,
        "past_logits": needs.past_logits,
    }
    unread = [name for name, asked in declared.items() if asked and name not in harness.member.read]
    return f"warning: it never reads {', '.join(unread)}; leave them out of its Needs" if unread else ""


@claim
def works_or_refuses(cls: type[Method]) -> str:
    """It works for other feature shapes, or raises a MethodError that says why not."""
    refused = []
    for geometry in OTHERS:
        try:
            Harness(cls, geometry, epochs=1).train()
        except Undeclared as error:
            raise Broken(f"for {geometry.name} {error}") from error
        except Exception as error:
            if not _refuses(error):
                raise Broken(
                    f"for {geometry.name} it fails: {describe_error(error)}; raise a MethodError where it cannot work"
                ) from error
            if not str(error).strip():
                raise Broken(f"for {geometry.name} it raises a MethodError without a message") from error
            refused.append(geometry.name)
    return f"it refuses {'; '.join(refused)}" if refused else ""


@claim
def takes_units(cls: type[Method]) -> str:
    """It works for units that are not whole samples, such as tokens (a warning).

    Logits are M×C then, of M units. Methods that read features, past logits or indices are not tested.
    """
    needs: Needs = cls().needs
    reads_samples = needs.past_logits or needs.indices or needs.sampler != "shuffle"
    if reads_samples or needs.student_features != () or (needs.teachers and needs.teacher_features != ()):
        return ""
    try:
        Harness(cls, TOKENS, epochs=1).train()
    except Exception as error:
        if _refuses(error):
            return f"it refuses {TOKENS.name}: {describe_error(error)}"
        return f"warning: for {TOKENS.name} it fails: {describe_error(error)}; raise a MethodError if it cannot work there"
    return ""


@claim
def takes_more_teachers(cls: type[Method]) -> None:
    """If it declares more_teachers, it works with one more than it needs."""
    needs: Needs = cls().needs
    if not needs.more_teachers:
        return
    try:
        Harness(cls, more_teachers=1, epochs=1).train()
    except Exception as error:
        raise Broken(f"with {needs.teachers + 1} teachers it fails: {describe_error(error)}") from error


def _refuses(error: Exception) -> bool:
    """Whether an error is a refusal: a MethodError, or that of a missing stage."""
    return isinstance(error, KdbenchError) and not isinstance(error, PluginFailed)
