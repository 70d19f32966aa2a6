"""What an export tells of itself: ``report.json`` for programs, ``report.md`` for people."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from filmstrip.inference.exporting.check import TOLERANCE, Agreement, Latency, Seen
from filmstrip.inference.exporting.int8 import Int8Cost
from filmstrip.storage import replacing
from filmstrip.text import printable, to_json

JSON_FILE, TEXT_FILE = "report.json", "report.md"


@dataclass(frozen=True, slots=True)
class Report:
    """What was exported and how near it is.

    Attributes:
        run: the run or model folder.
        file_format: ``onnx`` or ``torch-export``.
        sizes_bytes: of each graph's file.
        why_no_step: why there is no step graph; None if there is one.
        checked_on: a sentence on the clips.
        agreements: of each way of asking with PyTorch's answers, in float32.
        seen: whether the graphs look at the same frames and pixels.
        latencies: of each graph, side by side with PyTorch.
        int8: what eight bits cost; None if not asked for.
        num_threads: that both had.
    """

    run: Path
    file_format: str
    sizes_bytes: dict[str, int]
    why_no_step: str | None
    checked_on: str
    agreements: tuple[Agreement, ...]
    seen: Seen
    latencies: tuple[Latency, ...]
    int8: Int8Cost | None
    num_threads: int

    @property
    def passes(self) -> bool:
        """Whether every frame is the same and every probability within the tolerance."""
        is_close = all(agreement.is_close for agreement in self.agreements)
        return is_close and not self.seen.num_other_frames

    def write(self, folder: Path) -> None:
        """Write both files."""
        for name, text in ((JSON_FILE, self._json()), (TEXT_FILE, self._text())):
            with replacing(folder / name) as temporary:
                temporary.write_text(text, encoding="utf-8", errors="surrogateescape")

    def _json(self) -> str:
        content: dict[str, Any] = {
            **asdict(self),
            "run": str(self.run),
            "tolerance": TOLERANCE,
            "passes": self.passes,
            "versions": _versions(self.file_format),
            "processor": platform.processor() or platform.machine(),
        }
        return to_json(content, indent=2) + "\n"

    def _text(self) -> str:
        parts = [
            f"# Export of {printable(str(self.run))}",
            f"Format {self.file_format}; checked on {self.checked_on}. "
            + ("All agree with PyTorch" if self.passes else "NOT ALL AGREE with PyTorch")
            + f" within {TOLERANCE:g} on every probability.",
            _table(
                ("Asked by", "Clips", "Largest difference of a probability", "of a logit", "Other"),
                [
                    (
                        each.way,
                        each.num_clips,
                        f"{each.largest_probability:.1e}",
                        f"{each.largest_logit:.1e}",
                        each.num_other_labels,
                    )
                    for each in self.agreements
                ],
            ),
            f"Of {self.seen.num_frames} frames, {self.seen.num_other_frames} are other ones; of "
            f"their {self.seen.num_bytes} bytes once framed, {self.seen.num_other_bytes} differ.",
        ]
        if self.why_no_step:
            parts.append(f"There is no step graph: {self.why_no_step}.")
        parts.append(f"## Latency, median, {self.num_threads} threads")
        parts.append(
            _table(
                ("Graph", "First input", "PyTorch, ms", "Graph, ms"),
                [
                    (
                        each.graph,
                        " × ".join(map(str, each.shape)),
                        f"{each.torch_milliseconds:.2f}",
                        f"{each.graph_milliseconds:.2f}",
                    )
                    for each in self.latencies
                ],
            )
        )
        if self.int8:
            parts.append("## Eight bits")
            parts.append(int8_sentence(self.int8))
        parts.append("## Files")
        sizes = [(name, f"{size / 1e6:.1f} MB") for name, size in self.sizes_bytes.items()]
        parts.append(_table(("File", "Size"), sizes))
        return "\n\n".join(parts) + "\n"


def int8_sentence(cost: Int8Cost) -> str:
    """What eight bits change, in words."""
    return (
        f"Accuracy on {cost.num_clips} validation clips: {cost.int8_accuracy:.3f} in eight bits, "
        f"{cost.float32_accuracy:.3f} in float32; {cost.num_other_labels} labels differ, and the "
        f"probabilities by {cost.mean_probability:.4f} on average. Ranges from "
        f"{cost.num_calibration_clips} training clips."
    )


def _versions(file_format: str) -> dict[str, str]:
    names = ["filmstrip", "torch", "torchvision"]
    names += ["onnx", "onnxscript", "onnxruntime"] if file_format == "onnx" else []
    return {name: version(name) for name in names}


def _table(head: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)
