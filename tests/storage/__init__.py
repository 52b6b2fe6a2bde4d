"""Tests of the parts of files: layout, journal, blocks, tables, missing points."""
