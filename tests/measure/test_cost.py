"""Costs agree with a second counter, and measuring them changes nothing."""

from __future__ import annotations

import warnings

import pytest
import torch
from fvcore.nn import FlopCountAnalysis
from safetensors.torch import load
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from kdbench.errors import KdbenchError
from kdbench.measure.cost import Macs, activation_bytes, count_macs, profile, serialize
from kdbench.models.factory import create_model
from kdbench.models.small import kdbench_models
from kdbench.results.record import Profile
from kdbench.suite.schema import ModelSpec
from tests.support.images import arguments, example, interface

ESTIMATES = ("batch_norm", "layer_norm", "adaptive_avg_pool2d")
"""What fvcore adds to convolutions and matrix products, and torch's counter does not."""


def make(name: str, shape: tuple[int, ...] = (3, 32, 32), **kwargs: object) -> nn.Module:
    spec = ModelSpec(model=name, kwargs=kwargs)
    return create_model(spec, arguments=arguments(shape), seed=0, factories=kdbench_models())


def measure(model: nn.Module, shape: tuple[int, ...] = (3, 32, 32), batch_size: int = 1) -> Profile:
    return profile(model, name="net", interface=interface(shape), id="0" * 16, batch_size=batch_size)


def torch_macs(model: nn.Module, shape: tuple[int, ...] = (3, 32, 32)) -> float:
    # The counter knows the products of attention, but not the kernel that computes them at once on a CPU.
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH), torch.no_grad():
        model.eval()(torch.zeros(1, *shape))
    return counter.get_total_flops() / 2  # FLOPs = 2 × MACs


def estimates(model: nn.Module, shape: tuple[int, ...] = (3, 32, 32)) -> float:
    analysis = FlopCountAnalysis(model.eval(), torch.zeros(1, *shape)).unsupported_ops_warnings(False)
    by_operator = analysis.uncalled_modules_warnings(False).by_operator()
    return sum(by_operator.get(operator, 0) for operator in ESTIMATES)


