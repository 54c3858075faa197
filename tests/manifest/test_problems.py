"""Whatever is wrong with an assistant is said with file, line, column, and how to mend it."""

import pytest

from tests.manifest.files import PROMPTS, changed, place, problems

# What is changed, into what, where the problem is, and what is said about it.
ONE_PROBLEM = [
    # Keys.
    ("handoff:\n", "handof:\n", "handof:", "unknown key `handof`: did you mean `handoff`?"),
    ("  idle: 23h", "  idel: 24h", "idel:", "unknown key `idel`: did you mean `idle`?"),
    ("timeout: 5s}", "timout: 5s}", "timout: 5s", "unknown key `timout`: did you mean `timeout`?"),
    ("slot: 1h}", "slots: 1h}", "slots: 1h", "unknown key `slots`: did you mean `slot`?"),
    ('{button: "agenda_*", to: agenda}', "{buton: x, match: [y], to: agenda}", "buton", "did you mean `button`?"),
    ("apology: ", "zzz: 1\napology: ", "zzz: 1", "unknown key `zzz`"),
    ("name: Clínica de Testes\n", "", None, "`name` is missing"),
    ("    description: marca consultas\n", "", "prompt: prompts/agenda.md", "missing in `agents.agenda`"),
    ("provider: openai, ", "", "{model: test-model", "`provider` is missing in `models.default`"),
    ("timezone: America/Sao_Paulo", "name: outra", "name: outra", "duplicate key"),
    ("  on_timeout: return", "  on_timeout: return\n  queue: outra", "queue: outra", "duplicate key"),
    # Types and values.
    ("name: Clínica de Testes", "name: [a, b]", "[a, b]", "name: "),
    ("name: Clínica de Testes", "name: 12", "12\n", "name: "),
    ("language: pt-BR", "language: português", "português", "language: "),
    ("America/Sao_Paulo", "America/São_Paulo", "America/São_Paulo", "expected a time zone"),
    ("America/Sao_Paulo", "/etc/localtime", "/etc/localtime", "expected a time zone"),
    ("America/Sao_Paulo", "../../etc/localtime", "../../etc/localtime", "expected a time zone"),
    ("provider: openai", "provider: opanai", "opanai", "models.default.provider"),
    ("timeout: 5s}", "timeout: 5}", "5}", "expected a duration such as 500ms, 2s"),
    ("timeout: 5s}", "timeout: 2m}", "2m}", "models.default.timeout"),
    ("idle: 23h", "idle: 23 h", "23 h", "lifecycle.idle: expected a duration"),
    ("idle: 23h", "idle: -24h", "-24h", "lifecycle.idle: expected a duration"),
    ("idle: 23h", "idle: 0s", "0s", "lifecycle.idle: "),
    ("days: mon-sun", "days: mon-sonntag", "mon-sonntag", "expected days such as mon-fri"),
    ("days: mon-sun", "days: [mon]", "[mon]", "expected days such as mon-fri"),
    ('hours: "08:00-20:00"', 'hours: "08:00-24:30"', '"08:00-24:30"', 'expected hours such as "08:00-18:00"'),
    ('hours: "08:00-20:00"', 'hours: "20:00-08:00"', '"20:00-08:00"', "closes before it opens"),
    ('hours: "08:00-20:00"', "hours: 8", "8, slot", "expected hours such as"),
    ("slot: 1h", "slot: 1s", "1s}", "calendars.sala.slot"),
    ("tool_failures: 2", "tool_failures: dois", "dois", "handoff.triggers.tool_failures"),
    ("tool_failures: 2", "tool_failures: 0", "0}", "handoff.triggers.tool_failures"),
    ("on_timeout: return", "on_timeout: retry", "retry", "handoff.on_timeout"),
    ("queue: recepcao", "queue: Recepção", "Recepção", "handoff.queue"),
    ("window: 12", "window: 1", "1}", "memory.window"),
    ("window: 12", "window: 1000", "1000}", "memory.window"),
    ("{match: [tchau], to: close}", "{match: tchau, to: close}", "tchau,", "routing.rules[1].match"),
    ("{match: [tchau], to: close}", "{to: close}", "{to: close}", "a rule needs a condition: `match`, `regex`"),
    ("{match: [tchau], to: close}", "{match: [''], to: close}", "''", "routing.rules[1].match[0]"),
    ("goodbye: Até logo!", "goodbye: ''", "''", "lifecycle.goodbye"),
    ("  agenda:\n    desc", "  Agenda:\n    desc", "Agenda:", "agents.Agenda"),
    ("tools: [find_slots, book_slot, request_human]", "tools: find_slots", "find_slots\n", "agents.agenda.tools"),
    # Names of other things.
    ("to: handoff}", "to: handof}", "handof}", "there is no agent or flow `handof`: did you mean `handoff`?"),
    ("to: agenda}", "to: agendas}", "agendas}", "there is no agent or flow `agendas`: did you mean `agenda`?"),
    ("otherwise: classify", "otherwise: clasify", "clasify", "did you mean `classify`?"),
    ("[find_slots, book_slot, request", "[find_slot, book_slot, request", "find_slot,", "did you mean `find_slots`?"),
    ("tools: [request_human]", "tools: [request_human, xyz]", "xyz", "there is no tool `xyz`"),
    (
        "[find_slots, book_slot, request",
        "[find_slots, book_slot, find_slots, request",
        "find_slots, request",
        "listed twice",
    ),
    ("prompts/agenda.md", "prompts/agendas.md", "prompts/agendas.md", "did you mean `prompts/agenda.md`?"),
    ("prompts/agenda.md", "../agenda.md", "../agenda.md", "there is no file `../agenda.md`"),
    ("prompts/agenda.md", "/etc/passwd", "/etc/passwd", "there is no file `/etc/passwd`"),
    ("timeout: 5s}", "timeout: 5s}\n  prices: {gpt-5: {input: 1, output: 2}}", "gpt-5:", "models.prices.gpt-5"),
    # Values of the wrong kind, in words.
    ("goodbye: Até logo!", "csat: sim", "sim\n", "lifecycle.csat: expected true or false"),
    ("tools: [request_human]", "tools: request_human", "request_human\nc", "expected a list, such as [a, b]"),
    ("memory: {window: 12}", "memory: 12", "12\n", "memory: expected keys with values"),
    ("provider: openai", "provider: opnai", "opnai", "did you mean `openai`?"),
    ("  sala: {", "  Sala: {", "Sala:", "expected a name of small letters without accents"),
    # Values that need, or exclude, each other.
    ("idle: 23h", "idle_message: Oi?", "Oi?", "it is said after `idle`, which is not set"),
    ("idle: 23h", "idle: 23h\n  csat: true", "true", "say what contacts are asked: `csat_question`"),
    ("idle: 23h", "idle: 23h\n  csat_question: Oi?", "Oi?", "nobody is asked without `csat: true`"),
    ("idle: 23h", "idle: 23h\n  expire: 20h", "20h\n  goodbye", "`expire` must be longer than `lifecycle.idle`"),
    ("idle: 23h", "expire: 90m", "90m", "`expire` must be longer than `handoff.timeout`"),
    # What is no YAML.
    ("name: Clínica de Testes", "name: [a", None, "expected"),
    ("name: Clínica de Testes", "name: 'Clínica", None, "unexpected end"),
    ("name: Clínica de Testes", "name: a: b", ": b", "mapping values are not allowed"),
    ("memory: {window: 12}", "memory: {window: *twelve}", "*twelve", "undefined alias"),
    ("window: 12", "window: !!int doze", None, "not YAML"),
    ("  queue: recepcao", "\tqueue: recepcao", "\tqueue", "a tab: indent with spaces"),
]


