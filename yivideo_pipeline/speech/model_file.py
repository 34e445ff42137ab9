"""Reads the tensors of a CTranslate2 `model.bin`, for what CTranslate2 computes but does not show."""

import struct
from pathlib import Path

import numpy as np

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
