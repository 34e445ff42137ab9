"""Carry out the steps of deploy/Dockerfile without Docker: each stage in a fresh Debian root, by chroot.

    sudo python3 scripts/try_image.py --work /var/tmp/image [--build-arg ACCELERATOR=cuda] [--run COMMAND...]

It needs root, debootstrap and unshare, and the registries that a build needs. What Docker does beside the
steps is not tried: layers, the build cache, cgroups, its network, and what the host's NVIDIA toolkit adds.
Instructions that this Dockerfile does not use are refused. A finished root stays for `--run`, which starts
the image's ENTRYPOINT with other arguments, as the image's user and on the host's network.
"""

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DOCKERFILE = ROOT / "deploy" / "Dockerfile"
HOST_FILES = ("/etc/resolv.conf", "/etc/hosts")
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
"""Of the host: its registries may have a certificate that Debian does not know."""


class Unsupported(Exception):
    """An instruction that this script does not know."""


@dataclass
class Stage:
    """One `FROM` and what its instructions have said so far."""

    name: str
    root: Path
    arguments: dict[str, str]
    environment: dict[str, str] = field(
        default_factory=lambda: {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
    )
    folder: str = "/"
    user: str = "0:0"
    volumes: list[str] = field(default_factory=list)
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    health: list[str] = field(default_factory=list)

    def expand(self, text: str) -> str:
        """Replace `$NAME` and `${NAME}` as Docker does: by the environment, then by the arguments."""
        known = {**self.arguments, **self.environment}
        return re.sub(r"\$\{?(\w+)\}?", lambda match: known.get(match[1], ""), text)


def read_instructions(text: str) -> list[tuple[str, str]]:
    """Return a Dockerfile's instructions: name in capitals and the rest, with lines joined."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    pairs = (line.strip().split(None, 1) for line in joined.splitlines())
    return [(name.upper(), rest) for name, rest in pairs]


def copied(context: Path, patterns: list[str]) -> list[Path]:
    """Return the files and folders that COPY names; one that is missing is an error, as in Docker."""
    found: list[Path] = []
    for pattern in patterns:
        matches = sorted(context.glob(pattern.lstrip("/")))
        if not matches:
            raise FileNotFoundError(f"COPY names {pattern}, which is not in {context}")
        found += matches
    return found


class Builder:
    """Carries out instructions, one after the other.

    Args:
        work: Folder of the stages' roots.
        base: A root as debootstrap makes it.
        given: Build arguments.
    """

    def __init__(self, work: Path, base: Path, given: dict[str, str]) -> None:
        self._work, self._base, self._given = work, base, given
        self._global: dict[str, str] = {}
        self.stages: list[Stage] = []

    def carry_out(self, name: str, rest: str) -> None:
        """Carry out one instruction.

        Raises:
            Unsupported: It is none that this script knows.
            subprocess.CalledProcessError: A RUN failed.
        """
        step = getattr(self, f"_{name.lower()}", None)
        if step is None:
            raise Unsupported(f"{name} is not known here")
        if name in ("FROM", "RUN", "COPY"):
            print(f"--- {name} {rest[:150]}", flush=True)
        begin = time.monotonic()
        step(rest)
        if name in ("FROM", "RUN", "COPY"):
            print(f"    {time.monotonic() - begin:.1f} s", flush=True)

    @property
    def _stage(self) -> Stage:
        return self.stages[-1]

    def _arg(self, rest: str) -> None:
        name, _, default = rest.partition("=")
        arguments = self._stage.arguments if self.stages else self._global
        arguments[name] = self._given.get(name, default or self._global.get(name, ""))

    def _from(self, rest: str) -> None:
        _image, *alias = re.split(r"\s+AS\s+", rest, flags=re.IGNORECASE)
        name = alias[0] if alias else f"stage{len(self.stages)}"
        root = self._work / name
        shutil.rmtree(root, ignore_errors=True)
        subprocess.run(["cp", "--archive", "--reflink=auto", self._base, root], check=True)
        self.stages.append(Stage(name, root, {}))

    def _env(self, rest: str) -> None:
        for pair in shlex.split(rest):
            name, _, value = pair.partition("=")
            self._stage.environment[name] = self._stage.expand(value)

    def _workdir(self, rest: str) -> None:
        self._stage.folder = self._stage.expand(rest)
        self._inside(self._stage.folder).mkdir(parents=True, exist_ok=True)

    def _copy(self, rest: str) -> None:
        *options, last = [self._stage.expand(word) for word in rest.split()]
        context = ROOT
        while options and options[0].startswith("--"):
            name, _, value = options.pop(0).partition("=")
            if name != "--from":
                raise Unsupported(f"COPY {name} is not known here")
            context = next(stage.root for stage in self.stages if stage.name == value)
        sources, target = copied(context, options), self._inside(str(Path(self._stage.folder) / last))
        into = last.endswith("/") or len(sources) > 1
        for source in sources:
            place = target / source.name if into and source.is_file() else target
            place.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                ignore = shutil.ignore_patterns("__pycache__") if context == ROOT else None
                shutil.copytree(source, place, symlinks=True, dirs_exist_ok=True, ignore=ignore)
            else:
                shutil.copy2(source, place)

    def _run(self, rest: str) -> None:
        self.enter(["/bin/sh", "-c", rest], check=True)

    def _user(self, rest: str) -> None:
        self._stage.user = self._stage.expand(rest)

    def _volume(self, rest: str) -> None:
        self._stage.volumes += json.loads(rest)

    def _expose(self, rest: str) -> None:
        if not all(port.isdigit() for port in rest.split()):
            raise Unsupported(f"EXPOSE {rest} is not known here")

    def _entrypoint(self, rest: str) -> None:
        self._stage.entrypoint = json.loads(rest)

    def _cmd(self, rest: str) -> None:
        self._stage.command = json.loads(rest)

    def _healthcheck(self, rest: str) -> None:
        self._stage.health = json.loads(rest.partition("CMD")[2])

    def _inside(self, path: str) -> Path:
        return self._stage.root / path.lstrip("/")

    def enter(
        self, command: list[str], extra: dict[str, str] | None = None, *, check: bool
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a command in the last stage's root, with /proc and /dev, as its user."""
        stage = self._stage
        for file in HOST_FILES:
            shutil.copy(file, stage.root / file.lstrip("/"))
        ours = self._inside("/run/host-certificates.crt")
        shutil.copy(CERTIFICATES, ours)
        registries = dict.fromkeys(("SSL_CERT_FILE", "PIP_CERT"), "/run/host-certificates.crt")
        passed = {
            name: os.environ[name] for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY") if name in os.environ
        }
        environment = {**passed, **registries, **stage.arguments, **stage.environment, **(extra or {})}
        inside = [f"--userspec={stage.user}", str(stage.root), "/usr/bin/env", "-i"]
        inside += [f"{name}={value}" for name, value in environment.items()]
        inside += ["/bin/sh", "-c", f'cd {shlex.quote(stage.folder)} && exec "$@"', "sh", *command]
        mounts = (
            f"mount --rbind /dev {shlex.quote(str(stage.root))}/dev"
            f' && mount -t proc proc {shlex.quote(str(stage.root))}/proc && exec chroot "$@"'
        )
        namespaces = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
        return subprocess.run([*namespaces, "/bin/sh", "-c", mounts, "sh", *inside], check=check)


def make_base(work: Path) -> Path:
    """Return a Debian root, made by debootstrap where there is none yet."""
    base = work / "debian"
    if not (base / "etc" / "debian_version").exists():
        shutil.rmtree(base, ignore_errors=True)
        subprocess.run(["debootstrap", "--variant=minbase", "bookworm", base], check=True)
    return base


def main() -> int:
    """Build, then run a command in what was built; the exit status is the command's."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, required=True, help="folder for the roots, 4 GB")
    parser.add_argument("--build-arg", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--env", action="append", default=[], metavar="NAME=VALUE", help="for --run")
    parser.add_argument("--no-build", action="store_true", help="run in the root of the last build")
    parser.add_argument(
        "--run", nargs=argparse.REMAINDER, metavar="COMMAND", help="arguments of the entry point"
    )
    given = parser.parse_args()
    work = given.work.absolute()
    builder = Builder(work, make_base(work), dict(pair.split("=", 1) for pair in given.build_arg))
    for name, rest in read_instructions(DOCKERFILE.read_text(encoding="utf-8")):
        if given.no_build and name in ("FROM", "RUN", "COPY"):
            if name == "FROM":
                alias = re.split(r"\s+AS\s+", rest)[1:]
                stage = alias[0] if alias else f"stage{len(builder.stages)}"
                builder.stages.append(Stage(stage, work / stage, {}))
            continue
        builder.carry_out(name, rest)
    if given.run is None:
        return 0
    last = builder.stages[-1]
    extra = dict(pair.split("=", 1) for pair in given.env)
    return builder.enter([*last.entrypoint, *given.run], extra, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
