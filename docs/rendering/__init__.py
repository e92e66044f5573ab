"""Examples as pages and notebooks, and links to the reference.

An example is a script. Its page and its notebook are made from the script
whenever the documentation is built, by the rules that `example` states; what it
printed and drew stands in `docs/examples`, put there by

    python -m docs.rendering

which runs the notebooks of all examples that have changed since.
"""
