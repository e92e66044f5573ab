"""The names of a model's classes, of a file with one on each line."""

import os


class ClassNames:
    """What `--labels` and `--target` say of the classes.

    Args:
        path: File of names, that of class 0 first, or `None`: there are none.

    Raises:
        ValueError: If the file is not there, or holds no text or no names, or
            one of them twice.
    """

    def __init__(self, path):
        self._path = path
        self._names = None if path is None else _read(path)

    @property
    def names(self):
        """List of strings, or `None` if there are none."""
        return self._names

    def index(self, asked):
        """Returns what `--target` asks for, a class as its number.

        Raises:
            ValueError: If `asked` is the name of no class.
        """
        if asked in (None, "raise", "lower") or isinstance(asked, int):
            return asked
        if asked and asked in (self._names or ()):
            return self._names.index(asked)
        given = "no `--labels`" if self._names is None else self._path
        raise ValueError(
            "`--target` must be the number of a class, `raise` or `lower`, or "
            "a name in the file of `--labels`. Received: --target "
            f"{asked} and {given}."
        )

    def check_count(self, number):
        """Raises unless there is one for each of so many classes."""
        if self._names is not None and len(self._names) != number:
            raise ValueError(
                "`--labels` must be a file with one name a line for each class "
                f"of the output. Received: {self._path} with "
                f"{len(self._names)} names, and {number} classes."
            )

    def described(self, index):
        """Returns the class in words: its number, and its name if known."""
        is_there = self._names is not None and 0 <= index < len(self._names)
        name = self._names[index] if is_there else ""
        return f"class {index}, {name}" if name else f"class {index}"


def _read(path):
    if not os.path.isfile(path):
        raise ValueError(
            f"`--labels` must be a file. Received: {path}, which is not one."
        )
    try:
        with open(path, encoding="utf-8") as file:
            names = [line.strip() for line in file.read().splitlines()]
    except UnicodeDecodeError as error:
        raise ValueError(
            "`--labels` must be text in UTF-8, one name on each line. "
            f"Received: {path}, which is not."
        ) from error
    while names and not names[-1]:
        names.pop()
    # Classes without a name of their own are asked for by number.
    twice = {name for name in names if name and names.count(name) > 1}
    if not names or twice:
        raise ValueError(
            "`--labels` must hold one name of its own for each class. "
            f"Received: {path} with {len(names)} lines"
            + (f", {min(twice)!r} more than once." if twice else ".")
        )
    return names