class TestMacs:
    @pytest.mark.parametrize(
        "name",
        [
            "lightcnn",
            "resnet20",
            "wrn_16_2",
            "vgg8",
            "tiny_cnn",
            "mnist_mlp",
            "resnet18",
            "mobilenetv3_small_050",
            "regnetx_002",
        ],
    )
    def test_of_convolutions_and_linear_layers_are_half_the_flops_of_torchs_counter(self, name: str) -> None:
        model = make(name)
        macs = count_macs(model, example())
        assert macs.counter == "fvcore"
        assert macs.per_sample - estimates(model) == torch_macs(model)

    def test_by_hand(self) -> None:
        model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.Flatten(), nn.Linear(8 * 16, 10))
        assert count_macs(model, example((3, 4, 4))) == Macs(4 * 4 * 8 * 3 * 9 + 8 * 16 * 10, "fvcore", {})

    def test_of_transformers_contain_the_attention(self) -> None:
        model = make("vit_tiny_patch16_224", patch_size=4, depth=2)
        macs = count_macs(model, example())
        tokens, width = 8 * 8 + 1, 192
        block = tokens * width * (3 + 1 + 8) * width + 2 * tokens**2 * width  # qkv, projection, MLP; two products
        assert macs == Macs(8 * 8 * width * 3 * 4 * 4 + 2 * block + width * 10, "torch", {})

    @pytest.mark.parametrize(
        ("layer", "products"),
        [
            (nn.LSTM(32, 64, batch_first=True), 10 * 4 * 64 * (32 + 64)),
            (nn.GRU(32, 64, batch_first=True), 10 * 3 * 64 * (32 + 64)),
            (nn.RNN(32, 64, batch_first=True), 10 * 64 * (32 + 64)),
            (
                nn.TransformerEncoderLayer(32, 4, 48, batch_first=True),
                10 * 32 * 4 * 32 + 2 * 10**2 * 32 + 10 * 2 * 32 * 48,
            ),
            (nn.MultiheadAttention(32, 4, batch_first=True), 10 * 32 * 4 * 32 + 2 * 10**2 * 32),
        ],
        ids=["lstm", "gru", "rnn", "transformer", "attention"],
    )
    def test_of_operators_that_fvcore_misses_are_counted_by_torch(self, layer: nn.Module, products: int) -> None:
        class Net(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.layer = layer

            def forward(self, inputs: Tensor) -> Tensor:
                attends = isinstance(self.layer, nn.MultiheadAttention)
                outputs = self.layer(inputs, inputs, inputs) if attends else self.layer(inputs)
                return outputs[0] if isinstance(outputs, tuple) else outputs

        assert count_macs(Net(), torch.randn(2, 10, 32)) == Macs(products, "torch", {})

    def test_of_a_convolution_do_not_depend_on_how_its_padding_is_written(self) -> None:
        same, number = (nn.Conv2d(3, 8, 3, padding=padding) for padding in ("same", 1))
        macs = count_macs(same, example((3, 4, 4))).per_sample
        assert macs == count_macs(number, example((3, 4, 4))).per_sample == 4 * 4 * 8 * 3 * 9

    def test_counting_leaves_the_settings_of_attention_as_they_were(self) -> None:
        torch.backends.mha.set_fastpath_enabled(True)
        count_macs(nn.Linear(2, 2), torch.zeros(1, 2))
        assert torch.backends.mha.get_fastpath_enabled()
        assert torch.backends.mkldnn.enabled

    def test_are_per_sample_whatever_the_batch(self) -> None:
        model = make("lightcnn")
        assert count_macs(model, example(batch_size=4)) == count_macs(model, example())

    def test_come_without_a_word_on_the_screen(
        self, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
    ) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            count_macs(make("test_vit"), example())
        out, err = capfd.readouterr()
        assert (out, err, caplog.text) == ("", "", "")

    def test_of_impossible_inputs_are_one_sentence(self) -> None:
        with pytest.raises(KdbenchError, match="cannot be run on an input of shape 5×32×32"):
            count_macs(make("lightcnn"), example((5, 32, 32)))


class TestProfile:
    def test_counts_parameters_buffers_and_bytes(self) -> None:
        found = measure(make("lightcnn"))
        assert found.parameters == found.trainable_parameters == 106_826
        assert found.buffers == 2 * (16 + 32 + 64 + 128) + 4  # means, variances, and a step counter in each batch norm
        assert found.size_mb == pytest.approx(4 * 106_826e-6, rel=0.02)
        assert (found.id, found.model, found.inputs, found.num_classes) == ("0" * 16, "net", [3, 32, 32], 10)

    def test_tells_what_is_trained_from_what_is_frozen(self) -> None:
        model = make("lightcnn")
        model.stages.requires_grad_(False)
        found = measure(model)
        assert found.trainable_parameters == 128 * 64 + 64 + 64 * 10 + 10
        assert found.parameters == 106_826

    @pytest.mark.parametrize("training", [True, False])
    def test_leaves_the_network_and_the_generator_as_they_were(self, training: bool) -> None:
        model = make("test_resnet", drop_rate=0.5).train(training)
        model.layer1.eval()
        model(torch.randn(2, 3, 32, 32)).sum().backward()
        modes = [m.training for m in model.modules()]
        state = {k: v.clone() for k, v in model.state_dict().items()}
        gradients = [p.grad.clone() for p in model.parameters() if p.grad is not None]
        random, enabled = torch.get_rng_state(), torch.is_grad_enabled()
        measure(model)
        assert modes == [m.training for m in model.modules()]
        assert all(torch.equal(state[k], v) for k, v in model.state_dict().items())
        assert all(torch.equal(a, b.grad) for a, b in zip(gradients, model.parameters(), strict=True))
        assert all(p.requires_grad for p in model.parameters())
        assert torch.equal(random, torch.get_rng_state())
        assert enabled == torch.is_grad_enabled()

    def test_is_the_same_in_channels_last(self) -> None:
        model = make("resnet20")
        assert measure(model) == measure(model.to(memory_format=torch.channels_last))


class TestSize:
    def test_is_that_of_a_file_which_can_be_loaded(self) -> None:
        model = make("tiny_cnn")
        kept = load(serialize(model))
        assert all(torch.equal(kept[k], v) for k, v in model.state_dict().items())

    def test_counts_shared_tensors_once(self) -> None:
        class Tied(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.a = nn.Linear(100, 100, bias=False)
                self.b = nn.Linear(100, 100, bias=False)
                self.b.weight = self.a.weight

            def forward(self, x: Tensor) -> Tensor:
                return self.b(self.a(x))

        found = measure(Tied(), (100,))
        assert found.parameters == 10_000
        assert found.size_mb == pytest.approx(0.04, rel=0.01)
        assert found.macs == 20_000


class TestActivations:
    def test_by_hand(self) -> None:
        """Kept are the convolution's input, and the ReLU's output once: the linear layer reads the same memory."""
        model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 16, 10))
        assert activation_bytes(model, example((3, 4, 4), 2)) == 4 * 2 * (3 * 16 + 8 * 16)

    @pytest.mark.parametrize("name", ["tiny_cnn", "resnet18", "test_vit"])
    def test_grow_with_the_batch(self, name: str) -> None:
        model = make(name)
        one = activation_bytes(model, example())
        assert one > 0
        assert activation_bytes(model, example(batch_size=4)) == pytest.approx(4 * one, rel=0.01)

    def test_are_fewer_where_weights_are_frozen(self) -> None:
        model = make("resnet18")
        trained = activation_bytes(model, example())
        model.requires_grad_(False)
        assert activation_bytes(model, example()) < trained

    def test_stand_in_the_profile_with_their_batch(self) -> None:
        model = make("tiny_cnn")
        found = measure(model, batch_size=3)
        assert found.activation_mb == activation_bytes(model, example(batch_size=3)) / 1e6
        assert found.activation_batch == 3
        assert measure(model).macs == found.macs
        old = Profile.model_validate(found.model_dump(exclude={"activation_mb", "activation_batch"}))
        assert old.activation_mb is None
