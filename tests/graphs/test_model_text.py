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
        ("<think/>Oi", "Oi"),
        ("<think>a <think>b</think> c</think>Oi", "Oi"),
        ("&lt;think&gt;x&lt;/think&gt;Oi", "Oi"),
        ("<pensamento>x</pensamento>Oi", "Oi"),
        ("```thinking\nx\n```\nOi", "Oi"),
        ("Thought: preciso ver.\nFinal Answer: Oi", "Oi"),
        ("analysisO cliente quer o preço.assistantfinalOi", "Oi"),
        ("<|channel|>final <|constrain|>json<|message|>Oi", "Oi"),
        ("Oi <|channel|>analysis<|message|>x", "Oi"),
        ("<|im_start|>assistant\nOi<|im_end|>\n<|im_start|>user\ne?", "Oi"),
        ("<s>Oi</s>", "Oi"),
        ("<s>R$ 20</s> R$ 10", "<s>R$ 20</s> R$ 10"),
        ("<answer>Oi</answer>", "Oi"),
        ("**Assistente:** Oi", "Oi"),
        ("**[operador]**: Oi", "Oi"),
        ("[contact sent image/jpeg]\nOi", "Oi"),
        ('[answers the message "a [b]"]\nOi', "Oi"),
        ("Oi\n[image/jpeg]\ntudo", "Oi\ntudo"),
        ("Oi\n\nUser: e?\nAssistant: sim", "Oi"),
        ("Modelo: X100", "Modelo: X100"),
        ("[ver a tabela]", "[ver a tabela]"),
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
        "find_slots",
        'find_slots(note="a (b)", days=3)',
        'find_slots\n{"days": 3}',
        "Vou ver.\nfind_slots(days=3)",
        "Vou chamar find_slots(days=3).",
        'Vou ver. {"name": "find_slots", "arguments": {"days"',
        "{'name': 'find_slots', 'arguments': {'days': 3}}",
        '{"name": "find_slots", "arguments": {}}\n{"name": "find_slots", "arguments": {}}',
        '{"tool_calls": [{"name": "find_slots"}]}',
        "[find_slots(days=3)]",
        "`find_slots(days=3)`",
        '<find_slots days="3"/>',
        "<function(find_slots){}</function>",
        "<minimax:tool_call>",
        "<｜tool▁calls▁begin｜>",  # noqa: RUF001
        "Action: find_slots\nAction Input: {}",
        "[Calling find_slots]",
        "assistantcommentary to=functions.find_slots json{}",
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
        '{"name": "Ana", "input": 3}',
        "Não conheço find_slots.",
        "O botão <Enviar> (verde)",
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
        ("Quem atende amanhã é o Dr. Sil", None),
        ("Primeiro abra o aplicativo. 2. Toq", "Primeiro abra o aplicativo."),
        ("Está tudo certo com o pedido. Pague com o Pix:\n00020126", "Está tudo certo com o pedido."),
        ("Está tudo certo com o pedido.\nPague com o Pix:\n00020126", "Está tudo certo com o pedido."),
        ("Tudo certo com o pedido 😊 O código é 12", "Tudo certo com o pedido 😊"),
    ],
)
def test_a_cut_text_ends_with_its_last_full_sentence(cut: str, kept: str | None) -> None:
    assert whole_sentences(cut) == kept


def test_a_call_to_a_special_token_is_not_lost_with_the_token() -> None:
    assert is_call(spoken_text("<|python_tag|>find_slots.call(days=3)"), TOOLS)
    assert is_call(spoken_text("<|tool_call_begin|>functions.find_slots:0"), TOOLS)
