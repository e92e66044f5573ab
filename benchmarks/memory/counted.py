"""Counts the memory that a call asks for."""

import gc
import time
import tracemalloc


def counted(function):
    """Returns the bytes of a call, at its peak and of its result; seconds."""
    gc.collect()
    tracemalloc.start()
    start = time.perf_counter()
    result = function()
    seconds = time.perf_counter() - start
    gc.collect()
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del result
    return {"peak": peak, "held": held, "seconds": round(seconds, 1)}
