"""One group of chunks through the model: encoded once, decoded, doubted, aligned."""

from yivideo_pipeline.media.audio import Audio
from yivideo_pipeline.speech.assemble import Passage
from yivideo_pipeline.speech.chunks import Chunk
from yivideo_pipeline.speech.doubts import FALLBACK_TEMPERATURES, choose_best, is_doubtful, is_silence
from yivideo_pipeline.speech.text_aligner import Encoded, TextAligner
from yivideo_pipeline.speech.vad import HOP_S, speech_probabilities
from yivideo_pipeline.speech.whisper import Decoded, Whisper

MAP_STEP_S = 0.01  # resolution at which voice activity is given to the aligner


class Recognizer:
    """A model and what times its words; safe to be used by several threads at once."""

    def __init__(self, whisper: Whisper, aligner: TextAligner) -> None:
        self.whisper = whisper
        self.aligner = aligner

    def encode(self, audio: Audio, chunks: list[Chunk]) -> Encoded:
        """Read the chunks' sound and encode it."""
        probabilities = speech_probabilities(audio)
        sounds = tuple(chunk.read(audio) for chunk in chunks)
        activities = tuple(chunk.sample(probabilities, HOP_S, MAP_STEP_S) for chunk in chunks)
        return Encoded(tuple(chunks), sounds, activities, self.whisper.encode(list(sounds)))

    def recognize(self, encoded: Encoded, language: str, beam_size: int) -> list[Passage | None]:
        """What was said in each chunk, with word times; None where nothing was said."""
        decoded = [
            self._settle(encoded, row, first, language)
            for row, first in enumerate(self.whisper.decode(encoded.view, language, beam_size))
        ]
        texts = ["" if one is None else one.text for one in decoded]
        timed = self.aligner.align(encoded, texts, language)
        return [
            Passage(chunk, words, one.avg_logprob, one.no_speech_prob) if one and words.words else None
            for chunk, words, one in zip(encoded.chunks, timed, decoded, strict=True)
        ]

    def _settle(self, encoded: Encoded, row: int, first: Decoded, language: str) -> Decoded | None:
        """Decode a doubtful chunk again at rising temperatures; None where it holds no speech."""
        if is_silence(first):
            return None
        attempts = [first]
        for temperature in FALLBACK_TEMPERATURES:
            if not is_doubtful(attempts[-1]):
                return attempts[-1]
            view = self.whisper.pick(encoded.view, row)
            attempts += self.whisper.decode(view, language, 1, temperature)
        best = choose_best(attempts)
        return None if is_doubtful(best) and best.no_speech_prob > 0.3 else best
