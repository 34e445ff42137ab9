"""`python -m yivideo_pipeline`: the command, where no program of that name is on the path."""

from yivideo_pipeline.cli.app import main

if __name__ == "__main__":
    main()
