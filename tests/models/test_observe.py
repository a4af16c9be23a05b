"""What an observer sees of a network is what the network does."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from kdbench.errors import KdbenchError, MethodError
from kdbench.models import observe
from kdbench.models.factory import create_model
from kdbench.models.observe import Observer
from kdbench.suite.schema import ModelSpec
from tests.models.networks import NAMES, TIMM, images, network
from tests.support.images import arguments, example


def state(model: nn.Module) -> dict[str, Tensor]:
    return {k: v.clone() for k, v in model.state_dict().items()}


def run_in_training(model: nn.Module, run: object, x: Tensor) -> tuple[object, Tensor, dict[str, Tensor]]:
    """What ``run(x)`` gives, where it leaves the generator, and the state (running statistics) afterwards; then all is put back."""
    before = state(model)
    model.train()
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(7)
        out = run(x)  # type: ignore[operator]
        random, after = torch.get_rng_state(), state(model)
    model.load_state_dict(before)
    return out, random, after


@pytest.mark.parametrize("name", NAMES)
class TestEveryNetwork:
    def test_logits_are_the_models_to_the_bit_in_evaluation(self, name: str) -> None:
        model = network(name).eval()
        with torch.no_grad():
            expected = model(images())
            assert torch.equal(model.forward_head(model.forward_features(images())), expected)
            for wanted in ({}, {"features": "all"}, {"embedding": True}, {"features": (-2,), "embedding": True}):
                assert torch.equal(Observer(model, **wanted)(images()).logits, expected)

    def test_logits_random_numbers_and_statistics_are_the_models_to_the_bit_in_training(self, name: str) -> None:
        model = network(name, drop_rate=0.5)
        expected, random, after = run_in_training(model, model, images())
        out, own_random, own_after = run_in_training(model, Observer(model, features="all", embedding=True), images())
        assert torch.equal(out.logits, expected)
        assert torch.equal(own_random, random)
        assert all(torch.equal(own_after[k], after[k]) for k in after)

    def test_a_feature_is_what_the_stage_gave_and_nothing_later_changes_it(self, name: str) -> None:
        model = network(name).eval()
        with torch.no_grad():
            features = Observer(model, features="all", embedding=True)(images()).features
            for stage, seen in enumerate(features):
                (alone,) = Observer(model, logits=False, features=(stage,))(images()).features  # runs no deeper
                assert torch.equal(alone, seen)
                assert seen.dim() == 4

    def test_the_embedding_is_what_the_classifier_reads(self, name: str) -> None:
        model = network(name).eval()
        with torch.no_grad():
            seen = Observer(model, features=(-1,), embedding=True)(images())
            assert torch.equal(Observer(model, logits=False, embedding=True)(images()).embedding, seen.embedding)
            torch.testing.assert_close(model.get_classifier()(seen.embedding), seen.logits)

    def test_gradients_flow_through_everything(self, name: str) -> None:
        model = copy.deepcopy(network(name)).train()
        seen = Observer(model, features="all", embedding=True)(images(2))
        sum((t.float() ** 2).mean() for t in seen.tensors()).backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())

    def test_shapes_are_those_of_a_batch_and_the_network_is_left_as_it_was(self, name: str) -> None:
        model = network(name).train()
        before, random = state(model), torch.get_rng_state()
        found = observe.shapes(model, example(), features="all", embedding=True)
        assert model.training
        assert all(m.training for m in model.modules())
        assert torch.equal(torch.get_rng_state(), random)
        assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
        with torch.no_grad():
            seen = Observer(model.eval(), features="all", embedding=True)(images())
        assert found.features == tuple(tuple(f.shape[1:]) for f in seen.features)
        assert found.embedding == seen.embedding.shape[1]
        assert observe.num_stages(model, example()) == len(model.feature_info) == len(found.features)


@pytest.mark.parametrize(
    "name", ["resnet18", "mobilenetv3_small_050", "convnext_atto", "test_vit", "resnet8", "wrn_16_1", "lightcnn"]
)
class TestFormatsAndPrecision:
    def test_channels_last_gives_the_same_bits_as_the_model(self, name: str) -> None:
        model = copy.deepcopy(network(name)).eval().to(memory_format=torch.channels_last)
        x = images().to(memory_format=torch.channels_last)
        with torch.no_grad():
            assert torch.equal(Observer(model, features="all", embedding=True)(x).logits, model(x))

    def test_autocast_gives_the_same_bits_as_the_model(self, name: str) -> None:
        model = network(name).eval()
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            seen = Observer(model, features="all", embedding=True)(images())
            assert torch.equal(seen.logits, model(images()))

    def test_inference_mode_works(self, name: str) -> None:
        with torch.inference_mode():
            seen = Observer(network(name).eval(), features="all", embedding=True)(images())
        assert all(t.is_inference() for t in seen.tensors())


class TestStages:
    def test_are_given_in_order_whatever_the_order_asked(self) -> None:
        model = network("resnet18").eval()
        with torch.no_grad():
            every = Observer(model, features="all")(images()).features
            some = Observer(model, features=(-1, 0, -3))(images()).features
        assert [f.shape for f in some] == [every[i].shape for i in (0, 2, 4)]

    @given(st.lists(st.integers(-8, 8), min_size=1).map(tuple))
    def test_that_the_network_lacks_are_left_out(self, stages: tuple[int, ...]) -> None:
        model = network("lightcnn")  # four stages
        expected = sorted({s % 4 for s in stages if -4 <= s < 4})
        if not expected:
            with pytest.raises(KdbenchError, match="none of those requested"):
                Observer(model, features=stages)
            return
        found = observe.shapes(model, example(), features=stages).features
        assert found == tuple(observe.shapes(model, example(), features="all").features[i] for i in expected)

    def test_not_asked_for_raise_when_read(self) -> None:
        seen = Observer(network("lightcnn"), logits=False, features=(-1,))(images())
        for unasked in ("logits", "embedding"):
            with pytest.raises(MethodError, match=unasked):
                getattr(seen, unasked)
        with pytest.raises(MethodError, match="features"):
            _ = Observer(network("lightcnn"))(images()).features

    @pytest.mark.parametrize("name", ["resnet18", "lightcnn", "wrn_16_1", "test_vit"])
    def test_alone_run_the_network_no_deeper(self, name: str) -> None:
        model = network(name).eval()
        ran: list[str] = []
        deepest = str(model.feature_info[-1]["module"])
        handle = dict(model.named_modules())[deepest].register_forward_hook(lambda *_: ran.append(deepest))
        try:
            Observer(model, logits=False, features=(0, -2))(images())
            assert ran == []
            Observer(model, logits=True, features=(0,))(images())
            assert ran == [deepest]
        finally:
            handle.remove()

    def test_of_an_mlp_are_maps_of_one_pixel(self) -> None:
        assert observe.shapes(network("mnist_mlp"), example(), features="all").features == ((256, 1, 1), (128, 1, 1))


class TestModules:
    @pytest.mark.parametrize(("name", "path"), [("resnet18", "layer2.1.act2"), ("resnet8", "stages.1.0.act2")])
    def test_show_what_lies_before_an_activation(self, name: str, path: str) -> None:
        model = network(name, **({"zero_init_last": False} if name == "resnet18" else {})).eval()
        with torch.no_grad():
            before, after = Observer(model, modules=(f"{path}:in", path))(images()).features
        assert (before < 0).any()
        assert torch.equal(before.relu(), after)

    def test_are_seen_as_they_were_before_anything_changed_them_in_place(self) -> None:
        model = network("resnet18", zero_init_last=False).eval()
        kept: list[Tensor] = []
        handle = model.layer1[0].bn2.register_forward_hook(lambda _m, _i, out: kept.append(out.clone()))
        with torch.no_grad():
            (seen,) = Observer(model, modules=("layer1.0.bn2",))(images()).features  # timm adds the shortcut in place
        handle.remove()
        assert torch.equal(seen, kept[0])

    def test_follow_the_stages_and_leave_the_logits_alone(self) -> None:
        model = network("resnet18").eval()
        with torch.no_grad():
            seen = Observer(model, features=(0, -1), modules=("layer3.0.bn1",), embedding=True)(images())
            assert torch.equal(seen.logits, model(images()))
        assert [f.shape[1] for f in seen.features] == [64, 512, 256]

    def test_that_do_not_exist_are_named_with_the_nearest_that_does(self) -> None:
        with pytest.raises(KdbenchError, match=r'no module "layer1.0.bn9"; did you mean "layer1.0.bn'):
            Observer(network("resnet18"), modules=("layer1.0.bn9",))

    def test_leave_no_hook_behind_even_when_the_network_fails(self) -> None:
        model = network("resnet18").eval()
        watcher = Observer(model, modules=("layer1.0.bn2",), embedding=True)
        with pytest.raises(RuntimeError):
            watcher(torch.zeros(1, 5, 32, 32))
        assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())

    def test_that_do_not_run_are_named(self) -> None:
        model = nn.Sequential(nn.Flatten(), nn.Linear(12, 4))
        model[1].idle = nn.Linear(2, 2)
        with pytest.raises(KdbenchError, match=r'module "1.idle" did not run'):
            Observer(model, modules=("1.idle",))(torch.zeros(2, 3, 2, 2))


class Foreign(nn.Module):
    """A network as a stranger writes it: no interface of timm's, in-place activations, a list of blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.entry = nn.Conv2d(3, 4, 3, padding=1)
        self.blocks = nn.ModuleList([nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 6, 3, stride=2, padding=1)])
        self.drop = nn.Dropout(0.5)
        self.out = nn.Linear(6, 10)
        self.ran_to_the_end = 0

    def forward(self, x: Tensor) -> Tensor:
        x = self.entry(x).relu_()
        for block in self.blocks:
            x = block(x).relu_()
        self.ran_to_the_end += 1
        return self.out(self.drop(x.mean((2, 3))))


