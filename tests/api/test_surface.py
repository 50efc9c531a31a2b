"""The public names: all there, imported late, and documented with their signatures."""

import inspect
import subprocess
import sys
from typing import Any

import pytest

from reconciler import api

HEAVY = ("click", "rich", "requests", "picsellia", "docker", "jinja2", "sqlite3", "asyncio", "pydantic")


@pytest.mark.parametrize("name", api.__all__)
def test_a_public_name_exists_and_is_documented(name: str) -> None:
    found = getattr(api, name)
    assert name in dir(api)
    # `inspect.getdoc` takes the docstring of a base, such as `Struct`.
    assert (vars(found).get("__doc__") if inspect.isclass(found) else found.__doc__) or name == "OnEvent"
    if inspect.isclass(found):
        for method, value in vars(found).items():
            if not method.startswith("_") and callable(getattr(found, method)):
                assert inspect.getdoc(value), f"{name}.{method}"


def test_there_are_no_other_names() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Plam'"):
        _: Any = api.Plam
    lazy = {name for names in api._MODULES.values() for name in names}
    assert sorted(lazy) == sorted(api.__all__) == api.__all__


def test_importing_the_interface_imports_nothing_else() -> None:
    code = f"""
import sys
from reconciler import api
assert not [name for name in {HEAVY!r} if name in sys.modules]
assert not [name for name in sys.modules if name.startswith(("reconciler.", "providers", "state"))
            and name != "reconciler.api"]
api.Workspace
assert not [name for name in {HEAVY!r} if name in sys.modules]
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
