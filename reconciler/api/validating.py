"""Checks the files of a pipeline, offline: config.toml, classes and build context."""

from reconciler.engine.validate import ValidatedPipeline, duplicates, time_problems, validate
from reconciler.workspace.checks import unmatched_globs

__all__ = ["ValidatedPipeline", "duplicates", "time_problems", "unmatched_globs", "validate"]
