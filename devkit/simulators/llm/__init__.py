"""A model server on the loopback: OpenAI, Groq and Gemini wire formats, answers from one script per tenant."""
