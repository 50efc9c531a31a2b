"""Variables of a Dockerfile: each form of an instruction with each name and value, and of its image."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from providers.docker.registry.published_secrets import secrets_of_configuration
from providers.docker.source.dockerfile_lines import instructions, split, variables
from providers.docker.source.key import ImageSource
from providers.docker.source.secret_scan import secrets_of
from providers.secret_rules import is_secret_value

FORMS = {
    "ENV": "ENV {0}={1}",
    "a tab": "ENV\t{0}={1}",
    "a tab and blanks": "  ENV \t {0}={1}  ",
    "ARG": "ARG {0}={1}",
    "ARG and a tab": "ARG\t{0}={1}",
    "ARG among others": "ARG A {0}={1} B=c",
    "LABEL": "LABEL a=b {0}={1}",
    "small letters": "env {0}={1}",
    "mixed letters": "Arg {0}={1}",
    "the older form": "ENV {0} {1}",
    "the older form with a tab": "ENV\t{0}\t{1}",
    "the older form with many blanks": "ENV   {0}  \t {1}",
    "ONBUILD ENV": "ONBUILD ENV {0}={1}",
    "ONBUILD ARG": "onbuild\targ\t{0}={1}",
    "ONBUILD and the older form": "ONBUILD ENV {0} {1}",
    "double quotes": 'ENV {0}="{1}"',
    "single quotes": "ENV {0}='{1}'",
    "quotes around the name": 'ENV "{0}"={1}',
    "the older form in quotes": 'ENV {0} "{1}"',
    "the last of several": 'ENV A=b C=\'d e\' F="g \\" h" {0}={1}',
    "the first of several": "ENV {0}={1} A=b",
    "a continued line": "ENV A=b \\\n  {0}={1}",
    "a line that is continued twice": "ENV A=b \\\n\n C=d \\\n {0}={1}",
    "a comment between": "ENV A=b \\\n  # the next one\n  {0}={1}",
    "a break after the word": "ENV \\\n{0}={1}",
    "a break in the older form": "ENV {0} \\\n '{1}'",
    "another escape": "ENV A=b `\n {0}={1}",
    "another escape and quotes": 'ENV A="b`"c" {0}={1}',
    "another escape and a backslash": "ENV A=C:\\ {0}={1}",
    "a command": "RUN {0}={1} make",
    "an exported one": "RUN make && export {0}='{1}' && make",
    "an option": "RUN login --{0}={1}",
    "an argument": 'ENTRYPOINT ["env", "{0}={1}", "python"]',
    "CMD": 'CMD ["python", "--{0}={1}"]',
    "a check": "HEALTHCHECK CMD {0}={1} true",
}
SECRET = {
    "a password": ("DB_PASSWORD", "hunter2hunter2"),
    "a short password": ("DB_PASSWORD", "hunter2"),
    "digits": ("DB_PASSWORD", "8427119375"),
    "few digits": ("DB_PASSWORD", "1234"),
    "a slash": ("DB_PASSWORD", "/hunter2hunter2"),
    "a percent sign": ("DB_PASSWORD", "%hunter2hunter2"),
    "base64": ("DB_PASSWORD", "aHVudGVyMmh1bnRlcjI="),
    "no separator": ("PGPASSWORD", "hunter2hunter2"),
    "small letters": ("mysqlpasswd", "hunter2"),
    "_pwd": ("MYSQL_PWD", "hunter2"),
    "_pass": ("SMTP_PASS", "hunter2"),
    "a phrase": ("GPG_PASSPHRASE", "hunter2"),
    "a token": ("HF_TOKEN", "some-token-of-ours"),
    "a key": ("OPENAI_APIKEY", "12345678"),
    "a long key": ("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzzzz"),
    "a key with a slash": ("AWS_SECRET_ACCESS_KEY", "/JalrXUtnFEMI/K7MDENG/bPxRfiCYzzzz"),
    "a client": ("clientSecret", "abcd1234"),
    "a default": ("DB_PASSWORD", "${DB_PASSWORD:-hunter2}"),
}
NONE = {
    "a length": ("PASSWORD_MIN_LENGTH", "8"),
    "a switch": ("TOKENIZERS_PARALLELISM", "false"),
    "a file": ("POSTGRES_PASSWORD_FILE", "/run/secrets/x"),
    "a path": ("DB_PASSWORD", "/run/secrets/db"),
    "a file of a key": ("GOOGLE_APPLICATION_CREDENTIALS", "/key.json"),
    "a file here": ("GOOGLE_APPLICATION_CREDENTIALS", "credentials.json"),
    "a reference": ("DB_PASSWORD", "$DB_PASSWORD"),
    "a reference in braces": ("DB_PASSWORD", "${DB_PASSWORD}"),
    "a reference with a default": ("DB_PASSWORD", "${DB_PASSWORD:-$OTHER}"),
    "a reference with no default": ("DB_PASSWORD", "${DB_PASSWORD:-}"),
    "an empty value": ("DB_PASSWORD", ""),
    "yes": ("MYSQL_ALLOW_EMPTY_PASSWORD", "yes"),
    "one": ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1"),
    "no": ("ASK_PASSWORD", "False"),
    "a number": ("MAX_TOKEN", "1000000000"),
    "a short token": ("EOS_TOKEN", "[PAD]"),
    "a placeholder": ("API_KEY", "{{API_KEY}}"),
    "another placeholder": ("API_KEY", "%API_KEY%"),
    "another name": ("HF_HOME", "/cache/huggingface"),
    "a longer word": ("SECRETARY", "a-team-member"),
    "a path to a program": ("GIT_ASKPASS", "/usr/bin/askpass"),
    "the working directory": ("OLDPWD", "workplace"),
}


def dockerfile(form: str, name: str, value: str) -> str:
    start = "# escape=`\n" if form.startswith("another escape") else ""
    return f"{start}FROM scratch\n{FORMS[form].format(name, value)}\nUSER app\n"


def history(text: str) -> Iterator[str]:
    """The instructions of a Dockerfile, as the builders of BuildKit and of older Engines write them."""
    for _, instruction in instructions(text):
        yield f"{instruction} # buildkit"
        yield f"/bin/sh -c #(nop)  {instruction}"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("is_secret", [True, False])
def test_every_form_has_its_variable_searched(folder: Path, form: str, is_secret: bool) -> None:
    given = SECRET if is_secret else NONE
    wrong = []
    for case, (name, value) in given.items():
        text = dockerfile(form, name, value)
        (folder / "Dockerfile").write_text(text)
        found = list(secrets_of(ImageSource(folder=folder)))
        if bool(found) is not is_secret:
            wrong.append(case)
    assert wrong == []


@pytest.mark.parametrize("form", [form for form in FORMS if not form.startswith("another escape")])
def test_a_published_image_is_judged_like_its_dockerfile(form: str) -> None:
    for name, value in (*SECRET.values(), *NONE.values()):
        for entry in list(history(dockerfile(form, name, value)))[2:4]:
            found = list(secrets_of_configuration({"history": [{"created_by": entry}]}))
            assert bool(found) is ((name, value) in SECRET.values()), entry


@pytest.mark.parametrize(("name", "value"), (*SECRET.values(), *NONE.values()))
def test_a_variable_is_judged_alike_everywhere(folder: Path, name: str, value: str) -> None:
    """As a setting, and in a published image as a variable, a label, an argument of a build or a trigger."""
    expected = is_secret_value(name, value)
    assert expected is ((name, value) in SECRET.values())
    for setting in ("env", "build_args"):
        (folder / "Dockerfile").write_text("FROM scratch\n")
        source = ImageSource(folder=folder, **{setting: {name: value}})  # type: ignore[arg-type]
        assert bool([*secrets_of(source)]) is expected
    for config in (
        {"config": {"Env": [f"{name}={value}"]}},
        {"config": {"Labels": {name: value}}},
        {"config": {"OnBuild": [f"ENV {name}={value}"]}},
        {"history": [{"created_by": f"RUN |1 {name}={value} /bin/sh -c make # buildkit"}]},
        {"history": [{"created_by": f"|1 {name}={value} /bin/sh -c make"}]},
    ):
        assert bool([*secrets_of_configuration(config)]) is expected


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("ENV A=b C=d", [("A", "b"), ("C", "d")]),
        ("ENV A b=c d", [("A", "b=c d")]),
        ("ENV A=b\\ c D='e f'g", [("A", "b c"), ("D", "e fg")]),
        ("ARG A B=c D", [("B", "c")]),
        ("ARG A", []),
        ("ENV", []),
        ("ENV A", []),
        ("ENV A=", [("A", "")]),
        ("COPY a b", []),
        ("RUN --mount=type=secret,id=TOKEN make", [("mount", "type=secret"), ("id", "TOKEN")]),
        ('RUN A=$(cat x) B="c d" make', [("A", "$(cat"), ("B", "c d")]),
    ],
)
def test_the_variables_of_an_instruction(text: str, found: list[tuple[str, str]]) -> None:
    assert list(variables(text)) == found


@pytest.mark.parametrize("word", ["ENV", "ARG", "LABEL", "ONBUILD ENV", "RUN", "ENTRYPOINT"])
@pytest.mark.parametrize("rest", ["", "'", '"', "=", "A='b", 'A="b\\', "A=b \\", "[", "\\"])
def test_unfinished_instructions_are_no_problem(word: str, rest: str) -> None:
    for escape in ("\\", "`", "^"):
        list(variables(f"{word} {rest}", escape))
    assert split(f"# escape=`\n{word} {rest}").escape == "`"