@pytest.mark.parametrize(("old", "new", "where", "said"), ONE_PROBLEM, ids=[row[1].strip() for row in ONE_PROBLEM])
def test_one_mistake_is_one_problem_at_its_place(old: str, new: str, where: str | None, said: str) -> None:
    text = changed(old, new)
    (problem,) = problems(text)
    at, _, message = problem.partition(": ")
    assert said in message
    assert where is None or at == place(text, where)


def test_all_schema_problems_are_reported_in_order() -> None:
    text = changed("language: pt-BR", "lang: pt-BR").replace("window: 12", "window: 1").replace("idle: 23h", "idle: x")
    assert [problem.partition(": ")[0] for problem in problems(text)] == [
        "assistant.yaml:1:1",  # no `language`
        place(text, "lang:"),
        place(text, "x\n  goodbye"),
        place(text, "1}\n"),
    ]


def test_all_dangling_names_are_told_at_once() -> None:
    text = changed("to: handoff}", "to: nobody1}").replace("to: close}", "to: nobody2}")
    text = text.replace("prompts/duvidas.md", "nothing.md").replace("otherwise: classify", "otherwise: nobody3")
    assert [problem.rpartition("no ")[2].split(":")[0] for problem in problems(text)] == [
        "agent or flow `nobody1`",
        "agent or flow `nobody2`",
        "agent or flow `nobody3`",
        "file `nothing.md`",
    ]


