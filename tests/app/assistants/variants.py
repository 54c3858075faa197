"""Other versions of the tests' assistant."""

GOODBYE = ("goodbye: Até logo!", "goodbye: Tchau da versão dois!")
WITHOUT_AGENDA = """
name: Clínica de Testes
language: pt-BR
models: {default: {provider: openai, model: test-model, timeout: 5s}}
agents: {duvidas: {description: tudo, prompt: prompts/duvidas.md}}
apology: Perdão.
"""
