"""Open every tenant's graph in LangGraph Studio, with the conversations that the workers wrote.

`langgraph dev` reads langgraph.json: one graph for each tenant, named by its slug, and one checkpointer for all. Each
graph accesses the database as its tenant, under row-level security. Tools with side effects are disabled.
"""
