"""How much is computed at a time: steps, compiled once and run on batches.

With `source` (what comes in) and the backend's `Placement` (where it runs)
the one place that compiles, batches, reads data sets, spreads work over
replicas, shows progress and copies results to the host.
"""

import collections
import re
import threading

import keras
import numpy as np

from keras_xmap._checks import check_one_of
from keras_xmap._warnings import warn_user
from keras_xmap.engine._batches import as_inputs
from keras_xmap.engine._batches import as_tensors
from keras_xmap.engine._batches import check_batch
from keras_xmap.engine._batches import conditions_of_batch
from keras_xmap.engine._batches import num_images
from keras_xmap.engine.backend import backend
from keras_xmap.engine.contract import StepError
from keras_xmap.engine.given import given
from keras_xmap.engine.given import map_given
from keras_xmap.engine.given import pack_given
from keras_xmap.engine.source import Source

_MAX_STEPS = 16  # compiled steps that one runner keeps


class Runner:
    """Compiles a computation on batches, and runs it on any amount of data.

    One step is traced per signature: structure, sizes and dtypes of the
    inputs, and kind of target. The number of images in a batch is no part of
    it. Steps live as long as the runner does.

    Args:
        model: The model that is explained.
        compute: Takes `(inputs, target, parts, *options)`, structures of
            tensors around the `Target`; returns a structure of tensors whose
            first axis is the batch, and notes: a dict of Python values that
            tell what was computed. Called while tracing.
        note: Function of the notes of the step that runs. Defaults to one
            that forgets them.

    Raises:
        ImportError: If models of this backend cannot be explained.
    """

    def __init__(self, model, compute, note=lambda notes: None):
        self.model = model
        self.num_traces = 0
        self._backend = backend()
        self._compute = compute
        self._note = note
        self._steps = collections.OrderedDict()
        self._lock = threading.RLock()
        self._warned = False

    def call(self, inputs, target, *options):
        """Computes one batch of tensors where the caller stands.

        Inside a function that the caller compiles, the computation becomes
        part of it.

        Args:
            inputs: Structure of tensors.
            target: `Target`.
            *options: Hashable values for `compute`: others make another step.
        """
        return self._backend.plain(self._call)(inputs, target, options)

    def batches(self, data, target, batch_size, verbose, *options):
        """Yields NumPy results, batch by batch, in the order of `data`.

        Args:
            data: See `Explainer.explain`.
            target: `Target`.
            batch_size: Integer: images per forward pass of arrays. A dataset
                comes in batches of its own.
            verbose: `"auto"`, 0 or 1: whether a progress bar is shown.
            *options: See `call`.
        """
        source = Source(data, batch_size)
        if source.size is not None:
            target.check_length(source.size)
        where = self._backend.placement(self.model)
        bar = progress_bar(source.num_batches, verbose)
        offset, number, waiting = 0, 0, None
        for number, (inputs, labels) in enumerate(source, start=1):
            inputs = as_inputs(self.model, inputs)
            size = num_images(inputs)
            of_batch = target.for_labels(labels)
            if of_batch is target:
                parts = as_tensors(target.slice(offset, offset + size))
            else:
                parts = as_tensors(of_batch.parts)
            offset += size
            check_batch(inputs, parts)
            if not self.model.built:
                with where.scope():
                    self._build_model(inputs)
            result = self._run(where, inputs, of_batch, parts, options)
            if waiting is not None:
                # One batch behind: the device works while the host copies.
                yield where.to_numpy(*waiting)
            waiting = result, size
            if bar:
                bar.update(number)
        if waiting is None:
            raise ValueError(
                "There is nothing to explain. Expected: at least one image. "
                "Received: data without any batch."
            )
        if bar and source.num_batches is None:
            bar.update(number, finalize=True)
        yield where.to_numpy(*waiting)
        target.check_length(offset)

    def collect(self, data, target, batch_size, verbose, *options):
        """Returns the results of `batches`, joined along the first axis."""
        collected = list(
            self.batches(data, target, batch_size, verbose, *options)
        )
        if len(collected) == 1:
            return collected[0]
        return keras.tree.map_structure(
            lambda *parts: None if parts[0] is None else np.concatenate(parts),
            *collected,
        )

    def _call(self, inputs, target, options):
        inputs = as_inputs(self.model, inputs)
        target = target.for_labels(None)
        parts = as_tensors(target.parts)
        check_batch(inputs, parts)
        self._build_model(inputs)
        if self._backend.is_tracing():
            inputs, parts = self._backend.behind(
                conditions_of_batch(self.model, inputs, parts), (inputs, parts)
            )
            result, notes = self._traced(target, inputs, parts, options)
            self._note(notes)
            return result
        where = self._backend.placement_here()
        return self._run(where, inputs, target, parts, options)

    def _run(self, where, inputs, target, parts, options):
        args = (inputs, parts)
        flat = where.place(given(args))
        key = (where.key(flat), _signature(args), target.key, options)
        step = self._step(key, where, args, flat, target, options)
        try:
            result = step(*flat)
        except StepError as error:
            raise self._stopped(error, inputs, target) from error.__cause__
        self._note(step.notes)
        return result

    def _step(self, key, where, args, flat, target, options):
        with self._lock:
            step = self._steps.get(key)
            if step is None:
                # Without the tensors, which a step is not to keep.
                structure = map_given(lambda x: 0, args)

                def flat_compute(*flat):
                    inputs, parts = pack_given(structure, flat)
                    return self._traced(target, inputs, parts, options)

                step = where.compile(flat_compute, flat)
                self._steps[key] = step
                if len(self._steps) > _MAX_STEPS:
                    self._steps.popitem(last=False)
                    self._warn_of_retracing()
            else:
                self._steps.move_to_end(key)
            return step

    def _traced(self, target, inputs, parts, options):
        self.num_traces += 1
        inputs = self._backend.finite(inputs)
        return self._compute(inputs, target, parts, *options)

    def _build_model(self, inputs):
        """Creates the variables of a model that was never called."""
        if self.model.built:
            return
        shapes = [tuple(x.shape[1:]) for x in given(inputs)]
        if any(None in shape for shape in shapes):
            raise ValueError(
                f"The model {self.model.name!r} has no weights yet, and these "
                f"inputs have unknown sizes. Received: shapes {shapes}. Call "
                "the model once on a batch before explaining it."
            )
        self._backend.build(self.model, inputs)

    def _stopped(self, error, inputs, target):
        """Returns the error for a step that stopped while it ran."""
        name = re.escape(self.model.name)
        if re.search(rf"(^|/){name}(_\d+)?/", error.node):
            whose = f"The model {self.model.name!r}"
        elif error.in_target:
            whose = "The target"
        else:
            whose = f"The explanation of the model {self.model.name!r}"
        shapes = map_given(lambda x: tuple(x.shape), inputs)
        place = f" at {error.node!r}" if error.node else ""
        return ValueError(
            f"{whose} cannot be computed for these inputs. Received: "
            f"target={target!r} and inputs of shapes {shapes}. The framework "
            f"stopped{place}: {error.said}"
        )

    def _warn_of_retracing(self):
        if not self._warned:
            self._warned = True
            warn_user(
                f"More than {_MAX_STEPS} different steps were compiled for "
                "one explainer, which is slow. Make a callable target once, "
                "outside of the loop, and bring images to few sizes."
            )


def _signature(args):
    leaves = [
        (tuple(x.shape[1:]) if len(x.shape) else None, str(x.dtype))
        for x in given(args)
    ]
    return str(map_given(lambda x: 0, args)), str(leaves)


def progress_bar(number, verbose):
    """Returns Keras' own over so many parts of some work, or `None`.

    Args:
        number: Integer, `None` where it is not known.
        verbose: `"auto"`, 0 or 1; `"auto"` shows one from two parts on.
    """
    check_one_of("verbose", verbose, ("auto", 0, 1, 2, False, True))
    if not verbose or (verbose == "auto" and number == 1):
        return None
    return keras.utils.Progbar(number)