@pytest.mark.parametrize("name", ["handoff", "close", "classify"])
def test_a_name_that_routing_knows_is_none_for_an_agent(name: str) -> None:
    text = changed("  duvidas:\n", f"  {name}:\n")
    assert any(f"`{name}` means something else in routing" in problem for problem in problems(text))


@pytest.mark.parametrize("tool", ["find_slots", "book_slot"])
def test_tools_that_book_need_a_calendar(tool: str) -> None:
    text = changed("tools: [find_slots, book_slot, request_human]", f"tools: [{tool}]")
    text = text.replace('calendars:\n  sala: {days: mon-sun, hours: "08:00-20:00", slot: 1h}\n', "")
    (problem,) = problems(text)
    assert problem == f"{place(text, tool + ']')}: `{tool}` needs at least one calendar under `calendars:`"


@pytest.mark.parametrize("escape", ["\\0", "\\ud800", "\\udc00\\ud800"])
def test_unstorable_characters_are_refused_at_their_place(escape: str) -> None:
    text = changed("Até logo!", f'"Até {escape} logo"')
    (problem,) = problems(text)
    assert problem.startswith(place(text, f'"Até {escape}') + ": lifecycle.goodbye")


def test_a_raw_control_character_is_found_in_its_line() -> None:
    text = changed("Até logo!", "Até \x00 logo")
    (problem,) = problems(text)
    assert problem.startswith(place(text, "\x00").rpartition(":")[0])
    assert "\n" not in problem, "a problem is one line"


def test_a_prompt_that_cannot_be_stored_is_refused_by_its_name() -> None:
    (problem,) = problems(changed("Até logo!", "Tchau"), {**PROMPTS, "prompts/agenda.md": "Você\n\x00cuida"})
    assert "prompts/agenda.md" in problem


@pytest.mark.parametrize(
    "text", ["name: a\u2028b\nx:\ty", "name: a\rx:\ty", "name: a\x85b\nx:\ty", "\t", "a\n\n\tb: c"]
)
def test_a_tab_is_refused_whatever_else_separates_lines(text: str) -> None:
    (problem,) = problems(text)
    assert "a tab: indent with spaces" in problem


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing yet\n", "---\n", "[]", "- name", "hello", "42", "null", "{}"])
def test_a_file_that_is_no_mapping_says_what_is_expected(text: str) -> None:
    found = problems(text)
    assert found
    assert found[0].startswith("assistant.yaml:1:1: ")
    assert "name" in found[0]


# Keys that are no words, and keys that come from elsewhere.


@pytest.mark.parametrize("key", ["1", "null", "true", "? [a, b]\n", "? {a: b}\n", "2026-01-01", "''", ".nan"])
def test_a_key_that_is_no_word_is_a_problem_and_no_crash(key: str) -> None:
    text = changed("apology:", f"{key}: x\napology:")
    assert problems(text)


@pytest.mark.parametrize("merged", ["{bogus: 1}", "{idle: 5}", "*nothing", "5", "[1]"])
def test_a_merged_mapping_is_checked_like_one_written_there(merged: str) -> None:
    text = changed("lifecycle:\n", f"lifecycle:\n  <<: {merged}\n").replace("  idle: 23h\n", "")
    (problem,) = problems(text)
    assert problem.startswith("assistant.yaml:")


def test_an_alias_may_be_used_for_what_is_the_same() -> None:
    text = changed("message: Vou chamar", "message: &text Vou chamar").replace("goodbye: Até logo!", "goodbye: *text")
    assert problems(text) == []


@pytest.mark.parametrize("node", ["&a [*a]", "&a {b: *a}", "&a {b: [{c: *a}]}", "[" * 300 + "]" * 300])
def test_what_holds_itself_or_goes_too_deep_is_refused(node: str) -> None:
    assert problems(changed("apology:", f"x: {node}\napology:"))


@pytest.mark.parametrize(
    "tag", ["!!python/object/apply:os.system ['true']", "!foo bar", "!!set {a, b}", "!!omap [a: b]"]
)
def test_tags_make_nothing_but_problems(tag: str) -> None:
    assert problems(changed("name: Clínica de Testes", f"name: {tag}"))


def test_two_documents_are_one_too_many() -> None:
    assert problems(changed("memory:", "---\nmemory:"))
