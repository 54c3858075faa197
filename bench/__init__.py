"""Load and chaos drivers: what the design promises, measured and broken on purpose. Linux only, loopback only."""
