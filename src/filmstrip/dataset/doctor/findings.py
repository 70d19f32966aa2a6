"""What is wrong with a data set, in words: where, why, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from filmstrip.dataset.doctor.facts import Fault, Stretch, VideoFacts
from filmstrip.video.formats import is_video, suffixes_of
from filmstrip.video.sampling import RateSampling, UniformSampling, sample_times


class Severity(StrEnum):
    """How much a finding matters."""

    error = "error"
    """Training leaves the file out, or the figures would be wrong."""
    warning = "warning"
    """Training goes on; look at it first."""
    note = "note"
    """Good to know."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        kind: its name for programs, such as ``corrupt``.
        severity: how much it matters.
        cause: what was found, a sentence without full stop.
        remedy: what to do, likewise.
        paths: the files that it is about; empty where it is about all.
        stretches: where in the one file; empty where it is about all of it.
        set_aside: which of the files a quarantine should hold.
        figures: what was measured, by name.
    """

    kind: str
    severity: Severity
    cause: str
    remedy: str
    paths: tuple[Path, ...] = ()
    stretches: tuple[Stretch, ...] = ()
    set_aside: tuple[Path, ...] = ()
    figures: Mapping[str, float] = field(default_factory=dict)


KINDS = {
    "lost_class": "Classes without clips",
    "corrupt": "Corrupt files",
    "truncated": "Truncated files",
    "no_video": "Files without a picture",
    "unreadable": "Unreadable files",
    "unchecked": "Files that could not be checked now",
    "decoder_errors": "Damage that the decoder concealed",
    "wrong_extension": "Wrong extensions",
    "left_out": "Files left out",
    "too_short": "Too short for the recipe",
    "black": "Black stretches",
    "frozen": "Frozen stretches",
    "gap": "Gaps without a frame",
    "joined": "Joined recordings",
    "variable_frame_rate": "Variable frame rate",
    "split_leak": "The same content on two sides of the split",
    "two_labels": "The same content under two labels",
    "exact_duplicates": "Exact duplicates",
    "near_duplicates": "Near-duplicates",
    "class_imbalance": "Class imbalance",
    "metadata_leak": "Classes told apart by metadata",
    "border_leak": "Classes told apart by the picture's border",
}
"""Every kind of finding with its title, in the order in which they are told."""

_FAULT_REMEDY = "copy it again from its source, or leave it out"
_UNCHECKED_REMEDY = (
    "run the doctor again (--workers 1 needs less memory) once this machine can read the file; "
    "nothing is known against the file itself"
)
_TAIL_REMEDY = (
    "copy it again from its source, keep the usable seconds with 'ffmpeg -i IN -t SECONDS OUT', or "
    "leave it out"
)
_NUM_NAMED = 3
_IRREGULAR_SHARE = 0.02
_LEAST_RATE_FRAMES = 4


def file_findings(
    path: Path, facts: VideoFacts, sampling: UniformSampling | RateSampling
) -> list[Finding]:
    """What is wrong with one file by itself.

    Args:
        path: the file.
        facts: what is known of it.
        sampling: how the recipe will look at it, which decides what is too short.
    """
    found = [] if facts.fault is None else [_fault(path, facts.fault)]
    if facts.num_frames:
        found += _wrong_extension(path, facts)
    if facts.num_frames and facts.fault is None:
        found += _concealed(path, facts)
        found += _too_short(path, facts, sampling)
        found += _stretches(path, facts)
        found += _gaps(path, facts)
        found += _variable_rate(path, facts)
    return found


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """Errors first, and kinds in the order of ``KINDS``."""
    kinds, severities = list(KINDS), list(Severity)
    return sorted(
        findings,
        key=lambda one: (severities.index(one.severity), kinds.index(one.kind), one.paths),
    )


def _fault(path: Path, fault: Fault) -> Finding:
    if fault.kind == "unchecked":
        return Finding(fault.kind, Severity.error, fault.words, _UNCHECKED_REMEDY, (path,))
    if fault.num_usable_frames and fault.at_seconds:
        usable = (
            f"; the first {fault.at_seconds:.2f} s ({fault.num_usable_frames} frames) are usable"
        )
        cause = fault.words.partition(";")[0] + usable
        remedy = _TAIL_REMEDY
    else:
        cause, remedy = fault.words, _FAULT_REMEDY
    return Finding(fault.kind, Severity.error, cause, remedy, (path,), set_aside=(path,))


def _concealed(path: Path, facts: VideoFacts) -> Iterator[Finding]:
    if facts.complaint is not None:
        yield Finding(
            "decoder_errors",
            Severity.warning,
            f"the decoder met an error at {facts.complaint.at_seconds:.2f} s and went on: "
            f"{facts.complaint.words}",
            "play it from there; copy it again from its source if the picture is broken",
            (path,),
        )


def _wrong_extension(path: Path, facts: VideoFacts) -> Iterator[Finding]:
    expected = suffixes_of(facts.container)
    suffix = path.suffix.lower()
    if not is_video(path):
        usual = expected[0] if expected else "a video's suffix"
        yield Finding(
            "wrong_extension",
            Severity.warning,
            f"is a video ({facts.container}, {facts.codec}), but its suffix "
            f"{path.suffix or '(none)'} is not a video's, so it is left out",
            f"rename it to {usual}",
            (path,),
        )
    elif expected and suffix not in expected:
        yield Finding(
            "wrong_extension",
            Severity.note,
            f"its suffix is {path.suffix}, but it is {facts.container}",
            f"rename it to {expected[0]}; Filmstrip goes by the content, other programs may not",
            (path,),
        )


def _too_short(
    path: Path, facts: VideoFacts, sampling: UniformSampling | RateSampling
) -> Iterator[Finding]:
    if isinstance(sampling, UniformSampling):
        num_frames, wanted = facts.num_frames, sampling.num_frames
        why, remedy = f"the recipe looks at {wanted}", f"sampling.num_frames={facts.num_frames}"
    else:
        num_sampled = len(sample_times(sampling, facts.duration_seconds))
        num_frames, wanted = min(facts.num_frames, num_sampled), _LEAST_RATE_FRAMES
        why = f"at the recipe's {sampling.frames_per_second:g} a second it sees {num_frames}"
        remedy = f"sampling.frames_per_second={2 * sampling.frames_per_second:g}"
    can_give_more = facts.num_frames > num_frames or isinstance(sampling, UniformSampling)
    if num_frames < wanted:
        yield Finding(
            "too_short",
            Severity.warning,
            f"has {facts.num_frames} frames in {facts.duration_seconds:.2f} s, and {why}",
            f"leave it out, or sample otherwise with --set {remedy}"
            if can_give_more
            else "leave it out, or record more frames per second",
            (path,),
            figures={"num_frames": facts.num_frames, "seconds": facts.duration_seconds},
        )


def _stretches(path: Path, facts: VideoFacts) -> Iterator[Finding]:
    for kind, stretches, what in (
        ("black", facts.black, "the picture is black"),
        ("frozen", facts.frozen, "nothing moves"),
    ):
        if not stretches:
            continue
        told = ", ".join(
            f"{one.start_seconds:.2f} to {one.end_seconds:.2f} s" for one in stretches[:_NUM_NAMED]
        )
        more = len(stretches) - _NUM_NAMED
        share = sum(one.seconds for one in stretches) / max(facts.duration_seconds, 1e-3)
        yield Finding(
            kind,
            Severity.warning,
            f"{what} from {told}{f' and {more} times more' if more > 0 else ''} "
            f"({share:.0%} of the clip)",
            "look at it, and cut the stretch off or leave the clip out if it shows nothing",
            (path,),
            stretches=stretches,
            figures={"share": share},
        )


def _gaps(path: Path, facts: VideoFacts) -> Iterator[Finding]:
    if facts.gaps:
        longest = max(facts.gaps, key=lambda gap: gap.seconds)
        more = len(facts.gaps) - 1
        yield Finding(
            "gap",
            Severity.warning,
            f"no frame comes from {longest.start_seconds:.2f} to {longest.end_seconds:.2f} s"
            + (f", and there are {more} shorter gaps" if more else ""),
            "check the recording; cut it at the gap if the frames do not belong together",
            (path,),
            stretches=facts.gaps,
            figures={"num_gaps": len(facts.gaps), "longest_seconds": longest.seconds},
        )
    if facts.jump_times_seconds:
        told = ", ".join(f"{seconds:.2f} s" for seconds in facts.jump_times_seconds[:_NUM_NAMED])
        yield Finding(
            "joined",
            Severity.note,
            f"its time stamps restart or jump at {told}, as in recordings that were joined",
            "nothing if they belong together: Filmstrip lets time go on; else cut it there",
            (path,),
            figures={"num_jumps": len(facts.jump_times_seconds)},
        )


def _variable_rate(path: Path, facts: VideoFacts) -> Iterator[Finding]:
    intervals = facts.intervals
    if intervals is None:
        return
    least = max(2.0, _IRREGULAR_SHARE * facts.num_frames)
    if intervals.num_irregular >= least:
        yield Finding(
            "variable_frame_rate",
            Severity.note,
            f"{intervals.num_irregular} of {facts.num_frames} frames come off the beat: "
            f"{intervals.shortest_seconds * 1000:.0f} to {intervals.longest_seconds * 1000:.0f} ms "
            f"apart, usually {intervals.median_seconds * 1000:.0f}",
            "nothing: Filmstrip goes by time; a program that counts frames would go wrong",
            (path,),
            figures={"num_irregular": intervals.num_irregular},
        )
