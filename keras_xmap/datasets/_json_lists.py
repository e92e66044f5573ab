"""Lists of a JSON file, read row by row.

A list of a million objects takes a hundred bytes and more for each of their
keys and values, where few of them are kept: so that no list is ever whole in
memory.
"""

import json
import re

_BLANKS = re.compile(r"[ \t\n\r]*")


class JSONLists:
    """The lists at the top of a JSON text that is one object.

    Args:
        text: String.
        keys: Of the lists.
        make: Called with the pairs of key and value of each object within
            a row, what `json.loads` calls `object_pairs_hook`.

    Raises:
        ValueError: If the text is no JSON.
        RecursionError: If it is nested too deeply.
    """

    def __init__(self, text, keys, make):
        self._text = text
        self._decoder = json.JSONDecoder(object_pairs_hook=make)
        # From where to where each list goes.
        self._starts = {}
        self._plain = json.JSONDecoder()
        self._find(keys)

    @property
    def keys(self):
        return self._starts.keys()

    def rows(self, key):
        """Yields the rows of a list, made."""
        yield from self._rows(self._starts[key], self._decoder)

    def _find(self, keys):
        text = self._text
        position = self._after_blanks(0)
        if text[position : position + 1] != "{":
            _, position = self._plain.raw_decode(text, position)
            self._check_end(position)
            return
        position, found = self._after_blanks(position + 1), set()
        while text[position : position + 1] != "}":
            if found:
                position = self._after(",", position)
            key, position = self._key(position)
            if key in found:
                raise ValueError(
                    "a key must stand once in an object. Received twice: "
                    f"{key[:40]!r}"
                )
            found.add(key)
            position = self._after(":", position)
            if key in keys and text[position : position + 1] == "[":
                self._starts[key] = position
                position = self._end_of_list(position)
            else:
                _, position = self._plain.raw_decode(text, position)
            position = self._after_blanks(position)
        self._check_end(position + 1)

    def _key(self, position):
        if self._text[position : position + 1] != '"':
            self._fail("Expecting property name in double quotes", position)
        return self._plain.raw_decode(self._text, position)

    def _end_of_list(self, position):
        rows = self._rows(position, self._plain)
        while True:
            try:
                next(rows)
            except StopIteration as stop:
                return stop.value

    def _rows(self, position, decoder):
        """Yields the rows of a list, and returns where it ends."""
        position = self._after_blanks(position + 1)
        if self._text[position : position + 1] == "]":
            return position + 1
        while True:
            row, position = decoder.raw_decode(self._text, position)
            yield row
            position = self._after_blanks(position)
            if self._text[position : position + 1] == "]":
                return position + 1
            position = self._after(",", position)

    def _after(self, sign, position):
        """Returns where the next begins, after blanks, a sign and blanks."""
        position = self._after_blanks(position)
        if self._text[position : position + 1] != sign:
            self._fail(f"Expecting {sign!r} delimiter", position)
        return self._after_blanks(position + 1)

    def _after_blanks(self, position):
        return _BLANKS.match(self._text, position).end()

    def _check_end(self, position):
        position = self._after_blanks(position)
        if position != len(self._text):
            self._fail("Extra data", position)

    def _fail(self, message, position):
        raise json.JSONDecodeError(message, self._text, position)
