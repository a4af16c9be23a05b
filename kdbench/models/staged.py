"""A plain feed-forward classifier in stages, with the interface of timm's models."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn


class StagedNet(nn.Module):
    """Stem, stages, pooling and a linear classifier, with timm's interface.

    ``forward(x) = forward_head(forward_features(x))``; ``forward_intermediates`` returns the output of each
    stage, without the stem's.

    Args:
        stages: one module per feature stage.
        widths: output channels of each stage.
        reductions: input pixels per output pixel of each stage.
        num_classes: C; 0 omits the classifier.
        in_chans: channels of the input.
        stem: module before the first stage.
        norm: module between the last stage and the pooling (pre-activation networks); not part of the last
            stage's feature.
        pool: module that reduces the maps to vectors N×D; global average pooling by default.
        neck: module between pooling and classifier.
        embedding: width of the classifier's input; ``widths[-1]`` by default.
        drop_rate: dropout before the classifier.
    """

    def __init__(
        self,
        stages: Sequence[nn.Module],
        *,
        widths: Sequence[int],
        reductions: Sequence[int],
        num_classes: int,
        in_chans: int,
        stem: nn.Module | None = None,
        norm: nn.Module | None = None,
        pool: nn.Module | None = None,
        neck: nn.Module | None = None,
        embedding: int | None = None,
        drop_rate: float = 0.0,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.in_chans = in_chans
        self.num_features = widths[-1]
        self.head_hidden_size = embedding if embedding is not None else widths[-1]
        self.feature_info = [
            {"num_chs": width, "reduction": reduction, "module": f"stages.{i}"}
            for i, (width, reduction) in enumerate(zip(widths, reductions, strict=True))
        ]
        self.stem = stem if stem is not None else nn.Identity()
        self.stages = nn.Sequential(*stages)
        self.norm = norm if norm is not None else nn.Identity()
        self.pool = pool if pool is not None else nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(1))
        self.neck = neck if neck is not None else nn.Identity()
        self.drop = nn.Dropout(drop_rate)
        self.fc = _classifier(self.head_hidden_size, num_classes)
        initialize(self)

    def forward_features(self, x: Tensor) -> Tensor:
        """Run everything before the pooling."""
        return self.norm(self.stages(self.stem(x)))  # type: ignore[no-any-return]

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Run the pooling and the classifier.

        Args:
            x: output of :meth:`forward_features`.
            pre_logits: return the classifier's input, N×D, instead of logits, N×C.
        """
        x = self.drop(self.neck(self.pool(x)))
        return x if pre_logits else self.fc(x)

    def forward(self, x: Tensor) -> Tensor:
        """Compute logits, N×C."""
        return self.forward_head(self.forward_features(x))

    def forward_intermediates(
        self,
        x: Tensor,
        indices: int | list[int] | tuple[int, ...] | None = None,
        norm: bool = False,
        stop_early: bool = False,
        output_fmt: str = "NCHW",
        intermediates_only: bool = False,
    ) -> list[Tensor] | tuple[Tensor, list[Tensor]]:
        """Compute the outputs of the stages, N×C×H×W each, as timm's models do.

        Args:
            x: the input.
            indices: stages to return: the last n, or these indices, or (``None``) all.
            norm: apply ``norm`` to the output of the last stage.
            stop_early: skip the stages after the last requested one.
            output_fmt: ``NCHW``, the only format.
            intermediates_only: return only the stages' outputs, without that of :meth:`forward_features`.
        """
        if output_fmt != "NCHW":
            raise ValueError(f'output_fmt must be "NCHW", not "{output_fmt}"')
        take = _indices(indices, len(self.stages))
        deepest = max(take, default=-1)
        intermediates: list[Tensor] = []
        x = self.stem(x)
        for i, stage in enumerate(self.stages):
            x = stage(x)
            if i in take:
                last = norm and i == len(self.stages) - 1
                intermediates.append(_as_map(self.norm(x) if last else x))
            if stop_early and i == deepest:
                break
        if intermediates_only:
            return intermediates
        return (x if stop_early and deepest < len(self.stages) - 1 else self.norm(x)), intermediates

    def get_classifier(self) -> nn.Module:
        """Return the last linear layer."""
        return self.fc

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Replace the classifier by a new one; the pooling does not change."""
        self.num_classes = num_classes
        self.fc = _classifier(self.head_hidden_size, num_classes)


class ConvNormAct(nn.Sequential):
    """3×3 convolution, batch normalization, ReLU."""

    def __init__(self, in_chans: int, width: int, stride: int = 1, bias: bool = False) -> None:
        super().__init__(
            nn.Conv2d(in_chans, width, 3, stride=stride, padding=1, bias=bias), nn.BatchNorm2d(width), nn.ReLU(inplace=True)
        )


def initialize(net: nn.Module) -> None:
    """Initialize convolutions from N(0, 2/fan_out), with zero biases.

    Other layers keep PyTorch's initialization. Source: He et al. 2015 (arXiv:1502.01852) with fan-out, as in
    RepDistiller's ``models/resnet.py``, ``wrn.py`` and ``vgg.py``.
    """
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def image_size(img_size: int | Sequence[int]) -> tuple[int, int]:
    """Return height and width, from one number or two."""
    if isinstance(img_size, int):
        return img_size, img_size
    height, width = img_size
    return height, width


def _classifier(width: int, num_classes: int) -> nn.Module:
    return nn.Linear(width, num_classes) if num_classes > 0 else nn.Identity()


def _indices(indices: int | Sequence[int] | None, count: int) -> set[int]:
    if indices is None or isinstance(indices, int):
        last = count if indices is None else indices
        indices = range(count - last, count)
    take = {i + count if i < 0 else i for i in indices}
    if not take <= set(range(count)):
        raise IndexError(f"the network has {count} stages, so there is none at {sorted(take - set(range(count)))}")
    return take


def _as_map(x: Tensor) -> Tensor:
    return x[:, :, None, None] if x.dim() == 2 else x
