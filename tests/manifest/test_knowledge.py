"""Files that agents may look up: which ones, and how they are cut."""

from pathlib import Path

import pytest

from manifest.folder import load_folder
from manifest.knowledge import LONGEST, passages
from manifest.loader import MAIN, InvalidFiles, load
from tests.manifest.files import PROMPTS, changed, problems
from tests.platform import TENANT, TENANTS

LISTED = ("tools: [request_human]", "tools: [request_human, search_knowledge]")


def with_knowledge(patterns: str) -> str:
    """The tests' tenant, naming files."""
    return f"{changed(*LISTED)}knowledge: {patterns}\n"


def cut(text: str) -> list[tuple[str, str]]:
    """Heading and body of every passage."""
    return [(each.heading, each.text) for each in passages({"a.md": text}, ["a.md"])]


def test_passages_stand_under_their_headings() -> None:
    text = "antes\n\n# Um\ndentro\n\nmais\n## Dois\n\nfundo\n### Três\n# Outro\nfim"
    assert cut(text) == [
        ("", "antes"),
        ("Um", "dentro\n\nmais"),
        ("Um / Dois", "fundo"),
        ("Um / Dois", "Três"),
        ("Outro", "fim"),
    ]


def test_skipped_heading_levels_and_a_lone_heading() -> None:
    assert cut("# a\n\n### x\n\num\n\n### v\n\ndois\n\n# Aberto até 18h\n\n# b") == [
        ("a / x", "um"),
        ("a / v", "dois"),
        ("", "Aberto até 18h"),
        ("", "b"),
    ]


def test_wrapped_lines_are_joined_and_lists_and_tables_are_not() -> None:
    text = "não fume\ne não use canudo\n\nLista:\n- um\n- dois\n1. três\n\n| a |\n| b |"
    assert cut(text) == [("", "não fume e não use canudo\n\nLista:\n- um\n- dois\n1. três\n\n| a |\n| b |")]


def test_what_is_no_heading_is_text() -> None:
    assert cut("#hashtag\n\n#1 da lista") == [("", "#hashtag\n\n#1 da lista")]


def test_long_texts_are_cut_at_blocks_then_words() -> None:
    blocks = "\n\n".join(["palavra " * 60] * 5)
    assert [len(body) for _, body in cut(blocks)] == [960, 960, 479]
    long = cut("palavra " * 1000)
    assert all(len(body) <= LONGEST and body.endswith("palavra") for _, body in long)
    assert " ".join(body for _, body in long).split() == ["palavra"] * 1000
    assert "".join(body for _, body in cut("x" * 3000)) == "x" * 3000


def test_knowledge_patterns_name_each_file_once() -> None:
    files = {"knowledge/b.md": "b", "knowledge/a.md": "a", "knowledge/deep/c.md": "c", "notes.md": "n"}
    loaded = load({MAIN: with_knowledge("[knowledge/*.md, knowledge/b.md]"), **PROMPTS, **files})
    assert loaded.assistant.knowledge == ("knowledge/a.md", "knowledge/b.md")
    assert {"knowledge/a.md", "knowledge/b.md"} <= set(loaded.files)
    assert not {"knowledge/deep/c.md", "notes.md"} & set(loaded.files)


@pytest.mark.parametrize(
    ("patterns", "said"),
    [
        ("[knowledge/*.md]", "there is no file `knowledge/*.md`"),
        ("[assistant.yaml]", "there is no file `assistant.yaml`"),
        ("['.']", "there is no file `.`"),
        ("[prompts/agenda.md]", "`prompts/agenda.md` is an agent's prompt"),
        ("[../*.md]", "there is no file `../*.md`"),
        ("[prompts/agendas.md]", "there is no file `prompts/agendas.md`: did you mean `prompts/agenda.md`?"),
    ],
)
def test_a_pattern_that_names_nothing_is_a_problem(patterns: str, said: str) -> None:
    assert any(said in problem for problem in problems(with_knowledge(patterns)))


def test_knowledge_that_nobody_may_look_up_is_a_problem() -> None:
    text = changed("memory: {window: 12}", "memory: {window: 12}\nknowledge: [a.md]")
    assert any("no agent or flow looks it up" in each for each in problems(text, {**PROMPTS, "a.md": "a"}))


