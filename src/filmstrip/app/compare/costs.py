"""What the models of a ladder cost, measured when all are trained."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np

from filmstrip.app.compare.ladder import Features, Ladder
from filmstrip.cache import Cache
from filmstrip.dataset.index import VideoIndex
from filmstrip.dataset.rows import VideoRow
from filmstrip.features.choice import EngineChoice
from filmstrip.features.engine import default_device
from filmstrip.features.trial import machine
from filmstrip.inference.cost import Cost, measure_cost
from filmstrip.storage import parse_json, replacing
from filmstrip.text import to_json
from filmstrip.training.reporter import Reporter

NUM_CLIPS_TIMED = 8


def measure_costs(
    ladder: Ladder, features: dict[str, Features], reporter: Reporter
) -> dict[str, Cost]:
    """What the first seed's model of each rung costs, one rung after the other.

    What was measured on this machine before is taken up.
    """
    index = ladder.clips()
    here = machine(default_device())
    engines = Cache.at(ladder.cache).engines
    choice = EngineChoice(ladder.engine, engines, reporter.note, reporter.note)
    costs = {}
    with reporter.phase("Measuring costs", len(ladder.rungs)) as advance:
        for rung in ladder.rungs:
            file = ladder.out / "costs" / f"{rung.name}.json"
            cost = _stored_cost(file, here)
            if cost is None:
                model = ladder.run(rung, 0).model
                frames_per_clip = features[rung.name].frames_per_clip
                cost = measure_cost(model, _spread(index), frames_per_clip, len(index), choice)
                with replacing(file) as temporary:
                    content = {"machine": here, "cost": asdict(cost)}
                    temporary.write_text(to_json(content, indent=2) + "\n", "utf-8")
            costs[rung.name] = cost
            advance(rung.name)
    return costs


def _stored_cost(file: Path, here: dict[str, str]) -> Cost | None:
    try:
        stored = parse_json(file.read_text("utf-8"))
        return Cost(**stored["cost"]) if stored["machine"] == here else None
    except (OSError, ValueError, TypeError, KeyError):
        return None  # not measured yet, or by another version


def _spread(index: VideoIndex) -> list[VideoRow]:
    """A few clips, evenly spread over the data."""
    places = np.linspace(0, len(index) - 1, min(NUM_CLIPS_TIMED, len(index))).round().astype(int)
    return [index.rows[place] for place in places]
