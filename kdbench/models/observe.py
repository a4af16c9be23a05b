"""Logits, features and embedding of any network, without rewriting it.

Networks with timm's interface (``forward_intermediates``, ``forward_head``, ``feature_info``) are observed
through it. In other networks, forward hooks observe the modules named in ``feature_info``, or the direct
children if there is no such list.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from kdbench.data.inputs import Inputs
from kdbench.errors import KdbenchError, did_you_mean
from kdbench.method import Outputs, Shapes, Stages, pick_stages
from kdbench.models.call import call, placed, shape_text
from kdbench.models.taps import Tap, as_tensor, run_until, tapped


class Observer:
    """Runs a network and returns the requested outputs, computing nothing else.

    Args:
        model: the network; its mode, parameters and hooks do not change.
        logits: whether to return logits. They equal ``model(x)`` to the bit, in training and in evaluation
            mode.
        features: stages to return. Without logits and embedding the network runs no deeper than the deepest
            of them.
        embedding: whether to return the classifier's input.
        modules: names of modules whose outputs to return as well; they follow the stages in
            ``Outputs.features``, in this order. ``"layer1.0.bn2"`` is a module's output,
            ``"layer1.0.act2:in"`` its input: the values before an activation, before anything changed them in
            place.

    Raises:
        KdbenchError: the network has none of the requested stages, or a module does not exist.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        logits: bool = True,
        features: Stages = (),
        embedding: bool = False,
        modules: Sequence[str] = (),
    ) -> None:
        self._model = model
        self._logits = logits
        self._embedding = embedding
        self._wants_features = bool(features) or bool(modules)
        self._stages = _pick(model, features)
        names = tuple(modules)
        if self._stages and not _has_timm_interface(model):
            names = tuple(_stage_names(model)[i] for i in self._stages) + names
            self._stages = ()
        self._watched = tuple((name, *_find(model, name)) for name in names)
        self._classifier = _classifier(model) if embedding else None

    def __call__(self, x: Inputs) -> Outputs:
        """Run the network on a batch.

        Raises:
            KdbenchError: the network returns something other than tensors, or an observed module did not run.
        """
        with ExitStack() as stack:
            taps = [stack.enter_context(tapped(module, before)) for _, module, before in self._watched]
            head = stack.enter_context(tapped(self._classifier, before=True)) if self._classifier is not None else None
            logits, features = self._run(x, taps)
        features += [tap.value(f'module "{name}"') for tap, (name, *_) in zip(taps, self._watched, strict=True)]
        return Outputs(
            as_tensor(logits, "logits") if self._logits else None,
            tuple(_as_map(f) for f in features) if self._wants_features else None,
            None if head is None else head.value("the classifier"),
        )

    def _run(self, x: Inputs, taps: list[Tap]) -> tuple[Any, list[Tensor]]:
        model: Any = self._model
        whole = self._logits or self._embedding
        if not whole and not self._wants_features:
            return None, []
        if not self._stages:
            if whole:
                return call(model, x), []
            run_until(model, x, taps)
            return None, []
        indices = list(self._stages)
        if whole or taps:
            last, features = model.forward_intermediates(x, indices=indices)
            return model.forward_head(last), list(features)
        return None, list(model.forward_intermediates(x, indices=indices, stop_early=True, intermediates_only=True))


def shapes(
    model: nn.Module,
    example: Inputs,
    features: Stages = (),
    embedding: bool = False,
    modules: Sequence[str] = (),
) -> Shapes:
    """Find the shapes of a network's outputs for one sample, by running an example.

    The network's mode, its running statistics and the random generators do not change.

    Args:
        model: the network.
        example: inputs of one sample, from the task.
        features: stages to include.
        embedding: whether to include the classifier's input.
        modules: modules to include, as in :class:`Observer`.

    Raises:
        KdbenchError: the network has none of the stages, or cannot take such inputs.
    """
    if features == () and not modules and not embedding:
        return Shapes()
    observer = Observer(model, logits=False, features=features, embedding=embedding, modules=modules)
    with undisturbed(model):
        try:
            outputs = observer(placed(example, model))
        except KdbenchError:
            raise
        except Exception as error:
            message = str(error).strip().partition("\n")[0] or type(error).__name__
            raise KdbenchError(
                f"{type(model).__name__} cannot take inputs of shape {shape_text(example)} ({message}); "
                "choose another model, or other kwargs for it"
            ) from error
    return Shapes(
        tuple(tuple(f.shape[1:]) for f in outputs.features) if observer._wants_features else (),
        outputs.embedding.shape[-1] if embedding else 0,
    )


