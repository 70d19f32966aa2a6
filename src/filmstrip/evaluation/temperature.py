"""The temperature: one number that makes a network's probabilities mean what they say.

They are usually too high. Dividing the logits by a number mends most of that and changes no
answer (Guo, Pleiss, Sun and Weinberger, On Calibration of Modern Neural Networks, 2017). It is
found on the validation part, never on the test part.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

PRIOR_DEVIATION = 0.5
"""How far a temperature's logarithm is from 0 as a rule. A dozen clips, which would give anything
from a third to one, are held near one by it; a hundred overrule it."""

_TEMPERATURES = (0.05, 20.0)


def fit_temperature(
    logits: npt.ArrayLike, labels: npt.ArrayLike, prior_deviation: float = math.inf
) -> float:
    """The temperature, from 0.05 to 20, by which ``logits`` make the labels most likely.

    Where every clip's true class has the greatest logit the likelihood only grows as the
    temperature falls to 0, so that these clips by themselves cannot tell it: then it is 1.

    Args:
        logits: (N, K) of the clips that were held out.
        labels: (N,) their true classes, integers in [0, K).
        prior_deviation: of the normal distribution about 0 from which its logarithm is thought to
            come, which makes this the most probable temperature; infinite to go by the clips alone.
    """
    z, y = np.asarray(logits, dtype=np.float64), np.asarray(labels)
    of_truth = z[np.arange(len(y)), y]
    if math.isinf(prior_deviation) and np.array_equal(of_truth, z.max(axis=1)):
        return 1.0

    def negative_log_posterior(log_temperature: float) -> float:
        temperature = math.exp(log_temperature)
        of_clips = float((logsumexp(z / temperature, axis=1) - of_truth / temperature).mean())
        return of_clips + (log_temperature / prior_deviation) ** 2 / (2 * len(y))

    # The clips' part is convex in 1 / temperature, so it has one minimum, whatever the scale.
    bounds = (math.log(_TEMPERATURES[0]), math.log(_TEMPERATURES[1]))
    found = minimize_scalar(
        negative_log_posterior, bounds=bounds, method="bounded", options={"xatol": 1e-6}
    )
    return math.exp(found.x)
