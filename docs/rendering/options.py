"""The options of an example's `main`, each at its default."""

import ast
import dataclasses

from docs.rendering.source import names_in

# Where an example puts its pictures; a page and a notebook show them.
PICTURES = {"picture": '"picture.png"', "folder": '"pictures"'}


@dataclasses.dataclass
class Options:
    """What a call of `main` without words has for its options.

    Attributes:
        variable: Name of what `parse_args` returns, or `None`.
        defaults: Dictionary from the names of options to the source of their
            defaults.
        small: Whether it is the call with `--smoke`.
    """

    variable: str | None
    defaults: dict
    small: bool

    def named(self, node):
        """Returns the option that a node reads or sets, or `None`."""
        if (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id == self.variable
        ):
            return node.attr
        return None

    def truth(self, test):
        """Returns whether a test holds, or `None` where options leave it open.

        Known is what hangs on `--smoke`, on options for pictures, which are
        wanted, and on options that are left out.
        """
        name = self.named(test)
        if name is not None:
            return self._is_given(name)
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            inner = self.truth(test.operand)
            return None if inner is None else not inner
        if isinstance(test, ast.BoolOp):
            return self._truth_of_all(test)
        if isinstance(test, ast.Compare) and self._with_none(test):
            given = self._is_given(self.named(test.left))
            if given is None:
                return None
            return given is isinstance(test.ops[0], ast.IsNot)
        return None

    def _is_given(self, name):
        if name == "smoke":
            return self.small
        if name in PICTURES:
            return True
        left_out = self.defaults.get(name) in ("None", "False")
        return False if left_out else None

    def _truth_of_all(self, test):
        found = [self.truth(value) for value in test.values]
        decides = isinstance(test.op, ast.Or)
        if decides in found:
            return decides
        return None if None in found else not decides

    def _with_none(self, test):
        right = test.comparators[0]
        return (
            self.named(test.left) in self.defaults
            and len(test.ops) == 1
            and isinstance(test.ops[0], ast.Is | ast.IsNot)
            and isinstance(right, ast.Constant)
            and right.value is None
        )


def is_parser(function):
    """Tells whether a function makes an `argparse.ArgumentParser`."""
    return isinstance(function, ast.FunctionDef) and any(
        isinstance(x, ast.Attribute | ast.Name)
        and getattr(x, "attr", getattr(x, "id", "")) == "ArgumentParser"
        for x in ast.walk(function)
    )


def parsed_options(source, function, small):
    """Returns the options of a function, and the statements that read them."""
    parser, variable, reading = None, None, []
    for statement in function.body:
        called = _calls(statement)
        is_made = isinstance(statement, ast.Assign)
        if is_made and "ArgumentParser" in called:
            parser = statement.targets[0].id
            reading.append(statement)
        elif parser is not None and parser in names_in(statement):
            reading.append(statement)
            if is_made and "parse_args" in called:
                variable = statement.targets[0].id
    defaults = {}
    for call in ast.walk(function):
        if isinstance(call, ast.Call) and _calls(call)[:1] == ["add_argument"]:
            defaults.update([_option(source, call)])
    return Options(variable, defaults, small), reading


def _calls(node):
    return [
        getattr(x.func, "attr", getattr(x.func, "id", ""))
        for x in ast.walk(node)
        if isinstance(x, ast.Call)
    ]


def _option(source, call):
    """Returns the name of an option and the source of its default."""
    keywords = {x.arg: x.value for x in call.keywords}
    words = [x.value for x in call.args if str(x.value).startswith("--")]
    if not words:
        raise ValueError(
            "An example takes options alone, each with a default. Received: "
            f"add_argument({', '.join(map(ast.unparse, call.args))})."
        )
    name = words[0].removeprefix("--").replace("-", "_")
    name = ast.literal_eval(keywords.get("dest", ast.Constant(name)))
    action = ast.literal_eval(keywords.get("action", ast.Constant("store")))
    left_out = {"store_true": "False", "store_false": "True"}
    default = left_out.get(action, "None")
    if "default" in keywords:
        default = source.edited(*source.span(keywords["default"]), [])
    return name, default
