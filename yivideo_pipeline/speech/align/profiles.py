"""Calibrated profiles, kept with the weights that they were found with: a JSON file for each revision."""

import hashlib
import json
from pathlib import Path

from yivideo_pipeline.speech.align.decoder import Head
from yivideo_pipeline.speech.align.phrases import PHRASE_PROFILES, PhraseProfile
from yivideo_pipeline.speech.weights import Weights


def find_profile(weights: Weights, model_dir: Path) -> PhraseProfile | None:
    """Return the heads to read of a model: as calibrated here, else as measured for all; None if neither."""
    file = profile_file(weights, model_dir)
    if not file.is_file():
        return PHRASE_PROFILES.get(weights.model_name)
    kept = json.loads(file.read_text(encoding="utf-8"))
    return PhraseProfile(letters=_read(kept["letters"]), pieces=_read(kept["pieces"]))


def keep_profile(profile: PhraseProfile, weights: Weights, model_dir: Path) -> Path:
    """Write a calibrated profile and return its file.

    Raises:
        OSError: The folder of weights can't be written.
    """
    file = profile_file(weights, model_dir)
    file.parent.mkdir(parents=True, exist_ok=True)
    kept = {
        name: [[layer, head, lag_s] for (layer, head), lag_s in heads.items()]
        for name, heads in (("letters", profile.letters), ("pieces", profile.pieces))
    }
    new = file.with_suffix(".new")
    new.write_text(json.dumps(kept), encoding="utf-8")
    new.replace(file)
    return file


def profile_file(weights: Weights, model_dir: Path) -> Path:
    """Return where the profile of these weights is kept."""
    digest = hashlib.sha256(weights.revision.encode()).hexdigest()[:12]
    return model_dir / ".alignment" / f"{Path(weights.model_name).name}-{digest}.json"


def _read(rows: list[tuple[int, int, float]]) -> dict[Head, float]:
    return {(layer, head): lag_s for layer, head, lag_s in rows}
