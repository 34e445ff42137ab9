"""Dagster's code server, whose runs start at once: a program that `yivideo up` starts."""

import sys

from yivideo_pipeline.machine.garbage import search_garbage_seldom

if __name__ == "__main__":
    search_garbage_seldom()
    from yivideo_pipeline.defs.run_internals import run_code_server

    run_code_server(sys.argv[1:])
