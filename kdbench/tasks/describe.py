"""How users of a trained network have to present its inputs, as plain data."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from kdbench.errors import PluginError
from kdbench.method.guard import Guard
from kdbench.tasks.task import InputSpec, Task


def describe_inputs(
    task: Task,
    spec: InputSpec,
    preprocessing: Mapping[str, Any] | None,
    statistics: Mapping[str, Tensor],
    class_names: Sequence[str],
    preparation: Mapping[str, Any],
) -> dict[str, Any]:
    """Return what turns a file into an input of a trained network.

    The keys are those of timm's ``pretrained_cfg``. For images these are ``input_size`` (channels, height,
    width), ``mean``, ``std``, ``interpolation``, ``crop_mode`` and ``crop_pct``. Names of classes are left
    out.

    Args:
        task: the task.
        spec: description of the network's inputs.
        preprocessing: preprocessing of its inputs; ``None`` for that of the data.
        statistics: the task's statistics of the training data.
        class_names: a name per class.
        preparation: how the data set made samples of files (see :class:`kdbench.data.types.RawData`).

    Raises:
        PluginError: a plugin's task describes them by something else than plain data.
    """
    with Guard().calling(f'task "{task.name}"', "network_config()"):
        config = task.network_config(spec, preprocessing, statistics, class_names)
    own = {key: value for key, value in config.items() if key not in ("num_classes", "label_names")}
    cut_out = dict(preparation)
    if dict(preprocessing or {}).get("size"):  # the network resizes what the data set has cut out
        cut_out.pop("interpolation", None)
    try:
        plain: dict[str, Any] = json.loads(json.dumps(own | cut_out, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise PluginError(f'task "{task.name}": network_config() must return plain data ({error})') from error
    return plain
