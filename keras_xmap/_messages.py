"""What other libraries say, as a part of a message of ours."""

import re

# Keras makes parts of its messages bold, in terminals that show it.
_STYLE = re.compile(r"\x1b\[[0-9;]*m")


def said_by(error):
    """Returns the message of an error as plain text, without its styles."""
    return _STYLE.sub("", str(error))
