"""The assistant as a LangGraph state graph. Knows no queue, database or channel."""
