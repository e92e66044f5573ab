"""What holds for every public layer and loss, one row each.

That each is the same in a new process is in `tests/test_loading.py`, which
starts one process for all rows of all tables.
"""

import collections.abc
import copy
import dataclasses
import functools
import inspect

import keras
import numpy as np
import pytest

import keras_xmap


@dataclasses.dataclass
class Case:
    """A row: how to make the object, and the shapes of what it takes.

    `shapes` are those of one image each, channels last, an image before its
    mask. The first input of a layer comes out of a trainable convolution of
    size 1, `activation` being the range it needs, and `kernel` how it starts.
    `exact` are arguments that take randomness out, for comparisons. `given`
    makes what the layer is called on of the inputs, and `joined` one map of
    several outputs. `labels` makes the labels from images,
    and `predicted` the output that a loss is compiled on.
    """

    make: type
    kwargs: dict
    shapes: tuple
    has_data_format: bool = False
    activation: str = "linear"
    kernel: object = "ones"
    exact: dict = dataclasses.field(default_factory=dict)
    given: collections.abc.Callable = lambda x: x if len(x) > 1 else x[0]
    joined: collections.abc.Callable = lambda outputs: outputs
    labels: collections.abc.Callable = lambda x: np.full(x.shape, 0.25)
    predicted: collections.abc.Callable = lambda x: x

    @property
    def is_loss(self):
        return issubclass(self.make, keras.losses.Loss)

    def new(self, **kwargs):
        kwargs = {**self.kwargs, **self.exact, **kwargs}
        if self.has_data_format:
            kwargs.setdefault("data_format", "channels_last")
        return self.make(**kwargs)


def map_and_logits(outputs):
    """Three outputs of a head of three classes, in both data formats."""
    logits_a, logits_b, maps = outputs
    positions = (1, 2) if maps.shape[-1] == 3 else (2, 3)
    logits = 0.5 * logits_a + 0.25 * logits_b
    return maps + keras.ops.expand_dims(logits, positions)


def leaves(x):
    """Values and table of the leaves of quadtrees of images."""
    channels_last = x[0].shape[-1] == 3
    layer = keras_xmap.layers.QuadtreeLeaves(
        threshold=1.0,
        num_levels=2,
        capacity=48,
        data_format="channels_last" if channels_last else "channels_first",
    )
    return list(layer(x[0]))


def pooled_leaves(x):
    """Leaves of images of half the size, and the table of their own."""
    values, table = leaves(x)
    pooled = keras_xmap.layers.QuadtreePooling2D()([values, table])
    return [*pooled, table]


def mean_of_leaves(outputs):
    if isinstance(outputs, (list, tuple)):
        outputs = outputs[0]
    return keras.layers.GlobalAveragePooling1D()(outputs)


def on_leaves(make, kwargs, **options):
    """The row of a layer whose outputs are values of leaves."""
    return Case(
        make,
        kwargs,
        ((8, 6, 3),),
        joined=mean_of_leaves,
        labels=lambda x: np.full((len(x), 3), 0.25),
        **options,
    )


def cues(x):
    """A class of three or none, of each position of some images."""
    rng = np.random.default_rng(1)
    return rng.choice([0, 1, 2, 255], x.shape[:3])


def masks_and_classes(x):
    """An output that is a dict: maps, and the mean of all but the first."""
    last = keras.layers.GlobalAveragePooling2D(data_format="channels_last")(x)
    last = keras.layers.Reshape((-1, 1))(last)
    last = keras.layers.Cropping1D((1, 0))(last)
    return {"masks": x, "classes": keras.layers.Flatten()(last)}


def maps_of_classes(make, kwargs, labels, **options):
    """The row of a loss over maps of three classes."""
    return Case(
        make,
        kwargs,
        ((8, 6, 3),),
        True,
        activation="softmax",
        kernel=keras.initializers.RandomNormal(stddev=2.0, seed=1),
        labels=labels,
        **options,
    )


