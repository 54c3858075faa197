"""What a model says to itself, and what it should have called, is not said to the contact."""

import pytest

from graphs.model_text import is_call, spoken_text, whole_sentences

TOOLS = frozenset({"find_slots", "request_human"})


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("<think>\nO custo interno é 7.\n</think>\n\nCusta R$ 10.", "Custa R$ 10."),
        ("<THINKING a='1'>x</THINKING>Custa R$ 10.", "Custa R$ 10."),
        ("pensando… </think>\nCusta R$ 10.", "Custa R$ 10."),
        ("<think>só isso", ""),
        ("Custa R$ 10.<think>será?", "Custa R$ 10."),
        ("<reasoning>a</reasoning> Custa <think>b</think>R$ 10.", "Custa R$ 10."),
        ("[THINK]x[/THINK]Custa R$ 10.", "Custa R$ 10."),
        ("◁think▷x◁/think▷Custa R$ 10.", "Custa R$ 10."),
        (
            "<|channel|>analysis<|message|>x<|end|><|start|>assistant<|channel|>final<|message|>Custa R$ 10.<|return|>",
            "Custa R$ 10.",
        ),
        ("<|channel|>commentary to=functions.x<|message|>{}<|call|>", ""),
        ("Custa R$ 10.<|im_end|>", "Custa R$ 10."),
        ("[operator] Custa R$ 10.", "Custa R$ 10."),
        ("[Operator] [operator] Custa R$ 10.", "Custa R$ 10."),
        ("Oi.\n[operator] Custa R$ 10.", "Oi.\nCusta R$ 10."),
        ("assistant: Custa R$ 10.", "Custa R$ 10."),
        ("(No text.)", ""),
        ("[empty message]\nOi", "Oi"),
        ("Se a < b e c > d, [1] veja.", "Se a < b e c > d, [1] veja."),
        ("Penso, logo existo.", "Penso, logo existo."),
    ],
)
def test_only_what_is_meant_for_the_contact_is_spoken(written: str, spoken: str) -> None:
    assert spoken_text(written) == spoken
    assert spoken_text(spoken) == spoken


@pytest.mark.parametrize(
    "text",
    [
        '<function=find_slots>{"days": 3}</function>',
        '<tool_call>{"name": "find_slots", "arguments": {"days": 3}}</tool_call>',
        'Um momento. <tool_call>{"name": "find_slots"}',
        '```json\n{"name": "find_slots", "arguments": {}}\n```',
        '{"name": "outra", "arguments": {}}',
        '[{"name": "find_slots", "parameters": {}}]',
        '{"type": "function", "function": {"name": "find_slots", "arguments": "{}"}}',
        '{"find_slots": {"days": 3}}',
        '{"action": "find_slots", "action_input": {}}',
        "find_slots(days=3)",
        "print(default_api.find_slots(days=3))",
        "<|python_tag|>find_slots.call(days=3)",
        '[TOOL_CALLS][{"name": "find_slots"}]',
        "```tool_code\nfind_slots()\n```",
    ],
)
def test_a_call_in_words_is_one(text: str) -> None:
    assert is_call(text, TOOLS)


@pytest.mark.parametrize(
    "text",
    [
        "Temos (sim) horário",
        '{"nome": "Ana"}',
        '{"name": "Ana", "age": 3}',
        "Olá (João)",
        "Use find_slots(3) lá.",
        "[1, 2]",
    ],
)
def test_words_are_no_call(text: str) -> None:
    assert not is_call(text, TOOLS)


@pytest.mark.parametrize(
    ("cut", "kept"),
    [
        ("Custa R$ 1.500,00 no cartão. Para pagar, faça um Pix para a chav", "Custa R$ 1.500,00 no cartão."),
        ("Temos estes serviços:\n- Corte: R$ 50\n- Barba: R$", "Temos estes serviços:\n- Corte: R$ 50"),
        ("*A limpeza custa R$ 220.* Veja https://a.com/x.", "*A limpeza custa R$ 220.*"),
        ("Para pagar, faça um Pix para a chave", None),
        ("O telefone da clínica é +55 11 98765.", None),
        ("Sim. Cust", None),
    ],
)
def test_a_cut_text_ends_with_its_last_full_sentence(cut: str, kept: str | None) -> None:
    assert whole_sentences(cut) == kept
