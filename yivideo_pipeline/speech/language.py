"""Which language is spoken, by speech from all over the video rather than its first 30 seconds."""

from collections import defaultdict

from yivideo_pipeline.speech.chunks import Chunk


def spread_order(count: int, sample: int) -> list[int]:
    """Indices 0..count-1 with `sample` of them, evenly spread, first."""
    if count <= sample:
        return list(range(count))
    first = [round((index + 0.5) * count / sample - 0.5) for index in range(sample)]
    return first + [index for index in range(count) if index not in set(first)]


def choose_language(chunks: list[Chunk], probabilities: list[dict[str, float]]) -> tuple[str, float]:
    """The likeliest language and its probability, each chunk weighing as much as it is long."""
    total: dict[str, float] = defaultdict(float)
    for chunk, row in zip(chunks, probabilities, strict=True):
        for language, probability in row.items():
            total[language] += probability * chunk.duration_s
    language = max(total, key=lambda code: total[code])
    return language, total[language] / sum(chunk.duration_s for chunk in chunks)
