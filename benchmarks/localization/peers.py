"""tf-keras-vis, on a model without its softmax, batch by batch."""

import numpy as np

from benchmarks.common.map_scores import BATCH


def peers(model, photos):
    """Yields names and maps; nothing where it is not installed."""
    try:
        from tf_keras_vis.gradcam import Gradcam
        from tf_keras_vis.gradcam_plus_plus import GradcamPlusPlus
        from tf_keras_vis.saliency import Saliency
        from tf_keras_vis.utils.scores import CategoricalScore
    except ImportError:
        return
    for peer in (Gradcam, GradcamPlusPlus, Saliency):
        explainer, maps = peer(model, clone=True), []
        try:
            for start in range(0, len(photos), BATCH):
                rows = slice(start, start + BATCH)
                score = CategoricalScore(photos.classes[rows].tolist())
                maps.append(np.asarray(explainer(score, photos.images[rows])))
        except Exception as error:  # the peer's, whatever it is
            print(f"  tf-keras-vis {peer.__name__}: {error}")
            continue
        yield f"tf-keras-vis {peer.__name__}", np.concatenate(maps)
