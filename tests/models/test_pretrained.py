"""What is random in a network that starts with weights; and models of the Hugging Face hub, without a network."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import timm
import torch
from safetensors.torch import save_file

from kdbench.errors import KdbenchError
from kdbench.models import hub
from kdbench.models.factory import create_model
from kdbench.models.pretrained import pretrained_config, untrained_part
from kdbench.suite.schema import ModelSpec
from tests.support.images import arguments
from tests.support.small import prepared, write_suite

NAME = "hf-hub:somebody/net"


@pytest.mark.parametrize(
    ("spec", "classes", "words"),
    [
        ({"model": "resnet18"}, 1000, "random weights"),
        ({"model": "resnet18.a1_in1k", "weights": "pretrained"}, 1000, ""),
        (
            {"model": "resnet18", "weights": "pretrained"},
            10,
            "classifier (its weights are for 1,000 classes, and the data have 10)",
        ),
        ({"model": "vit_small_patch14_dinov2", "weights": "pretrained"}, 10, "classifier (its weights have none"),
        ({"model": "resnet18", "weights": "pretrained", "stem": "small"}, 1000, "a random first convolution"),
        ({"model": "resnet18d", "weights": "pretrained", "stem": "small"}, 1000, ""),  # only a stride changes
        ({"model": "regnetx_002", "weights": "pretrained", "stem": "small"}, 1000, ""),
        ({"model": "resnet18", "weights": "net.safetensors", "stem": "small"}, 10, ""),
    ],
)
def test_what_is_random_is_named(spec: dict[str, Any], classes: int, words: str) -> None:
    found = untrained_part(ModelSpec(**spec), classes)
    assert words in found
    assert bool(words) == bool(found)


@pytest.mark.parametrize(
    ("teacher", "words"),
    [
        ({"model": "resnet10t", "weights": "pretrained", "recipe": {"epochs": 0}}, "a random classifier"),
        ({"model": "tiny_cnn", "recipe": {"epochs": 0}}, "random weights"),
    ],
)
def test_a_random_part_of_a_network_that_teaches_is_an_error(tmp_path: Path, teacher: dict[str, Any], words: str) -> None:
    pairs = [{"name": "pair", "student": {"model": "tiny_cnn"}, "teacher": "big"}]
    path = write_suite(tmp_path, networks={"big": teacher}, pairs=pairs, methods=["kd"])
    with pytest.raises(
        KdbenchError, match=f"would teach with {words}.*give it epochs of its own, or weights: a file"
    ) as caught:
        prepared(path)
    assert f"{path}:" in str(caught.value)
    alone = write_suite(tmp_path, networks={"big": teacher}, pairs=pairs, methods=["supervised"])
    if teacher["model"] == "tiny_cnn":
        prepared(alone)  # it teaches nobody


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that stands for every repository of the hub."""

    def download(repo: str, file: str, revision: str | None = None, local_files_only: bool = False) -> str:
        assert (repo, revision) == ("somebody/net", None)
        if not (tmp_path / file).exists():
            raise huggingface_hub.errors.EntryNotFoundError("404")
        return str(tmp_path / file)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    monkeypatch.setattr(hub, "_offline", lambda: False)
    hub.hub_model.cache_clear()
    yield tmp_path
    hub.hub_model.cache_clear()


def write(folder: Path, **changes: Any) -> None:
    config = {
        "architecture": "test_resnet",
        "num_classes": 7,
        "pretrained_cfg": {"mean": [0.1, 0.2, 0.3], "std": [1, 1, 1], "classifier": "fc", "first_conv": "conv1.0"},
    }
    (folder / "config.json").write_text(json.dumps(config | changes))


def make(weights: str, shape: tuple[int, ...] = (3, 32, 32), classes: int = 7) -> torch.nn.Module:
    wanted = arguments(shape) | {"num_classes": classes}
    return create_model(ModelSpec(model=NAME, weights=weights), arguments=wanted, seed=0)


def test_a_model_of_the_hub_has_its_weights_and_preprocessing(repository: Path) -> None:
    write(repository)
    trained = timm.create_model("test_resnet", num_classes=7)
    save_file(trained.state_dict(), repository / "model.safetensors")
    made = make("pretrained")
    assert all(torch.equal(value, made.state_dict()[name]) for name, value in trained.state_dict().items())
    spec = ModelSpec(model=NAME, weights="pretrained")
    assert pretrained_config(spec)["mean"] == [0.1, 0.2, 0.3]
    assert untrained_part(spec, 7) == ""
    assert "for 7 classes" in untrained_part(spec, 10)
    other = make("pretrained", classes=10)
    assert torch.equal(other.state_dict()["layer1.0.conv1.weight"], trained.state_dict()["layer1.0.conv1.weight"])
    assert make("scratch", shape=(1, 28, 28)).conv1[0].in_channels == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"architecture": "os.system"}, "its architecture os.system is not one of timm"),
        ({"architecture": "hf-hub:x/y"}, "is not one of timm"),
        ({"architecture": 3}, "is not one of timm"),
        ({"model_args": {"pretrained_cfg": {"file": "/etc/passwd"}}}, 'must not hold "pretrained_cfg"'),
        ({"model_args": {"checkpoint_path": "/etc/passwd"}}, 'must not hold "checkpoint_path"'),
        ({"model_args": {"block_size": 10**9}}, "hold the number 1,000,000,000"),
        ({"model_args": [1]}, "does not describe a model"),
        ({"num_classes": "many"}, "does not describe a model"),
    ],
)
def test_what_the_hub_says_is_checked(repository: Path, changes: dict[str, Any], words: str) -> None:
    write(repository, **changes)
    with pytest.raises(KdbenchError, match=words):
        make("scratch")


def test_no_file_but_safetensors_is_read(repository: Path) -> None:
    write(
        repository, pretrained_cfg={"file": str(repository / "evil.pth"), "custom_load": True, "url": "https://x.org/evil.pth"}
    )
    (repository / "pytorch_model.bin").write_bytes(b"evil")
    with pytest.raises(KdbenchError, match=r"has no model\.safetensors, and kdbench reads no other file"):
        make("pretrained")
    assert "file" not in pretrained_config(ModelSpec(model=NAME, weights="pretrained"))


def test_without_a_network_one_sentence_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "_offline", lambda: True)
    with pytest.raises(KdbenchError, match="is not available .*without internet access, name the architecture") as caught:
        create_model(ModelSpec(model="hf-hub:kdbench-tests/nothing"), arguments=arguments((3, 32, 32)))
    assert "\n" not in str(caught.value)