class TestForeignNetworks:
    def test_show_their_children_without_the_classifier(self) -> None:
        model = Foreign()
        found = observe.shapes(model, example((3, 8, 8)), features="all", embedding=True)
        assert found.features == ((4, 8, 8), (4, 8, 8), (6, 4, 4))
        assert found.embedding == 6
        assert observe.num_stages(model, example((3, 8, 8))) == 3

    def test_keep_their_logits_and_random_numbers_in_training(self) -> None:
        model, x = Foreign(), images(size=8)
        expected, random, _ = run_in_training(model, model, x)
        seen, own_random, _ = run_in_training(model, Observer(model, features="all", embedding=True), x)
        assert torch.equal(seen.logits, expected)
        assert torch.equal(own_random, random)

    def test_show_features_that_later_steps_do_not_change(self) -> None:
        model, x = Foreign().eval(), images(size=8)
        first, *_ = Observer(model, features="all")(x).features
        assert torch.equal(first, model.entry(x))
        sum((f**2).sum() for f in Observer(model, features="all")(x).features).backward()

    def test_run_no_deeper_than_asked(self) -> None:
        model = Foreign()
        Observer(model, logits=False, features=(0, 1))(images(size=8))
        assert model.ran_to_the_end == 0
        Observer(model, logits=False, embedding=True, features=(0,))(images(size=8))
        assert model.ran_to_the_end == 1

    def test_may_name_their_stages_themselves(self) -> None:
        model = Foreign()
        model.feature_info = [{"module": "blocks.1"}]
        assert observe.shapes(model, example((3, 8, 8)), features="all").features == ((6, 4, 4),)

    def test_without_stages_say_so(self) -> None:
        model = nn.Sequential(nn.Flatten(), nn.Linear(12, 4))
        assert observe.num_stages(model, example((3, 2, 2))) == 0
        with pytest.raises(KdbenchError, match="0 feature stages"):
            Observer(model, features="all")

    def test_without_a_linear_layer_have_no_embedding(self) -> None:
        with pytest.raises(KdbenchError, match="get_classifier"):
            Observer(nn.Conv2d(3, 4, 1), embedding=True)

    def test_that_give_no_tensor_are_refused(self) -> None:
        class Wrapped(nn.Module):
            def forward(self, x: Tensor) -> dict[str, Tensor]:
                return {"logits": x}

        with pytest.raises(KdbenchError, match="logits: a tensor was expected, not dict"):
            Observer(Wrapped())(images())


class TestShapes:
    def test_of_nothing_run_nothing(self) -> None:
        assert observe.shapes(nn.Identity(), example()) == observe.Shapes()

    def test_of_impossible_inputs_are_one_sentence(self) -> None:
        model = create_model(ModelSpec(model="lightcnn"), arguments=arguments((1, 8, 8)))
        with pytest.raises(KdbenchError, match="cannot take inputs of shape 1×8×8"):
            observe.shapes(model, example((1, 8, 8)), features="all")
        assert model.training

    def test_of_one_and_three_channels(self) -> None:
        for channels in (1, 3):
            for name in TIMM:
                spec = ModelSpec(model=name, kwargs=TIMM[name])
                model = create_model(spec, arguments=arguments((channels, 32, 32)))
                assert observe.shapes(model, example((channels, 32, 32)), embedding=True).embedding > 0
