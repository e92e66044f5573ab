"""Which it is, after two rounds: erase on, or cut the first maps lower."""

# Of what the first network learned, the share that it may still know without
# its regions; docs/adversarial_erasing.md has what was measured.
MOST_KNOWN = 0.5
_INSTEAD = (
    "For more of an object, give `mask_threshold` a lower share with "
    "max_rounds=1."
)


def share_known(record):
    """Returns what the first network still knows without its regions.

    Args:
        record: Dictionary, that of the first round.

    Returns:
        Float, 1 for all that it knows of images as they are and 0 for a guess,
        by the areas under ROC curves; `None` where these are not known, or
        nothing was learned.
    """
    whole, erased = record.get("whole_auc"), record.get("erased_auc")
    if None in (whole, erased) or whole <= 0.5:
        return None
    return min(max((erased - 0.5) / (whole - 0.5), 0.0), 1.0)


def advice(records, are_whole, judge):
    """Returns what two rounds say of the data, or `None` before they have.

    Args:
        records: List of dictionaries, those of `AdversarialErasing.rounds`.
        are_whole: Boolean, whether images that are validated on are whole.
        judge: Function of the first record and of the second without what it
            mined, that says why the second has failed, or `None`.
    """
    if len(records) < 2:
        return None
    first, second = records[:2]
    failed = judge([first, {"logs": second["logs"]}])
    if "new_share" not in second or failed:
        return (
            "Lower the threshold: without what round 1 has found, round 2 did "
            f"not learn{f' ({failed})' if failed else ''}. There is no second "
            f"cue. {_INSTEAD}"
        )
    known = share_known(first)
    if known is None:
        return (
            "Nothing can be said: it takes a model with one output of scores "
            "of classes, a first round that has learned, and one worker."
        )
    if known >= MOST_KNOWN:
        return (
            "Lower the threshold: without the regions of round 1 its network "
            f"still knows {known:.0%} of what it learned, so that its maps "
            f"hold the rest. {_INSTEAD}"
        )
    if not are_whole or not any(x.startswith("val_") for x in second["logs"]):
        return (
            "Nothing can be said: whether round 2 has learned a second cue, "
            "or images by heart or labels by their holes, whole held-out "
            "images tell. Give some as `validation_data` of `fit`, not made "
            "by `validation_data` of the callback."
        )
    return (
        "Erase: without the regions of round 1 its network knows "
        f"{known:.0%} of what it learned, and that of round 2 has learned. "
        "There is a second cue that no lower threshold finds. Whether it is "
        "of the object or stands beside it, pictures of `store` show."
    )
