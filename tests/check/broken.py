"""For each claim of the conformance suite, a small method that breaks it and no other."""

from __future__ import annotations

import itertools
import os
import random
import threading
import types
from typing import Annotated, Any

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import BaseModel, Field, field_serializer
from torch import Tensor, nn

from kdbench import BuildContext, Method, MethodError, Needs, Search, Step

BROKEN: dict[str, list[type[Method]]] = {}
"""Name of the claim → methods that break it."""


def breaks(claim: str) -> Any:
    """Register a method under the claim that it breaks."""

    def register(cls: type[Method]) -> type[Method]:
        BROKEN.setdefault(claim, []).append(cls)
        return cls

    return register


class Sound(Method):
    """Cross-entropy alone: keeps the whole contract."""

    family = "logit"

    def loss(self, step: Step) -> dict[str, Tensor]:
        return {"ce": F.cross_entropy(step.student.logits.float(), step.targets)}


class SoundKD(Sound):
    """Adds a teacher."""

    needs = Needs(teachers=1)

    def loss(self, step: Step) -> dict[str, Tensor]:
        kd = F.mse_loss(step.student.logits.float().softmax(1), step.teacher.logits.float().softmax(1))
        return super().loss(step) | {"kd": kd}


@breaks("defaults_make_an_instance")
class NoDefault(Sound):
    """A parameter without a default."""

    class Params(Method.Params):
        temperature: float


@breaks("defaults_make_an_instance")
class InfiniteDefault(Sound):
    """A default that JSON cannot hold."""

    class Params(Method.Params):
        limit: float = float("inf")


@breaks("ranges_hold_the_defaults")
class DefaultOutsideItsRange(Sound):
    """A default that tuning would never draw."""

    class Params(Method.Params):
        weight: Annotated[float, Search.log(1, 100)] = 1000.0


@breaks("ranges_hold_the_defaults")
class RangeOutsideItsBounds(Sound):
    """A range whose end the parameter refuses."""

    class Params(Method.Params):
        share: Annotated[float, Field(le=1.0), Search.linear(0, 2)] = 0.5


@breaks("defaults_make_an_instance")
class LosesPrecision(Sound):
    """A parameter that JSON gives back as another."""

    class Params(Method.Params):
        scale: float = 0.123456789

        @field_serializer("scale")
        def short(self, value: float) -> float:
            return round(value, 3)


@breaks("defaults_make_an_instance")
class NeedsAName(Sound):
    """Needs of the wrong type."""

    needs = "teacher"


@breaks("builds")
class RefusesEverything(Sound):
    """Not even the ordinary pair is good enough."""

    def build(self, context: BuildContext) -> None:
        raise MethodError("not for you")


@breaks("reads_only_what_it_declares")
class ReadsFeatures(Sound):
    """Reads the student's features without asking."""

    def loss(self, step: Step) -> dict[str, Tensor]:
        return super().loss(step) | {"norm": step.student.features[-1].float().pow(2).mean()}


@breaks("reads_only_what_it_declares")
class ReadsTeacher(Sound):
    """Reads a teacher that it did not ask for."""

    def loss(self, step: Step) -> dict[str, Tensor]:
        return super().loss(step) | {"kd": F.mse_loss(step.student.logits, step.teacher.logits)}


@breaks("reads_only_what_it_declares")
class ReadsIndicesLater(Sound):
    """Reads indices, in the second epoch only."""

    def loss(self, step: Step) -> dict[str, Tensor]:
        return super().loss(step) | ({"zero": step.indices.sum() * 0.0} if step.epoch else {})


@breaks("terms_are_finite_scalars")
class PerSample(Sound):
    """Forgets to average."""

    def loss(self, step: Step) -> dict[str, Tensor]:
        return {"ce": F.cross_entropy(step.student.logits, step.targets, reduction="none")}


@breaks("terms_are_finite_scalars")
class Single(Sound):
    """Returns a tensor instead of named terms."""

    def loss(self, step: Step) -> dict[str, Tensor]:
        return F.cross_entropy(step.student.logits, step.targets)  # type: ignore[return-value]


@breaks("terms_are_finite_scalars")
class Empty(Sound):
    """Returns no terms."""

    def loss(self, step: Step) -> dict[str, Tensor]:
        return {}


@breaks("terms_are_finite_scalars")
class NotANumberLater(Sound):
    """Divides by zero in the second epoch."""

    def loss(self, step: Step) -> dict[str, Tensor]:
        return {"ce": super().loss(step)["ce"] / (1 - step.epoch)}


@breaks("terms_are_finite_scalars")
class Double(Sound):
    """Returns float64."""

    def loss(self, step: Step) -> dict[str, Tensor]:
        return {"ce": super().loss(step)["ce"].double()}


