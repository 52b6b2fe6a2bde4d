"""Tests of the data sets: what the files hold, what the loaders promise, what they refuse."""
