"""Whisper's decoder in numpy, for its cross-attention: CTranslate2 keeps that to itself.

Only what aligning needs: text is given (no search), and each layer's keys and values of the encoder
output are computed once and shared by all passes over a window. In float32 on one core a 25 s window
takes about 0.4 s (base) or 0.1 s (tiny), less than CTranslate2's own alignment of as many letters,
which computes the whole vocabulary for each.
"""

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

# PART speech/model_file.py: Reads the tensors of a CTranslate2 `model.bin`, for what CTranslate2 computes but does not show.

VERSION = 6
SPEC = "WhisperSpec"
_TYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}


class UnknownModelFile(Exception):
    """The file is of a version or precision that is not read here."""


def read_tensors(path: Path, prefix: str) -> dict[str, np.ndarray]:
    """Tensors whose names begin with `prefix`, mapped from disk in the precision they are stored in.

    The layout is that of CTranslate2's converters: version, specification, count, then for each
    variable its name, shape, type and bytes (ctranslate2/specs/model_spec.py of its package).

    Raises:
        UnknownModelFile: not a Whisper model of version 6, or one whose weights are quantized.
    """
    data = np.memmap(path, np.uint8, mode="r")
    reader = _Reader(data.data)
    version, spec = reader.number("I"), reader.text()
    if version != VERSION or spec != SPEC:
        raise UnknownModelFile(f"{path} is {spec} of version {version}, not {SPEC} of version {VERSION}")
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
    """A position in the file, little-endian."""

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


Head = tuple[int, int]
Maps = dict[Head, np.ndarray]
VOCABULARY_BLOCK = 8192
_FAR = np.float32(-1e9)


@dataclass(frozen=True)
class Memory:
    """Keys and values of one encoder output: for each layer two arrays of shape (heads, frames, 64)."""

    keys: tuple[np.ndarray, ...]
    values: tuple[np.ndarray, ...]

    def part(self, first: int, last: int | None = None) -> "Memory":
        """Frames first..last, as a view."""
        return Memory(
            tuple(key[:, first:last] for key in self.keys),
            tuple(value[:, first:last] for value in self.values),
        )


@dataclass(frozen=True)
class Reading:
    """Tokens (prompt and text) and the parts of memory they are read against, one behind the other.

    Attention is told over the first `frames` frames: those that are sound.
    """

    tokens: list[int]
    parts: tuple[Memory, ...]
    frames: int


