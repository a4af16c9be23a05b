"""Creating networks: by plugins' factories, or else by timm."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import timm
import torch
from torch import nn

from kdbench.errors import KdbenchError, cut, did_you_mean
from kdbench.method.guard import Guard, described, name_of, text_of
from kdbench.models.hub import hub_model, hub_weights, is_hub_name
from kdbench.models.limits import RESERVED, bounded, check_spec
from kdbench.models.stem import use_small_stem
from kdbench.models.weights import load_weights, require_pretrained
from kdbench.suite.schema import ModelSpec

Factory = Callable[..., nn.Module]
NO_FACTORIES: Mapping[str, Factory] = MappingProxyType({})


def model_names(factories: Mapping[str, Factory] = NO_FACTORIES) -> list[str]:
    """List the names of all models, timm's and plugins', sorted."""
    return sorted({*timm.list_models(), *factories})


def create_model(
    spec: ModelSpec,
    *,
    arguments: Mapping[str, Any],
    seed: int | None = None,
    factories: Mapping[str, Factory] = NO_FACTORIES,
) -> nn.Module:
    """Create the network that a suite describes, on the CPU, in training mode.

    Networks with a fixed image size get ``img_size`` from ``arguments``, unless the kwargs set it. A
    transformer whose patches do not divide the image pads it (28 pixels to 32 for patches of 16), if timm
    supports that.

    Args:
        spec: name, kwargs, stem and weights.
        arguments: the task's arguments for every factory: ``num_classes``, and for images ``in_chans`` and
            ``img_size`` (height, width), which is passed only to networks that accept it.
        seed: seed of the initial weights; the global generators do not change. Without a seed the weights are
            drawn from the global generators.
        factories: models of plugins by name; they take precedence over timm's.

    Raises:
        KdbenchError: the name is unknown, the kwargs do not fit, the network has no stem to replace, or its
            weights are not available.
    """
    check_spec(spec, arguments, factories)
    factory = _factory(spec, factories)
    given = dict(arguments)
    image_size = given.pop("img_size", None)

    def make(**size: Any) -> nn.Module:
        with _drawn_from(seed), bounded():
            try:
                with Guard().calling(f'model "{spec.model}"', "its factory", passing=(Exception,)):
                    model = factory(**given, **{**spec.kwargs, **size})
            except KdbenchError as error:
                raise KdbenchError(f'model "{spec.model}": {text_of(error)}') from error
            if not isinstance(model, nn.Module):
                raise KdbenchError(f'model "{spec.model}": its factory must return an nn.Module, not {described(model)}')
            if spec.stem == "small":
                use_small_stem(model, spec.model)
        return model

    try:
        model = _make_for_size(make, spec, factory, image_size)
    except KdbenchError:
        raise
    except Exception as error:
        raise _explained(error, spec, factory, arguments) from error
    if spec.weights not in ("scratch", "pretrained"):
        load_weights(model, spec.weights, spec.model)
    return model.train()


def _factory(spec: ModelSpec, factories: Mapping[str, Factory]) -> Factory:
    name, pretrained = spec.model, spec.weights == "pretrained"
    if name in factories:
        if pretrained:
            raise KdbenchError(f'there are no pretrained weights for "{name}"; give weights: the path of a safetensors file')
        return factories[name]
    if is_hub_name(name):
        return _from_hub(spec)
    if not timm.is_model(name):
        raise KdbenchError(f'unknown model "{name}"{did_you_mean(name.lower(), model_names(factories))}')
    if pretrained:
        require_pretrained(name)

    def from_timm(img_size: Any = None, **kwargs: Any) -> nn.Module:  # timm drops arguments that are None
        return timm.create_model(name, pretrained=pretrained, img_size=img_size, **kwargs)  # type: ignore[no-any-return]

    return from_timm


def _from_hub(spec: ModelSpec) -> Factory:
    """Return the factory of a model of the hub."""
    known = hub_model(spec.model)
    check_spec(ModelSpec(model=known.architecture, kwargs=dict(known.kwargs)))
    config = dict(known.config)
    if spec.weights == "pretrained":
        config["file"] = str(hub_weights(spec.model))

    def create(img_size: Any = None, **kwargs: Any) -> nn.Module:
        return timm.create_model(  # type: ignore[no-any-return]
            known.architecture,
            pretrained="file" in config,
            pretrained_cfg=config,
            img_size=img_size,
            **{**known.kwargs, **kwargs},
        )

    return create


def _make_for_size(make: Factory, spec: ModelSpec, factory: Factory, size: tuple[int, int] | None) -> nn.Module:
    if size is None or "img_size" in spec.kwargs:
        return make()
    try:
        model = make(img_size=size) if "img_size" in inspect.signature(factory).parameters else make()
    except TypeError as error:
        if "img_size" not in _unexpected(error):
            raise
        model = make()
    patch = _patch_size(model)
    if not any(side % p for side, p in zip(size, patch, strict=True)):
        return model
    padded = tuple(-(-side // p) * p for side, p in zip(size, patch, strict=True))
    try:
        return make(img_size=padded, dynamic_img_size=True, dynamic_img_pad=True)
    except TypeError as error:
        raise KdbenchError(
            f'model "{spec.model}" cuts images into patches of {patch[0]}×{patch[1]} pixels, which do not divide {size[0]}×{size[1]}; '
            "give it another patch_size in kwargs"
        ) from error


def _patch_size(model: nn.Module) -> tuple[int, int]:
    """Return height and width of a transformer's patches; 1×1 for other networks."""
    embed = getattr(model, "patch_embed", None)
    size = getattr(embed, "patch_size", None) if getattr(embed, "img_size", None) is not None else None
    return (size[0], size[1]) if isinstance(size, tuple) and len(size) == 2 else (1, 1)


