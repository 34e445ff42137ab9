"""Word times from an acoustic model of letters: WhisperX's wav2vec2 models, aligned by CTC."""
