"""The dashboard: a static site of pages, with one document of data for each. Writes no files itself."""
