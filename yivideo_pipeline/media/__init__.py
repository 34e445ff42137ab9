"""Reading media files with PyAV: probing, decoding to 16 kHz mono, pictures of both."""
