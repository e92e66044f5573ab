"""The text of a module, by the nodes of its syntax tree."""

import ast
import io
import tokenize


class Source:
    """A module's text and tree, and places in the text as plain numbers."""

    def __init__(self, text):
        self.text = text
        self.tree = ast.parse(text)
        self._lines = text.splitlines(keepends=True)
        self._starts = [0]
        for line in self._lines:
            self._starts.append(self._starts[-1] + len(line))

    def start_of_line(self, number):
        return self._starts[number - 1]

    def line(self, number):
        return self._lines[number - 1]

    def span(self, node):
        """Returns where a node begins and ends, decorators with it."""
        first = min(
            [node, *getattr(node, "decorator_list", [])],
            key=lambda x: x.lineno,
        )
        start = self.start_of_line(first.lineno)
        if first is node:
            start = self._offset(node.lineno, node.col_offset)
        return start, self._offset(node.end_lineno, node.end_col_offset)

    def with_comment(self, node):
        """Returns the span of a statement with its comments.

        Those are the lines right above and what follows in its last line.
        """
        start, _ = self.span(node)
        end = self.start_of_line(node.end_lineno + 1)
        end -= self.text.endswith("\n", 0, end)
        number = self.text.count("\n", 0, start) + 1
        above = number
        while above > 1 and self.line(above - 1).lstrip().startswith("#"):
            above -= 1
        return (start if above == number else self.start_of_line(above)), end

    def edited(self, start, end, edits):
        """Returns the text of a span, with parts of it put anew.

        Args:
            start: Where the span begins.
            end: Where it ends.
            edits: Triples `(start, end, text)` that do not overlap.
        """
        parts, at = [], start
        for first, last, text in sorted(edits):
            if first >= start and last <= end:
                parts += [self.text[at:first], text]
                at = last
        return "".join([*parts, self.text[at:end]])

    def _offset(self, line, column):
        # The tree counts bytes.
        before = self.line(line).encode()[:column].decode()
        return self.start_of_line(line) + len(before)


def moved_left(text, by):
    """Returns lines of code `by` columns further left, strings as they are."""
    within = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if "STRING" in tokenize.tok_name[token.type]:
            within.update(range(token.start[0] + 1, token.end[0] + 1))
    indent = " " * by
    return "".join(
        line if number in within else line.removeprefix(indent)
        for number, line in enumerate(text.splitlines(keepends=True), 1)
    )


def names_in(tree):
    """Returns all names that a tree reads or binds."""
    return {x.id for x in ast.walk(tree) if isinstance(x, ast.Name)}
