"""What is explained: the number, one per image, that a map is a map of.

Wherever an explainer takes `target`, it may be

- `None`: the model's answer, the class with the highest score of each image,
  where the model has one output of shape `(batch, classes)`;
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

**A single unit**, an output of shape `(batch, 1)` or `(batch,)`, is two
classes or a number. The sigmoid that ends the model tells, or the loss that the
model is compiled with:

| the unit | loss of classes | loss of numbers | none, or another |
| --- | --- | --- | --- |
| squashed by a sigmoid | two classes | refused | two classes |
| anything else | two classes | a number | refused |

Losses of classes are binary cross-entropy, its focal form, `Hinge` and
`SquaredHinge`; losses of numbers are the mean squared, absolute, percentage
and logarithmic errors, `Huber`, `LogCosh` and `Poisson`.

Of two classes, 1 is what raises the unit: of a logit `z` the scores of 0 and 1
are `-z` and `z`; of a probability `p`, with `score="output"`, `1 - p` and `p`.
`None` is the model's answer, 1 where the probability is above 0.5; `"labels"`
are 0 and 1. Of a number, `None` and 0 mean the number, and there is no other.
Where nothing tells, the map might show the opposite of what was asked for, so
that `None`, class numbers and labels are refused; `Binary` says that the unit
is two classes, `Component` that it is a number, and both, as callables do, take
the unit of any model. Of several units, as of a multi-label classifier, a class
is the number of its unit.
"""

from keras_xmap.targets._class_scores import class_scores as class_scores
from keras_xmap.targets._class_scores import (
    unknown_number_of_classes as unknown_number_of_classes,
)
from keras_xmap.targets._present_classes import num_classes as num_classes
from keras_xmap.targets._present_classes import of_classes as of_classes
from keras_xmap.targets._present_classes import (
    present_classes as present_classes,
)
from keras_xmap.targets.binary import Binary
from keras_xmap.targets.box_score import BoxScore
from keras_xmap.targets.class_target import Class
from keras_xmap.targets.component import Component
from keras_xmap.targets.conversion import get
from keras_xmap.targets.difference import Difference
from keras_xmap.targets.masked_mean import MaskedMean
from keras_xmap.targets.target import Target

__all__ = [
    "Binary",
    "BoxScore",
    "Class",
    "Component",
    "Difference",
    "MaskedMean",
    "Target",
    "get",
]
