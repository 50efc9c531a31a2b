"""A problem of a class has a line even if Python gives none."""

from pathlib import Path

from reconciler.pipeline.classes import static
from reconciler.pipeline.classes.declarations import ClassReference
from reconciler.pipeline.classes.static_module import NotStatic


def test_an_undecodable_byte_is_reported_on_its_line(tmp_path: Path) -> None:
    (tmp_path / "inputs.py").write_bytes(b"A = 1\nB = 'caf\xe9'\n")
    found = static.read_inputs(ClassReference.parse(tmp_path, "inputs.py:Inputs"))
    assert isinstance(found, NotStatic)
    assert found.line == 2