@breaks("terms_are_finite_scalars")
class ViewsInputs(Sound):
    """Takes inputs for contiguous, which they are not where a recipe asks for channels-last."""

    def loss(self, step: Step) -> dict[str, Tensor]:
        energy = step.inputs.view(len(step.targets), -1).pow(2).mean()  # type: ignore[union-attr]
        return super().loss(step) | {"energy": energy}


@breaks("says_what_it_is")
class Undocumented(Sound):
    def loss(self, step: Step) -> dict[str, Tensor]:
        return super().loss(step)


@breaks("says_what_it_is")
class Shouting(Sound):
    """A name that no suite would spell right."""

    name = "My Method!"


@breaks("says_what_it_is")
class Homeless(Method):
    """No family."""

    def loss(self, step: Step) -> dict[str, Tensor]:
        return Sound.loss(self, step)  # type: ignore[arg-type]


@breaks("parameters_are_strict")
class Lax(Sound):
    """Accepts parameters that do not exist."""

    class Params(BaseModel):
        alpha: float = 0.5

        model_config = {"frozen": True, "extra": "ignore"}


@breaks("parameters_are_strict")
class Soft(Sound):
    """Lets parameters be changed after the check."""

    class Params(BaseModel):
        alpha: float = 0.5

        model_config = {"extra": "forbid"}


@breaks("works_or_refuses")
class TokensUnthoughtOf(Sound):
    """Takes all features for maps."""

    needs = Needs(student_features=(-1,))

    def loss(self, step: Step) -> dict[str, Tensor]:
        return super().loss(step) | {"norm": step.student.features[-1].float().mean(dim=(2, 3)).pow(2).mean()}


@breaks("works_or_refuses")
class RefusesInSilence(Sound):
    """Refuses without a sentence."""

    needs = Needs(student_features="all")

    def build(self, context: BuildContext) -> None:
        if len(context.student.features) < 2:
            raise MethodError("")

    def loss(self, step: Step) -> dict[str, Tensor]:
        return super().loss(step) | {"norm": step.student.features[0].float().pow(2).mean()}


@breaks("takes_more_teachers")
class JustTwo(Sound):
    """Says that it takes more teachers than it unpacks."""

    needs = Needs(teachers=2, more_teachers=True)

    def loss(self, step: Step) -> dict[str, Tensor]:
        one, two = step.teachers
        target = (one.logits + two.logits).float().softmax(1)
        return super().loss(step) | {"kd": F.mse_loss(step.student.logits.float().softmax(1), target)}


@breaks("gradient_reaches_the_student")
class Detached(Sound):
    """Trains nothing."""

    def loss(self, step: Step) -> dict[str, Tensor]:
        return {"ce": super().loss(step)["ce"].detach()}


@breaks("gradient_reaches_the_student")
class TrainsItself(Sound):
    """Trains a parameter of its own, and not the student."""

    def build(self, context: BuildContext) -> None:
        self.scale = nn.Parameter(torch.ones(()))

    def loss(self, step: Step) -> dict[str, Tensor]:
        return {"ce": F.cross_entropy(self.scale * step.student.logits.detach().float(), step.targets)}


@breaks("all_parameters_learn")
class IdleLayer(Sound):
    """Makes a layer, and forgets it."""

    def build(self, context: BuildContext) -> None:
        self.adapter = nn.Linear(4, 4)


@breaks("half_precision_outputs")
class HalfHearted(SoundKD):
    """Computes in whatever precision comes."""

    def loss(self, step: Step) -> dict[str, Tensor]:
        return {"kd": F.mse_loss(step.student.logits.softmax(1), step.teacher.logits.softmax(1)).to(step.student.logits.dtype)}


@breaks("half_precision_outputs")
class OwnKernel(Sound):
    """Calls what knows no bfloat16."""

    def loss(self, step: Step) -> dict[str, Tensor]:
        return super().loss(step) | {"norm": 1e-9 * step.student.logits.square().sum().detach().numpy().item() * torch.ones(())}


@breaks("any_batch_size")
class EvenBatches(Sound):
    """Cuts the batch in halves and assumes that they match."""

    def loss(self, step: Step) -> dict[str, Tensor]:
        z = step.student.logits.float()
        half = (len(z) + 1) // 2
        return super().loss(step) | {
            "pairs": F.mse_loss(z[:half].softmax(1) - z[half:].softmax(1), torch.zeros(half, z.shape[1]))
        }


@breaks("any_number_of_classes")
class FewClasses(Sound):
    """Refuses many classes."""

    def build(self, context: BuildContext) -> None:
        if context.num_classes > 20:
            raise MethodError("too many classes")


@breaks("any_number_of_classes")
class TopFive(Sound):
    """Assumes five classes at least."""

    def loss(self, step: Step) -> dict[str, Tensor]:
        return super().loss(step) | {"top": step.student.logits.float().softmax(1).topk(5).values.std()}


