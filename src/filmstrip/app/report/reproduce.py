"""The command that does a run again."""

from __future__ import annotations

import shlex

from filmstrip.training.run_folder import TrainingRequest

RECIPE_FILE = "recipe.yaml"

_OPTIONS = {"num_folds": "--folds"}
# The first two stand elsewhere on the line; the last is no option of the command.
_NO_OPTIONS = ("data", "recipe", "division")


def train_command(request: TrainingRequest) -> str:
    """The ``filmstrip train`` command line, quoted for a shell, with the recipe as a file."""
    words = ["filmstrip", "train", str(request.data), "--recipe", RECIPE_FILE]
    for name, field in TrainingRequest.model_fields.items():
        value = getattr(request, name)
        if name in _NO_OPTIONS or value == field.default:
            continue
        option = _OPTIONS.get(name, "--" + name.replace("_", "-"))
        if isinstance(value, bool):
            words.append(option if value else option.replace("--", "--no-", 1))
        else:
            words += [option, str(value)]
    return shlex.join([*words, "--out", "new_run"])
