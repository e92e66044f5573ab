"""What is explained: the number, one per image, that a map is a map of.

Wherever an explainer takes `target`, it may be

- `None`: the class with the highest score of each image, where the model has
  one output of shape `(batch, classes)`;
- an integer: this class, for all images;
- an integer array of shape `(batch,)`: one class per image;
- an integer array of shape `(batch, classes)`: several classes per image,
  from one forward pass; maps then have an axis for them, behind the batch;
- `"labels"`: of data in batches of inputs and labels, the class of the labels;
- an object of this module;
- any callable that takes the scores, in the structure of the model's
  outputs, and returns shape `(batch,)`. The `Score` objects of tf-keras-vis
  are such callables;
- a list, or a dict by output name, of such callables or objects, one per
  output: their sum is explained.
"""

from keras_xmap.targets.box_score import BoxScore
from keras_xmap.targets.class_target import Class
from keras_xmap.targets.component import Component
from keras_xmap.targets.conversion import get
from keras_xmap.targets.difference import Difference
from keras_xmap.targets.masked_mean import MaskedMean
from keras_xmap.targets.target import Target

__all__ = [
    "BoxScore",
    "Class",
    "Component",
    "Difference",
    "MaskedMean",
    "Target",
    "get",
]
