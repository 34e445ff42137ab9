"""Media files, read with PyAV: probing, decoding to 16 kHz mono, poster and waveform."""