class Decoder:
    """Whisper's text decoder with the weights of a CTranslate2 model file.

    Raises:
        UnknownModelFile: the file is of a kind that is not read here.
    """

    def __init__(self, model_file: Path) -> None:
        tensors = read_tensors(model_file, "decoder/")
        self._heads = int(tensors["num_heads"])
        self._embeddings = tensors["embeddings/weight"]
        # Weights are kept transposed, as they are used: float32, contiguous.
        self._weights = {
            name: np.ascontiguousarray(tensor.astype(np.float32).T)
            for name, tensor in tensors.items()
            if tensor.dtype in (np.float16, np.float32) and name != "embeddings/weight"
        }
        self._layers = sum(name.endswith("/attention/linear_0/weight") for name in tensors)
        self._scale = np.float32((self._embeddings.shape[1] // self._heads) ** -0.5)
        self.max_tokens = tensors["position_encodings/encodings"].shape[0]

    def remember(self, encoded: np.ndarray) -> Memory:
        """Keys and values of encoder output of shape (frames, d)."""
        encoded = encoded.astype(np.float32, copy=False)
        keys, values = [], []
        for layer in range(self._layers):
            key, value = np.split(self._linear(encoded, f"layer_{layer}/attention/linear_1"), 2, axis=-1)
            keys.append(self._by_head(key))
            values.append(self._by_head(value))
        return Memory(tuple(keys), tuple(values))

    def attend(self, readings: list[Reading], heads: list[Head]) -> tuple[list[Maps], np.ndarray]:
        """Read several texts at once: what is done for each token alone is done for all together.

        Args:
            readings: Texts of at most `max_tokens` tokens, each against its own memory.
            heads: (layer, head) pairs whose attention is wanted.

        Returns:
            For each reading the heads' attention, shape (tokens, frames), normalized over those
            frames; and the decoder's output for all tokens, shape (all tokens, d), right only where
            the heads reach up to the last layer.
        """
        ends = np.cumsum([len(reading.tokens) for reading in readings])
        rows = [slice(end - len(reading.tokens), end) for end, reading in zip(ends, readings, strict=True)]
        places = self._weights["position_encodings/encodings"].T
        hidden = np.concatenate(
            [self._embeddings[r.tokens].astype(np.float32) + places[: len(r.tokens)] for r in readings]
        )
        maps: list[Maps] = [{} for _ in readings]
        for layer in range(max(layer for layer, _ in heads) + 1):
            name = f"layer_{layer}"
            wanted = [head for head in heads if head[0] == layer]
            hidden = hidden + self._attend_text(hidden, rows, f"{name}/self_attention")
            query = self._project(hidden, f"{name}/attention/layer_norm", f"{name}/attention/linear_0")
            attended = [
                self._attend_sound(self._by_head(query[row]), reading, layer, wanted, found)
                for row, reading, found in zip(rows, readings, maps, strict=True)
            ]
            hidden = hidden + self._linear(np.concatenate(attended), f"{name}/attention/linear_2")
            inner = _gelu(self._project(hidden, f"{name}/ffn/layer_norm", f"{name}/ffn/linear_0"))
            hidden = hidden + self._linear(inner, f"{name}/ffn/linear_1")
        return maps, hidden

    def probabilities(self, output: np.ndarray, tokens: list[int]) -> np.ndarray:
        """Probability of each token at its row of the decoder's output, shape (n,)."""
        normalized = self._normalize(output, "layer_norm")
        own = np.einsum("nd,nd->n", normalized, self._embeddings[tokens].astype(np.float32))
        # Relative to the token's own logit: where another is far likelier the sum may become infinite,
        # and the probability 0.
        total = np.zeros(len(tokens), np.float32)
        with np.errstate(over="ignore"):
            for start in range(0, len(self._embeddings), VOCABULARY_BLOCK):
                block = self._embeddings[start : start + VOCABULARY_BLOCK].astype(np.float32)
                logits = normalized @ block.T - own[:, np.newaxis]
                total += np.exp(logits, out=logits).sum(axis=1)
        return 1 / total

    def _attend_text(self, hidden: np.ndarray, rows: list[slice], name: str) -> np.ndarray:
        """A layer's self-attention: each token sees those before it in its own text."""
        mixed = self._project(hidden, f"{name}/layer_norm", f"{name}/linear_0")
        attended = []
        for row in rows:
            query, key, value = (self._by_head(part) for part in np.split(mixed[row], 3, axis=-1))
            scores = query @ key.transpose(0, 2, 1) * self._scale
            scores += np.triu(np.full(scores.shape[1:], _FAR), 1)
            attended.append(_merge(_softmax(scores) @ value))
        return self._linear(np.concatenate(attended), f"{name}/linear_1")

    def _attend_sound(
        self, query: np.ndarray, reading: Reading, layer: int, wanted: list[Head], found: Maps
    ) -> np.ndarray:
        """A layer's cross-attention for one text, shape (tokens, d); wanted heads go into `found`."""
        scores = np.concatenate(
            [query @ part.keys[layer].transpose(0, 2, 1) for part in reading.parts], axis=-1
        )
        scores *= self._scale
        for head in wanted:
            found[head] = _softmax(scores[head[1], :, : reading.frames].copy())
        weights = _softmax(scores)
        start, total = 0, np.float32(0)
        for part in reading.parts:
            values = part.values[layer]
            total = total + weights[:, :, start : start + values.shape[1]] @ values
            start += values.shape[1]
        return _merge(np.asarray(total))

    def _project(self, x: np.ndarray, norm: str, linear: str) -> np.ndarray:
        return self._linear(self._normalize(x, norm), linear)

    def _linear(self, x: np.ndarray, name: str) -> np.ndarray:
        return x @ self._weights[f"{name}/weight"] + self._weights[f"{name}/bias"]

    def _normalize(self, x: np.ndarray, name: str) -> np.ndarray:
        centred = x - x.mean(axis=-1, keepdims=True)
        deviation = np.sqrt(np.mean(centred * centred, axis=-1, keepdims=True) + np.float32(1e-5))
        return centred / deviation * self._weights[f"{name}/gamma"] + self._weights[f"{name}/beta"]

    def _by_head(self, x: np.ndarray) -> np.ndarray:
        """From (n, d) to (heads, n, d / heads)."""
        return x.reshape(len(x), self._heads, -1).transpose(1, 0, 2)


def _merge(x: np.ndarray) -> np.ndarray:
    """From (heads, n, k) to (n, heads * k)."""
    return x.transpose(1, 0, 2).reshape(x.shape[1], -1)


def _softmax(scores: np.ndarray) -> np.ndarray:
    scores -= scores.max(axis=-1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=-1, keepdims=True)
    return scores


def _gelu(x: np.ndarray) -> np.ndarray:
    """GELU by its tanh approximation, off by at most 0.0005 from the exact one (arXiv:1606.08415)."""
    return 0.5 * x * (1 + np.tanh(np.float32(0.7978845608) * (x + np.float32(0.044715) * x * x * x)))
