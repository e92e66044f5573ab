"""Callbacks for `model.fit`."""

from keras_xmap.callbacks.adversarial_erasing import AdversarialErasing
from keras_xmap.callbacks.chief_backup import ChiefBackup
from keras_xmap.callbacks.explanation_logger import ExplanationLogger
from keras_xmap.callbacks.stop_rule import StopRule

__all__ = [
    "AdversarialErasing",
    "ChiefBackup",
    "ExplanationLogger",
    "StopRule",
]
