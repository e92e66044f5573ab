"""Callbacks for `model.fit`."""

__all__ = []
