"""The stacks that a config.toml declares, and whether they are certain, also if the file has errors."""

import tomllib

import pytest

from reconciler.pipeline.stacks import stacks_of, unknown_stack

UNCERTAIN = "it does not say which stack it declares"
PROCESSING = '[metadata]\nname = "blur"\ntype = "DATASET_VERSION_CREATION"\n'
TRAINING = '[metadata]\nname = "train"\ntype = "TRAINING"\n'


@pytest.mark.parametrize(
    ("text", "stacks", "problem"),
    [
        ("", set(), "it is empty"),
        ('[docker]\nimage_name = "team/blur"\n', set(), "it has no [metadata]"),
        ('[reconciler]\nstack = "mine"\n', {"mine"}, ""),
        ('[reconciler]\nstack = 3\n[metadata]\nname = "blur"\n', {"blur"}, UNCERTAIN),
        ("reconciler = 3\n" + PROCESSING, {"blur"}, UNCERTAIN),
        ('[metadata]\nname = "blur"\n', {"blur"}, UNCERTAIN),
        ('[metadata]\nname = "blur"\ntype = "OTHER"\n', {"blur"}, UNCERTAIN),
        ('[metadata]\ntype = "DATASET_VERSION_CREATION"\n', set(), UNCERTAIN),
        (PROCESSING, {"blur"}, ""),
        (PROCESSING.lower(), {"blur"}, ""),
        (TRAINING, set(), UNCERTAIN),
        (TRAINING + '[docker]\nimage_name = ""\n', set(), ""),
        (TRAINING + '[docker]\nimage_name = "team/train"\n', {"team/train"}, ""),
        (PROCESSING + '[reconciler.env.prod.metadata]\nname = "sharp"\n', {"blur", "sharp"}, ""),
        (PROCESSING + '[reconciler.env.prod.metadata]\ntype = "OTHER"\n', {"blur"}, UNCERTAIN),
        (PROCESSING + '[reconciler.env.prod.metadata]\nname = ""\n', {"blur"}, UNCERTAIN),
        (PROCESSING + '[reconciler.env.prod.reconciler]\nstack = "mine"\n', {"blur", "mine"}, ""),
    ],
)
def test_stacks(text: str, stacks: set[str], problem: str) -> None:
    document = tomllib.loads(text)

    assert ({*stacks_of(document).values()}, unknown_stack(document)) == (stacks, problem)


def test_a_file_that_is_not_toml_may_declare_any_stack() -> None:
    assert stacks_of(None) == {}
    assert unknown_stack(None) == "it is not valid TOML"
