"""Chooses the aligner that gives words their final times; where attention does, nothing else is imported."""

import logging
from pathlib import Path
from typing import Literal

from yivideo_pipeline.settings.options import Aligner, SpeechOptions, Task

log = logging.getLogger(__name__)

AlignerName = Literal["attention", "wav2vec2"]


def choose_aligner(
    options: SpeechOptions,
    language: str,
    device: str,
    model_dir: Path,
    *,
    token: str | None = None,
    offline: bool = False,
) -> AlignerName:
    """Resolve the aligner option for a language and a device; imports no torch, takes 2 s at most.

    `auto` is wav2vec2 on a GPU where its weights are present or can be fetched, else attention. The words
    of a translation are not in the sound, so they always have attention's times.

    Args:
        options: The aligner option and the task.
        language: Whisper's code of the spoken language.
        device: `cpu` or `cuda`.
        model_dir: Folder of all weights.
        token: Hugging Face token for private or gated models.
        offline: Never ask a network.

    Raises:
        ModelLoadError: wav2vec2 is set and its weights can't be had.
        ServiceUnreachable: likewise, since a server does not answer.
    """
    wanted = Aligner.ATTENTION if options.task is Task.TRANSLATE else options.aligner
    if wanted is Aligner.ATTENTION or (wanted is Aligner.AUTO and device == "cpu"):
        return "attention"
    from yivideo_pipeline.speech.align.wav2vec2_model import explain_missing, wav2vec2_status

    status = wav2vec2_status(language, model_dir, token=token, offline=offline)
    if status.state != "missing":
        return "wav2vec2"
    if wanted is Aligner.WAV2VEC2:
        raise explain_missing(status)
    log.info("Words keep the times of Whisper's attention: %s", status.reason)
    return "attention"