@breaks("sure_networks")
class LogOfSoftmax(SoundKD):
    """The logarithm of a softmax that underflows."""

    def loss(self, step: Step) -> dict[str, Tensor]:
        p, q = step.student.logits.float().softmax(1), step.teacher.logits.float().softmax(1)
        return {"kd": (q * (q.log() - p.log())).sum(1).mean()}


@breaks("equal_samples")
class RootOfZero(Sound):
    """A root whose gradient is infinite at 0."""

    def loss(self, step: Step) -> dict[str, Tensor]:
        z = step.student.logits.float()
        distance = (z[0] - z[1]).pow(2).sum().sqrt()
        return super().loss(step) | {"distance": distance}


@breaks("deploys_a_classifier")
class DeploysNothing(Sound):
    """Forgets to return the network."""

    def deploy(self, student: nn.Module) -> nn.Module:
        return None  # type: ignore[return-value]


@breaks("deploys_a_classifier")
class DeploysAStranger(Sound):
    """Deploys a network that does not take the inputs."""

    def deploy(self, student: nn.Module) -> nn.Module:
        return nn.Sequential(nn.Linear(7, 7), student)


@breaks("deploys_a_classifier")
class DeploysProbabilitiesOfTwo(Sound):
    """Deploys a network with another number of outputs."""

    def deploy(self, student: nn.Module) -> nn.Module:
        return nn.Sequential(student, nn.Linear(10, 2))


@breaks("leaves_shared_tensors_alone")
class ChangesTeacher(SoundKD):
    """Softens the teacher's logits in place."""

    def loss(self, step: Step) -> dict[str, Tensor]:
        step.teacher.logits.div_(4.0)
        return super().loss(step)


@breaks("leaves_shared_tensors_alone")
class ChangesTargetsBehindTheCounter(Sound):
    """Changes targets in a way that autograd does not count."""

    def loss(self, step: Step) -> dict[str, Tensor]:
        step.targets.data.zero_()
        return super().loss(step)


@breaks("leaves_shared_tensors_alone")
class WantsGradients(SoundKD):
    """Makes the teacher's outputs require a gradient."""

    def loss(self, step: Step) -> dict[str, Tensor]:
        step.teacher.logits.requires_grad_()
        return super().loss(step)


@breaks("leaves_shared_tensors_alone")
class KeepsTheTeachers(SoundKD):
    """Keeps the teacher's tensor as its own buffer."""

    def build(self, context: BuildContext) -> None:
        self.register_buffer("last", torch.zeros(10, context.num_classes))

    def loss(self, step: Step) -> dict[str, Tensor]:
        terms = super().loss(step)
        self.last = step.teacher.logits if len(step.targets) == 10 else self.last
        return terms


@breaks("repeats_itself")
class CountsInstances(Sound):
    """Depends on what was made before."""

    made = itertools.count()

    def build(self, context: BuildContext) -> None:
        self.factor = 1.0 + next(self.made)

    def loss(self, step: Step) -> dict[str, Tensor]:
        return {"ce": self.factor * super().loss(step)["ce"]}


@breaks("draws_from_torch_only")
class PythonsDice(Sound):
    """Python's random numbers."""

    def loss(self, step: Step) -> dict[str, Tensor]:
        return {"ce": (1.0 + random.random()) * super().loss(step)["ce"]}


@breaks("draws_from_torch_only")
class NumpysDice(Sound):
    """numpy's random numbers."""

    def loss(self, step: Step) -> dict[str, Tensor]:
        return {"ce": (1.0 + np.random.rand()) * super().loss(step)["ce"]}


@breaks("draws_from_torch_only")
class SeedsInLoss(Sound):
    """Seeds torch's generator in each step."""

    def loss(self, step: Step) -> dict[str, Tensor]:
        torch.manual_seed(0)
        return {"ce": (1.0 + torch.rand(())) * super().loss(step)["ce"]}


@breaks("draws_from_torch_only")
class SeedsInBuild(Sound):
    """Seeds torch's generator in build."""

    def build(self, context: BuildContext) -> None:
        torch.manual_seed(0)


@breaks("goes_on_after_an_interruption")
class Forgets(Sound):
    """Counts steps outside of its state."""

    steps = 0

    def loss(self, step: Step) -> dict[str, Tensor]:
        self.steps += 1
        return {"ce": self.steps * super().loss(step)["ce"]}


@breaks("goes_on_after_an_interruption")
class DrawsAndForgets(Sound):
    """Random weights of the classes that are not a buffer."""

    def build(self, context: BuildContext) -> None:
        self.weights = torch.rand(context.num_classes)

    def loss(self, step: Step) -> dict[str, Tensor]:
        return super().loss(step) | {"weighted": (step.student.logits.float() * self.weights).sigmoid().mean()}


