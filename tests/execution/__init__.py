"""Tests of how passes run: every strategy equals the loop, and none leaves a trace."""
