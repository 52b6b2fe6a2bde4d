"""Tests of `mcdrop.sources`."""