PAIR = ((8, 6, 3), (8, 6))
ONES = keras.initializers.serialize(keras.initializers.Ones())
CASES = {
    "ROIAttention": Case(
        keras_xmap.layers.ROIAttention,
        {
            "merge": "add",
            "kernel_size": 1,
            "gain": 10.0,
            "interpolation": "nearest",
        },
        PAIR,
        True,
    ),
    "MaskNoise": Case(
        keras_xmap.layers.MaskNoise,
        {"seed": 1},
        PAIR,
        True,
        exact={"stddev": 0.0},
    ),
    "EraseRegions": Case(
        keras_xmap.layers.EraseRegions, {"fill": [0.1, 0.2, 0.3]}, PAIR, True
    ),
    "HideAndSeek": Case(
        keras_xmap.layers.HideAndSeek,
        {"patch_sizes": [0, 3, 4], "fill": [0.1, 0.2, 0.3], "seed": 1},
        ((8, 6, 3),),
        True,
        exact={"rate": 0.0},
    ),
    "ComplementaryHead": Case(
        keras_xmap.layers.ComplementaryHead,
        {"num_classes": 3, "filters": 4, "seed": 1},
        ((8, 6, 3),),
        True,
        joined=map_and_logits,
    ),
    "AreaRatioLoss": Case(
        keras_xmap.layers.AreaRatioLoss,
        {"area_ratio": 0.9, "weight": 2.0},
        ((8, 6, 1),),
        activation="sigmoid",
    ),
    "DenseCRF": Case(
        keras_xmap.layers.DenseCRF,
        {
            "parameters": {
                "appearance_weight": 2.0,
                "position_stddev": 3.0,
                "color_stddev": 0.5,
                "smoothness_weight": 1.0,
                "smoothness_stddev": 1.0,
            },
            "num_iterations": 2,
            "from_logits": False,
        },
        ((8, 6, 3), (8, 6, 3)),
        True,
    ),
    "GlobalWeightedRankPooling2D": Case(
        keras_xmap.layers.GlobalWeightedRankPooling2D,
        {"decay": 0.9, "reference_size": 100},
        ((8, 6, 3),),
        True,
        labels=lambda x: np.full((len(x), 3), 0.25),
    ),
    "GuidedReLU": Case(
        keras_xmap.layers.GuidedReLU, {"max_value": 2.0}, ((8, 6, 3),)
    ),
    "QuadtreeLeaves": on_leaves(
        keras_xmap.layers.QuadtreeLeaves,
        {"threshold": 1.0, "num_levels": 2, "capacity": 48},
        has_data_format=True,
    ),
    "QuadtreeConv2D": on_leaves(
        keras_xmap.layers.QuadtreeConv2D,
        {"filters": 3, "kernel_initializer": ONES},
        given=leaves,
    ),
    "QuadtreePooling2D": on_leaves(
        keras_xmap.layers.QuadtreePooling2D, {"pooling": "mean"}, given=leaves
    ),
    "QuadtreeUnpooling2D": on_leaves(
        keras_xmap.layers.QuadtreeUnpooling2D, {}, given=pooled_leaves
    ),
    "QuadtreeImage": Case(
        keras_xmap.layers.QuadtreeImage,
        {},
        ((8, 6, 3),),
        True,
        given=leaves,
    ),
    "BlockSparseConv2D": Case(
        keras_xmap.layers.BlockSparseConv2D,
        {
            "filters": 3,
            "block_size": 4,
            "capacity": 6,
            "kernel_initializer": ONES,
        },
        PAIR,
        True,
    ),
    "AreaRatio": Case(
        keras_xmap.losses.AreaRatio,
        {"area_ratio": 0.9},
        ((8, 6, 1),),
        activation="sigmoid",
    ),
    "SeedingLoss": maps_of_classes(
        keras_xmap.losses.SeedingLoss, {"min_probability": 1e-3}, cues
    ),
    "ExpansionLoss": maps_of_classes(
        keras_xmap.losses.ExpansionLoss,
        {"decays": [0.99, 0.1, 1.0]},
        lambda x: np.tile([[1, 0], [0, 255]], (len(x) // 2, 1)),
    ),
    "ConstrainToBoundaryLoss": maps_of_classes(
        keras_xmap.losses.ConstrainToBoundaryLoss,
        {"parameters": "deeplab", "num_iterations": 2},
        lambda x: np.round(255 * x),
    ),
    "ProhibitiveSegmentationLoss": maps_of_classes(
        keras_xmap.losses.ProhibitiveSegmentationLoss,
        {"ignore_class": 255},
        lambda x: {"masks": cues(x), "classes": np.ones((len(x), 2))},
        predicted=masks_and_classes,
    ),
}
LAYERS = [name for name, case in CASES.items() if not case.is_loss]

# A table of neighbors takes seconds to trace or to compile. But on PyTorch,
# where nothing is, the convolution stands for all that read one.
SLOW = {
    "QuadtreeImage",
    "QuadtreeLeaves",
    "QuadtreePooling2D",
    "QuadtreeUnpooling2D",
}


def rows(names):
    marks = [pytest.mark.slow, pytest.mark.sweep]
    if keras.backend.backend() == "torch":
        marks = []
    return pytest.mark.parametrize(
        "name",
        [pytest.param(x, marks=marks if x in SLOW else []) for x in names],
    )


every_row = rows(CASES)
every_layer = rows(LAYERS)


def data(case, batch=4, size=None):
    """Images in [0, 1] and masks of 0 and 1, as a list of float arrays."""
    rng = np.random.default_rng(0)
    arrays = []
    for shape in case.shapes:
        if size is not None:
            shape = (*size, *shape[2:])
        array = rng.uniform(size=(batch, *shape))
        if arrays:
            array = array > 0.5
        arrays.append(array.astype("float32"))
    return arrays


def make_model(case, sizes_known=True, jit_compile=False, **kwargs):
    """Input -> 1x1 convolution -> the layer, or the loss on that output."""
    shapes = [
        shape if sizes_known else (None, None, *shape[2:])
        for shape in case.shapes
    ]
    inputs = [keras.Input(shape) for shape in shapes]
    channels = case.shapes[0][-1]
    first = keras.layers.Conv2D(
        channels,
        1,
        activation=case.activation,
        kernel_initializer=case.kernel,
    )(inputs[0])
    given = [first, *inputs[1:]]
    if case.is_loss:
        outputs, loss = with_loss(case, first, **kwargs)
    else:
        outputs = case.new(**kwargs)(case.given(given))
        outputs = case.joined(outputs)
        loss = "mse"
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.SGD(0.5), loss=loss, jit_compile=jit_compile)
    return model


def with_loss(case, x, **kwargs):
    """The output of a model and what it is compiled with.

    Where an output is a dict, Keras has the loss and the labels by its name.
    """
    outputs, loss = case.predicted(x), case.new(**kwargs)
    if isinstance(outputs, dict):
        return {"named": outputs}, {"named": loss}
    return outputs, loss


def labels(case, x):
    made = keras.tree.map_structure(np.float32, case.labels(x[0]))
    return {"named": made} if isinstance(made, dict) else made


def fit(model, case, x):
    history = model.fit(
        x, labels(case, x), batch_size=4, epochs=1, verbose=0, shuffle=False
    )
    return history.history["loss"][0], model.get_weights()


def assert_alike(outputs, expected):
    outputs, expected = map(keras.tree.flatten, (outputs, expected))
    for output, values in zip(outputs, expected, strict=True):
        np.testing.assert_allclose(
            *map(keras.ops.convert_to_numpy, (output, values)), atol=1e-6
        )


def assert_same_training(one, other):
    """The loss, and the weights up to the rounding of the largest of all."""
    assert one[0] == pytest.approx(other[0], rel=1e-5)
    largest = max(np.abs(weights).max() for weights in other[1])
    for a, b in zip(one[1], other[1], strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6 * max(1.0, largest))


@pytest.fixture(scope="module")
def trained():
    """Fits a row once: the loss, and the weights after."""

    @functools.cache
    def fitted(name):
        return fit(make_model(CASES[name]), CASES[name], data(CASES[name]))

    return fitted


def test_every_public_name_has_a_row():
    public = {
        name
        for name in keras_xmap.losses.__all__
        if isinstance(getattr(keras_xmap.losses, name), type)
    }
    assert set(CASES) == set(keras_xmap.layers.__all__) | public
    for name, case in CASES.items():
        assert case.make.__name__ == name


def plain_model(case):
    """The layer, or nothing for a loss, on inputs: no operation of Keras,
    of which .h5 files know none."""
    inputs = [keras.Input(shape) for shape in case.shapes]
    if case.is_loss:
        first = keras.layers.Activation(case.activation)(inputs[0])
        outputs, loss = with_loss(case, first)
    else:
        outputs = case.new()(case.given(inputs))
    model = keras.Model(inputs, outputs)
    if case.is_loss:
        model.compile("sgd", loss=loss)
    return model


def by_json(model, folder):
    made = keras.models.model_from_json(model.to_json())
    made.set_weights(model.get_weights())
    return made


def by_clone(model, folder):
    made = keras.models.clone_model(model)
    made.set_weights(model.get_weights())
    return made


def by_file(suffix):
    def read(model, folder):
        model.save(folder / f"model{suffix}")
        return keras.models.load_model(folder / f"model{suffix}")

    return read


WAYS = {
    "keras": by_file(".keras"),
    "h5": by_file(".h5"),
    "json": by_json,
    "clone_model": by_clone,
    "deepcopy": lambda model, folder: copy.deepcopy(model),
}


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
@every_row
@pytest.mark.parametrize("way", WAYS)
def test_a_model_goes_through_every_way_of_copying(name, way, tmp_path):
    case = CASES[name]
    model, x = plain_model(case), data(case)
    for weight in model.weights:
        if keras.backend.is_float_dtype(weight.dtype):
            weight.assign(0.1 + weight)
    made = WAYS[way](model, tmp_path)
    assert [type(layer) for layer in made.layers] == [
        type(layer) for layer in model.layers
    ]
    assert_alike(made(x, training=False), model(x, training=False))
    if case.is_loss and way in ("keras", "h5", "deepcopy"):
        (loss,), (again,) = map(keras.tree.flatten, (model.loss, made.loss))
        assert type(again) is case.make
        assert again.get_config() == loss.get_config()


@pytest.mark.parametrize("way", ["keras", "h5", "json"])
@pytest.mark.parametrize("merge", ["multiply", "add", "hard"])
def test_names_of_functions_of_keras_stay_strings(merge, way, tmp_path):
    inputs = [keras.Input((8, 6, 3)), keras.Input((8, 6))]
    layer = keras_xmap.layers.ROIAttention(merge, name="roi")
    made = WAYS[way](keras.Model(inputs, layer(inputs)), tmp_path)
    assert made.get_layer("roi").merge == merge


def as_functions(config):
    """Makes a function of the name of each string in a config."""

    def function(value):
        made = lambda x: x  # noqa: E731
        made.__name__ = value
        return made

    strings = [value for value in config.values() if isinstance(value, str)]
    return {value: function(value) for value in strings}


# Keras 3.10 puts the functions into the config of any layer, its own too, and
# fails to write that as JSON before it asks the class of the layer.
H5_OF_FUNCTIONS = pytest.param(
    "h5",
    marks=pytest.mark.skipif(
        keras.__version__.startswith("3.10."),
        reason="Keras 3.10 reads no string of .h5 files as a function",
    ),
)


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
@pytest.mark.parametrize("suffix", ["keras", H5_OF_FUNCTIONS])
@every_layer
def test_names_of_functions_of_the_users_stay_strings(name, suffix, tmp_path):
    """Whatever the names are: Keras takes any string for a function's."""
    model = plain_model(CASES[name])
    config = model.layers[-1].get_config()
    functions = as_functions({**config, "name": None})
    path = tmp_path / f"model.{suffix}"
    model.save(path)
    made = keras.models.load_model(path, custom_objects=functions)
    assert made.layers[-1].get_config() == config


@every_row
def test_functions_in_place_of_strings_make_an_equal_object(name):
    config = CASES[name].new(name="some_name").get_config()
    given = {
        **config,
        **{
            k: as_functions({k: v})[v]
            for k, v in config.items()
            if isinstance(v, str)
        },
    }
    assert CASES[name].make.from_config(given).get_config() == config


METRICS = [
    metric
    for metric in map(vars(keras_xmap.metrics).get, keras_xmap.metrics.__all__)
    if inspect.isclass(metric)
    and issubclass(metric, keras.metrics.Metric)
    # Those made for a model go no way that would lose its weights.
    and not {"model", "explainer"} & inspect.signature(metric).parameters.keys()
]


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
@pytest.mark.parametrize("metric", METRICS)
def test_metrics_go_through_every_way_that_keeps_them(metric, tmp_path):
    made = metric(name="some_name")
    config = made.get_config()
    given = {**config, "name": as_functions(config)["some_name"]}
    for again in (
        copy.deepcopy(made),
        metric.from_config(config),
        metric.from_config(given),
        keras.saving.deserialize_keras_object(
            keras.saving.serialize_keras_object(made)
        ),
        keras.metrics.deserialize(keras.metrics.serialize(made)),
    ):
        assert type(again) is metric and again.get_config() == config
    model = keras.Sequential([keras.Input((4, 4)), keras.layers.Identity()])
    model.compile("sgd", keras.losses.MeanSquaredError(), metrics=[made])
    for suffix in (".keras", ".h5"):
        model.save(tmp_path / f"model{suffix}")
        loaded = keras.models.load_model(tmp_path / f"model{suffix}")
        (kept,) = loaded.get_compile_config()["metrics"]
        assert kept["registered_name"] == f"keras_xmap>{metric.__name__}"
        assert kept["config"] == config


@every_row
def test_the_object_itself_is_copied(name):
    made = CASES[name].new(name="some_name")
    again = copy.deepcopy(made)
    assert again is not made and again.get_config() == made.get_config()


@every_row
def test_the_config_makes_an_equal_object(name):
    case = CASES[name]
    config = case.new(name="some_name").get_config()
    for key, value in {**case.kwargs, **case.exact}.items():
        assert config[key] == value
    arguments = inspect.signature(case.make).parameters
    assert set(arguments) - {"kwargs", "dtype"} <= set(config)
    assert case.make.from_config(config).get_config() == config
    assert keras.saving.get_registered_name(case.make) == f"keras_xmap>{name}"


@every_layer
def test_building_leaves_the_config_as_it_was(name):
    case = CASES[name]
    layer = case.new()
    before = layer.get_config()
    x = data(case)
    layer(case.given(x))
    after = layer.get_config()
    assert {key: after[key] for key in before} == before


@pytest.mark.traces
@every_row
def test_sizes_may_be_unknown(name):
    case = CASES[name]
    model, known = make_model(case, sizes_known=False), make_model(case)
    model.set_weights(known.get_weights())
    for size in [(8, 6), (5, 9)]:
        x = data(case, size=size)
        outputs = model.predict(x, verbose=0)
        for output in keras.tree.flatten(outputs):
            assert output.ndim == 2 or output.shape[:3] == (4, *size)
        if size == (8, 6):
            assert_alike(outputs, known(x, training=False))
    assert np.isfinite(fit(model, case, x)[0])


@pytest.mark.traces
@every_row
@pytest.mark.parametrize(
    "policy",
    [
        "mixed_float16",
        # The same code with the other half.
        pytest.param(
            "mixed_bfloat16", marks=[pytest.mark.slow, pytest.mark.sweep]
        ),
    ],
)
def test_mixed_precision_computes_in_half_and_trains(name, policy, trained):
    case = CASES[name]
    x = data(case)
    full, _ = trained(name)
    keras.config.set_dtype_policy(policy)
    try:
        model = make_model(case)
        loss, weights = fit(model, case, x)
        if not case.is_loss:
            layer = case.new()
            half = [keras.ops.cast(a, layer.compute_dtype) for a in x]
            y = case.joined(layer(case.given(half)))
            dtype = keras.backend.standardize_dtype(y.dtype)
            assert dtype == layer.compute_dtype
    finally:
        keras.config.set_dtype_policy("float32")
    np.testing.assert_allclose(loss, full, rtol=0.02)
    assert all(w.dtype == np.float32 for w in weights)


@every_row
def test_images_do_not_see_each_other(name):
    case = CASES[name]
    model, x = make_model(case), data(case)
    together = model.predict_on_batch(x)
    alone = [
        model.predict_on_batch([array[i : i + 1] for array in x])
        for i in range(4)
    ]
    alone = keras.tree.map_structure(lambda *rows: np.concatenate(rows), *alone)
    assert_alike(together, alone)


@pytest.mark.traces
@every_row
def test_one_step_of_fit_moves_the_weights(name):
    # Arguments as a user gives them, with the randomness `exact` takes out.
    case = dataclasses.replace(CASES[name], exact={})
    model = make_model(case)
    before = model.get_weights()
    loss, after = fit(model, case, data(case))
    assert np.isfinite(loss)
    assert all((a != b).any() for a, b in zip(before, after, strict=True))


@every_layer
def test_the_computed_shape_is_the_actual_shape(name):
    case = CASES[name]
    given = case.given(data(case))
    shapes = keras.tree.map_structure(lambda x: tuple(x.shape), given)
    actual = flat_shapes(case.new()(given))
    computed = case.new().compute_output_shape(shapes)
    assert_shapes(flat_shapes(computed), actual)
    symbolic = case.given([keras.Input(a.shape[1:]) for a in data(case)])
    expected = [(None, *shape[1:]) for shape in actual]
    assert_shapes(flat_shapes(case.new()(symbolic)), expected)


def flat_shapes(outputs):
    """The shapes of tensors in any structure, or these shapes themselves."""
    if hasattr(outputs, "shape"):
        return [tuple(outputs.shape)]
    if isinstance(outputs, dict):
        return [
            x for name in sorted(outputs) for x in flat_shapes(outputs[name])
        ]
    if any(x is None or isinstance(x, int) for x in outputs):
        return [tuple(outputs)]
    return [shape for output in outputs for shape in flat_shapes(output)]


def assert_shapes(computed, actual):
    """Equal, but for sizes that the values of the inputs decide on."""
    for shape, expected in zip(computed, actual, strict=True):
        assert len(shape) == len(expected)
        assert all(
            size is None or size == number
            for size, number in zip(shape, expected, strict=True)
        )


def channels_first(array):
    array = keras.ops.convert_to_numpy(array)
    return np.moveaxis(array, -1, 1) if array.ndim == 4 else array


@every_row
def test_both_data_formats_give_the_same_values(name):
    case = CASES[name]
    last = data(case)
    first = [channels_first(a) for a in last]
    kwargs = {"data_format": "channels_first"} if case.has_data_format else {}
    if case.is_loss:
        # Probabilities, where the maps are of several classes.
        x = last[0] / last[0].sum(-1).max()
        pair = case.labels(x), case.predicted(x)
        moved = keras.tree.map_structure(channels_first, pair)
        value = float(case.new()(*pair))
        assert float(case.new(**kwargs)(*moved)) == pytest.approx(value, 1e-6)
        return
    expected = case.new()(case.given(last))
    expected = keras.ops.convert_to_numpy(case.joined(expected))
    y = case.new(**kwargs)(case.given(first))
    y = keras.ops.convert_to_numpy(case.joined(y))
    if y.ndim == 4:
        y = np.moveaxis(y, 1, -1)
    np.testing.assert_allclose(y, expected, atol=1e-6)


@pytest.mark.slow
@every_row
def test_compiled_training_equals_plain_training(name, trained):
    case, plain = CASES[name], trained(name)
    compiled = fit(make_model(case, jit_compile=True), case, data(case))
    assert_same_training(compiled, plain)


@pytest.mark.slow
@every_row
def test_two_replicas_train_as_one_device_does(name, strategy, trained):
    case, one = CASES[name], trained(name)
    with strategy.scope():
        model = make_model(case)
    two = fit(model, case, data(case))
    assert_same_training(two, one)
