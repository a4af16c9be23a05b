"""The small networks are those of the literature."""

from __future__ import annotations

import pytest
import timm
import torch

from kdbench.errors import KdbenchError
from kdbench.models.small import ALIASES, NETS, kdbench_models
from kdbench.models.staged import StagedNet


def parameters(name: str, **kwargs: object) -> int:
    return sum(p.numel() for p in NETS[name](**kwargs).parameters())


# Counted from RepDistiller's models/resnet.py, wrn.py and vgg.py (vgg8_bn, vgg13_bn) at commit b84f547, for 100 classes; mdistiller
# has the same networks. Rounded, they are what papers on this benchmark give for CIFAR-100: resnet20 0.28 M, resnet56 0.86 M,
# resnet110 1.74 M, resnet8x4 1.23 M, resnet32x4 7.43 M, WRN-16-2 0.70 M, WRN-40-2 2.26 M, VGG-8 3.97 M, VGG-13 9.46 M.
REPDISTILLER_CIFAR100 = {
    "resnet8": 83_892,
    "resnet14": 181_108,
    "resnet20": 278_324,
    "resnet32": 472_756,
    "resnet44": 667_188,
    "resnet56": 861_620,
    "resnet110": 1_736_564,
    "resnet8x4": 1_233_540,
    "resnet32x4": 7_433_860,
    "wrn_16_1": 180_916,
    "wrn_16_2": 703_284,
    "wrn_40_1": 569_780,
    "wrn_40_2": 2_255_156,
    "vgg8": 3_965_028,
    "cifar_vgg8": 3_965_028,
    "cifar_vgg13": 9_462_180,
}

# He et al. 2016 (arXiv:1512.03385), table 6, CIFAR-10, millions. The paper's networks have shortcuts of option A.
HE_2016 = {"resnet20": 0.27, "resnet32": 0.46, "resnet44": 0.66, "resnet56": 0.85, "resnet110": 1.7}

# Zagoruyko and Komodakis 2017 (attention transfer, arXiv:1612.03928), table 1, CIFAR-10, millions.
ZAGORUYKO_2017 = {"wrn_16_1": 0.2, "wrn_16_2": 0.7, "wrn_40_1": 0.6, "wrn_40_2": 2.2}


@pytest.mark.parametrize(("name", "expected"), REPDISTILLER_CIFAR100.items())
def test_parameters_are_the_reference_implementations(name: str, expected: int) -> None:
    assert parameters(name, num_classes=100) == expected


@pytest.mark.parametrize(("name", "millions"), HE_2016.items())
def test_parameters_with_option_a_are_the_resnet_papers(name: str, millions: float) -> None:
    digits = 1 if millions > 1 else 2
    assert round(parameters(name, num_classes=10, shortcut="A") / 1e6, digits) == millions


def test_resnet20_has_0_27_million_parameters_with_either_shortcut() -> None:
    assert parameters("resnet20") == 272_474  # option B, the default, as in RepDistiller
    assert parameters("resnet20", shortcut="A") == 269_722


@pytest.mark.parametrize(("name", "millions"), ZAGORUYKO_2017.items())
def test_parameters_of_wide_resnets_are_the_attention_transfer_papers(name: str, millions: float) -> None:
    assert round(parameters(name, num_classes=10) / 1e6, 1) == millions


def test_lightcnn_has_106826_parameters() -> None:
    assert parameters("lightcnn", in_chans=3, num_classes=10) == 106_826


def test_lightcnn_of_other_widths_has_as_many_blocks() -> None:
    model = timm.create_model("lightcnn", widths=(8, 16, 24), hidden=12)
    seen = model.forward_intermediates(torch.randn(2, 3, 8, 8), intermediates_only=True)
    assert [tuple(f.shape) for f in seen] == [(2, 8, 4, 4), (2, 16, 2, 2), (2, 24, 1, 1)]
    assert [info["reduction"] for info in model.feature_info] == [2, 4, 8]
    assert model.get_classifier().in_features == 12


def test_parameters_are_what_the_docstrings_say() -> None:
    assert parameters("mnist_mlp") == 784 * 256 + 256 + 256 * 128 + 128 + 128 * 10 + 10 == 235_146
    assert parameters("mnist_cnn") == 421_738
    assert parameters("simple_cnn") == 71_306
    assert parameters("simple_cnn", num_classes=3) == 70_851
    assert parameters("simple_cnn", num_classes=3, widths=(32, 32), hidden=(64,)) == 11_875
    assert parameters("tiny_cnn") == 6_274
    assert parameters("tiny_cnn", width=4) == 1_702


@pytest.mark.parametrize("name", NETS)
def test_timm_makes_the_same_network(name: str) -> None:
    assert timm.is_model(name)
    model = timm.create_model(name, num_classes=7, in_chans=2)
    assert isinstance(model, StagedNet)
    assert model.num_classes == 7
    assert [p.shape for p in model.parameters()] == [p.shape for p in NETS[name](num_classes=7, in_chans=2).parameters()]


def test_timm_keeps_its_own_vgg13() -> None:
    assert timm.models.model_entrypoint("vgg13").__module__ == "timm.models.vgg"
    assert "vgg13" not in kdbench_models()


def test_names_with_dashes_are_known_to_suites() -> None:
    assert set(ALIASES) == {"wrn-16-1", "wrn-16-2", "wrn-40-1", "wrn-40-2"}
    assert kdbench_models()["wrn-16-2"] is NETS["wrn_16_2"]


