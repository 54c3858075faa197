"""What LangGraph Studio opens: every tenant's graph, on the conversations that the workers wrote.

`langgraph dev` finds it through langgraph.json: one graph for each tenant, named for its slug, and one checkpointer for
all of them. Each graph works as its tenant: row-level security shows it nothing else. Tools that change something do
not run.
"""
