"""Load benchmarks and chaos tests of the whole system. They run on Linux, and contact only this machine."""
