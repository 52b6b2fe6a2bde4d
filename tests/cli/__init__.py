"""Tests of the command line, module by module."""