@breaks("goes_on_after_an_interruption")
class Grows(Sound):
    """A buffer that a new instance has no room for."""

    def build(self, context: BuildContext) -> None:
        self.register_buffer("seen", torch.zeros(0))

    def loss(self, step: Step) -> dict[str, Tensor]:
        self.seen = torch.cat([self.seen, torch.ones(1)])
        return super().loss(step)


@breaks("state_can_be_stored")
class ExtraState(Sound):
    """State that no safetensors file can hold."""

    def get_extra_state(self) -> dict[str, int]:
        return {"steps": 1}

    def set_extra_state(self, state: Any) -> None:
        pass


@breaks("is_the_same_in_company")
class RemembersOnTheClass(Sound):
    """Works a scale out once for each step, for all instances."""

    scales: dict[float, Tensor] = {}

    def build(self, context: BuildContext) -> None:
        self.scales.clear()

    def loss(self, step: Step) -> dict[str, Tensor]:
        scale = self.scales.setdefault(step.progress, step.student.logits.detach().float().std())
        return {"ce": (1.0 + scale) * super().loss(step)["ce"]}


@breaks("owns_no_network_of_others")
class OwnsStudent(Sound):
    """Makes the student its own."""

    def deploy(self, student: nn.Module) -> nn.Module:
        self.student = student
        return student


class CountsSamples(Sound):
    """Takes every unit for a sample."""

    def loss(self, step: Step) -> dict[str, Tensor]:
        return {
            "ce": F.cross_entropy(step.student.logits.float(), step.targets, reduction="sum") / len(step.inputs),
            "size": (
                step.student.logits.float().sum(1) - step.inputs.flatten(1).sum(1)  # type: ignore[union-attr]
            )
            .pow(2)
            .mean(),
        }


class RefusesUnits(Sound):
    """Refuses units that are not samples."""

    def loss(self, step: Step) -> dict[str, Tensor]:
        if step.mask is not None:
            raise MethodError("it takes whole samples only")
        return super().loss(step)


def warned() -> type[Method]:
    """A method that asks for more than it reads: a warning, and no failure."""

    def body(namespace: dict[str, Any]) -> None:
        namespace.update(__doc__="Asks for everything.", needs=Needs(teachers=1, student_embedding=True, indices=True))

    return types.new_class("Greedy", (Sound,), exec_body=body)


@breaks("raises_ordinary_exceptions")
class Exits(Sound):
    """Ends the process."""

    def loss(self, step: Step) -> dict[str, Tensor]:
        raise SystemExit(0)


@breaks("raises_ordinary_exceptions")
class ExitsEarly(Sound):
    """Ends the process before anything trains."""

    def __init__(self, params: BaseModel | None = None) -> None:
        raise GeneratorExit


@breaks("leaves_settings_alone")
class TurnsGradientsOff(Sound):
    """Leaves gradients off in the last epoch only."""

    def loss(self, step: Step) -> dict[str, Tensor]:
        terms = super().loss(step)
        torch.set_grad_enabled(step.epoch == 0)
        return terms


@breaks("leaves_settings_alone")
class SetsThreads(Sound):
    """Sets the number of threads."""

    def build(self, context: BuildContext) -> None:
        torch.set_num_threads(torch.get_num_threads() + 1)


@breaks("leaves_settings_alone")
class SetsVariables(Sound):
    """Changes the environment."""

    def loss(self, step: Step) -> dict[str, Tensor]:
        os.environ["KDBENCH_TEST"] = "1"
        return super().loss(step)


@breaks("leaves_settings_alone")
class LeavesThread(Sound):
    """Leaves a thread running."""

    def build(self, context: BuildContext) -> None:
        threading.Thread(target=threading.Event().wait, args=(5.0,), daemon=True).start()


@breaks("leaves_labels_alone")
class ChangesLabels(Sound):
    """Changes the labels that everybody trains on."""

    def build(self, context: BuildContext) -> None:
        context.labels.numpy()[:3] = 0


@breaks("state_can_be_stored")
class SparseBuffer(Sound):
    """Keeps a sparse buffer."""

    def build(self, context: BuildContext) -> None:
        self.register_buffer("matrix", torch.eye(3).to_sparse())


@breaks("leaves_shared_tensors_alone")
class ChangesWithoutVersion(SoundKD):
    """Changes what it shares behind the back of the version counter."""

    def loss(self, step: Step) -> dict[str, Tensor]:
        terms = super().loss(step)
        step.teacher.logits.detach().numpy()[0, 0] += 1
        return terms


@breaks("leaves_shared_tensors_alone")
class ReplacesData(SoundKD):
    """Puts other data into a shared tensor."""

    def loss(self, step: Step) -> dict[str, Tensor]:
        terms = super().loss(step)
        step.targets.data = step.targets.flip(0)
        return terms
