"""Commands that help to write a tenant's folder."""

import json
from pathlib import Path

import click

from app.assistants.service import require_slug
from app.errors import ConflictError, RecadoError
from manifest import reference, template


@click.command()
@click.argument("slug")
@click.option(
    "--into",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path(),
    help="Where to make the folder; by default here.",
)
@click.option("--language", type=click.Choice(template.LANGUAGES), default="pt-BR", show_default=True)
def new(slug: str, into: Path, language: str) -> None:
    """Write a new tenant's folder: complete, commented and valid as it is."""
    given = Path(slug)
    if given.name != slug:
        raise RecadoError(f"give the name alone, and the place after `--into`: `--into {given.parent} {given.name}`")
    require_slug(slug)
    folder = into / slug
    try:
        written = template.write(folder, language)
    except FileExistsError:
        raise ConflictError(f"{folder} exists already, and was left as it is: choose another name or place") from None
    for path in written:
        click.echo(f"wrote {path}")
    click.echo("next:")
    click.echo(f"  recado tenants check {folder}")
    click.echo(f"  recado tenants test {folder}")
    click.echo(f"  recado demo {folder}")


@click.command()
@click.option("--markdown", is_flag=True, help="As a page that people read.")
def schema(markdown: bool) -> None:
    """Print what assistant.yaml may hold: as JSON Schema, for editors, or as a page."""
    if markdown:
        click.echo(reference.markdown(), nl=False)
    else:
        click.echo(json.dumps(reference.json_schema(), indent=2, ensure_ascii=False))
