"""One module per group of measures. A measure is an async function of the lab that returns lines of the table."""
