"""What the folders of a data set stand for: classes, splits or groups.

Folders of folders are read by their names. ``train/walk`` is a split and a class,
``session1/walk`` a group and a class, ``walk/camera1`` a class with something below it. Where the
names of both levels say nothing, folder names that recur under several top folders are the classes.
Where the names contradict each other, the data is refused: a wrong reading would train another
classifier.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from filmstrip.dataset.rows import composed, natural_key, same_name, split_name
from filmstrip.errors import DatasetError

ClassFolders = Literal["auto", "top", "sub"]
"""Which folders are the classes: the top ones, those in them, or what their names suggest."""

Level = Literal["split", "group", "class"]

BESIDE_SPLITS = "its folder "
"""What the fault of a video begins with whose top folder is no split where others are."""

_MOST_NAMED = 10


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_RECORDING_WORDS = _words(
    "actor angle batch cam camera chunk clip date day disk driver episode film fold group location "
    "movie part participant patient performer person place player rec record recording round scene "
    "scenario seq sequence sess session set shard signer site speaker sub subj subject take tape "
    "trial user vid video view volunteer week year"
)
_CONDITION_WORDS = _words(
    "afternoon augmented beach campus cloudy cropped depth easy evening garden gym hall hard hd "
    "home hospital indoor indoors infrared inside ir kitchen lab morning night noon office "
    "original outdoor outdoors outside park processed rainy raw rgb road room school sd street "
    "studio sunny thermal"
)
_CLASS_WORDS = _words(
    "action activity behavior behaviour category class event exercise gesture label sign"
)
# These are classes as often as they describe a recording.
_UNDECIDED_WORDS = _words(
    "back backward bottom down far fast forward front left near right side slow top up"
)
_NUMBERED = re.compile(r"(?P<stem>.*?)[\W_]*(?:\d[\d\W_]*|(?<=[\W_])[A-Za-z]|(?<=[a-z])[A-Z])")


@dataclass(frozen=True, slots=True)
class Place:
    """What the folders of one video say.

    Attributes:
        label: its class; empty where it is in no class folder.
        split: its split; empty where no folder names one.
        group: its group; likewise.
        fault: why it has no label; empty where it has one.
    """

    label: str = ""
    split: str = ""
    group: str = ""
    fault: str = ""


@dataclass(slots=True)
class _Node:
    """A folder, or several folders of one name: how many videos are directly in it, and below."""

    name: str = ""
    num_direct: int = 0
    children: dict[str, _Node] = field(default_factory=dict)

    def child(self, name: str) -> _Node:
        return self.children.setdefault(same_name(name), _Node(composed(name)))

    @property
    def num_below(self) -> int:
        return sum(child.num_direct + child.num_below for child in self.children.values())


@dataclass(frozen=True, slots=True)
class Layout:
    """What each level of folders stands for.

    Attributes:
        levels: from the top: ``split``, ``group`` or ``class``.
        splits: the split of each folder on the level of splits, by ``same_name``.
    """

    levels: tuple[Level, ...]
    splits: Mapping[str, str] = field(default_factory=dict)

    def place(self, folders: Sequence[str]) -> Place:
        """Return what the folders of a video, from the top, say of it."""
        label = split = group = ""
        for level, name in zip(self.levels, folders, strict=False):
            if level == "class":
                label = composed(name)
            elif level == "group":
                group = f"{group}/{composed(name)}" if group else composed(name)
            elif same_name(name) in self.splits:
                split = self.splits[same_name(name)]
            else:
                beside = _listed(dict.fromkeys(self.splits.values()))
                return Place(fault=f"{BESIDE_SPLITS}{name} is next to {beside}")
        if not folders:
            return Place(fault="it is next to the class folders, so it has no label")
        if len(folders) < len(self.levels):
            missing = "split" if label else "class"
            fault = f"it lies in {folders[-1]} without a {missing} folder"
            return Place(label, split, group, fault)
        return Place(label, split, group)

    @property
    def class_depth(self) -> int:
        """How many folders are above that of the class."""
        return self.levels.index("class")

    def label(self, folders: Sequence[str]) -> str:
        """Return the class of a folder, given with those above it; empty where it has none."""
        if len(folders) <= self.class_depth:
            return ""
        return self.place(folders).label

    def sentence(self, folders: Iterable[Sequence[str]]) -> str:
        """Return what was taken for what, given the folders of each labelled video."""
        found: list[dict[str, None]] = [{} for _ in self.levels]
        for parts in folders:
            for names, name in zip(found, parts, strict=False):
                names[composed(name)] = None
        words = []
        for depth, (level, names) in enumerate(zip(self.levels, found, strict=True)):
            inside = " in them" if depth else ""
            if level == "class":
                words.append(f"{'the' if depth else 'The'} folders{inside} are the classes: ")
                words[-1] += _listed(names)
            elif level == "split":
                what = "is a split" if len(names) == 1 else "are splits"
                words.append(f"{_listed(map(self._split_words, names))}{inside} {what}")
            else:
                what = "is a group" if len(names) == 1 else "are groups"
                words.append(f"{_listed(names)}{inside} {what}")
        return "; ".join(words)

    def _split_words(self, name: str) -> str:
        split = self.splits[same_name(name)]
        return name if split == same_name(name) else f"{name} ({split})"


def read_layout(
    folders: Iterable[Sequence[str]], root: Path, class_folders: ClassFolders = "auto"
) -> Layout:
    """Decide what the folders below ``root`` stand for.

    Args:
        folders: for each video, the names of the folders that it is in, from the top.
        root: named in errors.
        class_folders: which folders are the classes, below those of splits; ``auto`` goes by names.

    Raises:
        DatasetError: ``auto``, and the names allow two readings.
    """
    tree = _Node()
    for parts in folders:
        node = tree
        for name in parts:
            node = node.child(name)
        node.num_direct += 1
    splits: dict[str, str] = {}
    levels = _levels(tree, root, class_folders, splits)
    return Layout(levels, splits)


def _levels(
    tree: _Node, root: Path, class_folders: ClassFolders, splits: dict[str, str]
) -> tuple[Level, ...]:
    """The levels of a tree; ``splits`` gets the split of each folder that names one."""
    tops = {key: node for key, node in tree.children.items() if node.num_direct + node.num_below}
    shared = _shared(tops.values())
    sides = _sides(tops.values())
    if class_folders == "auto" and (others := [tops[key] for key in tops.keys() - sides.keys()]):
        named = [tops[key] for key in sides]
        if _shared([_merged(named), _merged(others)]):
            # It may be a part of the data that would be lost, or a class called "train".
            because = f"named like splits: {_listed(named)}; not so: {_listed(others)}"
            raise _unclear(root, tops, shared, because, "rename or move one of these; or ")
    if _are_splits(sides) or (len(shared) > 1 and len(sides) == len(tops)):
        splits |= sides
        below = _merged(tops[key] for key in sides)
        return ("split", *_levels(below, root, class_folders, splits))
    if class_folders != "auto":
        return ("class",) if class_folders == "top" else ("group", "class")
    strength = _strength(tops.values())
    strength_below = _strength(shared.values())
    sharing = [node for node in tops.values() if node.children.keys() & shared]
    if len(shared) < 2 or len(sharing) < len(tops):
        # Some folders below classes may share their names. Sessions without classes may not.
        is_session = strength == 2 and any(node.num_below for node in tops.values())
        are_sessions = len(shared) > 1 and _strength(sharing) > strength_below
        is_usual = (
            len(shared) > 1 and 2 * len(sharing) > len(tops) and not _are_undecided(shared.values())
        )
        if len(tops) > 1 and (is_session or are_sessions or (is_usual and not strength_below)):
            raise _unclear(root, tops, shared, "they do not all hold folders of the same names")
        return ("class",)
    sides_below = _sides(shared.values())
    if len(sides_below) == len(shared) and _are_splits(sides_below):
        inner = list(_merged(shared.values()).children.values())
        has_clips = any(node.num_direct for node in shared.values())
        if has_clips or _strength(inner) > strength:
            splits |= sides_below
            return ("class", "split")
        if _strength(inner) == strength:
            raise _unclear(root, tops, shared, "splits are in between")
        return ("group", *_levels(_merged(tops.values()), root, class_folders, splits))
    if strength_below > strength:
        return ("class",)
    has_direct = any(node.num_direct for node in tops.values())
    is_undecided = has_direct or _are_undecided(shared.values())
    if strength_below == strength and (strength or is_undecided):
        raise _unclear(root, tops, shared, "their names do not tell")
    return ("group", *_levels(_merged(tops.values()), root, class_folders, splits))


def _sides(nodes: Iterable[_Node]) -> dict[str, str]:
    """The split of each folder that is named like one, by its key.

    The words that all names have in common are set aside, as in ucf101_train and ucf101_test.
    """
    names = [node.name for node in nodes]
    words = [re.findall(r"[^\W\d_]+|\d+", name) for name in names]
    common = set.intersection(*map(set, words)) if len(words) > 1 else set()
    found = {}
    for name, parts in zip(names, words, strict=True):
        own = "".join(part for part in parts if part not in common)
        if split := split_name(name) or split_name(own):
            found[same_name(name)] = split
    return found


def _are_splits(sides: Mapping[str, str]) -> bool:
    """Whether there is a training set and another; a lone folder named "train" is a class."""
    return "train" in sides.values() and len(set(sides.values())) > 1


def _shared(nodes: Iterable[_Node]) -> dict[str, _Node]:
    """The folders with videos whose names occur in two or more of these folders."""
    found: dict[str, _Node] = {}
    counts: Counter[str] = Counter()
    for node in nodes:
        counts.update(node.children.keys())
        found |= node.children
    return {key: node for key, node in found.items() if counts[key] > 1}


def _strength(nodes: Iterable[_Node]) -> int:
    """How strongly names speak of recordings rather than of classes: 2, 1 or 0."""
    names = [node.name for node in nodes]
    words = [re.findall(r"[^\W\d_]+", name.casefold()) for name in names]
    if any(parts and parts[0] in _CLASS_WORDS for parts in words):
        return 0
    if all(parts and parts[0] in _RECORDING_WORDS for parts in words):
        return 2
    if all(parts and _CONDITION_WORDS.issuperset(parts) for parts in words):
        return 1
    return int(_is_series(names))


def _is_series(names: Sequence[str]) -> bool:
    """Whether all names are one stem with a number or a letter (lab1, lab-b, labC), or numbers."""
    matches = [_NUMBERED.fullmatch(name) for name in names]
    return all(matches) and len({match["stem"].casefold() for match in matches if match}) == 1


def _are_undecided(nodes: Iterable[_Node]) -> bool:
    """Whether names are letters, or words such as left and fast."""
    words = [re.findall(r"[^\W\d_]+", node.name.casefold()) for node in nodes]
    return all(_UNDECIDED_WORDS.issuperset(parts) or len("".join(parts)) == 1 for parts in words)


def _merged(nodes: Iterable[_Node]) -> _Node:
    """One folder that holds what all of these hold."""
    whole = _Node()
    for node in nodes:
        whole.name = whole.name or node.name
        whole.num_direct += node.num_direct
        for key, child in node.children.items():
            known = whole.children.get(key)
            whole.children[key] = child if known is None else _merged([known, child])
    return whole


def _unclear(
    root: Path,
    tops: Mapping[str, _Node],
    shared: Mapping[str, _Node],
    because: str,
    first: str = "",
) -> DatasetError:
    inside = f" ({_listed(shared.values())})" if shared else ""
    return DatasetError(
        f"{root}: it is not clear which folders are the classes, the top folders "
        f"({_listed(tops.values())}) or the folders in them{inside}: {because}",
        "a folder for each class; or class folders inside train, val and test, or inside a folder "
        "for each recording session, person or place",
        f"{first}give --class-folders top or --class-folders sub; or list the videos in a CSV with "
        "the columns path,label,group,split and give that.",
    )


def _listed(names: Iterable[str | _Node]) -> str:
    texts = sorted((str(getattr(name, "name", name)) for name in names), key=natural_key)
    more = len(texts) - _MOST_NAMED
    return ", ".join(texts[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
