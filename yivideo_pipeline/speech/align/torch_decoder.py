"""Whisper's decoder in torch, for its cross-attention on a GPU: what `decoder` does in numpy for a CPU.

It is used where the model runs on a GPU and torch is installed. There numpy would hold up the recognizer: it
takes 140 ms of a core for a window of 25 s with tiny.en. The maps are the same within rounding, in float32.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from yivideo_pipeline.speech.align.decoder import (
    VOCABULARY_BLOCK,
    AttentionMaps,
    CrossAttentionCache,
    ForcedSequence,
    Head,
    read_tensors,
)


def can_use_torch() -> bool:
    """Return whether torch is installed and computes on the GPU; imports it if it is installed."""
    if find_spec("torch") is None:
        return False
    import torch

    return torch.cuda.is_available()


class TorchDecoder:
    """Whisper's text decoder with the weights of a CTranslate2 model file; safe for several threads.

    Args:
        model_file: The model's `model.bin`.
        device: Where torch computes.

    Raises:
        UnknownModelFile: the file is of an unknown version or quantized.
    """

    silence_step = 1  # as sequences must be equally long, and attention costs little here

    def __init__(self, model_file: Path, device: str = "cuda") -> None:
        import torch

        tensors = read_tensors(model_file, "decoder/")
        self._torch = torch
        self._device = device
        self._heads = int(tensors["num_heads"])
        # The vocabulary is the largest matrix by far: it stays in its stored precision.
        self._embeddings = torch.from_numpy(tensors["embeddings/weight"].copy()).to(device)
        self._weights = {
            name: torch.from_numpy(tensor.astype(np.float32)).to(device)
            for name, tensor in tensors.items()
            if tensor.dtype in (np.float16, np.float32) and name != "embeddings/weight"
        }
        self._layers = sum(name.endswith("/attention/linear_0/weight") for name in tensors)
        self.max_tokens = tensors["position_encodings/encodings"].shape[0]

    def cache_encoded(self, encoded: np.ndarray) -> CrossAttentionCache:
        """Return keys and values, as tensors, of encoder output of shape (frames, d)."""
        with self._torch.inference_mode():
            sound = self._torch.from_numpy(encoded).to(self._device).float()
            layers = [
                self._linear(sound, f"layer_{layer}/attention/linear_1").chunk(2, dim=-1)
                for layer in range(self._layers)
            ]
            return CrossAttentionCache(
                tuple(self._by_head(key) for key, _ in layers),
                tuple(self._by_head(value) for _, value in layers),
            )

    def attend(
        self, sequences: list[ForcedSequence], heads: list[Head], *, with_output: bool
    ) -> tuple[list[AttentionMaps], np.ndarray]:
        """Decode several given texts at once; see `Decoder.attend`.

        The sequences' encoder outputs must have the same number of frames, all their parts together.
        """
        torch = self._torch
        lengths = [len(sequence.tokens) for sequence in sequences]
        # Texts are padded at their ends, where no token of the text looks.
        padded = [[*one.tokens, *[0] * (max(lengths) - len(one.tokens))] for one in sequences]
        maps: list[AttentionMaps] = [{} for _ in sequences]
        with torch.inference_mode():
            tokens = torch.tensor(padded, device=self._device)
            positions = self._weights["position_encodings/encodings"][: max(lengths)]
            hidden = self._embeddings[tokens].float() + positions
            last = self._layers - 1 if with_output else max(layer for layer, _ in heads)
            for layer in range(last + 1):
                name = f"layer_{layer}"
                hidden = hidden + self._attend_text(hidden, f"{name}/self_attention")
                query = self._by_head(self._project(hidden, f"{name}/attention", "linear_0"))
                keys = _stack([[part.keys[layer] for part in one.parts] for one in sequences], torch)
                values = _stack([[part.values[layer] for part in one.parts] for one in sequences], torch)
                for head in (head for head in heads if head[0] == layer):
                    self._read_map(head, query, keys, sequences, maps)
                if layer == last and not with_output:
                    break
                attended = torch.nn.functional.scaled_dot_product_attention(query, keys, values)
                hidden = hidden + self._linear(_merge(attended), f"{name}/attention/linear_2")
                inner = self._project(hidden, f"{name}/ffn", "linear_0")
                inner = torch.nn.functional.gelu(inner, approximate="tanh")
                hidden = hidden + self._linear(inner, f"{name}/ffn/linear_1")
            output = torch.cat([row[:length] for row, length in zip(hidden, lengths, strict=True)])
            return maps, output.cpu().numpy()

    def probabilities(self, output: np.ndarray, tokens: list[int]) -> np.ndarray:
        """Return the probability of each token at its row of the decoder's output, shape (n,)."""
        torch = self._torch
        with torch.inference_mode():
            normalized = self._normalize(torch.from_numpy(output).to(self._device), "layer_norm")
            wanted = self._embeddings[torch.tensor(tokens, dtype=torch.long, device=self._device)].float()
            own = (normalized * wanted).sum(dim=-1, keepdim=True)
            # Relative to the token's own logit, as in numpy.
            total = torch.zeros(len(tokens), device=self._device)
            for block in self._embeddings.split(VOCABULARY_BLOCK):
                total += (normalized @ block.float().T - own).exp().sum(dim=-1)
            return (1 / total).cpu().numpy()

    def compare(self, output: np.ndarray, tokens: list[int], others: list[int]) -> np.ndarray:
        """Return how likely other tokens are relative to each row's own one; see `Decoder.compare`."""
        torch = self._torch
        with torch.inference_mode():
            normalized = self._normalize(torch.from_numpy(output).to(self._device), "layer_norm")
            embeddings = self._embeddings[torch.tensor(others, device=self._device)].float()
            own = self._embeddings[torch.tensor(tokens, dtype=torch.long, device=self._device)].float()
            logits = normalized @ embeddings.T - (normalized * own).sum(dim=-1, keepdim=True)
            return logits.exp().cpu().numpy()

    def _attend_text(self, hidden: Any, name: str) -> Any:
        """Compute a layer's self-attention: each token sees those before it in its own text."""
        parts = self._project(hidden, name, "linear_0").chunk(3, dim=-1)
        query, key, value = (self._by_head(part) for part in parts)
        attend = self._torch.nn.functional.scaled_dot_product_attention
        return self._linear(_merge(attend(query, key, value, is_causal=True)), f"{name}/linear_1")

    def _read_map(
        self, head: Head, query: Any, keys: Any, sequences: list[ForcedSequence], maps: list[AttentionMaps]
    ) -> None:
        """Put one head's attention into the maps of all sequences."""
        scores = query[:, head[1]] @ keys[:, head[1]].transpose(-1, -2) * query.shape[-1] ** -0.5
        for row, (sequence, found) in enumerate(zip(sequences, maps, strict=True)):
            kept = scores[row, : len(sequence.tokens), : sequence.frames]
            found[head] = kept.softmax(dim=-1).cpu().numpy()

    def _project(self, x: Any, block: str, linear: str) -> Any:
        return self._linear(self._normalize(x, f"{block}/layer_norm"), f"{block}/{linear}")

    def _linear(self, x: Any, name: str) -> Any:
        weights = self._weights
        return self._torch.nn.functional.linear(x, weights[f"{name}/weight"], weights[f"{name}/bias"])

    def _normalize(self, x: Any, name: str) -> Any:
        scale, shift = self._weights[f"{name}/gamma"], self._weights[f"{name}/beta"]
        return self._torch.nn.functional.layer_norm(x, x.shape[-1:], scale, shift)

    def _by_head(self, x: Any) -> Any:
        """Reshape (..., n, d) to (..., heads, n, d / heads)."""
        return x.unflatten(-1, (self._heads, -1)).transpose(-3, -2)


def _stack(parts: list[list[Any]], torch: Any) -> Any:
    """Join each sequence's parts along the frames; shape (sequences, heads, frames, d / heads)."""
    return torch.stack([torch.cat(own, dim=1) for own in parts])


def _merge(x: Any) -> Any:
    """Reshape (..., heads, n, k) to (..., n, heads * k)."""
    return x.transpose(-3, -2).flatten(-2)
