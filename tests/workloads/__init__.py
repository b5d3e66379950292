"""Builds of the workloads of the benchmarks, for all their platforms; minutes of emulation."""
