"""Tools, flows, hours and routing rules in the YAML: what is made of them, and what is said when they are wrong."""

from datetime import date, time

import pytest

from graphs.config import Branch, End, Say
from graphs.rules import Rule
from graphs.sections import Approvals, Ask, Call
from manifest.loader import LARGEST_FILE, MAIN, load
from tests.manifest.files import PROMPTS, TEXT, place, problems

MORE = """
hours: {mon-fri: ["08:00-12:00", "13:00-18:00"], sat: "09:00-12:00", holidays: [2026-12-25]}
approvals: {queue: financeiro, message: Vou confirmar., timeout: 10m}
mcp:
  escola: {url: "https://mcp.example.com/mcp", headers: {Authorization: "Bearer ${secret:ESCOLA}"}}
tools:
  pedir:
    description: faz um pedido
    parameters: {type: object, properties: {quanto: {type: integer}}, required: [quanto]}
    http: {method: POST, url: "https://loja.example.com/pedidos", headers: {Authorization: "Bearer ${secret:LOJA}"}}
  aprovado: {description: caro, http: {method: POST, url: "https://loja.example.com/x"}, approval: required}
  criar: {openapi: "loja.yaml#criar"}
  notas: {description: notas, mcp: {server: escola, tool: notas}}
flows:
  compra:
    description: compra
    questions: duvidas
    steps:
      - ask: {field: quanto, question: "Quantas?", expect: number, tries: 2}
      - ask: {field: certo, question: "{quanto}, certo?", expect: choice, choices: [sim, não]}
      - name: confere
        branch: {field: certo, cases: {não: quanto}}
      - call: {tool: pedir, with: {quanto: "{quanto}"}, into: pedido, on_error: falha}
      - say: "Pedido {pedido.id}."
      - end: agenda
      - {name: falha, say: "Não deu: {error}"}
"""
RULES = "    - {match: [comprar], regex: 'quero', first_message: false, to: compra}\n    - {match: [atendente"
FULL = TEXT.replace("    - {match: [atendente", RULES) + MORE
OPENAPI = """
openapi: 3.1.0
info: {title: Loja, version: '1'}
servers: [{url: "https://loja.example.com"}]
paths:
  /pedidos:
    post:
      operationId: criar
      summary: Cria um pedido
      responses: {'200': {description: ok}}
"""
FILES = {**PROMPTS, "loja.yaml": OPENAPI}


def full(old: str, new: str) -> str:
    """The full YAML with one change."""
    assert FULL.count(old) == 1, f"{old!r} must be there once"
    return FULL.replace(old, new)


def test_the_whole_is_valid_and_is_what_it_says() -> None:
    loaded = load({MAIN: FULL, **FILES})
    assistant = loaded.assistant
    assert assistant.rules[0] == Rule(to="compra", match=("comprar",), regex="quero", first_message=False)
    assert assistant.hours.days[5] == ((time(9), time(12)),)
    assert len(assistant.hours.days[0]) == 2
    assert assistant.hours.holidays == {date(2026, 12, 25)}
    assert assistant.approvals == Approvals.model_validate(
        {"queue": "financeiro", "message": "Vou confirmar.", "timeout": "10m"}
    )
    assert assistant.tools["pedir"].secrets == {"LOJA"}
    assert assistant.tools["notas"].secrets == {"ESCOLA"}
    assert (assistant.tools["aprovado"].approval, assistant.tools["pedir"].approval) == (True, False)
    flow = assistant.flows["compra"]
    assert [step.name for step in flow.steps] == ["quanto", "certo", "confere", "step4", "step5", "step6", "falha"]
    assert [step.does for step in flow.steps] == [
        Ask(field="quanto", question="Quantas?", expect="number", tries=2),
        Ask(field="certo", question="{quanto}, certo?", expect="choice", choices=("sim", "não")),
        Branch((("certo", "não", "quanto"),)),
        Call.model_validate({"tool": "pedir", "with": {"quanto": "{quanto}"}, "into": "pedido", "on_error": "falha"}),
        Say("Pedido {pedido.id}."),
        End("agenda"),
        Say("Não deu: {error}"),
    ]
    assert "loja.yaml" in loaded.files, "what tools are made of is part of the version"


