"""Errors of one worker, which all are to hear of."""


def raise_together(workers, check):
    """Calls `check` on all workers; if it raises on one, all of them raise.

    Else those whose check is passed would wait for the others for ever.
    """
    error = None
    try:
        result = check()
    except Exception as caught:
        error = caught
    (count,) = workers.sum([error is not None])
    if error is not None:
        raise error
    if count:
        raise RuntimeError(
            "All workers must have the same data, model, arguments and "
            f"`directory`. Received: {count:.0f} of {workers.count} that do "
            "not; their messages say what differs."
        )
    return result
