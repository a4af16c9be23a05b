"""What an architecture costs, whoever trained it: parameters, multiply-accumulates, size, memory of activations."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from safetensors.torch import save
from torch import Tensor, UntypedStorage, nn

from kdbench.data.inputs import Inputs, tensors
from kdbench.errors import KdbenchError
from kdbench.models.call import call, placed, positional, shape_text
from kdbench.models.observe import undisturbed
from kdbench.results.record import Profile
from kdbench.tasks.interface import Interface


def profile(
    model: nn.Module,
    *,
    name: str,
    interface: Interface,
    id: str,
    batch_size: int = 1,
) -> Profile:
    """Measure the cost of a network; its mode, gradients, buffers and the random generators stay as they are.

    Args:
        model: the network.
        name: what people call it.
        interface: what it takes and gives.
        id: of the profile.
        batch_size: samples in the passes that are counted; MACs are given per sample, activations for the whole batch.

    Raises:
        KdbenchError: the network cannot take such inputs.
    """
    inputs = placed(interface.example(batch_size), model)
    macs, uncounted = count_macs(model, inputs)
    return Profile(
        id=id,
        model=name,
        inputs=interface.spec,
        num_classes=interface.num_classes,
        parameters=sum(p.numel() for p in model.parameters()),
        trainable_parameters=sum(p.numel() for p in model.parameters() if p.requires_grad),
        buffers=sum(b.numel() for b in model.buffers()),
        macs=macs,
        uncounted=uncounted,
        size_mb=len(serialise(model)) / 1e6,
        activation_mb=activation_bytes(model, inputs) / 1e6,
        activation_batch=batch_size,
    )


def count_macs(model: nn.Module, inputs: Inputs) -> tuple[int, dict[str, int]]:
    """Multiply-accumulates of one forward pass in evaluation mode per sample, by fvcore, and the operators it did not count.

    fvcore's "flop" is one multiply-accumulate of a convolution, linear layer or matrix product; to these it adds its estimates for
    normalisation, pooling to a given size, and interpolation (elementwise operators are not counted).

    Args:
        model: the network.
        inputs: a batch, where the network is.

    Returns:
        MACs, and operator → number of calls that were not counted.
    """
    with undisturbed(model), _silence():
        from fvcore.nn import FlopCountAnalysis  # slow, and warns, when first imported

        analysis = FlopCountAnalysis(*positional(model, inputs))
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
        try:
            total = analysis.total()
        except Exception as error:
            said = str(error).strip().partition("\n")[0] or type(error).__name__
            raise KdbenchError(
                f"{type(model).__name__} cannot be run on an input of shape {shape_text(inputs)} to count MACs: {said}"
            ) from error
        uncounted = {str(operator): int(calls) for operator, calls in sorted(analysis.unsupported_ops().items())}
    return round(total / _size(inputs)), uncounted


def activation_bytes(model: nn.Module, inputs: Inputs) -> int:
    """Memory of the activations that training keeps: what autograd saves in a forward pass for the backward pass.

    It is measured by hooks over saved tensors (``torch.autograd.graph.saved_tensors_hooks``), in evaluation mode and the network's own
    precision: each storage counts once and whole, the batch of inputs where a layer keeps it, parameters and buffers not at all.

    Args:
        model: the network; frozen parameters make it keep less.
        inputs: a batch, where the network is.

    Returns:
        Bytes, of the whole batch.
    """
    own = {t.untyped_storage().data_ptr() for t in (*model.parameters(), *model.buffers())}
    kept: dict[int, UntypedStorage] = {}  # held until the end, so that no address is used twice

    def keep(tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage

    def never(_: object) -> Tensor:
        raise AssertionError("there is no backward pass")

    with undisturbed(model), torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(keep, never):
        call(model, inputs)
    return sum(storage.nbytes() for storage in kept.values())


def _size(inputs: Inputs) -> int:
    return len(next(iter(tensors(inputs).values())))


def serialise(model: nn.Module) -> bytes:
    """The network's state as a safetensors file; tensors that share their memory are kept once."""
    seen: set[tuple[int, int, torch.Size]] = set()
    state: dict[str, Tensor] = {}
    for key, tensor in model.state_dict().items():
        memory = (tensor.untyped_storage().data_ptr(), tensor.storage_offset(), tensor.shape)
        if tensor.numel() and memory in seen:
            continue
        seen.add(memory)
        state[key] = tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
    return save(state)


@contextmanager
def _silence() -> Iterator[None]:
    """Keep fvcore's and the tracer's warnings from the screen: the profile names what was not counted."""
    logger = logging.getLogger("fvcore.nn.jit_analysis")
    disabled = logger.disabled
    logger.disabled = True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.disabled = disabled