def test_another_openapi_document_is_another_version() -> None:
    other = {**FILES, "loja.yaml": OPENAPI + "# x\n"}
    assert load({MAIN: FULL, **other}).content_hash != load({MAIN: FULL, **FILES}).content_hash


SAID = 'with: {quanto: "{quanto}"}'
ONE_PROBLEM = [
    # Values that tools would get, and that JSON does not have.
    (SAID, "with: {quanto: 2026-01-01}", "{quanto: 2026", "write 2026-01-01 in quotes"),
    (SAID, "with: {quanto: [1, .inf]}", "{quanto: [1", "a number that JSON can say, not inf"),
    (SAID, "with: {quanto: !!binary aGk=}", "{quanto: !!b", "in quotes"),
    (SAID, "with: {quanto: 123456789012345678901234567890}", "{quanto: 1234", "an integer of 64 bits at most"),
    # Keys.
    ("expect: number, tries: 2", "expect: number, trys: 2", "trys", "unknown key `trys`: did you mean `tries`?"),
    ("with: {quanto:", "wiht: {quanto:", "wiht", "unknown key `wiht`: did you mean `with`?"),
    ("      - say: ", "      - sya: ", "sya", "unknown key `sya`: did you mean `say`?"),
    ("    questions: duvidas", "    question: duvidas", "question: d", "did you mean `questions`?"),
    ("{field: certo, cases:", "{field: certo, case:", "case:", "unknown key `case`: did you mean `cases`?"),
    ("approvals: {queue:", "approvals: {quue:", "quue", "unknown key `quue`: did you mean `queue`?"),
    (
        '{method: POST, url: "https://loja.example.com/p',
        '{metod: POST, url: "https://loja.example.com/p',
        "metod",
        "did you mean `method`?",
    ),
    ("server: escola, tool", "sever: escola, tool", "sever", "did you mean `server`?"),
    ('{url: "https://mcp', '{ulr: "https://mcp', "ulr", "did you mean `url`?"),
    ("regex: 'quero'", "regexp: 'quero'", "regexp", "did you mean `regex`?"),
    ("approval: required", "aproval: required", "aproval", "did you mean `approval`?"),
    ("  pedir:\n", "  pedir:\n    description: x\n", "description: faz", "duplicate key"),
    # Names of other things.
    ("to: compra}", "to: compras}", "compras}", "there is no agent or flow `compras`: did you mean `compra`?"),
    ("call: {tool: pedir", "call: {tool: pedi", "pedi,", "there is no tool `pedi`: did you mean `pedir`?"),
    ('question: "Quantas?"', 'question: "{pedido}?"', '"{pedido}?"', "no step before this one sets the field `pedido`"),
    ("call: {tool: pedir", "call: {tool: request_human", "request_human, with", "end: handoff"),
    ("{não: quanto}", "{não: quantos}", "quantos}", "there is no step `quantos`: did you mean `quanto`?"),
    ("on_error: falha", "on_error: falhas", "falhas", "there is no step `falhas`: did you mean `falha`?"),
    ("end: agenda", "end: agendas", "agendas\n", "there is no agent or flow `agendas`"),
    ("questions: duvidas", "questions: duvida", "duvida\n", "did you mean `duvidas`?"),
    ("Pedido {pedido.id}", "Pedido {pedio.id}", '"Pedido {pedio', "nothing in this flow sets the field `pedio`"),
    ("loja.yaml#criar", "lojas.yaml#criar", '"lojas.yaml', "there is no file `lojas.yaml`: did you mean `loja.yaml`?"),
    ("loja.yaml#criar", "loja.yaml#crear", '"loja.yaml#crear', "loja.yaml: "),
    ("server: escola, tool", "server: escolas, tool", "escolas", "there is no server `escolas` under `mcp`"),
    # Values.
    ("regex: 'quero'", "regex: '(quero'", "'(quero'", "not a regular expression that can be used here"),
    ("regex: 'quero'", "regex: '(a)\\1'", "'(a)", "no back-references"),
    ("regex: 'quero'", "regex: '(?=a)b'", "'(?=a", "no look-around"),
    ("regex: 'quero'", "language: xx", "xx", "`xx` is not a language that can be detected"),
    (
        "[comprar], regex: 'quero', first_message: false, to",
        "[], regex: null, to",
        "{match: [], regex: null",
        "a rule needs a condition",
    ),
    ("quanto: {type: integer}", "quanto: {type: inteiro}", "inteiro", "not a JSON Schema"),
    ("type: object, properties: {q", "type: list, properties: {q", "list,", ""),
    (
        '{field: certo, question: "{quanto}, certo?", expect: choice, choices: [sim, não]}',
        "{field: certo, question: a, expect: choice}",
        "{field: certo, question",
        "`choices` and `expect: choice` belong together",
    ),
    ("      - end: agenda\n", "      - end: [a]\n", "[a]", ""),
    ("      - end: agenda\n", "      - {end: agenda, say: oi}\n", "{end: agenda, say", "a step is exactly one of"),
    ("tries: 2", "tries: 0", "0}", "tries"),
    ('sat: "09:00-12:00"', 'sabbath: "09:00-12:00"', "sabbath", "hours.sabbath: expected days such as mon-fri"),
    ('sat: "09:00-12:00"', 'sat: "9:99-12"', '"9:99', 'hours.sat: expected hours such as "08:00-18:00"'),
    ('sat: "09:00-12:00"', "sat: 9-5", "9-5", '9-5 may end in the afternoon or on the next day: write "9-18"'),
    ('sat: "09:00-12:00"', "fri: closed", "closed", "another line has hours for the same day"),
    ('sat: "09:00-12:00"', "feriados: 9-12", "9-12", "expected a date such as 2026-12-25"),
    ('sat: "09:00-12:00"', 'sáb e feriados: "09:00-12:00"', "sáb e", "holidays have dates"),
    ('["08:00-12:00", "13:00-18:00"]', '["08:00-12:00", "oito"]', '"oito"', "expected hours such as"),
    ("holidays: [2026-12-25]", "holidays: [2026-12-25, 25/13]", "25/13", "holidays[1]: there is no such date"),
    ("holidays: [2026-12-25]", "holidays: {2026-12-25: noon}", "noon", "hours.holidays.2026-12-25: expected hours"),
    ("holidays: [2026-12-25]", "holidays: {12-25: closed}", "12-25", "the day comes before the month"),
    ("holidays: [2026-12-25]", "holidays: [2026-02-30]", "2026-02-30", "there is no date 2026-02-30"),
    ("holidays: [2026-12-25]", "vacations: [20/12 a 05/01/2027]", "20/12", "the year of both dates, or of neither"),
    ("holidays: [2026-12-25]", "férias: {from: 2026-12-20, to: 2026-12-10}", "{from", "ends before it begins"),
    ("      - {name: falha,", "      - {name: quanto,", "{name: quanto", "there is a step `quanto` already"),
    # Ways that lead nowhere.
    (
        "{field: certo, cases: {não: quanto}}",
        "{field: certo, cases: {não: confere}}",
        "name: confere",
        "leads back to itself without asking",
    ),
    ("on_error: falha}", "on_error: quanto}", "{name: falha", "nothing leads to the step `falha`"),
    ("  compra:\n    desc", "  agenda:\n    desc", None, "there is an agent `agenda` already"),
    (
        "  pedir:\n",
        "  find_slots: {description: x, http: {url: 'https://a.example.com/'}}\n  pedir:\n",
        "{description: x, http",
        "`find_slots` is a built-in tool",
    ),
]