def num_stages(model: nn.Module, example: Inputs) -> int:
    """Count the feature stages of a network by running an example.

    Args:
        model: the network.
        example: inputs of one sample, from the task.
    """
    return len(shapes(model, example, features="all").features) if _count(model) else 0


@contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """Enter evaluation mode, without gradients or autocast.

    Afterwards the modes and the random generators are restored.
    """
    modes = {module: module.training for module in model.modules()}
    devices = {p.device for p in model.parameters() if p.device.type == "cuda"}
    model.eval()
    try:
        with ExitStack() as stack:
            stack.enter_context(torch.random.fork_rng(list(devices)))
            stack.enter_context(torch.no_grad())
            for kind in ("cpu", "cuda"):
                stack.enter_context(torch.autocast(kind, enabled=False))
            yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def _has_timm_interface(model: nn.Module) -> bool:
    return all(hasattr(model, name) for name in ("forward_intermediates", "forward_head", "feature_info"))


def _count(model: nn.Module) -> int:
    return len(model.feature_info) if _has_timm_interface(model) else len(_stage_names(model))  # type: ignore[arg-type]


def _pick(model: nn.Module, stages: Stages) -> tuple[int, ...]:
    """Return indices from 0, ascending; stages that the network lacks are dropped."""
    if stages == ():
        return ()
    count = _count(model)
    found = pick_stages(stages, count)
    if not found:
        asked = "all" if stages == "all" else ", ".join(map(str, stages))
        raise KdbenchError(
            f"{type(model).__name__} has {count} feature stages and none of those requested ({asked}); choose a method "
            "that needs no features, or give the model a feature_info that names its stages"
        )
    return found


def _stage_names(model: nn.Module) -> tuple[str, ...]:
    """List the modules whose outputs are features.

    They are those of ``feature_info``, or else the direct children with parameters, without the classifier.
    """
    info = getattr(model, "feature_info", None)
    if info:
        return tuple(str(stage["module"]) for stage in info)
    children: list[tuple[str, nn.Module]] = []
    for name, child in model.named_children():
        if isinstance(child, nn.ModuleList | nn.ModuleDict):  # these are never called; their children are
            children.extend((f"{name}.{inner}", module) for inner, module in child.named_children())
        else:
            children.append((name, child))
    return tuple(name for name, child in children if next(child.parameters(), None) is not None)[:-1]


def _find(model: nn.Module, name: str) -> tuple[nn.Module, bool]:
    """Find a module by name, and whether its input is meant."""
    path, _, side = name.partition(":")
    modules = dict(model.named_modules())
    if side not in ("", "in") or path not in modules:
        raise KdbenchError(f'{type(model).__name__} has no module "{name}"{did_you_mean(path, modules)}')
    return modules[path], side == "in"


def _classifier(model: nn.Module) -> nn.Module:
    """Find the module whose input is the embedding.

    It is the result of ``get_classifier``, or else the last linear layer.
    """
    found = model.get_classifier() if hasattr(model, "get_classifier") else None  # type: ignore[operator]
    if isinstance(found, tuple | list):  # distilled networks have a head for the labels and one for the teacher
        found = found[0]
    if isinstance(found, nn.ModuleList):  # a head for each stage
        found = found[-1]
    if not isinstance(found, nn.Module):
        found = next((m for m in reversed(list(model.modules())) if isinstance(m, nn.Linear)), None)
    if found is None:
        raise KdbenchError(
            f"{type(model).__name__} has no embedding: give it a method get_classifier() that returns its classifier"
        )
    return found


def _as_map(x: Tensor) -> Tensor:
    """Reshape an MLP's features N×C, which have no grid and no tokens, to N×C×1×1."""
    return x[:, :, None, None] if x.dim() == 2 else x
