"""A suite cannot make timm load or execute anything, nor make a network of any size."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from kdbench.errors import KdbenchError
from kdbench.models import limits
from kdbench.models.factory import create_model
from kdbench.models.limits import check_spec
from kdbench.suite.schema import ModelSpec
from tests.support.images import arguments


class Touch:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("key", ["pretrained_cfg", "pretrained_cfg_overlay"])
def test_a_pickle_in_the_configuration_of_pretrained_weights_is_not_read(key: str, tmp_path: Path) -> None:
    (tmp_path / "evil.pth").write_bytes(pickle.dumps(Touch(tmp_path / "canary")))
    spec = ModelSpec(model="resnet18", kwargs={key: {"file": str(tmp_path / "evil.pth")}})
    with pytest.raises(KdbenchError, match=f'must not hold "{key}": write weights: '):
        create_model(spec, arguments=arguments())
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize("key", sorted({**limits.RESERVED, **limits.RESERVED_BY_TIMM}))
def test_reserved_arguments_are_refused_with_what_to_do_instead(key: str) -> None:
    with pytest.raises(KdbenchError, match=rf'kwargs of model "resnet18" must not hold "{key}": \w+ .*'):
        check_spec(ModelSpec(model="resnet18", kwargs={key: "x"}))


def test_a_plugin_s_model_may_have_arguments_that_timm_s_may_not() -> None:
    spec = ModelSpec(model="mine", kwargs={"source": "x"})
    check_spec(spec, factories={"mine": nn.Identity})
    with pytest.raises(KdbenchError, match="checkpoint_path"):
        check_spec(ModelSpec(model="mine", kwargs={"checkpoint_path": "x"}), factories={"mine": nn.Identity})


@pytest.mark.parametrize(
    "name",
    ["hf-hub:resnet18", "hf-hub:../x", "hf_hub:timm/x", "local-dir:model", "./model", "timm/resnet18", "resnet18.x:y", "a\\b"],
)
def test_a_model_is_a_name_and_not_a_place(name: str) -> None:
    for weights in ("scratch", "pretrained"):
        with pytest.raises(KdbenchError, match="is not the name of a model"):
            create_model(ModelSpec(model=name, weights=weights), arguments=arguments())


def test_numbers_beyond_any_network_are_refused() -> None:
    with pytest.raises(KdbenchError, match=r'kwargs of model "tiny_cnn" hold the number 1,000,000,000'):
        create_model(ModelSpec(model="tiny_cnn", kwargs={"width": 10**9}), arguments=arguments())


def test_a_network_that_does_not_fit_in_memory_is_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    class Memory:
        available = 40_000

    monkeypatch.setattr(limits.psutil, "virtual_memory", Memory)
    assert create_model(ModelSpec(model="tiny_cnn", kwargs={"width": 4}), arguments=arguments())
    with pytest.raises(KdbenchError, match="this machine's memory"):
        create_model(ModelSpec(model="mnist_mlp"), arguments=arguments())


def test_a_network_of_too_many_layers_is_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_MODULES", 10)
    with pytest.raises(KdbenchError, match="more than 10 layers"):
        create_model(ModelSpec(model="resnet18"), arguments=arguments())
    nn.Sequential(*[nn.Identity() for _ in range(20)])  # no hook is left
