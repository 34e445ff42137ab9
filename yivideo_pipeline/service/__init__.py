"""The service: resident models, the gateway API, performance, and the page, over HTTP."""
