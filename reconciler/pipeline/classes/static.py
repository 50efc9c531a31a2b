"""The static reader: evaluates a class from its source. Runs no code of the pipeline, needs no dependencies.

It supports classes that declare values: a file of imports, constants and classes, whose `__init__` calls
`define_input` and `extract_parameter` with constant expressions. If anything else can affect the values, it
returns `NotStatic` and never guesses: whenever both readers return values, the values are equal. Code that
cannot affect them, such as an unused import, is ignored.
"""

from typing import Final

from reconciler.core.diagnostics import Diagnostic
from reconciler.pipeline.classes.declarations import (
    ClassReference,
    ClassValue,
    Inputs,
    Parameters,
    missing_class,
    problems_of,
)
from reconciler.pipeline.classes.failures import null_defaults
from reconciler.pipeline.classes.installed import NOTHING, Installed, UnknownError
from reconciler.pipeline.classes.official import CLASSES, INPUTS_BASE, check_known
from reconciler.pipeline.classes.static_definitions import own_names, read_module
from reconciler.pipeline.classes.static_init import Instance
from reconciler.pipeline.classes.static_module import NotStatic, NotUnderstood, PipelineClass

READER: Final = "static"


def read_inputs(reference: ClassReference, installed: Installed = NOTHING) -> ClassValue[Inputs] | NotStatic:
    """The inputs that the class declares, or why the class must be run.

    Args:
        installed: the packages of the interpreter that would run it.
    """
    try:
        found = _find(reference, installed, (INPUTS_BASE,))
        if isinstance(found, Diagnostic):
            return ClassValue(None, READER, (found,))
        declared = tuple(Instance(found, reference).inputs())
    except NotUnderstood as reason:
        return reason.answer
    except RecursionError:
        return NotStatic("it is nested too deeply", 1)
    problems = tuple(problems_of(declared))
    return ClassValue(None if problems else declared, READER, problems)


def read_parameters(
    reference: ClassReference, installed: Installed = NOTHING
) -> ClassValue[Parameters] | NotStatic:
    """The default of every parameter, or why the class must be run. Same arguments as `read_inputs`."""
    try:
        found = _find(reference, installed, tuple(CLASSES.keys() - {INPUTS_BASE}))
        if isinstance(found, Diagnostic):
            return ClassValue(None, READER, (found,))
        instance = Instance(found, reference)
        values = instance.parameters()
    except NotUnderstood as reason:
        return reason.answer
    except RecursionError:
        return NotStatic("it is nested too deeply", 1)
    if problems := tuple(instance.problems):
        return ClassValue(None, READER, problems, instance.places)
    warnings = tuple(null_defaults(instance.nulls, values))
    return ClassValue(dict(sorted(values.items())), READER, warnings, instance.places)


def _find(
    reference: ClassReference, installed: Installed, bases: tuple[str, ...]
) -> PipelineClass | Diagnostic:
    """The class, which must derive from one of these official bases; a diagnostic if it does not exist."""
    module = read_module(reference, installed, own_names(reference))
    found = module.names.get(reference.name)
    if not isinstance(found, PipelineClass) or found.module is not module:
        if found is not None:
            raise NotUnderstood(f"{reference.name} is not a class of this file")
        classes = [name for name, value in module.names.items() if isinstance(value, PipelineClass)]
        return missing_class(reference, classes)
    first = found
    while isinstance(first.base, PipelineClass):
        first = first.base
    if first.base is None or first.base.name not in bases:
        raise NotUnderstood(
            f"{found.node.name} does not derive from {' or '.join(sorted(bases))}", found.node
        )
    try:
        check_known(first.base.name, first.base.module, installed)
    except UnknownError as problem:
        raise NotUnderstood(str(problem), found.node) from None
    return found
