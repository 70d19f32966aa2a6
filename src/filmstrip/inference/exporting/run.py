"""Says what a video shows: python run.py VIDEO [clip-int8]. Needs onnxruntime, numpy and PyAV."""

import json
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.stream import Disposition
from onnxruntime import InferenceSession

path = sys.argv[1]
names = ("sample", "frame", (*sys.argv, "clip")[2])
sample, frame, clip = (InferenceSession(Path(__file__).with_name(f"{n}.onnx")) for n in names)
about = clip.get_modelmeta().custom_metadata_map


def best_track(video: Any) -> Any:
    """The track that the ffmpeg program would choose; cover art is no video."""
    pictures, usual = Disposition.attached_pic | Disposition.timed_thumbnails, Disposition.default
    tracks = [track for track in video.streams.video if not track.disposition & pictures]
    if not tracks:
        sys.exit(f"{path}: holds no video")
    pixels = [t.width * t.height + 5_000_000 * bool(t.disposition & usual) for t in tracks]
    return max(zip(tracks, pixels, strict=True), key=lambda one: (one[0].frames > 0, one[1]))[0]


def read_times() -> tuple[Any, Any, Any, int]:
    """When each frame comes, the end, time stamps where they can be trusted, packets to skip."""
    with av.open(path) as video:
        track = best_track(video)
        packets = [
            (p.pts, p.dts, p.duration or 0, p.is_keyframe, p.is_discard)
            for p in video.demux(track)
            if p.size
        ]
        num_skipped = next((i for i, packet in enumerate(packets) if packet[3]), 0)
        packets = packets[num_skipped:]
        start = packets[0][0] if packets else sys.exit(f"{path}: holds no frame")
        packets = [p for p in packets if not p[4] and (None in (p[0], start) or p[0] >= start)]
        last = max(packets, key=lambda packet: packet[0] or 0)
        stamps: Any = [packet[0] for packet in packets]
        is_trusted = None not in stamps
        if not is_trusted:
            stamps = [packet[1] for packet in packets]
        if None in stamps:  # a raw stream carries no times
            times = np.arange(len(packets)) / float(track.average_rate or track.guessed_rate or 25)
        else:
            # Times are guessed where frames are reordered in AVI, or packets come in their order.
            is_ordered = video.format.name == "avi" or np.all(np.diff(stamps) > 0)
            is_trusted = is_trusted and not (track.codec_context.has_b_frames and is_ordered)
            stamps = np.sort(stamps)
            times = (stamps - stamps[0]) * float(track.time_base)
        single = 1 / float(track.average_rate) if track.average_rate else 0.0
        between = np.median(np.diff(times)) if len(times) > 1 else single
        end = times[-1] + (last[2] * float(track.time_base) or between)
        return times, end, stamps if is_trusted else None, num_skipped


def decode(num_skipped: int) -> Iterator[Any]:
    """All frames, in order."""
    with av.open(path) as video:
        track = best_track(video)
        packets = (p for p in video.demux(track) if p.size)  # an empty packet would end it
        for packet in islice(packets, num_skipped, None):
            yield from packet.decode()
        yield from track.decode(None)


def read_squares(wanted: Any, stamps: Any, num_skipped: int) -> tuple[list[Any], int]:
    """The framed pictures on screen at the wanted frame numbers, and the number of the last."""
    squares: list[Any] = []
    current, number = None, -1
    for decoded in decode(num_skipped):
        if stamps is not None and decoded.pts is not None and decoded.pts < stamps[0]:
            continue
        is_counted = stamps is None or decoded.pts is None
        number = number + 1 if is_counted else int(np.searchsorted(stamps, decoded.pts))
        while current is not None and len(squares) < len(wanted) and wanted[len(squares)] < number:
            squares.append(framed(current))
        current = decoded
    while len(squares) < len(wanted) and wanted[len(squares)] <= number:
        squares.append(framed(current))
    return squares, number


def framed(decoded: Any) -> Any:
    """The picture as it is shown, in the square that the model reads."""
    picture = np.rot90(decoded.to_ndarray(format="rgb24"), round(decoded.rotation / 90))
    return frame.run(None, {"frame": np.ascontiguousarray(picture)})[0]


times, end, stamps, num_skipped = read_times()
while True:
    (wanted,) = sample.run(None, {"times_seconds": times, "duration_seconds": np.array(end)})
    squares, number = read_squares(wanted, stamps, num_skipped)
    if len(squares) == len(wanted):
        break
    if number < 0:
        sys.exit(f"{path}: no frame can be decoded")
    times, end = times[: number + 1], times[number + 1]  # fewer frames than packets
inputs = {"frames": np.stack(squares)[None], "lengths": np.array([len(squares)])}
_, probs = clip.run(None, inputs)
clips = json.loads(about.get("training_clips", "null"))
if clips and end > 2 * clips["duration_seconds"]["maximum"]:
    print(f"{path}: {end:.3g} s is much longer than the training clips were", file=sys.stderr)
for prob, name in sorted(
    zip(probs[0], json.loads(about["class_names"]), strict=True), reverse=True
):
    print(f"{prob:.6f}  {''.join(c if c.isprintable() else ascii(c)[1:-1] for c in name)}")
