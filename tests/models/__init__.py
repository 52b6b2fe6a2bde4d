"""Tests of the nets that a user names."""
