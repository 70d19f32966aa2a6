"""What follows when a live video begins to show a label: a command is run, its JSON is posted."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from filmstrip.app.on_label import LabelCommand
from filmstrip.app.webhook import Webhook
from filmstrip.errors import RecipeError, nearest
from filmstrip.inference.watch import Sighting
from filmstrip.text import printable

# How long commands and deliveries may go on once all videos have ended.
_LAST_SECONDS = 5.0


class LabelActions:
    """A command, an address, both or neither.

    Args:
        labels: at which the command is run, and the event posted; of none, every label's is posted.
        command: with its arguments, as a shell would read them.
        url: the address that events are posted to.
        class_names: the labels that there are.
        say: hears what goes wrong.

    Raises:
        RecipeError: a label without an action, a command without a label, or no label of the model.
        VideoError: no command, or no address.
    """

    def __init__(
        self,
        labels: Collection[str],
        command: str | None,
        url: str | None,
        class_names: Sequence[str],
        say: Callable[[str], None],
    ) -> None:
        _check(labels, command, url, class_names)
        self._labels = labels
        self._command = None if command is None else LabelCommand(command, say)
        self._webhook = None if url is None else Webhook(url, say)

    def begin(self, sighting: Sighting, source: str) -> None:
        """Act on ``sighting``, the first with its label; this never waits."""
        is_named = sighting.prediction.label in self._labels
        if self._command is not None and is_named:
            self._command.run(_facts(sighting, source))
        if self._webhook is not None and (is_named or not self._labels):
            self._webhook.post(event(sighting, source))

    def close(self) -> bool:
        """Give what still runs, or waits to be delivered, some seconds to end.

        Returns:
            Whether every event was delivered.
        """
        if self._command is not None:
            self._command.wait(_LAST_SECONDS)
        return self._webhook is None or self._webhook.close(_LAST_SECONDS) == 0


def event(sighting: Sighting, source: str) -> dict[str, object]:
    """What is told of a sighting in JSON."""
    answer = sighting.prediction
    facts = {"complete": answer.complete} if sighting.is_last else {}
    return {
        "event": "end" if sighting.is_last else "label",
        "source": source,
        "time_seconds": round(sighting.time_seconds, 3),
        "label": answer.label,
        "confidence": answer.confidence,
        "abstains": answer.abstains,
        "unfamiliar": answer.unfamiliar,
        **facts,
        "probs": answer.probs,
    }


def _facts(sighting: Sighting, source: str) -> dict[str, str]:
    """What a command finds among its environment variables."""
    return {
        "FILMSTRIP_LABEL": printable(sighting.prediction.label),
        "FILMSTRIP_CONFIDENCE": f"{sighting.prediction.confidence:.6f}",
        "FILMSTRIP_SOURCE": source,
        "FILMSTRIP_TIME_SECONDS": f"{sighting.time_seconds:.3f}",
    }


def _check(
    labels: Collection[str], command: str | None, url: str | None, class_names: Sequence[str]
) -> None:
    if command is not None and not labels:
        raise RecipeError(
            "--exec without --on-label",
            "a label at which to run the command",
            "name it: --on-label fall --exec 'notify-send fall'.",
        )
    if labels and command is None and url is None:
        raise RecipeError(
            "--on-label without --exec or --webhook",
            "what to do when the label begins",
            "give a command, such as --exec 'notify-send fall', or an address to --webhook.",
        )
    for label in labels:
        if label not in class_names:
            raise RecipeError(
                f"--on-label {label}: not a class of this model",
                "one of its classes",
                nearest(label, class_names),
            )
