"""What the operations of a graph do to the places of positions.

A rule takes the operation, the places of its inputs (`None` for what is not
made from the input) and the walk, which knows shapes and numbers. It returns
the places of the first output, or a list for all outputs.
"""

from keras_xmap.engine.tensorflow._geometry_rules import _gathering
from keras_xmap.engine.tensorflow._geometry_rules import _rearrangements
from keras_xmap.engine.tensorflow._geometry_rules import _resizing
from keras_xmap.engine.tensorflow._geometry_rules import _slices
from keras_xmap.engine.tensorflow._geometry_rules import _sums
from keras_xmap.engine.tensorflow._geometry_rules import _windows
from keras_xmap.engine.tensorflow._geometry_rules import elementwise
from keras_xmap.engine.tensorflow._geometry_rules.elementwise import ELEMENTWISE

__all__ = ["ELEMENTWISE", "RULES"]

RULES: dict = {
    **elementwise.rule.by_type,
    **_gathering.rule.by_type,
    **_rearrangements.rule.by_type,
    **_resizing.rule.by_type,
    **_slices.rule.by_type,
    **_sums.rule.by_type,
    **_windows.rule.by_type,
}
