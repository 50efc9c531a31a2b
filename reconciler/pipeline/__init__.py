"""A pipeline folder, read: config.toml with its lines, its edits, and what its classes say.

`load_pipeline` and `discovery.find` are the way in. Nothing here asks a platform, a registry or Docker.
"""
