"""From maps to masks, boxes and pseudo labels."""

__all__ = []
