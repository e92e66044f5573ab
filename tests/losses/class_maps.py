"""Small maps of classes that the tests of several losses share."""

import numpy as np

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(0, 2, (3, 4, 5, 3))
MAPS = np.exp(LOGITS) / np.exp(LOGITS).sum(-1, keepdims=True)
CUES = RNG.choice([0, 1, 2, 255], (3, 4, 5))
CUES[1] = 255  # nothing is known of this image
# The example of four pixels whose values were computed by hand.
FOUR = np.reshape([0.7, 0.2, 0.1, 0.1, 0.8, 0.1], (1, 1, 2, 3))
FOUR = np.concatenate(
    [FOUR, np.reshape([0.2, 0.5, 0.3, 0.6, 0.3, 0.1], (1, 1, 2, 3))], axis=1
)
