"""Networks that create_model creates from a suite, and its errors."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from kdbench.errors import KdbenchError
from kdbench.models import observe
from kdbench.models.factory import create_model, model_names
from kdbench.models.observe import Observer
from kdbench.models.small import kdbench_models
from kdbench.suite.schema import ModelSpec
from tests.support.images import arguments, example


def make(model: str, shape: tuple[int, ...] = (3, 32, 32), seed: int | None = 0, **spec: object) -> nn.Module:
    return create_model(ModelSpec(model=model, **spec), arguments=arguments(shape), seed=seed, factories=kdbench_models())


def same(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(p, q) for p, q in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


class TestInitialWeights:
    @pytest.mark.parametrize("name", ["resnet18", "test_vit", "tiny_cnn", "wrn-16-1"])
    def test_are_decided_by_the_seed_alone(self, name: str) -> None:
        torch.manual_seed(1)
        first = make(name, seed=5)
        torch.manual_seed(2)
        assert same(first, make(name, seed=5))
        assert not same(first, make(name, seed=6))

    @pytest.mark.parametrize("name", ["resnet18", "test_vit", "tiny_cnn"])
    def test_leave_the_global_generator_alone(self, name: str) -> None:
        before = torch.get_rng_state()
        make(name, seed=5, shape=(3, 28, 28))
        assert torch.equal(before, torch.get_rng_state())

    def test_without_a_seed_come_from_the_global_generator(self) -> None:
        torch.manual_seed(1)
        first = make("tiny_cnn", seed=None)
        assert not same(first, make("tiny_cnn", seed=None))

    def test_are_timms_own(self) -> None:
        torch.manual_seed(5)
        assert same(timm.create_model("resnet18", num_classes=10), make("resnet18", seed=5))


class TestInputs:
    @pytest.mark.parametrize("channels", [1, 3])
    def test_have_as_many_channels_as_the_data(self, channels: int) -> None:
        for name in ("resnet18", "test_vit", "lightcnn", "mnist_mlp"):
            shape = (channels, 28, 28)
            assert make(name, shape=shape)(torch.zeros(2, *shape)).shape == (2, 10)

    @pytest.mark.parametrize(
        ("name", "kwargs", "size", "grid"),
        [
            ("test_vit", {}, 32, 2),
            ("test_vit", {}, 28, 2),  # padded to 32
            ("vit_tiny_patch16_224", {"depth": 1}, 28, 2),
            ("vit_tiny_patch16_224", {"depth": 1, "patch_size": 4}, 32, 8),
            ("vit_tiny_patch16_224", {"depth": 1, "patch_size": 7}, 28, 4),
            ("vit_tiny_patch16_224", {"depth": 1, "patch_size": 4, "img_size": 32}, 32, 8),
        ],
    )
    def test_of_transformers_have_the_size_of_the_data(self, name: str, kwargs: dict[str, int], size: int, grid: int) -> None:
        model = make(name, shape=(1, size, size), kwargs=kwargs)
        assert observe.shapes(model, example((1, size, size)), features=(-1,)).features[0][1:] == (grid, grid)

    def test_that_patches_cannot_divide_are_told(self) -> None:
        with pytest.raises(KdbenchError, match="patches of 4×4 pixels, which do not divide 30×30"):
            make("swin_tiny_patch4_window7_224", shape=(3, 30, 30), kwargs={"depths": (1, 1, 1, 1)})

    def test_of_the_mlp_are_all_pixels(self) -> None:
        assert make("mnist_mlp", shape=(1, 8, 8)).stages[0][0].in_features == 64


class TestPluginFactories:
    def test_come_before_timm(self) -> None:
        class Mine(nn.Linear):
            pass

        def mine(*, num_classes: int, in_chans: int, depth: int = 1) -> nn.Module:
            return Mine(in_chans * depth, num_classes)

        factories = {"resnet18": mine}
        spec = ModelSpec(model="resnet18", kwargs={"depth": 2})
        model = create_model(spec, arguments=arguments((3, 32, 32), 4), factories=factories)
        assert isinstance(model, Mine)
        assert model.weight.shape == (4, 6)
        spec = ModelSpec(model="resnet18", kwargs={"deph": 2})
        with pytest.raises(KdbenchError, match='takes no argument "deph"; did you mean "depth"'):
            create_model(spec, arguments=arguments((3, 32, 32), 4), factories=factories)

    def test_must_take_classes_and_channels(self) -> None:
        with pytest.raises(KdbenchError, match="must accept num_classes and in_chans"):
            create_model(
                ModelSpec(model="mine"),
                arguments=arguments((3, 8, 8), 4),
                factories={"mine": lambda num_classes: nn.Linear(1, 1)},
            )

    def test_that_fail_are_told_in_one_sentence(self) -> None:
        def broken(num_classes: int, in_chans: int) -> nn.Module:
            raise ZeroDivisionError("no layers\nat all")

        with pytest.raises(KdbenchError, match=r'model "mine" cannot be created for inputs of shape 3×8×8: no layers$'):
            create_model(ModelSpec(model="mine"), arguments=arguments((3, 8, 8), 4), factories={"mine": broken})

    def test_are_among_the_names(self) -> None:
        names = model_names({"mine": nn.Linear})
        assert {"mine", "resnet18", "lightcnn"} <= set(names)
        assert names == sorted(names)


class TestBadWords:
    @pytest.mark.parametrize(
        ("model", "kwargs", "sentence"),
        [
            ("resnet81", {}, 'unknown model "resnet81"; did you mean "resnet8"'),
            ("resnet18", {"drop_rat": 0.1}, 'model "resnet18" takes no argument "drop_rat"; did you mean "drop_rate"'),
            ("test_vit", {"patch_siz": 4}, 'takes no argument "patch_siz"; did you mean "patch_size"'),
            ("mnist_cnn", {"width": (2, 3)}, 'takes no argument "width"; did you mean "widths"'),
            ("resnet20", {"shortcut": "C"}, 'model "resnet20" cannot be created with kwargs .* shortcut is "A" or "B"'),
            ("resnet18", {"block": "basic"}, 'model "resnet18" cannot be created with kwargs'),
            ("resnet18", {"num_classes": 5}, '"num_classes": it comes from the data'),
            ("resnet18", {"pretrained": True}, "weights: pretrained"),
            ("resnet18", {"features_only": True}, "must return logits"),
        ],
    )
    def test_are_told_with_the_nearest_right_one(self, model: str, kwargs: dict[str, object], sentence: str) -> None:
        with pytest.raises(KdbenchError, match=sentence) as caught:
            make(model, kwargs=kwargs)
        assert "\n" not in str(caught.value)


class TestSmallStem:
    @pytest.mark.parametrize(
        "name", ["resnet18", "resnet18d", "resnet10t", "seresnet18", "resnext50_32x4d", "test_resnet", "regnetx_002"]
    )
    def test_keeps_the_first_stages_at_full_size(self, name: str) -> None:
        model = make(name, stem="small").eval()
        ordinary = make(name)
        found = observe.shapes(model, example(), features="all").features
        assert found[0][1] == 32
        factor = 2 if name == "regnetx_002" else 4
        assert found[-1][1] == factor * observe.shapes(ordinary, example(), features=(-1,)).features[0][1]
        assert [32 // info["reduction"] for info in model.feature_info] == [shape[1] for shape in found]
        assert [info["num_chs"] for info in model.feature_info] == [shape[0] for shape in found]
        with torch.no_grad():
            x = torch.randn(2, 3, 32, 32)
            assert torch.equal(Observer(model, features="all")(x).logits, model(x))

    def test_of_resnet18_is_one_3x3_convolution(self) -> None:
        model = make("resnet18", stem="small", shape=(1, 28, 28))
        assert model.conv1.weight.shape == (64, 1, 3, 3)
        assert model.conv1.stride == (1, 1)
        assert isinstance(model.maxpool, nn.Identity)

    def test_is_drawn_from_the_seed(self) -> None:
        before = torch.get_rng_state()
        assert same(make("resnet18", stem="small", seed=4), make("resnet18", stem="small", seed=4))
        assert torch.equal(before, torch.get_rng_state())

    def test_does_not_spoil_later_features(self) -> None:
        """Without pooling the first block reads what the activation wrote in place."""
        model = make("resnet18", stem="small").train()
        seen = Observer(model, features="all")(torch.randn(4, 3, 32, 32))
        sum((f**2).mean() for f in seen.tensors()).backward()
        assert model.conv1.weight.grad is not None

    @pytest.mark.parametrize("name", ["efficientnet_b0", "test_vit", "lightcnn"])
    def test_is_refused_where_there_is_none(self, name: str) -> None:
        with pytest.raises(KdbenchError, match=r"stem: small does not fit .* it is for timm's ResNets .* RegNets"):
            make(name, stem="small")


class Tied(nn.Module):
    """Two names for one tensor."""

    def __init__(self, num_classes: int, in_chans: int) -> None:
        super().__init__()
        self.a = nn.Linear(in_chans, num_classes)
        self.b = nn.Linear(in_chans, num_classes)
        self.b.weight = self.a.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.a(x) + self.b(x)


class TestWeights:
    def test_of_a_file_are_loaded(self, tmp_path: Path) -> None:
        path, trained = tmp_path / "net.safetensors", make("tiny_cnn", seed=1)
        save_file(trained.state_dict(), path)
        assert same(make("tiny_cnn", seed=2, weights=str(path)), trained)

    def test_of_a_file_are_loaded_after_the_stem_is_changed(self, tmp_path: Path) -> None:
        path, trained = tmp_path / "net.safetensors", make("test_resnet", seed=1, stem="small")
        save_file(trained.state_dict(), path)
        assert same(make("test_resnet", seed=2, stem="small", weights=str(path)), trained)

    def test_that_share_memory_need_be_there_once(self, tmp_path: Path) -> None:
        path, trained = tmp_path / "net.safetensors", Tied(4, 3)
        save_file({k: v for k, v in trained.state_dict().items() if k != "b.weight"}, path)
        model = create_model(
            ModelSpec(model="tied", weights=str(path)), arguments={"num_classes": 4, "in_chans": 3}, factories={"tied": Tied}
        )
        assert same(model, trained)

    def test_missing_are_told_with_the_nearest_file(self, tmp_path: Path) -> None:
        save_file(make("tiny_cnn").state_dict(), tmp_path / "student.safetensors")
        with pytest.raises(KdbenchError, match=r'there is no file .*studnet.safetensors; did you mean "student.safetensors"'):
            make("tiny_cnn", weights=str(tmp_path / "studnet.safetensors"))
        with pytest.raises(KdbenchError, match="there is no file"):
            make("tiny_cnn", weights=str(tmp_path / "nowhere" / "x.safetensors"))

    def test_of_another_format_are_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "net.safetensors"
        path.write_bytes(b"not a safetensors file at all")
        with pytest.raises(KdbenchError, match="cannot be read as a safetensors file"):
            make("tiny_cnn", weights=str(path))

    @pytest.mark.parametrize(
        ("change", "sentence"),
        [
            (lambda s: s | {"fc.weight": torch.zeros(7, 32)}, '"fc.weight" is 7×32 in the file and 10×32 in the model'),
            (lambda s: {k: v for k, v in s.items() if k != "fc.bias"}, 'the model\'s "fc.bias" \\(10\\) is not in the file'),
            (lambda s: s | {"extra": torch.tensor(1.0)}, '"extra" \\(a single number\\) is not in the model'),
        ],
    )
    def test_that_do_not_fit_name_the_first_difference(self, tmp_path: Path, change: object, sentence: str) -> None:
        path = tmp_path / "net.safetensors"
        save_file(change(dict(make("tiny_cnn").state_dict())), path)  # type: ignore[operator]
        with pytest.raises(KdbenchError, match=sentence):
            make("tiny_cnn", weights=str(path))


class TestPretrained:
    def test_of_timm_are_asked_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        asked = {}

        def remember(name: str, **kwargs: object) -> nn.Module:
            asked.update(kwargs, name=name)
            return nn.Linear(2, 2)

        monkeypatch.setattr(timm, "create_model", remember)
        make("resnet18", weights="pretrained")
        assert asked["pretrained"] is True
        assert asked["num_classes"] == 10

    def test_without_a_network_are_one_sentence(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def unreachable(*_: object, **__: object) -> nn.Module:
            raise ConnectionError("Name or service not known\nretried 5 times")

        monkeypatch.setattr(timm, "create_model", unreachable)
        with pytest.raises(
            KdbenchError, match=r'pretrained weights of "resnet18" are not available .*Name or service not known'
        ) as caught:
            make("resnet18", weights="pretrained")
        assert "\n" not in str(caught.value)

    def test_that_do_not_exist_are_told_before_anything_is_asked_of_a_network(self) -> None:
        with pytest.raises(KdbenchError, match='no pretrained weights "foo" for "resnet18"'):
            make("resnet18.foo", weights="pretrained")
        with pytest.raises(KdbenchError, match='no pretrained weights for "tiny_cnn"'):
            make("tiny_cnn", weights="pretrained")
        untrained = next(n for n in timm.list_models() if not timm.models.is_model_pretrained(n) and n not in kdbench_models())
        with pytest.raises(KdbenchError, match=f'timm has no pretrained weights for "{untrained}"'):
            make(untrained, weights="pretrained")
