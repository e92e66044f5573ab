import tensorflow as tf

from keras_xmap._numeric import as_tensor
from keras_xmap._typing import Tensor


def global_mean(per_sample: Tensor) -> tf.Tensor:
    """Returns the part of a mean over all replicas that this one adds.

    A strategy adds up what replicas compute. The mean over each, divided by
    their number, gives images on a replica with few of them a larger weight;
    this function, the sum divided by the number of samples everywhere, gives
    all the same. Use it in `compute_loss` or `train_step`, not in `add_loss`,
    whose values Keras divides by the number of replicas.

    Args:
        per_sample: Float tensor with the values of the samples of this
            replica; it may be empty.

    Returns:
        Scalar tensor of the same dtype. The sum of those of all replicas is
        the mean, and 0 if there is no sample.

    Raises:
        TypeError: If `per_sample` is no tensor, or not of a float dtype.

    Example:

    >>> float(keras_xmap.distribution.global_mean([1.0, 4.0]))
    2.5
    """
    per_sample = as_tensor("per_sample", per_sample, tf.convert_to_tensor)
    if not per_sample.dtype.is_floating:
        raise TypeError(
            "`per_sample` must be a float tensor. Received: per_sample of "
            f"dtype {per_sample.dtype.name}."
        )
    total = tf.reduce_sum(per_sample)
    count = tf.cast(tf.size(per_sample), total.dtype)
    context = tf.distribute.get_replica_context()
    if context is not None and context.num_replicas_in_sync > 1:
        count = context.all_reduce(tf.distribute.ReduceOp.SUM, count)
    return tf.math.divide_no_nan(total, count)
