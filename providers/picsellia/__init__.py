"""The Picsellia platform: its connection, and one file per kind."""
