"""What collects the rules of one subject."""


class Rules:
    """Registers functions as the rules of operations of some types.

    Attributes:
        by_type: Dict of functions by the types of operations.
    """

    def __init__(self):
        self.by_type = {}

    def __call__(self, *kinds):
        """Registers a function as the rule of operations of these types."""

        def register(function):
            for kind in kinds:
                self.by_type[kind] = function
            return function

        return register
