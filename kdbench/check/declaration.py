"""Claims about what a method says of itself."""

from __future__ import annotations

import json
import re

from pydantic import BaseModel, ValidationError

from kdbench.check import fake
from kdbench.check.claim import Broken, claim, told
from kdbench.check.rig import EPOCHS, STEPS_PER_EPOCH, Rig
from kdbench.errors import MethodError
from kdbench.method import Method, Needs
from kdbench.seeding import canonical_json


@claim
def defaults_make_an_instance(cls: type[Method]) -> None:
    """It can be made without arguments, and its parameters survive JSON."""
    try:
        method = cls()
        plain = method.params.model_dump(mode="json")
        again = cls.Params(**json.loads(canonical_json(plain)))
    except Exception as error:
        raise Broken(f"give every parameter a default that JSON can hold: {told(error)}") from error
    if again != method.params or again.model_dump(mode="json") != plain:
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
def says_what_it_is(cls: type[Method]) -> None:
    """It has a name, a family and a docstring of its own."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", cls.name):
        raise Broken(f'the name "{cls.name}" is no lower-case word of letters, digits and underscores')
    if not any("family" in base.__dict__ for base in cls.__mro__ if base is not Method):
        raise Broken(
            'no family: set family = "logit", "feature", "attention", "relation", "self", "online", "multi_teacher" or another'
        )
    if not (cls.__doc__ or "").strip():
        raise Broken("no docstring: its first line is what listings and reports show")


@claim
def builds(cls: type[Method]) -> None:
    """It builds for two ordinary convolutional networks."""
    try:
        Rig(cls)
    except Exception as error:
        raise Broken(f"build(context) fails: {told(error)}") from error


@claim
def reads_only_what_it_declares(cls: type[Method]) -> None:
    """It reads only what its Needs declare."""
    rig = Rig(cls)
    for number in (0, STEPS_PER_EPOCH):
        try:
            rig.method.loss(rig.step(number))
        except fake.Undeclared as error:
            raise Broken(str(error)) from error
        except Exception:  # noqa: S112 - another claim is about errors
            continue


@claim
def declares_only_what_it_reads(cls: type[Method]) -> str:
    """It declares only what it reads (a warning: the rest is computed in vain)."""
    rig = Rig(cls)
    for number in range(EPOCHS * STEPS_PER_EPOCH):
        rig.terms(rig.step(number))
    needs = rig.needs
    declared = {
        "teacher_logits": needs.teachers > 0 and needs.teacher_logits,
        "teacher_features": needs.teachers > 0 and needs.teacher_features != (),
        "teacher_embedding": needs.teachers > 0 and needs.teacher_embedding,
        "student_features": needs.student_features != (),
        "student_embedding": needs.student_embedding,
        "indices": needs.indices,
        "past_logits": needs.past_logits,
    }
    vain = [name for name, asked in declared.items() if asked and name not in rig.read]
    return f"warning: it never reads {', '.join(vain)}; leave them out of its Needs" if vain else ""


@claim
def works_or_refuses(cls: type[Method]) -> str:
    """For other shapes of features it works, or refuses with a MethodError that says why."""
    refused = []
    for geometry in fake.OTHERS:
        try:
            rig = Rig(cls, geometry)
            rig.backward(rig.step())
        except MethodError as error:
            if not str(error).strip():
                raise Broken(f"for {geometry.name} it raises a MethodError without a message") from error
            refused.append(geometry.name)
        except Exception as error:
            raise Broken(f"for {geometry.name} it fails: {told(error)}; raise a MethodError where it cannot work") from error
    return f"it refuses {'; '.join(refused)}" if refused else ""


@claim
def takes_more_teachers(cls: type[Method]) -> None:
    """Where it declares more_teachers, it takes one more than it needs."""
    if not cls().needs.more_teachers:
        return
    try:
        rig = Rig(cls, more=1)
        rig.backward(rig.step())
    except Exception as error:
        raise Broken(f"with {rig_size(cls) + 1} teachers it fails: {told(error)}") from error


def rig_size(cls: type[Method]) -> int:
    """Number of teachers that a method needs."""
    needs: Needs = cls().needs
    return needs.teachers
