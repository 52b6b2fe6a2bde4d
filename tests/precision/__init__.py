"""Tests of `mcdrop.precision`."""
