"""Bounds on the size of a frame and on the memory of a decoder, checked before decoding.

A decoder keeps every frame that a later frame may refer to. A small file can therefore ask for much
memory: 400 kB of H.264 with 16,384 × 8,192 pixels and 16 reference frames need 5.5 GB.
"""

from __future__ import annotations

import math
import os
from pathlib import Path

from av.codec.codec import Codec
from av.video.stream import VideoStream

from filmstrip.errors import VideoError

MAX_SIDE = 16_384
"""The longest side of a frame in pixels; a longer one is refused."""

MAX_PIXELS = 2**27
"""The most pixels in one frame (134 megapixels); more are refused."""

MEMORY_VARIABLE = "FILMSTRIP_DECODER_GB"
"""The environment variable that sets how many gigabytes one decoder may need."""

DEFAULT_DECODER_GB = 2.0

# The most frames that FFmpeg's decoder holds at once on one thread. H.264 with 16 reference frames
# was measured at 22 and, with very large frames, at 27. Other codecs: their specification's largest
# decoded picture buffer, plus two frames on their way out.
_NUM_HELD_FRAMES = {"h264": 28, "hevc": 19, "vvc": 19, "av1": 11, "vp9": 10}
_NUM_HELD_BY_OTHERS = 5
_NUM_HELD_WITHOUT_REFERENCES = 2


def check_size(name: str | Path, width: int, height: int) -> None:
    """Refuse frames that are larger than any real video's.

    Args:
        name: of the source, for the error.
        width: in pixels.
        height: in pixels.

    Raises:
        VideoError: the frames are too large, or have no size.
    """
    # FFmpeg itself leaves the size at 0 where it is beyond its own bounds.
    fits = max(width, height) <= MAX_SIDE and width * height <= MAX_PIXELS
    if not fits or min(width, height) < 1:
        size = f"{width}×{height} pixels" if width * height else "absurd or unknown size"
        raise VideoError(
            f"{name}: its header asks for frames of {size}",
            f"frames of at most {MAX_SIDE} pixels a side and {MAX_PIXELS // 10**6} megapixels",
            "check the file, its header may be corrupt; or scale the video down.",
        )


def check_decoder_memory(name: str | Path, stream: VideoStream) -> int:
    """Refuse a stream whose decoder may need more memory than it is allowed.

    Args:
        name: of the source, for the error.
        stream: of known size.

    Returns:
        The most pixels a frame of this stream may have. Give it to the decoder as ``max_pixels``,
        because the size may change midway.

    Raises:
        VideoError: it may need more, or the environment variable holds no number.
    """
    context = stream.codec_context
    num_frames = num_held_frames(context.codec)
    bytes_per_frame_pixel = _bytes_per_pixel(stream)
    allowed_gb = allowed_decoder_gb()
    max_pixels = int(allowed_gb * 1e9 / (num_frames * bytes_per_frame_pixel))
    num_pixels = context.width * context.height
    if num_pixels > max_pixels:
        needed_gb = num_pixels * num_frames * bytes_per_frame_pixel / 1e9
        raise VideoError(
            f"{name}: decoding its frames of {context.width}×{context.height} pixels with up to "
            f"{num_frames} of them in memory may take {needed_gb:.1f} GB",
            f"a video whose decoder ({context.name}) needs at most {allowed_gb:g} GB",
            f"scale the video down; or, if you trust the file, allow more memory with "
            f"{MEMORY_VARIABLE}={math.ceil(needed_gb)} in the environment.",
        )
    return min(max_pixels, MAX_PIXELS)


def num_held_frames(codec: Codec) -> int:
    """Return the most frames that the decoder of ``codec`` holds at once."""
    if codec.intra_only:
        return _NUM_HELD_WITHOUT_REFERENCES
    return _NUM_HELD_FRAMES.get(codec.canonical_name, _NUM_HELD_BY_OTHERS)


def decoder_bytes(stream: VideoStream) -> int:
    """Return the most memory that the decoder of ``stream`` may need for its frames."""
    context = stream.codec_context
    num_bytes = context.width * context.height * _bytes_per_pixel(stream)
    return int(num_bytes * num_held_frames(context.codec))


def allowed_decoder_gb() -> float:
    """Return how many gigabytes one decoder may need, as the environment says.

    Raises:
        VideoError: the environment variable holds no number above 0.
    """
    text = os.environ.get(MEMORY_VARIABLE, "").strip()
    if not text:
        return DEFAULT_DECODER_GB
    try:
        allowed = float(text)
    except ValueError:
        allowed = math.nan
    if not 0 < allowed < math.inf:
        raise VideoError(
            f"the environment variable {MEMORY_VARIABLE}={text!r}",
            "a number of gigabytes above 0, such as 4",
            f"correct it, or unset it: the default is {DEFAULT_DECODER_GB:g}.",
        )
    return allowed


def _bytes_per_pixel(stream: VideoStream) -> float:
    pixel_format = stream.codec_context.format
    if pixel_format is None or not pixel_format.components:
        return 3.0  # unknown before the first frame is decoded
    return max(pixel_format.padded_bits_per_pixel / 8, 1.0)
