"""timm's architectures can be used: here one of each family; all of them by ``benchmarks/sweep_models.py``."""

from __future__ import annotations

import pytest
import torch

from kdbench.models.factory import create_model
from kdbench.suite.schema import ModelSpec
from tests.models.architectures import failures, listed, one_of_each_family
from tests.support.images import arguments


def test_one_of_each_family_classifies_images_but_those_that_are_listed() -> None:
    names = one_of_each_family()
    assert len(names) > 50
    found = failures(names)
    assert sorted(found) == listed(names), found


@pytest.mark.parametrize("name", ["poolformer_s12", "hrnet_w18_small", "ese_vovnet19b_slim_dw"])
def test_networks_that_take_any_size_need_no_img_size(name: str) -> None:
    with torch.device("meta"):
        model = create_model(ModelSpec(model=name), arguments=arguments((3, 64, 64)))
        assert model.eval()(torch.zeros(1, 3, 64, 64)).shape == (1, 10)
