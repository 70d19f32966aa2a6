"""Says what a video shows: python run.py VIDEO [clip-int8]. Needs onnxruntime, numpy and PyAV."""

import json
import sys
from pathlib import Path

import av
import numpy as np
from onnxruntime import InferenceSession

names = ("sample", "frame", (*sys.argv, "clip")[2])
sample, frame, clip = (InferenceSession(Path(__file__).with_name(f"{n}.onnx")) for n in names)
classes = json.loads(clip.get_modelmeta().custom_metadata_map["class_names"])
with av.open(sys.argv[1]) as video:  # when each frame comes, from the packets alone
    packets = [each for each in video.demux(video=0) if each.size and not each.is_discard]
pts, last = np.sort([each.pts for each in packets]), max(packets, key=lambda each: each.pts or 0)
end = pts[-1] + (last.duration or np.median(np.diff(pts)))
times, end = ((each - pts[0]) * float(last.time_base) for each in (pts, end))
(shown,) = sample.run(None, {"times_seconds": times, "duration_seconds": np.array(end)})
seen = {}
with av.open(sys.argv[1]) as video:
    for decoded in video.decode(video=0):
        place = int(np.searchsorted(pts, decoded.pts or 0))
        if place in shown:
            picture = np.rot90(decoded.to_ndarray(format="rgb24"), decoded.rotation // 90)
            (seen[place],) = frame.run(None, {"frame": np.ascontiguousarray(picture)})
frames = np.stack([seen[place] for place in shown])[None]
_, probs = clip.run(None, {"frames": frames, "lengths": np.array([len(shown)])})
for prob, name in sorted(zip(probs[0], classes, strict=True), reverse=True):
    print(f"{prob:.6f}  {''.join(c if c.isprintable() else ascii(c)[1:-1] for c in name)}")