@pytest.mark.parametrize(("old", "new", "where", "said"), ONE_PROBLEM, ids=[row[1].strip()[:40] for row in ONE_PROBLEM])
def test_a_mistake_is_told_at_its_place(old: str, new: str, where: str | None, said: str) -> None:
    text = full(old, new)
    found = problems(text, FILES)
    assert found
    assert any(said in problem for problem in found), found
    if where is not None:
        assert place(text, where) in [problem.partition(": ")[0] for problem in found], found
    assert len(found) <= 2, found


CHOICES = "choices: [sim, não]"


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("[Yes, No]", ("Yes", "No")),
        ("[on, off, y]", ("on", "off", "y")),
        ("[true, FALSE]", ("true", "FALSE")),
        ("[08:30, 14:00]", ("08:30", "14:00")),
        ("[1, 2, 3]", ("1", "2", "3")),
        ("[08, 1.50, 0x1F, 1_000, -1, 2026-12-25]", ("08", "1.50", "0x1F", "1_000", "-1", "2026-12-25")),
        ("['1', \"2\"]", ("1", "2")),
    ],
)
def test_choices_are_the_texts_that_were_written(written: str, kept: tuple[str, ...]) -> None:
    text = full(CHOICES, f"choices: {written}").replace("cases: {não:", f"cases: {{{kept[1]!r}:")
    loaded = load({MAIN: text, **FILES})
    (ask,) = (step.does for step in loaded.assistant.flows["compra"].steps if step.name == "certo")
    assert isinstance(ask, Ask)
    assert ask.choices == kept
    assert loaded.form_text is not None


