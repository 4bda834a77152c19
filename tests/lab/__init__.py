"""Tests of whole labs. A package, so that its labs end with the last test of them, not with all tests."""