@contextmanager
def _drawn_from(seed: int | None) -> Iterator[None]:
    if seed is None:
        yield
        return
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would touch the GPUs' generators too
        yield


def _unexpected(error: Exception) -> list[str]:
    """Return the arguments that a TypeError of Python's or of timm's calls unexpected."""
    found = re.search(r"unexpected keyword argument(?:\(s\))?:? \[?((?:'\w+'(?:, )?)+)", text_of(error))
    return re.findall(r"'(\w+)'", found[1]) if found and isinstance(error, TypeError) else []


def _explained(error: Exception, spec: ModelSpec, factory: Factory, arguments: Mapping[str, Any]) -> KdbenchError:
    """Explain in one sentence why a network could not be created."""
    unexpected = next(iter(_unexpected(error)), None)
    wanted = [name for name in arguments if name != "img_size"]
    if unexpected in wanted:
        return KdbenchError(f'the factory of model "{spec.model}" must accept {" and ".join(wanted)}, but rejects {unexpected}')
    if unexpected is not None:
        return KdbenchError(
            f'model "{spec.model}" takes no argument "{unexpected}"{did_you_mean(unexpected, _arguments(error, factory))}'
        )
    message = text_of(error) or name_of(error)
    if spec.weights == "pretrained":
        return KdbenchError(
            f'the pretrained weights of "{spec.model}" are not available ({message}); without internet access, write '
            "weights: the path of a safetensors file"
        )
    kwargs = f" with kwargs {cut(str(spec.kwargs))}" if spec.kwargs else ""
    return KdbenchError(f'model "{spec.model}" cannot be created{kwargs} for {_inputs(arguments)}: {message}')


def _inputs(arguments: Mapping[str, Any]) -> str:
    """Describe the inputs that the network was to be created for."""
    if "in_chans" in arguments and "img_size" in arguments:
        return f"inputs of shape {'×'.join(map(str, (arguments['in_chans'], *arguments['img_size'])))}"
    return ", ".join(f"{name} = {value}" for name, value in arguments.items())


def _arguments(error: Exception, factory: Factory) -> list[str]:
    """List the arguments accepted by the class or function that rejected one.

    The error's text and frames say which class or function that is.
    """
    named = re.match(r"(\w+)(?:\.__init__)?\(\)", text_of(error))
    candidates: list[Any] = [factory]
    trace = error.__traceback__
    while trace is not None and named is not None:
        candidates.extend(v for k, v in {**trace.tb_frame.f_globals, **trace.tb_frame.f_locals}.items() if k == named[1])
        candidates.extend(v for v in trace.tb_frame.f_locals.values() if getattr(v, "__name__", None) == named[1])
        trace = trace.tb_next
    names = {
        n for c in candidates if callable(c) for n, p in inspect.signature(c).parameters.items() if p.kind != p.VAR_KEYWORD
    }
    return sorted(names - RESERVED.keys() - {"self"})
