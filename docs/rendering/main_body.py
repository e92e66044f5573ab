"""The body of an example's `main`, as it reads without options."""

import ast
import re

from docs.rendering.options import PICTURES
from docs.rendering.options import is_parser
from docs.rendering.options import parsed_options
from docs.rendering.source import moved_left
from docs.rendering.source import names_in

# What a block of `main` returns.
RESULT = "result"


def body_of_main(source, small):
    """Returns the lines of settings, the text of `main`, and what it returns.

    Args:
        source: The `Source` of an example.
        small: Whether the settings are those of `--smoke`.
    """
    functions = {
        x.name: x for x in source.tree.body if isinstance(x, ast.FunctionDef)
    }
    if "main" not in functions:
        raise ValueError(
            "An example has a function `main(argv=None)`. Received: one with "
            f"the functions {sorted(functions)}."
        )
    main = functions["main"]
    given = [x for x in functions.values() if is_parser(x)] or [main]
    options, reading = parsed_options(source, given[0], small)
    unfolded = _Unfolded(source, main, given[0], options, reading)
    text, returned = unfolded.text(), unfolded.returned()
    return _settings(f"{text}\n{returned}", options), text, returned


class _Unfolded:
    """`main` with every test decided that its options decide."""

    def __init__(self, source, main, parser, options, reading):
        self.source, self.options = source, options
        self.main, self.parser, self.reading = main, parser, reading

    def text(self):
        """Returns the body of `main` up to what it returns at its end."""
        body = self.main.body
        body = body[1:] if ast.get_docstring(self.main) else body
        body = body[:-1] if isinstance(body[-1], ast.Return) else body
        if not body:
            return ""
        edits = []
        for statement in body:
            edits += self._edits(statement, body)
        start = self.source.start_of_line(self._first_line(body[0]))
        end = self.source.with_comment(body[-1])[1]
        text = self.source.edited(start, end, edits)
        return moved_left(_tidied(text), body[0].col_offset)

    def returned(self):
        """Returns the source of what `main` returns, or nothing."""
        last = self.main.body[-1]
        if isinstance(last, ast.Return):
            edits = self._edits(last.value, [])
            return self.source.edited(*self.source.span(last.value), edits)
        nested = any(isinstance(x, ast.Return) for x in ast.walk(last))
        return RESULT if nested else ""

    def _first_line(self, statement):
        start, _ = self.source.with_comment(statement)
        return self.source.text.count("\n", 0, start) + 1

    def _edits(self, node, block):
        """Returns what is put anew in a node of a block of statements."""
        if node in self.reading:
            return [(*self.source.with_comment(node), "")]
        if self._reads_options(node):
            return [(*self.source.span(node), self._of_the_parser())]
        if isinstance(node, ast.If | ast.IfExp):
            truth = self.options.truth(node.test)
            if truth is not None:
                return [self._branch(node, truth, block)]
        if isinstance(node, ast.Return):
            return self._returned(node)
        if isinstance(node, ast.JoinedStr) and self.options.variable:
            return [self._in_a_string(node)]
        name = self.options.named(node)
        if name is not None:
            return [(*self.source.span(node), self._word(name))]
        found = []
        for _, value in ast.iter_fields(node):
            children = value if isinstance(value, list) else [value]
            for child in children:
                if isinstance(child, ast.AST):
                    found += self._edits(child, children)
        return found

    def _word(self, name):
        return str(self.options.small) if name == "smoke" else name.upper()

    def _in_a_string(self, node):
        # Before Python 3.12 a tree does not tell places within an f-string.
        start, end = self.source.span(node)
        text = re.sub(
            rf"\b{self.options.variable}\.(\w+)",
            lambda match: self._word(match[1]),
            self.source.text[start:end],
        )
        return start, end, text

    def _reads_options(self, node):
        return (
            self.parser is not self.main
            and isinstance(node, ast.Assign)
            and isinstance(node.value, ast.Call)
            and getattr(node.value.func, "id", None) == self.parser.name
        )

    def _of_the_parser(self):
        """What a function that reads the options does beside reading them."""
        rest = [
            x
            for x in self.parser.body
            if x not in self.reading
            and not isinstance(x, ast.Return)
            and not (isinstance(x, ast.Expr) and _is_text(x.value))
        ]
        # Beside what follows in `main`, none of them stands alone.
        edits = [e for x in rest for e in self._edits(x, [*rest, None])]
        parts = [self.source.edited(*self.source.span(x), edits) for x in rest]
        return "\n    ".join(part for part in parts if part.strip())

    def _branch(self, node, truth, block):
        """Returns the edit that leaves one branch of a decided test."""
        start, end = self.source.span(node)
        if isinstance(node, ast.IfExp):
            kept = node.body if truth else node.orelse
            edits = self._edits(kept, [])
            return (
                start,
                end,
                self.source.edited(*self.source.span(kept), edits),
            )
        if self.source.text.startswith("elif", start):
            raise ValueError(
                "Where an option decides, write an `if` of its own. Received: "
                f"`elif {ast.unparse(node.test)}:`."
            )
        kept = node.body if truth else node.orelse
        end = self.source.with_comment(node)[1]
        if not kept:
            start, _ = self.source.with_comment(node)
            return start, end, "" if len(block) > 1 else "pass"
        edits = [e for x in kept for e in self._edits(x, kept)]
        first = self.source.start_of_line(self._first_line(kept[0]))
        last = self.source.with_comment(kept[-1])[1]
        text = self.source.edited(first, last, edits)
        text = moved_left(text, kept[0].col_offset - node.col_offset)
        text = text.lstrip(" ")
        return start, end, text.removeprefix("el") if not truth else text

    def _returned(self, node):
        """What a block returns is kept, and stands at the end."""
        last = self.main.body[-1]
        while isinstance(last, ast.With):
            last = last.body[-1]
        if node is not last:
            raise ValueError(
                "`main` of an example returns at its end, and earlier only "
                "where an option that is left out decides. Received: a return "
                f"in line {node.lineno}."
            )
        start, _ = self.source.span(node)
        inner = self._edits(node.value, []) if node.value else []
        keyword = (start, start + len("return "), f"{RESULT} = ")
        return [keyword, *inner]


def _is_text(node):
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _tidied(text):
    """Returns code without blanks at line ends and rows of empty lines."""
    lines = [line.rstrip() for line in text.strip("\n").split("\n")]
    kept = []
    for line in lines:
        if line or (kept and kept[-1]):
            kept.append(line)
    return "\n".join(kept).strip("\n")


def _settings(text, options):
    """Returns the lines that set the options which a text reads."""
    used = names_in(ast.parse(text))
    if options.variable in used:
        raise ValueError(
            "`main` of an example hands on what it needs of its options, not "
            f"all of them. Received: a use of `{options.variable}` as a whole."
        )
    lines = []
    for name, default in options.defaults.items():
        value = default
        if name in PICTURES and default == "None":
            value = PICTURES[name]
        if name.upper() in used and value != name.upper():
            lines.append(f"{name.upper()} = {value}")
    return lines
