"""Benchmarks: programs that run nbpipe and others on the same work and write `docs/benchmarks.md`."""
