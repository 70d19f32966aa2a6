"""Several GRUs that read both ways answer together, to a clip in parts and mirrored.

Ours. For where nothing has to be streamed: as ``lite-gru``, but five heads read the sequence from
both ends, and the answers to three overlapping parts of a clip and of its mirror image are
averaged. Where left and right are classes of their own, switch mirroring off:
``--set views=[plain] --set training.views=[plain]``.
"""

from __future__ import annotations

from filmstrip.recipes.lite_gru import RECIPE as LITE_GRU

RECIPE = LITE_GRU.model_copy(
    update={
        "name": "lite-bigru",
        "head": LITE_GRU.head.model_copy(update={"bidirectional": True, "members": 5}),
        "views": ("plain", "flip"),
        "num_temporal_crops": 3,
    }
)