def test_a_choice_whose_text_cannot_be_told_is_a_problem() -> None:
    text = full(CHOICES, "choices: [&a 1, *a, !!int 7, null, 5]")
    found = problems(text, FILES)
    said = "expected a text; quotes make one of anything"
    assert [problem.rpartition(": ")[2] for problem in found] == [said] * 4
    assert [problem.split(": ")[1].rpartition(".")[2] for problem in found] == [f"choices[{n}]" for n in range(4)]
    assert {problem.partition(":")[0] for problem in found} == {MAIN}


def test_what_no_route_leads_to_is_told() -> None:
    text = full("otherwise: classify", "otherwise: duvidas").replace('    - {button: "agenda_*", to: agenda}\n', "")
    assert problems(text, FILES) == [], "the flow leads to it"
    text = text.replace("      - end: agenda\n", "      - end: true\n")
    (problem,) = problems(text, FILES)
    assert problem.startswith(place(text, "agenda:\n    desc")) or "no route leads to `agenda`" in problem


def test_a_file_that_is_too_large_is_refused_before_it_is_parsed() -> None:
    (problem,) = problems(TEXT + "x: [" + "a, " * 1_700_000 + "]")
    assert problem == f"{MAIN}:1:1: {MAIN} is larger than {LARGEST_FILE // 1024} KiB"


def test_problems_of_the_shape_and_of_names_are_told_together() -> None:
    text = full("tries: 2", "trys: 2").replace("to: compra}", "to: compras}").replace("window: 12", "window: 1")
    text = text.replace("call: {tool: pedir", "call: {tool: pedi")
    found = [problem.partition(": ")[0] for problem in problems(text, FILES)]
    assert found == [place(text, what) for what in ("compras}", "1}\n\nhours", "trys", "pedi,")]


@pytest.mark.parametrize(("written", "value"), [("&a true", True), ("&a false", False), ("&a 1", 1), ("&a 1.5", 1.5)])
def test_a_value_with_an_anchor_is_what_is_written(written: str, value: object) -> None:
    assistant = load({MAIN: full(SAID, f"with: {{quanto: {written}}}"), **FILES}).assistant
    (call,) = (step.does for step in assistant.flows["compra"].steps if isinstance(step.does, Call))
    assert call.arguments["quanto"] is value or (call.arguments["quanto"] == value and not isinstance(value, bool))
