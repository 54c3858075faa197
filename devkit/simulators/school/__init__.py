"""A simulated school: an MCP server with classes, vacancies and enrolments."""
