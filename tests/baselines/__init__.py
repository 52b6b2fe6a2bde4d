"""Tests of the baselines: closed forms, best fits, and what they refuse."""
