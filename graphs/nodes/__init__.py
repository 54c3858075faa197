"""One module per node. A node is an async function of (state, runtime) that returns what changes."""
