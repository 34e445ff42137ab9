"""faster-whisper as its README shows it, as a separate program, for `make bench` and `benchmarks.score`."""

import argparse
import json
from dataclasses import asdict
from functools import partial
from pathlib import Path


def main() -> None:
    """Transcribe files and write the segments of each as JSON."""
    from faster_whisper import BatchedInferencePipeline, WhisperModel

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("audio", type=Path, nargs="+")
    parser.add_argument("--output", type=Path, required=True, help="folder for the JSON files")
    parser.add_argument("--language", help="without it, detected for each file")
    parser.add_argument("--model", required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--compute-type", required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--beam", type=int, required=True)
    parser.add_argument("--batch", type=int, help="chunks at once; without it, one after the other")
    parser.add_argument("--words", action="store_true", help="with word times")
    given = parser.parse_args()

    model = WhisperModel(
        given.model, device=given.device, compute_type=given.compute_type, cpu_threads=given.threads
    )
    transcribe = (
        partial(BatchedInferencePipeline(model).transcribe, batch_size=given.batch)
        if given.batch
        else model.transcribe
    )
    given.output.mkdir(parents=True)
    for audio in given.audio:
        segments, _ = transcribe(
            str(audio),
            language=given.language,
            beam_size=given.beam,
            word_timestamps=given.words,
            vad_filter=True,
        )
        text = json.dumps({"segments": [asdict(segment) for segment in segments]})
        (given.output / f"{audio.stem}.json").write_text(text)


if __name__ == "__main__":
    main()
