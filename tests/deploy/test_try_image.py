"""The script that carries a Dockerfile's steps out, as far as that needs neither root nor a registry."""

import pytest

from scripts.try_image import Builder, Unsupported, read_instructions

TEXT = """
# a comment
ARG BASE=debian:1
ARG KIND=cpu
FROM ${BASE} AS build
ARG KIND
ENV PLACE=/opt/it \\
    PATH=/opt/it/bin:$PATH
WORKDIR /src
COPY requirements/uv.txt requirements/dev.txt ${KIND}/
COPY LICENSE .
FROM ${BASE}
COPY --from=build /src /copied
USER 1000:1000
ENTRYPOINT ["tini", "--", "it"]
"""


@pytest.fixture
def builder(tmp_path):
    (tmp_path / "debian" / "etc").mkdir(parents=True)
    return Builder(tmp_path, tmp_path / "debian", {"KIND": "cuda"})


def test_steps_end_up_where_docker_would_put_them(builder, tmp_path):
    for name, rest in read_instructions(TEXT):
        builder.carry_out(name, rest)
    build, last = builder.stages
    assert build.environment["PATH"].startswith("/opt/it/bin:/usr/local/sbin")
    assert build.arguments == {"KIND": "cuda"}, "what is given goes before the default"
    assert (build.root / "src" / "cuda" / "dev.txt").is_file()
    assert (last.root / "copied" / "LICENSE").is_file() and (last.root / "etc").is_dir()
    assert "PLACE" not in last.environment, "each stage begins anew"
    assert (last.user, last.entrypoint) == ("1000:1000", ["tini", "--", "it"])


@pytest.mark.parametrize("step", [("ADD", "a b"), ("COPY", "--chown=1 LICENSE x"), ("EXPOSE", "1/udp")])
def test_a_step_that_is_not_known_is_refused(builder, step):
    builder.carry_out("FROM", "debian")
    with pytest.raises(Unsupported):
        builder.carry_out(*step)


def test_a_file_that_is_not_there_is_refused(builder):
    builder.carry_out("FROM", "debian")
    with pytest.raises(FileNotFoundError, match=r"names nothing\.txt"):
        builder.carry_out("COPY", "nothing.txt /x")
