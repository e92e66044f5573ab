"""Reads from the source of the package what its errors tell users to do.

A remedy is a text that stands behind what was received, or tells what to do
by a verb at the beginning of a sentence, or goes on with such a sentence.
"""

import ast
import dataclasses
import re

from imports_in_use import MODULES
from imports_in_use import dotted

_VALUE = "\0"  # stands for what is filled in
_VERBS = (
    "Add|Average|Bring|Build|Call|Choose|Compile|Compute|Define|Explain|Find|"
    "Fuse|Give|Leave|Load|Look|Make|Name|Pass|Put|Read|Remove|Return|Set|Take|"
    "Tell|Use"
)
_BEHIND_RECEIVED = re.compile(r"Received.*?(\. |\n)(?=\S)", re.DOTALL)
_SENTENCE = re.compile(rf"(^|[.:] )(?=({_VERBS}|For|Of)\b)")
_FURTHER = re.compile(r"^[,;] (?=(or|where)\b)")
_ENOUGH = 12  # letters in a row that words share with what they follow
_WARNINGS = ("warn_user", "warnings.warn", "logger.info")


@dataclasses.dataclass(frozen=True)
class Remedy:
    """A text of the package, and where in it the advice begins."""

    place: str
    text: str
    start: int

    @property
    def advice(self):
        return self.text[self.start :]

    def fits(self, message):
        """Whether an error's message holds the text, with any values."""
        parts = map(re.escape, self.text.strip().split(_VALUE))
        return re.search(".*".join(parts), message, re.DOTALL) is not None


def remedies(sources):
    """Returns a `Remedy` for each text of these modules that has one."""
    return [
        Remedy(f"{path}:{line}", text, start)
        for path, source in sources.items()
        for line, text in _texts(ast.parse(source))
        for start in [_start(text)]
        if start is not None and " " in text.strip()
    ]


def modules_of(*folders):
    return {
        path: source
        for path, source in MODULES.items()
        if path.startswith(folders)
    }


def _start(text):
    """Returns where the advice in a text begins, `None` without any."""
    for pattern in (_BEHIND_RECEIVED, _SENTENCE, _FURTHER):
        found = pattern.search(text)
        advice = text[found.end() :] if found else ""
        # What stands behind may be no more than the name of a list.
        if len(re.findall(r"\w+", advice)) > 1:
            return found.end()
    return None


def _texts(node):
    """Yields the texts below a node with their lines, no docstrings."""
    text = _text(node)
    if text is not None:
        yield node.lineno, text
        return
    if isinstance(node, ast.Expr) and _text(node.value) is not None:
        return
    if isinstance(node, ast.Call) and dotted(node.func) in _WARNINGS:
        return
    for inner in ast.iter_child_nodes(node):
        yield from _texts(inner)


def _text(node):
    """Returns the text that an expression makes, `None` if it makes none."""
    if isinstance(node, ast.Constant):
        if not isinstance(node.value, str):
            return None
        return re.sub(r"\{\w+\}", _VALUE, node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) or _VALUE for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        sides = [_text(node.left), _text(node.right)]
        if sides != [None, None]:
            return "".join(side or _VALUE for side in sides)
    return None


def followed_by(words, remedies):
    """Returns which of `remedies` the words of a row say, `None` for none.

    Words are a pattern; what it says literally is compared.
    """
    parts = [
        re.sub(r"\\(.)", r"\1", part)
        for part in re.split(r"(?<!\\)\.\*", words)
    ]
    scores = {
        remedy: sum(_common(part, remedy.text) for part in parts)
        for remedy in remedies
        if any(_says(part, remedy.advice) for part in parts)
    }
    return max(scores, key=lambda x: (scores[x], -len(x.text)), default=None)


def _says(part, advice):
    return _common(part, advice) >= max(_ENOUGH, 0.6 * len(part))


def _common(part, text):
    """Returns how many letters in a row two texts share."""
    best = 0
    for run in text.split(_VALUE):
        for start in range(len(part)):
            while (
                start + best < len(part)
                and part[start : start + best + 1] in run
            ):
                best += 1
    return best
