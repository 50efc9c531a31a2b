"""Whatever Docker's configuration, helpers and programs answer: a value or a provider error, in time."""

import base64
import json
import os
import re
import signal
import subprocess
import sys
import time
import traceback
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from providers.docker.builders import buildkit, buildx, command_line, engine, progress_events
from providers.docker.builders.build_log import BuildLog
from providers.docker.registry.auth import Login
from providers.docker.registry.logins import docker_config, push_auth_config, push_login
from providers.errors import PermanentError, ProviderError
from providers.programs import run_program
from providers.protocol import Progress
from providers.waits import pending_servers
from reconciler.system import git
from tests.faults.odd import BYTES, VALUES
from tests.waits import PATIENCE, until

NAMES = (
    *("auths", "credsStore", "credHelpers", "auth", "identitytoken", "proxies", "default", "reg.io"),
    *("Username", "Secret", "vertexes", "statuses", "logs", "digest", "name", "started", "error", "vertex"),
    *("id", "current", "total", "completed", "data", "stream", "status", "aux", "Digest", "progressDetail"),
    *("errorDetail", "message"),
)
_TEXTS = st.one_of(
    st.sampled_from(["", "odd", "reg.io", "YTpi", "\x00", "[1/2] RUN a", "[9/" + "9" * 5000]), st.text()
)
_LEAVES = st.one_of(st.none(), st.booleans(), st.integers(), st.just(10**400), st.floats(), _TEXTS)
JSONS = st.recursive(
    _LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=12,
)
DOCUMENTS = st.one_of(
    JSONS.map(lambda value: json.dumps(value).encode()),
    st.sampled_from([*BYTES, *(value.encode("utf-8", "surrogatepass") for value in VALUES)]),
    st.binary(max_size=40),
)
"""JSON of any form with the names that are read, and bytes that are none."""


