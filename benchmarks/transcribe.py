"""faster-whisper as its README shows it, as a separate program for the comparison of `make bench`."""

import argparse
import json
from dataclasses import asdict
from functools import partial
from pathlib import Path


def main() -> None:
    """Transcribe one file and write the segments as JSON."""
    from faster_whisper import BatchedInferencePipeline, WhisperModel

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("audio", type=Path)
    parser.add_argument("output", type=Path, help="folder for transcript.json")
    parser.add_argument("--model", required=True)
    parser.add_argument("--compute-type", required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--beam", type=int, required=True)
    parser.add_argument("--batch", type=int, help="chunks at once; without it, one after the other")
    parser.add_argument("--words", action="store_true", help="with word times")
    given = parser.parse_args()

    model = WhisperModel(
        given.model, device="cpu", compute_type=given.compute_type, cpu_threads=given.threads
    )
    transcribe = (
        partial(BatchedInferencePipeline(model).transcribe, batch_size=given.batch)
        if given.batch
        else model.transcribe
    )
    segments, _ = transcribe(
        str(given.audio), language="en", beam_size=given.beam, word_timestamps=given.words, vad_filter=True
    )
    given.output.mkdir(parents=True)
    (given.output / "transcript.json").write_text(
        json.dumps({"segments": [asdict(segment) for segment in segments]})
    )


if __name__ == "__main__":
    main()
