import tensorflow as tf


def global_mean(per_sample):
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
        Scalar tensor.
    """
    total = tf.reduce_sum(per_sample)
    count = tf.cast(tf.size(per_sample), total.dtype)
    context = tf.distribute.get_replica_context()
    if context is not None and context.num_replicas_in_sync > 1:
        count = context.all_reduce(tf.distribute.ReduceOp.SUM, count)
    return tf.math.divide_no_nan(total, count)
