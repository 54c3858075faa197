"""The measures: each is an async function that takes the BenchContext and returns rows of the report."""
