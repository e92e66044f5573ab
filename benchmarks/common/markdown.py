"""Tables of the documentation, out of figures."""


def share(value, digits=3):
    """Formats a number without the zero before its point: `.627`, `-.03`."""
    text = f"{value:.{digits}f}"
    return text.replace("0.", ".", 1) if text.lstrip("-")[0] == "0" else text


def signed(value, digits=3):
    text = share(value, digits)
    return text if text.startswith("-") else f"+{text}"


def gain(values):
    """Formats a difference and its interval: `+.048 [-.029, +.128]`."""
    middle, low, high = map(signed, values)
    return f"{middle} [{low}, {high}]"


def within(values):
    """Formats a share and its interval: `.627 [.552, .701]`."""
    middle, low, high = map(share, values)
    return f"{middle} [{low}, {high}]"


def table(header, rows):
    """Returns the lines of a table of cells."""
    lines = [header, ["---"] * len(header), *rows]
    return [line(cells) for cells in lines]


def line(cells):
    # Nothing at all between two bars is no cell to every reader.
    text = " | ".join(str(cell) for cell in cells)
    return f"| {text} |" if cells[0] else f"|{text} |"