def value_or_error(read: Callable[[], object]) -> None:
    try:
        read()
    except ProviderError as problem:
        assert problem.message
        assert "Error" not in problem.message.partition(":")[0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Docker's configuration, and a credential helper that prints the file `answer`."""
    folder = tmp_path_factory.mktemp("odd")
    write_helper(folder, f'cat "{folder}/answer"')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        yield folder


def write_helper(folder: Path, script: str) -> None:
    program = folder / "docker-credential-odd"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def read_every_login() -> None:
    for read in (push_login, push_auth_config):
        value_or_error(lambda read=read: read("reg.io"))

    def pass_on() -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("DOCKER_USERNAME", "given")
            patch.setenv("DOCKER_PASSWORD", "secret")
            with docker_config("reg.io"):
                pass

    value_or_error(pass_on)
    value_or_error(engine_without_a_server)


def engine_without_a_server() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_HOST", "unix:///nowhere")
        patch.setattr("docker.api.client.APIClient._retrieve_server_version", lambda _: "1.43")
        with engine._engine(1):
            pass


@given(content=DOCUMENTS)
@example(content=b"null")
@example(content=b"[" * 100_000)
@example(content=b'{"auths": {"reg.io": {"auth": "\xff"}}}')
@example(content=b'{"auths": {"reg.io": {"auth": ""}}}')
@example(content=b'{"credsStore": "a\\u0000b"}')
@example(content=b'{"credHelpers": {"reg.io": 5}}')
@example(content=b'{"proxies": null}')
def test_any_configuration(folder: Path, content: bytes) -> None:
    (folder / "config.json").write_bytes(content)
    (folder / "answer").write_text("{}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_CONFIG", str(folder))
        read_every_login()


@given(answer=DOCUMENTS)
@example(answer=b'{"Username": "a"}')
@example(answer=b'{"Username": "\\ud800", "Secret": "b"}')
@example(answer=b'{"Username": 1, "Secret": []}')
@example(answer=b"null")
def test_any_answer_of_a_credential_helper(folder: Path, answer: bytes) -> None:
    (folder / "config.json").write_text('{"credsStore": "odd"}')
    (folder / "answer").write_bytes(answer)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_CONFIG", str(folder))
        value_or_error(lambda: push_login("reg.io"))


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ('echo \'{"Username": "a"}\'', "has no text as Username or as Secret"),
        ("echo '[]'", "is not a JSON object"),
        ("echo no credentials username; exit 1", "no credentials username"),
        ("echo out of keys; exit 3", "exit code 3"),
        ("exit 3", "exit code 3"),
    ],
)
def test_a_helper_that_does_not_work_is_named(
    tmp_path: Path, docker_config: Path, script: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (docker_config / "config.json").write_text('{"credsStore": "odd"}')
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    write_helper(tmp_path, f"cat > /dev/null; {script}")
    with pytest.raises(PermanentError, match=f"docker-credential-odd does not work: .*{reason}"):
        push_login("reg.io")


def test_a_helper_gives_a_login_or_none(
    tmp_path: Path, docker_config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (docker_config / "config.json").write_text('{"credsStore": "odd"}')
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    write_helper(tmp_path, """echo '{"Username": "a", "Secret": "b"}'""")
    assert push_login("reg.io") == Login("a", "b")
    write_helper(tmp_path, "echo credentials not found in native keychain; exit 1")
    assert push_login("reg.io") is None
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(PermanentError, match="docker-credential-odd does not work: it is not installed"):
        push_login("reg.io")


PASSWORD = "Sup3rSecretPassw0rd"
LOGIN = f'{{"ServerURL": "reg.io", "Username": "robot", "Secret": "{PASSWORD}"}}'
PRINTED = {
    "an answer": f"echo '{LOGIN}'",
    "an answer in pieces": f"printf '%s' '{LOGIN[:40]}'; sleep 0.05; printf '%s' '{LOGIN[40:]}'",
    "several answers": f"echo '{LOGIN}'; echo '{LOGIN}'",
    "half an answer": f"printf '%s' '{LOGIN[:-3]}'",
    "an answer of another form": f"echo '[{LOGIN}]'",
    "an answer without a user": f"""echo '{{"Secret": "{PASSWORD}"}}'""",
    "no JSON": f"echo '{PASSWORD}'",
    "JSON behind bytes of no text": f"printf '\\377\\000%s' '{LOGIN}'",
    "a message of the protocol before it": f"echo no credentials username; echo '{LOGIN}'",
    "the message that there is none before it": (
        f"echo credentials not found in native keychain; echo '{LOGIN}'"
    ),
    "the message that there is none behind it": (f"echo '{LOGIN} credentials not found in native keychain'"),
}
PLACES = {
    "stdout": "{}",
    "stderr": "( {} ) >&2",
    "stdout and stderr": "{0}; ( {0} ) >&2",
    "the trace of a shell": "set -x; {}",
}


@pytest.mark.parametrize("printed", PRINTED)
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("end", ["exit 0", "exit 1", "exit 2", "exit 127", "exit 255", "kill -9 $$"])
def test_no_error_shows_what_a_helper_prints(
    printed: str, place: str, end: str, tmp_path: Path, docker_config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (docker_config / "config.json").write_text('{"credsStore": "odd"}')
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    write_helper(tmp_path, f"{PLACES[place].format(PRINTED[printed])}; {end}")
    for read in (push_login, push_auth_config):
        try:
            read("reg.io")
        except ProviderError as problem:
            shown = "".join(traceback.format_exception(problem))
            shown += f"{problem.message} {problem.hint} {problem!r}"
            assert PASSWORD not in shown
            assert "docker-credential-odd does not work" in shown


def _log() -> BuildLog:
    return BuildLog(None, (), lambda progress: None)


def _shown(progress: Progress) -> None:
    assert isinstance(progress.item, str)
    assert progress.done is None or 0 <= progress.done < 1 << 63


@given(
    events=st.lists(
        st.one_of(
            JSONS.map(json.dumps),
            st.dictionaries(st.sampled_from(["vertexes", "statuses", "logs"]), JSONS).map(json.dumps),
            st.sampled_from(VALUES),
            st.text(alphabet='{}[]"a \t', min_size=1, max_size=20),
        ),
        max_size=6,
    )
)
@example(events=['{"vertexes":[{}]}'])
@example(events=['{"vertexes":5}'])
@example(events=['{"vertexes":[{"digest":{},"name":5,"started":1,"error":[]}]}'])
@example(events=['{"statuses":[{"vertex":[],"current":"x","total":1e999}]}'])
@example(events=['{"logs":[{"vertex":"a","data":"\u00fc"}]}', '{"logs":[{"data":5}]}'])
@example(events=['{"vertexes":' + "[" * 5000])
@example(events=['{"vertexes":[{"digest":"a","name":"[1/' + "9" * 5000 + '] RUN","started":1}]}'])
def test_any_progress_of_buildx(events: list[str]) -> None:
    reader = buildx._Reader(_log(), _shown)
    reader.read(f"{line}\n" for event in events for line in event.splitlines() or [" "])
    assert isinstance(reader.message, str)
    assert reader.was_pushing in (True, False)


def test_progress_after_an_odd_line_is_shown() -> None:
    shown: list[Progress] = []
    reader = buildx._Reader(BuildLog(None, (), shown.append), shown.append)
    good = {"vertexes": [{"digest": "a", "name": "[1/2] RUN b", "started": "2025"}]}
    output = {"logs": [{"vertex": "a", "data": base64.b64encode(b"hello\n").decode()}]}
    lines = [
        "{an odd line\n",
        '{"vertexes": 5}\n',
        f"{json.dumps(good, indent=1)}\n",
        f"{json.dumps(output)}\n",
    ]
    reader.read(line for text in lines for line in text.splitlines(keepends=True))
    assert [progress.text for progress in shown] == ["RUN b", "hello"]


@given(content=DOCUMENTS)
@example(content=b'{"containerimage.digest": 5}')
def test_any_metadata_of_buildx(folder: Path, content: bytes) -> None:
    (folder / "metadata").write_bytes(content)
    assert buildx._digest(folder / "metadata") is None


@given(lines=st.lists(st.one_of(JSONS, st.dictionaries(st.sampled_from(NAMES), JSONS)), max_size=6))
@example(lines=[{"error": 5}, {"errorDetail": 5}])
@example(lines=[{"stream": "Step 1/" + "9" * 5000 + " : RUN"}])
def test_any_progress_of_an_engine(lines: list[Any]) -> None:
    for line in engine._events(lines):
        engine._message(line)
        engine._report_layer(line, "build", progress_events.text_in(line, "status"), _shown)
        assert progress_events.object_in(line, "aux") == line.get("aux") or not progress_events.object_in(
            line, "aux"
        )


@given(
    lines=st.lists(
        st.one_of(st.text(), st.from_regex(r"#[0-9]{1,3} .*[0-9.]{1,9}[kMG]?B( done)?", fullmatch=True))
    )
)
@example(lines=["#1 a", "#1 sha256:a 1.2.3MB / 5MB"])
@example(lines=["#1 a", "#1 sha256:a " + "9" * 400 + "GB"])
@example(lines=["#1 [1/" + "9" * 5000 + "] RUN a"])
def test_any_plain_progress(lines: list[str]) -> None:
    buildkit._read(iter(lines), _log(), _shown)


# Programs that do not answer


def running(marker: str) -> bool:
    """Whether a process has this argument."""
    found = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    return any(line.startswith("sleep") and marker in line for line in found.splitlines())


@pytest.fixture
def silent(tmp_path: Path, docker_config: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Programs that start another one and wait for it. Yields an argument that only that one has."""
    marker = f"{900 + os.getpid() / 1e7:.7f}"
    for name in ("docker-credential-odd", "docker", "git"):
        program = tmp_path / "silent" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/sh\nsleep {marker}\necho late\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'silent'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("RECONCILER_TIMEOUT", "0.5")
    monkeypatch.setattr(git, "_TIMEOUT", 0.5)
    (docker_config / "config.json").write_text('{"credsStore": "odd"}')
    yield marker
    assert not running(marker), "it outlived its caller"


def test_a_silent_helper_ends_in_time(silent: str) -> None:
    with pytest.raises(PermanentError, match=r"docker-credential-odd does not work: .* within 0\.5 seconds"):
        push_login("reg.io")


def test_a_silent_docker_ends_in_time(silent: str) -> None:
    for look in (command_line.client_version, command_line.buildx_version, command_line.engine_version):
        with pytest.raises(PermanentError, match=r"docker \w+ did not answer within 0\.5 seconds"):
            look()
    for probe in (buildx.probe, buildkit.probe):
        assert probe().reason.endswith("did not answer within 0.5 seconds")


def test_a_silent_git_ends_in_time(silent: str, tmp_path: Path) -> None:
    repository = git.Repository(tmp_path)
    with pytest.raises(git.GitError, match=r"did not answer within 0\.5 seconds"):
        repository.commit("HEAD")
    with pytest.raises(git.GitError, match=r"git cat-file did not answer within 0\.5 seconds"):
        list(repository.blobs(["0" * 40]))


# Programs that print without an end


ENDLESS = {
    "zeros": "exec cat /dev/zero",
    "lines": "exec yes",
    "the errors": "exec cat /dev/zero >&2",
    "lines of errors": "exec yes >&2",
    "both": "cat /dev/zero >&2 & exec cat /dev/zero",
    "a child": "cat /dev/zero & exit 0",
    "a line that begins as progress": "printf '{'; exec cat /dev/zero",
    "progress in lines that never ends": "echo '{'; exec yes ' '",
    "files": "exec yes 0000000000000000000000000000000000000000 blob 0",
}
READERS: dict[str, Callable[[Path], object]] = {
    "docker-credential-odd": lambda folder: push_login("reg.io"),
    "docker version": lambda folder: command_line.client_version(),
    "docker version of the Engine": lambda folder: command_line.engine_version(),
    "docker buildx": lambda folder: command_line.buildx_version(),
    "docker build": lambda folder: read_build(),
    "git": lambda folder: git.Repository(folder).head(),
    "git cat-file": lambda folder: [
        list(pieces) for _, pieces in git.Repository(folder).blobs(["0" * 40, "1" * 40])
    ],
}


def read_build() -> None:
    with command_line.run_docker(["buildx", "build"], {}) as (lines, _):
        buildx._Reader(_log(), _shown).read(lines)


@pytest.mark.parametrize("printed", ENDLESS)
@pytest.mark.parametrize("reader", READERS)
def test_a_program_that_prints_without_an_end_is_ended(
    printed: str, reader: str, tmp_path: Path, docker_config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = reader.split(maxsplit=1)[0]
    (docker_config / "config.json").write_text('{"credsStore": "odd"}')
    (tmp_path / "programs").mkdir()
    program = tmp_path / "programs" / name
    program.write_text(f"#!/bin/sh\n{ENDLESS[printed]}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'programs'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(command_line, "_MOST_OF_BUILD", 1 << 18)
    monkeypatch.setattr(git, "_MOST_OUTPUT", 8 << 20)
    tracemalloc.start()
    try:
        READERS[reader](tmp_path)
        problem = None
    except (ProviderError, git.GitError) as error:
        problem = str(error)
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 64 << 20
    if reader != "git cat-file":  # it is read no further than its answers
        assert problem, "it is an error, unless what follows the answer is ignored"
        assert name.removeprefix("docker-credential-") in problem
        assert re.search(r"printed more than \d+ MiB", problem) or printed == "a child"
    assert problem is None or len(problem) < 2000


def test_a_program_that_left_a_child_with_its_output_has_answered(
    tmp_path: Path, docker_config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its answer is used at once, and the child is ended."""
    marker = f"{902 + os.getpid() / 1e7:.7f}"
    (docker_config / "config.json").write_text('{"credsStore": "odd"}')
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    for end in ("", "exec 2>&-", "exec >&2"):
        write_helper(
            tmp_path, f"""( {end}\nexec sleep {marker} ) &\necho '{{"Username": "a", "Secret": "b"}}'"""
        )
        start = time.monotonic()
        assert push_login("reg.io") == Login("a", "b")
        assert time.monotonic() - start < PATIENCE / 2
        until(lambda: not running(marker))


def test_a_build_ends_with_its_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if that leaves a child with its output."""
    marker = f"{903 + os.getpid() / 1e7:.7f}"
    (tmp_path / "docker").write_text(f"#!/bin/sh\nsleep {marker} &\necho done\nexit 3\n")
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with command_line.run_docker(["build"], {}) as (lines, status):
        assert list(lines) == ["done\n"]
        assert status.code == 3
    until(lambda: not running(marker))


def test_a_long_output_is_complete(tmp_path: Path) -> None:
    size = 3 << 20
    script = f"head -c {size} /dev/zero; cat; head -c 70000 /dev/zero >&2"
    ended = run_program(["sh", "-c", script], name="odd", timeout=PATIENCE, input=b"x" * size, most=3 * size)
    assert ended.stdout == b"\0" * size + b"x" * size
    assert len(ended.stderr) == 70_000
    ended = run_program(["sh", "-c", "exit 3"], name="odd", timeout=PATIENCE, input=b"x" * size)
    assert (ended.returncode, ended.stdout, ended.stderr) == (3, b"", b"")


def test_a_run_names_what_it_waits_for(tmp_path: Path) -> None:
    seen: list[list[str]] = []

    def look() -> None:
        while not seen:
            if pending_servers():
                seen.append(pending_servers())

    with ThreadPoolExecutor(1) as threads:
        looking = threads.submit(look)
        run_program(["sleep", "0.5"], name="docker-credential-odd", timeout=PATIENCE)
        looking.result(PATIENCE)
    assert seen == [["docker-credential-odd"]]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_program_ends_with_its_run(number: signal.Signals) -> None:
    marker = f"{901 + os.getpid() / 1e7:.7f}"
    code = (
        "from providers.programs import run_program\n"
        f"run_program(['sh', '-c', 'sleep {marker}; true'], name='odd', timeout=60)"
    )
    if number is signal.SIGTERM:  # as the command line handles it
        code = f"import signal\nsignal.signal(15, signal.default_int_handler)\n{code}"
    with subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL) as run:
        until(lambda: running(marker))
        run.send_signal(number)
        run.wait(PATIENCE)
    assert not running(marker)
