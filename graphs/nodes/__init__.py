"""The nodes, one module each. A node is an async function of (state, runtime) that returns an update."""
