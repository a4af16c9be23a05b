"""Costs of an architecture: parameters, MACs, size and activation memory."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from safetensors.torch import save
from torch import Tensor, UntypedStorage, nn

from kdbench.data.inputs import Inputs, tensors
from kdbench.errors import KdbenchError
from kdbench.models.call import call, placed, positional, shape_text
from kdbench.models.observe import undisturbed
from kdbench.results.record import Counter, Profile
from kdbench.tasks.interface import Interface

PRODUCTS = frozenset({"conv", "linear", "matmul", "bmm", "baddbmm", "addmm", "einsum", "mm", "mv", "dot"})
"""fvcore's names of operators that are products.

torch counts these too; the others are fvcore's estimates.
"""


def profile(
    model: nn.Module,
    *,
    name: str,
    interface: Interface,
    id: str,
    batch_size: int = 1,
) -> Profile:
    """Measure the cost of a network.

    The network's mode, gradients and buffers and the random generators do not change.

    Args:
        model: the network.
        name: its name in reports.
        interface: its inputs and classes.
        id: id of the profile.
        batch_size: samples per measured pass; MACs are per sample, activations for the whole batch.

    Raises:
        KdbenchError: the network cannot take such inputs.
    """
    inputs = placed(interface.example(batch_size), model)
    macs = count_macs(model, inputs)
    return Profile(
        id=id,
        model=name,
        inputs=interface.spec,
        num_classes=interface.num_classes,
        parameters=sum(p.numel() for p in model.parameters()),
        trainable_parameters=sum(p.numel() for p in model.parameters() if p.requires_grad),
        buffers=sum(b.numel() for b in model.buffers()),
        macs=macs.per_sample,
        counter=macs.counter,
        uncounted=macs.uncounted,
        size_mb=len(serialize(model)) / 1e6,
        activation_mb=activation_bytes(model, inputs) / 1e6,
        activation_batch=batch_size,
    )


@dataclass(frozen=True)
class Macs:
    """The multiply-accumulates of a network.

    Args:
        per_sample: of one forward pass, per sample.
        counter: who counted: ``fvcore``, or ``torch`` if fvcore missed some products.
        uncounted: operator → calls that fvcore did not count; empty if torch counted.
    """

    per_sample: int
    counter: Counter
    uncounted: dict[str, int]


def count_macs(model: nn.Module, inputs: Inputs) -> Macs:
    """Count the multiply-accumulates of a forward pass in evaluation mode.

    fvcore counts first. Its "flop" is one multiply-accumulate of a convolution, linear layer or matrix
    product; it adds estimates for normalization, pooling to a given size, and interpolation (elementwise
    operators are not counted). It traces the network, and does not know every operator: attention, recurrent
    layers and convolutions with ``padding="same"`` are among those that it misses.
    ``torch.utils.flop_counter``, which sees every product as it is computed, checks it. If it finds more
    products, its count is used: half its FLOPs, without those estimates.

    Args:
        model: the network.
        inputs: a batch, on the network's device.

    Raises:
        KdbenchError: the network cannot take such inputs.
    """
    total, estimates, uncounted = _by_fvcore(model, inputs)
    products = _by_torch(model, inputs)
    if products > total - estimates:
        return Macs(round(products / _size(inputs)), "torch", {})
    return Macs(round(total / _size(inputs)), "fvcore", uncounted)


def _by_fvcore(model: nn.Module, inputs: Inputs) -> tuple[int, int, dict[str, int]]:
    """Count by fvcore.

    Returns:
        All that it counts, the estimates in that, and operator → calls that were not counted.
    """
    with undisturbed(model), _silence():
        from fvcore.nn import FlopCountAnalysis  # slow, and warns, when first imported

        analysis = FlopCountAnalysis(*positional(model, inputs))
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
        try:
            by_operator = analysis.by_operator()
        except Exception as error:
            message = str(error).strip().partition("\n")[0] or type(error).__name__
            raise KdbenchError(
                f"{type(model).__name__} cannot be run on an input of shape {shape_text(inputs)} to count MACs: {message}"
            ) from error
        uncounted = {str(operator): int(calls) for operator, calls in sorted(analysis.unsupported_ops().items())}
    estimates = sum(count for operator, count in by_operator.items() if operator not in PRODUCTS)
    return sum(by_operator.values()), estimates, uncounted


def _by_torch(model: nn.Module, inputs: Inputs) -> int:
    """Count the products that torch computes.

    It computes one operator at a time, because fused kernels would hide theirs from the counter.
    """
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with (
            undisturbed(model),
            _silence(),
            torch.no_grad(),
            FlopCounterMode(display=False) as counter,
            sdpa_kernel(SDPBackend.MATH),
            torch.backends.mkldnn.flags(enabled=False),
        ):
            call(model, inputs)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    return int(counter.get_total_flops()) // 2


def activation_bytes(model: nn.Module, inputs: Inputs) -> int:
    """Measure the activation memory: what autograd saves for the backward pass.

    It is measured by hooks on saved tensors (``torch.autograd.graph.saved_tensors_hooks``), in evaluation
    mode and in the network's own precision. Each storage counts once and in full, the inputs included if a
    layer saves them; parameters and buffers do not count.

    Args:
        model: the network; frozen parameters reduce what is saved.
        inputs: a batch, on the network's device.

    Returns:
        Bytes, of the whole batch.
    """
    own = {t.untyped_storage().data_ptr() for t in (*model.parameters(), *model.buffers())}
    kept: dict[int, UntypedStorage] = {}  # held until the end, so that no address is reused

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


def serialize(model: nn.Module) -> bytes:
    """Serialize a network's state as safetensors; shared tensors are stored once."""
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
    """Suppress warnings of fvcore and the tracer.

    The profile lists the operators that were not counted.
    """
    logger = logging.getLogger("fvcore.nn.jit_analysis")
    disabled = logger.disabled
    logger.disabled = True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.disabled = disabled
