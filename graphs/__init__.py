"""The assistant as a LangGraph state graph. Knows nothing of queues, databases or channels."""
