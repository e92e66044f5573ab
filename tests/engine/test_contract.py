"""The backend answers what the contract asks, in the same words."""

import inspect

import pytest

from keras_xmap import engine


def answers():
    from keras_xmap.engine.tensorflow import _evaluation
    from keras_xmap.engine.tensorflow import _placement

    return [
        (engine.Backend, type(engine.backend())),
        (engine.Evaluation, _evaluation.GraphEvaluation),
        (engine.Placement, _placement.OnHost),
        (engine.Placement, _placement.OnReplicas),
    ]


@pytest.mark.tensorflow
@pytest.mark.parametrize("number", range(4))
def test_every_question_is_answered_with_the_same_arguments(number):
    asked, answered = answers()[number]
    assert issubclass(answered, asked)
    assert not inspect.isabstract(answered)
    for name in asked.__abstractmethods__:
        of_contract = inspect.signature(getattr(asked, name))
        of_backend = inspect.signature(getattr(answered, name))
        assert of_backend.parameters.keys() == of_contract.parameters.keys()
        assert str(of_backend) == str(of_contract), name


def test_a_condition_that_is_known_needs_no_backend():
    assert engine.require(True, "fine") is None
    with pytest.raises(ValueError, match=r"too small. Received: 3"):
        engine.require(False, "too small. Received:", 3)
