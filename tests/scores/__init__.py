"""Tests of the scores, module by module."""
