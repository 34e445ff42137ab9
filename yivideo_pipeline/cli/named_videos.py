"""The videos that a command's arguments name, by file or by partition key."""

from collections.abc import Callable, Mapping, Sequence

from yivideo_pipeline.cli.console import WrongUsage, printable
from yivideo_pipeline.storage.partition_keys import key_of
from yivideo_pipeline.storage.remote_paths import AnyPath, to_path


def read_keys(
    names: Sequence[str],
    roots: Mapping[str, AnyPath],
    is_known: Callable[[str], bool],
    *,
    complaint: str,
    hint: str,
) -> list[str]:
    """Turn files and keys into keys, each once; a name that is both is taken as the key, which lists show.

    Args:
        names: As they were given.
        roots: Folders of the library by name.
        is_known: Whether something is known of a key.
        complaint: Comes before the names of which nothing is known.
        hint: What to do about those.

    Raises:
        WrongUsage: Nothing is known of one of them, or it can't be a file.
    """
    keys = {name: name if is_known(name) else read_key(to_path(name), roots) for name in names}
    unknown = [printable(name) for name, key in keys.items() if not is_known(key)]
    if unknown:
        raise WrongUsage(f"{complaint} {', '.join(unknown)}", hint)
    return list(dict.fromkeys(keys.values()))


def read_key(video: AnyPath, roots: Mapping[str, AnyPath]) -> str:
    """Return the partition key of a file.

    Raises:
        WrongUsage: It can't be a file.
    """
    try:
        return key_of(video, roots)
    except ValueError as error:
        raise WrongUsage(str(error)) from error