def test_an_agent_that_may_look_up_needs_something_to_look_up() -> None:
    assert any("`search_knowledge` needs files under `knowledge:`" in each for each in problems(changed(*LISTED)))


def pdf(text: str) -> bytes:
    """A page with one line of text, as a PDF."""
    stream = f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET".encode("latin-1")
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >> stream\n%s\nendstream" % (len(stream), stream),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ]
    written, offsets = b"%PDF-1.4\n", []
    for number, each in enumerate(objects, 1):
        offsets.append(len(written))
        written += b"%d 0 obj %s endobj\n" % (number, each)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    head = b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    trailer = b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF" % (len(objects) + 1, len(written))
    return written + head + table + trailer


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The tests' tenant, on disk, with a place for what it knows."""
    for name, text in load_folder(TENANTS / TENANT).files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / MAIN).write_text(with_knowledge("[knowledge/*.pdf]"), encoding="utf-8")
    (tmp_path / "knowledge").mkdir()
    return tmp_path


def test_of_a_pdf_the_text_is_kept(folder: Path) -> None:
    (folder / "knowledge" / "tabela.pdf").write_bytes(pdf("A limpeza custa R$ 220, e o clareamento é à parte"))
    loaded = load_folder(folder)
    assert loaded.files["knowledge/tabela.pdf"].strip() == "A limpeza custa R$ 220, e o clareamento é à parte"


@pytest.mark.parametrize("content", [b"", b"no pdf", b"%PDF-1.4\n%%EOF", pdf("x")[:200]])
def test_a_pdf_that_cannot_be_read_is_named(folder: Path, content: bytes) -> None:
    (folder / "knowledge" / "ruim.pdf").write_bytes(content)
    with pytest.raises(InvalidFiles) as caught:
        load_folder(folder)
    assert "ruim.pdf" in str(caught.value)


def test_what_is_not_named_is_not_read(folder: Path) -> None:
    (folder / "knowledge" / "tabela.pdf").write_bytes(pdf("A limpeza custa R$ 220"))
    (folder / "ruim.pdf").write_bytes(b"no pdf")
    (folder / "notas.txt").write_bytes("não é UTF-8".encode("latin-1"))
    assert load_folder(folder).assistant.knowledge == ("knowledge/tabela.pdf",)


def test_a_pdf_without_text_is_named(folder: Path) -> None:
    (folder / "knowledge" / "foto.pdf").write_bytes(pdf(""))
    with pytest.raises(InvalidFiles, match=r"`knowledge/foto.pdf` has no text in it"):
        load_folder(folder)


def test_underlined_headings_are_headings() -> None:
    assert cut("Título\n======\n\nA\n\nDois\n----\n\nB") == [("Título", "A"), ("Título / Dois", "B")]
    assert cut("um texto\nem duas linhas\n---\nB") == [("", "um texto em duas linhas\n\nB")]
    assert cut("- item\n---\n\nfim") == [("", "- item\n\nfim")]


def test_front_matter_and_comments_are_no_passages() -> None:
    assert cut("---\ntitle: X\nsecret: y\n---\n# T\n\nA <!-- interno:\nnão dizer --> B") == [("T", "A  B")]
    assert cut("# T\n\n<!-- só isto -->\n\nA\n\n<!-- sem fim") == [("T", "A")]
    assert cut("A\n\n---\n\nB") == [("", "A\n\nB")]


def test_code_is_left_alone() -> None:
    code = "```sh\n# comentário\nls\n\necho 1\n```"
    assert cut(f"# T\n\n{code}\n\nfim") == [("T", f"{code}\n\nfim")]
    assert cut("~~~\n# a\n```\n~~~\n# B\n\nc") == [("", "~~~\n# a\n```\n~~~"), ("B", "c")]
    assert cut("```\n# nunca fechado") == [("", "```\n# nunca fechado")]


def test_a_text_file_is_no_markdown() -> None:
    found = passages({"a.txt": "# 1 item\n\nTotal\n=====\n"}, ["a.txt"])
    assert [(each.heading, each.text) for each in found] == [("", "# 1 item\n\nTotal\n=====")]
