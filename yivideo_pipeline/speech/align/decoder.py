"""Whisper's decoder in numpy, for its cross-attention, which CTranslate2 does not return.

It does only what aligning needs: text is given (no search), and each layer's keys and values of the
encoder output are computed once and shared by all passes over a window. In float32 on one core a 25 s
window takes about 0.4 s (base) or 0.1 s (tiny), less than CTranslate2's own alignment of as many
letters, which computes the whole vocabulary for each. The weights are read from CTranslate2's own
`model.bin`.
"""

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

MODEL_VERSION = 6
MODEL_SPEC = "WhisperSpec"
_TYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}
Head = tuple[int, int]
AttentionMaps = dict[Head, np.ndarray]
VOCABULARY_BLOCK = 8192
_FAR = np.float32(-1e9)


class UnknownModelFile(Exception):
    """The file is of a version or precision that this module does not read."""


@dataclass(frozen=True)
class CrossAttentionCache:
    """Keys and values of one encoder output: for each layer two arrays of shape (heads, frames, 64).

    Each frame stands for `weight` frames that are much like it.
    """

    keys: tuple[np.ndarray, ...]
    values: tuple[np.ndarray, ...]
    weight: int = 1

    def part(self, first: int, last: int | None = None) -> "CrossAttentionCache":
        """Return frames first..last, as a view."""
        return CrossAttentionCache(
            tuple(key[:, first:last] for key in self.keys),
            tuple(value[:, first:last] for value in self.values),
            self.weight,
        )


@dataclass(frozen=True)
class ForcedSequence:
    """Given tokens (prompt and text) and the encoder output they attend to, in consecutive parts.

    Attention is returned for the first `frames` frames: those that are sound.
    """

    tokens: list[int]
    parts: tuple[CrossAttentionCache, ...]
    frames: int


