"""How long the threads of OpenMP, on which CTranslate2 computes, wait for each other before they sleep."""

import os

_SPINS = "1000"
"""Some microseconds: the small matrices of one step of the decoder follow each other within that."""
_CHOICES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")


def let_waiting_threads_sleep() -> None:
    """Let a thread that has nothing to do sleep after some microseconds; what the environment says stays.

    By default GNU's library lets it spin for milliseconds, which takes the processor from other programs that
    have work: two transcripts of a minute at once, each by one worker of two threads, took 32 s on two cores,
    10 s so, and one alone 7.8 s in place of 7.6. (`libgomp`, "GOMP_SPINCOUNT".)

    To be called before ctranslate2 is imported: the library reads its environment once. Processes that are
    started later inherit it.
    """
    if not any(name in os.environ for name in _CHOICES):
        os.environ["GOMP_SPINCOUNT"] = _SPINS
