"""Builders of ordinary Keras models that carry their own evidence."""

__all__ = []
