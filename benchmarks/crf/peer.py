"""pydensecrf2 (C++), run by a Python that has it."""

import subprocess
import tempfile

import numpy as np

from keras_xmap import ops

PEER = """
import sys, time
import numpy as np
from pydensecrf import densecrf
folder, repeats = sys.argv[1], int(sys.argv[2])
given = np.load(folder + "/given.npz")
image, p = given["image"], given["p"]
w_a, s_a, s_c, w_s, s_s = map(float, given["parameters"])
classes, height, width = p.shape
unary = np.ascontiguousarray(-np.log(np.maximum(p, 1e-5)))
unary = unary.reshape(classes, -1).astype("float32")
seconds = []
for _ in range(repeats + 1):
    start = time.perf_counter()
    crf = densecrf.DenseCRF2D(width, height, classes)
    crf.setUnaryEnergy(unary)
    crf.addPairwiseGaussian(sxy=s_s, compat=w_s)
    crf.addPairwiseBilateral(sxy=s_a, srgb=s_c, rgbim=image, compat=w_a)
    q = np.array(crf.inference(10))
    seconds.append(time.perf_counter() - start)
np.savez(folder + "/q.npz", q=q.reshape(p.shape), seconds=seconds[1:])
"""


def by_peer(python, image, p, parameters, repeats):
    """Returns the peer's q and its times."""
    with tempfile.TemporaryDirectory() as folder:
        values = list(ops.crf_parameters(parameters).values())
        np.savez(folder + "/given.npz", image=image, p=p, parameters=values)
        command = [python, "-c", PEER, folder, str(repeats)]
        subprocess.run(command, check=True)
        answer = np.load(folder + "/q.npz")
        return answer["q"], answer["seconds"].tolist()
