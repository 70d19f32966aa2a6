"""YAML from other people, with bounds on depth and size, and without aliases.

Aliases let a few hundred bytes stand for billions of values, and deep nesting exhausts the stack.
A recipe needs neither.
"""

from __future__ import annotations

import yaml

MAX_CHARACTERS = 1_000_000
MAX_DEPTH = 20
MAX_NODES = 20_000
# 1:59:59:… is one number to YAML, and takes quadratic time.
_MAX_PLAIN_WORD = 200


def parse_yaml(text: str) -> object:
    """Return what a YAML text stands for.

    Raises:
        ValueError: it is not YAML, has an alias, is nested too deeply or is too large. The message
            is one line.
    """
    if len(text) > MAX_CHARACTERS:
        raise ValueError(f"{len(text)} characters, at most {MAX_CHARACTERS} are read")
    try:
        _check(text)
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error


def _check(text: str) -> None:
    depth = num_nodes = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.AliasEvent):
            raise ValueError(f"an alias in line {line}; write the value out instead")
        num_nodes += isinstance(event, yaml.NodeEvent)
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.ScalarEvent) and _is_long_word(event):
            raise ValueError(f"a word of {len(event.value)} characters in line {line}")
        if depth > MAX_DEPTH:
            raise ValueError(f"nested more than {MAX_DEPTH} deep in line {line}")
        if num_nodes > MAX_NODES:
            raise ValueError(f"more than {MAX_NODES} values up to line {line}")


def _is_long_word(event: yaml.ScalarEvent) -> bool:
    is_plain = event.implicit[0] and " " not in event.value
    return is_plain and len(event.value) > _MAX_PLAIN_WORD
