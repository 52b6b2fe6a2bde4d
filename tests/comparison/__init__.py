"""Tests of the comparison, module by module."""
