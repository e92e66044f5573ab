"""What a user's type checker makes of the package: `make lint` runs it here.

Each line that is marked as an error must be one, or mypy complains about the
mark.
"""

from typing import TYPE_CHECKING

import keras_xmap

if TYPE_CHECKING:
    from typing_extensions import assert_type


def known_names(model: object) -> None:
    grad_cam = keras_xmap.explainers.GradCAM(model)
    assert_type(grad_cam, keras_xmap.explainers.GradCAM)
    grad_cam.explain([])
    target = keras_xmap.targets.Component(1)
    assert_type(target, keras_xmap.targets.Component)
    store = keras_xmap.regions.RegionStore()
    assert_type(store, keras_xmap.regions.RegionStore)


def unknown_names(model: object) -> None:
    _ = keras_xmap.explainer  # type: ignore[attr-defined]
    _ = keras_xmap.explainers.GradCM  # type: ignore[attr-defined]
    _ = keras_xmap.layers.MaskNois  # type: ignore[attr-defined]
    _ = keras_xmap.ops.resiz  # type: ignore[attr-defined]
    _ = keras_xmap.segmentation.box  # type: ignore[attr-defined]
    grad_cam = keras_xmap.explainers.GradCAM
    grad_cam(model).explan([])  # type: ignore[attr-defined]
    grad_cam(model, target_layr="a")  # type: ignore[call-arg]
    grad_cam()  # type: ignore[call-arg]
