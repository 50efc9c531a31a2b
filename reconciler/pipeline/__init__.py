"""Read a pipeline folder: config.toml with its line numbers and edits, and the values of its classes.

Start at `load_pipeline`. Nothing here contacts a platform, a registry or Docker.
"""

from typing import Final

FILE_NAME: Final = "config.toml"
