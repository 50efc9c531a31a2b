"""Features that need BuildKit, found in the text of a Dockerfile."""

import pytest

from providers.docker.source.dockerfile_features import needs_buildkit


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("RUN --mount=type=cache,target=/x pip install y", ["line 1: RUN --mount"]),
        ("run --network=none --mount=type=tmpfs true", ["line 1: RUN --network", "line 1: RUN --mount"]),
        ("FROM a\n\nCOPY --link --from=b x y", ["line 3: COPY --link"]),
        ("COPY --chown=1 --chmod=755 a b", ["line 1: COPY --chmod"]),
        ("ADD --checksum=sha256:1 http://x /", ["line 1: ADD --checksum"]),
        ("RUN <<EOF\necho\nEOF", ["line 1: RUN with a heredoc"]),
        (
            "RUN cat <<-'EOF' > x\n\tRUN --mount=x\n\tEOF\nCOPY --link a b",
            ["line 1: RUN with a heredoc", "line 4: COPY --link"],
        ),
        ("COPY <<a.txt <<b /x/\n1\na.txt\n2\nb", ["line 1: COPY with a heredoc"]),
        ("RUN \\\n  # a comment\n  --mount=type=bind \\\n  true", ["line 1: RUN --mount"]),
        ("# escape=`\nRUN a `\n --mount=x\nRUN --mount=y b", ["line 4: RUN --mount"]),
        ("ONBUILD RUN --mount=x y", ["line 1: RUN --mount"]),
        ("\tRUN\t--mount=x y", ["line 1: RUN --mount"]),
        ("COPY ../a b/../../c d /x/", ["line 1: COPY ../a", "line 1: COPY b/../../c"]),
        ('ADD ["/../a/*.py", "/x/"]\nCOPY "../a" /x', ["line 1: ADD /../a/*.py", "line 2: COPY ../a"]),
    ],
)
def test_found(text: str, found: list[str]) -> None:
    assert [f"line {line}: {feature}" for line, feature in needs_buildkit(text)] == found


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# syntax=docker/dockerfile:1\nFROM --platform=linux/amd64 a AS b\nCOPY --from=b --chown=1:1 x y",
        "RUN tool --mount=x",
        "COPY a/../b /x\nCOPY --from=y ../b /x\nADD https://x/../y /x\nRUN cp ../a b",
        "RUN echo $((1 << 2)) && echo $((1<<2))",
        "RUN python - <<<'text'",
        "# RUN --mount=x",
        "ENV A=--mount=x\nLABEL a='<<EOF'",
        "HEALTHCHECK --interval=1s CMD true",
    ],
)
def test_not_found(text: str) -> None:
    assert needs_buildkit(text) == []
