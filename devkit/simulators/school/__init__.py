"""A loopback school's MCP server: classes, vacancies, enrolments."""