class Decoder:
    """Whisper's text decoder with the weights of a CTranslate2 model file.

    Raises:
        UnknownModelFile: the file is of an unknown version or quantized.
    """

    # One frame of encoded silence may stand for so many: a quarter less time for word times that differ
    # by 0.5 ms from those with all of them (ADR 16).
    silence_step = 8

    def __init__(self, model_file: Path) -> None:
        tensors = read_tensors(model_file, "decoder/")
        self.heads = int(tensors["num_heads"])
        # Unpacked once: for each window that took longer than all products with them.
        self._embeddings = tensors["embeddings/weight"].astype(np.float32)
        # Weights are stored transposed, as they are used: float32, contiguous.
        self._weights = {
            name: np.ascontiguousarray(tensor.astype(np.float32).T)
            for name, tensor in tensors.items()
            if tensor.dtype in (np.float16, np.float32) and name != "embeddings/weight"
        }
        self.layers = sum(name.endswith("/attention/linear_0/weight") for name in tensors)
        self._scale = np.float32((self._embeddings.shape[1] // self.heads) ** -0.5)
        self.max_tokens = tensors["position_encodings/encodings"].shape[0]

    def cache_encoded(self, encoded: np.ndarray) -> CrossAttentionCache:
        """Return keys and values of encoder output of shape (frames, d)."""
        encoded = encoded.astype(np.float32, copy=False)
        keys, values = [], []
        for layer in range(self.layers):
            key, value = np.split(self._linear(encoded, f"layer_{layer}/attention/linear_1"), 2, axis=-1)
            keys.append(self._by_head(key))
            values.append(self._by_head(value))
        return CrossAttentionCache(tuple(keys), tuple(values))

    def attend(
        self, sequences: list[ForcedSequence], heads: list[Head], *, with_output: bool
    ) -> tuple[list[AttentionMaps], np.ndarray]:
        """Decode several given texts at once; operations on single tokens run on all texts together.

        Args:
            sequences: Texts of at most `max_tokens` tokens, each with its own encoder output.
            heads: (layer, head) pairs whose attention is returned.
            with_output: Whether the decoder's output is wanted too.

        Returns:
            For each sequence the heads' attention, shape (tokens, frames), normalized over those
            frames; and the decoder's output for all tokens, shape (all tokens, d), if it is wanted.
        """
        ends = np.cumsum([len(sequence.tokens) for sequence in sequences])
        rows = [slice(end - len(sequence.tokens), end) for end, sequence in zip(ends, sequences, strict=True)]
        positions = self._weights["position_encodings/encodings"].T
        hidden = np.concatenate(
            [self._embeddings[one.tokens] + positions[: len(one.tokens)] for one in sequences]
        )
        maps: list[AttentionMaps] = [{} for _ in sequences]
        last = self.layers - 1 if with_output else max(layer for layer, _ in heads)
        for layer in range(last + 1):
            name = f"layer_{layer}"
            hidden = hidden + self._attend_text(hidden, rows, f"{name}/self_attention")
            query = self._project(hidden, f"{name}/attention/layer_norm", f"{name}/attention/linear_0")
            scores = [
                self._score_sound(self._by_head(query[row]), sequence, layer)
                for row, sequence in zip(rows, sequences, strict=True)
            ]
            for head in (head for head in heads if head[0] == layer):
                for found, score, sequence in zip(maps, scores, sequences, strict=True):
                    found[head] = _softmax(score[head[1], :, : sequence.frames].copy())
            if layer == last and not with_output:
                break
            attended = [
                _attend_sound(score, sequence, layer)
                for score, sequence in zip(scores, sequences, strict=True)
            ]
            hidden = hidden + self._linear(np.concatenate(attended), f"{name}/attention/linear_2")
            inner = _gelu(self._project(hidden, f"{name}/ffn/layer_norm", f"{name}/ffn/linear_0"))
            hidden = hidden + self._linear(inner, f"{name}/ffn/linear_1")
        return maps, hidden

    def probabilities(self, output: np.ndarray, tokens: list[int]) -> np.ndarray:
        """Return the probability of each token at its row of the decoder's output, shape (n,)."""
        normalized = self._normalize(output, "layer_norm")
        own = np.einsum("nd,nd->n", normalized, self._embeddings[tokens])
        # Relative to the token's own logit: where another token is far likelier the sum may become
        # infinite, and the probability 0.
        total = np.zeros(len(tokens), np.float32)
        with np.errstate(over="ignore"):
            for start in range(0, len(self._embeddings), VOCABULARY_BLOCK):
                block = self._embeddings[start : start + VOCABULARY_BLOCK]
                logits = normalized @ block.T - own[:, np.newaxis]
                total += np.exp(logits, out=logits).sum(axis=1)
        return 1 / total

    def compare(self, output: np.ndarray, tokens: list[int], others: list[int]) -> np.ndarray:
        """Return how likely other tokens are relative to each row's own one, shape (n, others)."""
        normalized = self._normalize(output, "layer_norm")
        own = np.einsum("nd,nd->n", normalized, self._embeddings[tokens])
        with np.errstate(over="ignore"):
            return np.exp(normalized @ self._embeddings[others].T - own[:, np.newaxis])

    def _attend_text(self, hidden: np.ndarray, rows: list[slice], name: str) -> np.ndarray:
        """Compute a layer's self-attention: each token sees those before it in its own text."""
        mixed = self._project(hidden, f"{name}/layer_norm", f"{name}/linear_0")
        attended = []
        for row in rows:
            query, key, value = (self._by_head(part) for part in np.split(mixed[row], 3, axis=-1))
            scores = query @ key.transpose(0, 2, 1) * self._scale
            scores += np.triu(np.full(scores.shape[1:], _FAR), 1)
            attended.append(_merge(_softmax(scores) @ value))
        return self._linear(np.concatenate(attended), f"{name}/linear_1")

    def _score_sound(self, query: np.ndarray, sequence: ForcedSequence, layer: int) -> np.ndarray:
        """Return a layer's cross-attention for one text before its softmax, shape (heads, tokens, frames)."""
        query = query * self._scale
        parts = [
            query @ part.keys[layer].transpose(0, 2, 1) + np.float32(np.log(part.weight))
            for part in sequence.parts
        ]
        return np.concatenate(parts, axis=-1)

    def _project(self, x: np.ndarray, norm: str, linear: str) -> np.ndarray:
        return self._linear(self._normalize(x, norm), linear)

    def _linear(self, x: np.ndarray, name: str) -> np.ndarray:
        return x @ self._weights[f"{name}/weight"] + self._weights[f"{name}/bias"]

    def _normalize(self, x: np.ndarray, name: str) -> np.ndarray:
        centred = x - x.mean(axis=-1, keepdims=True)
        deviation = np.sqrt(np.mean(centred * centred, axis=-1, keepdims=True) + np.float32(1e-5))
        return centred / deviation * self._weights[f"{name}/gamma"] + self._weights[f"{name}/beta"]

    def _by_head(self, x: np.ndarray) -> np.ndarray:
        """Reshape (n, d) to (heads, n, d / heads); n may be 0."""
        return x.reshape(len(x), self.heads, x.shape[1] // self.heads).transpose(1, 0, 2)


def _attend_sound(scores: np.ndarray, sequence: ForcedSequence, layer: int) -> np.ndarray:
    """Compute a layer's cross-attention for one text from its scores, shape (tokens, d)."""
    weights = _softmax(scores)
    start, total = 0, np.float32(0)
    for part in sequence.parts:
        values = part.values[layer]
        total = total + weights[:, :, start : start + values.shape[1]] @ values
        start += values.shape[1]
    return _merge(np.asarray(total))


def _merge(x: np.ndarray) -> np.ndarray:
    """Reshape (heads, n, k) to (n, heads * k)."""
    return x.transpose(1, 0, 2).reshape(x.shape[1], -1)


def _softmax(scores: np.ndarray) -> np.ndarray:
    scores -= scores.max(axis=-1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=-1, keepdims=True)
    return scores


def _gelu(x: np.ndarray) -> np.ndarray:
    """Compute GELU by its tanh approximation, within 0.0005 of the exact one (arXiv:1606.08415)."""
    return 0.5 * x * (1 + np.tanh(np.float32(0.7978845608) * (x + np.float32(0.044715) * x * x * x)))


def read_tensors(path: Path, prefix: str) -> dict[str, np.ndarray]:
    """Return the tensors whose names begin with `prefix`, memory-mapped in their stored precision.

    The layout is that of CTranslate2's converters: version, specification, count, then for each
    variable its name, shape, type and bytes (ctranslate2/specs/model_spec.py of its package).

    Raises:
        UnknownModelFile: the file is no Whisper model of version 6, or its weights are quantized.
    """
    data = np.memmap(path, np.uint8, mode="r")
    reader = _Reader(data.data)
    version, spec = reader.number("I"), reader.text()
    if version != MODEL_VERSION or spec != MODEL_SPEC:
        raise UnknownModelFile(
            f"{path} is {spec} of version {version}, not {MODEL_SPEC} of version {MODEL_VERSION}"
        )
    reader.number("I")  # revision of the specification
    tensors = {}
    for _ in range(reader.number("I")):
        name, tensor = reader.text(), reader.tensor()
        if name.startswith(prefix):
            tensors[name.removeprefix(prefix)] = tensor
    if any(name.endswith("weight_scale") for name in tensors):
        raise UnknownModelFile(f"{path} holds quantized weights")
    return tensors


class _Reader:
    """A reading position in the file, little-endian."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._at = 0

    def number(self, kind: str) -> int:
        value = struct.unpack_from("<" + kind, self._data, self._at)[0]
        self._at += struct.calcsize("<" + kind)
        return value

    def text(self) -> str:
        size = self.number("H")
        raw = bytes(self._data[self._at : self._at + size])
        self._at += size
        return raw.rstrip(b"\0").decode()

    def tensor(self) -> np.ndarray:
        shape = [self.number("I") for _ in range(self.number("B"))]
        kind, size = _TYPES[self.number("B")], self.number("I")
        count = size // np.dtype(kind).itemsize
        tensor = np.frombuffer(self._data, kind, count, self._at).reshape(shape)
        self._at += size
        return tensor