def test_pretrained_weights_do_not_exist() -> None:
    with pytest.raises(KdbenchError, match='no pretrained weights for "resnet20"'):
        timm.create_model("resnet20", pretrained=True)


def test_stages_are_the_groups_or_blocks_of_the_papers() -> None:
    shapes = {
        "resnet20": [(16, 32, 32), (32, 16, 16), (64, 8, 8)],
        "resnet8x4": [(64, 32, 32), (128, 16, 16), (256, 8, 8)],
        "wrn_16_2": [(32, 32, 32), (64, 16, 16), (128, 8, 8)],
        "vgg8": [(64, 32, 32), (128, 16, 16), (256, 8, 8), (512, 4, 4), (512, 4, 4)],
        "lightcnn": [(16, 16, 16), (32, 8, 8), (64, 4, 4), (128, 2, 2)],
    }
    for name, expected in shapes.items():
        model = timm.create_model(name, num_classes=10)
        seen = model.forward_intermediates(torch.zeros(1, 3, 32, 32), intermediates_only=True)
        assert [tuple(s.shape[1:]) for s in seen] == expected
        for info, shape in zip(model.feature_info, expected, strict=True):
            assert (info["num_chs"], 32 // info["reduction"]) == shape[:2]


def test_resnet_features_are_after_the_activation_and_wide_resnet_features_before() -> None:
    x = torch.randn(2, 3, 32, 32)
    after = timm.create_model("resnet8").forward_intermediates(x, intermediates_only=True)
    before = timm.create_model("wrn_16_1").forward_intermediates(x, intermediates_only=True)
    assert all((f >= 0).all() for f in after)
    assert all((f < 0).any() for f in before)


def test_norm_applies_the_final_activation_to_the_last_stage() -> None:
    model, x = timm.create_model("wrn_16_1").eval(), torch.randn(2, 3, 32, 32)
    last, (stage,) = model.forward_intermediates(x, indices=[-1], norm=True)
    assert torch.equal(last, stage)
    assert torch.equal(last, model.forward_features(x))


@pytest.mark.parametrize("indices", [4, 1, [0], [-1], (0, -1), None])
def test_intermediates_are_chosen_as_timm_chooses_them(indices: object) -> None:
    model, x = timm.create_model("lightcnn").eval(), torch.randn(1, 3, 32, 32)
    every = model.forward_intermediates(x, intermediates_only=True)
    wanted = {4: [0, 1, 2, 3], 1: [3], None: [0, 1, 2, 3]}.get(indices if not isinstance(indices, list | tuple) else 0)
    wanted = wanted if wanted is not None else sorted(i % 4 for i in indices)
    for early in (False, True):
        found = model.forward_intermediates(x, indices=indices, stop_early=early, intermediates_only=True)
        assert all(torch.equal(f, every[i]) for f, i in zip(found, wanted, strict=True))


def test_intermediates_that_do_not_exist_are_an_error() -> None:
    with pytest.raises(IndexError, match="3 stages"):
        timm.create_model("resnet8").forward_intermediates(torch.zeros(1, 3, 8, 8), indices=[3])
    with pytest.raises(ValueError, match="NCHW"):
        timm.create_model("resnet8").forward_intermediates(torch.zeros(1, 3, 8, 8), output_fmt="NLC")


@pytest.mark.parametrize(("name", "width"), [("lightcnn", 64), ("wrn_16_2", 128), ("mnist_cnn", 128)])
def test_the_classifier_can_be_replaced(name: str, width: int) -> None:
    model = timm.create_model(name, in_chans=1, num_classes=10).eval()
    x = torch.randn(2, 1, 28, 28)
    embedding = model.forward_head(model.forward_features(x), pre_logits=True)
    assert embedding.shape == (2, width) == (2, model.head_hidden_size)
    assert torch.equal(model.get_classifier()(embedding), model(x))
    model.reset_classifier(3)
    assert model(x).shape == (2, 3)
    model.reset_classifier(0)
    assert torch.equal(model(x), embedding)


def test_convolutions_begin_as_he_et_al_say() -> None:
    model = NETS["resnet8x4"]()
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d) and module.weight.numel() > 10_000:
            fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels
            assert module.weight.std().item() == pytest.approx((2 / fan_out) ** 0.5, rel=0.03)


def test_depths_and_shortcuts_that_do_not_exist_are_refused() -> None:
    from kdbench.models.cifar_resnet import cifar_resnet
    from kdbench.models.wide_resnet import wide_resnet

    with pytest.raises(ValueError, match="6n\\+2"):
        cifar_resnet(21)
    with pytest.raises(ValueError, match="6n\\+4"):
        wide_resnet(20, 1)
    with pytest.raises(ValueError, match="shortcut"):
        NETS["resnet20"](shortcut="C")


def test_option_a_subsamples_and_pads_with_zeros() -> None:
    from kdbench.models.cifar_resnet import PaddedShortcut

    x = torch.randn(2, 4, 8, 8)
    y = PaddedShortcut(4, 2)(x)
    assert torch.equal(y[:, 2:6], x[:, :, ::2, ::2])
    assert (y[:, :2] == 0).all()
    assert (y[:, 6:] == 0).all()


@pytest.mark.parametrize("name", ["tiny_cnn", "mnist_mlp", "mnist_cnn"])
def test_nets_for_small_images_take_8_pixels(name: str) -> None:
    kwargs = {} if name == "tiny_cnn" else {"img_size": 8}
    assert timm.create_model(name, **kwargs)(torch.zeros(2, 1, 8, 8)).shape == (2, 10)
