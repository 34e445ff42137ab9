"""The service as its clients see it: what goes over the wire, and an engine that works there."""
