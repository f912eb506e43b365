"""The documents keep their promises: every option has its row, every link leads somewhere, every target exists."""

from __future__ import annotations

import re
from importlib.metadata import entry_points
from pathlib import Path

import click
import pytest

from mooring.cli import main

ROOT = Path(__file__).parents[2]
READMES = {
    "register": "register/README.md",
    "discover": "discover/README.md",
    "proxy": "proxy/README.md",
    "sockets": "proxy/README.md",
    "demo": "compose/README.md",
    "events": "docs/commands.md",
    "status": "docs/commands.md",
    "verify": "docs/commands.md",
    "explain": "docs/commands.md",
    "stop": "docs/stopping.md",
}
# Commands that are told the settings of a part, by that part's variables, besides a few of their own.
SETTINGS_OF = {"explain": "register"}
PARTS = ("shared", "register", "discover", "proxy")
WORDS = {
    "service",
    "instance",
    "address",
    "descriptor",
    "binding",
    "override",
    "registry",
    "source",
    "revision",
    "lease",
    "keep-alive",
    "expire",
    "revoke",
    "TTL",
    "fact",
    "event",
    "catalog",
    "stream",
    "entry",
    "cursor",
    "trim",
    "incarnation",
    "epoch",
    "snapshot",
    "route",
    "listener",
    "backend",
    "pool",
    "balancer",
    "pick",
    "downstream",
    "upstream",
    "drain",
    "suspect",
    "driver",
    "routing table",
}
DOCUMENTS = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "*/README.md")
    for path in ROOT.glob(pattern)
    if not any(part.startswith(".") for part in path.relative_to(ROOT).parts)
)

LINK = re.compile(r"\]\(([^)#]*)(?:#[^)]*)?\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def command_of(name: str) -> click.Command:
    """Load one of `mooring`'s commands."""
    command = main.get_command(click.Context(main), name)
    assert command is not None
    return command


def rows(document: Path) -> list[str]:
    """Return the lines of a document's tables."""
    return [line for line in document.read_text().splitlines() if line.startswith("|")]


def test_every_command_has_a_readme() -> None:
    """A part that brings a new command brings its document."""
    assert {entry.name for entry in entry_points(group="mooring.commands")} == set(READMES)


@pytest.mark.parametrize("name", READMES)
def test_every_option_has_a_row_with_its_environment_variable(name: str) -> None:
    """Whoever looks for a setting finds it in the README of its part, under both of its names."""
    table = rows(ROOT / READMES[name])
    elsewhere = [option.name for option in command_of(SETTINGS_OF[name]).params] if name in SETTINGS_OF else []
    missing = []
    for option in command_of(name).params:
        if isinstance(option, click.Option) and option.name not in elsewhere:
            long = max(option.opts, key=len)
            variable = f"MOORING_{name.upper()}_{option.name.upper()}" if option.name else ""
            if not any(f"`{long}`" in row and f"`{variable}`" in row for row in table):
                missing.append(f"| `{long}` | `{variable}` | ... |")
    assert not missing, "\n".join(("rows that are missing:", *missing))


@pytest.mark.parametrize("name", READMES)
def test_every_setting_in_a_readme_exists(name: str) -> None:
    """A README promises no setting that its command does not have."""
    promised = set(re.findall(rf"`(MOORING_{name.upper()}_\w+)`", (ROOT / READMES[name]).read_text()))
    options = [option for option in command_of(name).params if isinstance(option, click.Option)]
    assert promised <= {f"MOORING_{name.upper()}_{(option.name or '').upper()}" for option in options}


def test_every_setting_of_the_stack_has_a_row_and_every_row_a_setting() -> None:
    """What can be changed in the files of Compose, and by which name, stands in the README beside them."""
    files = [path.read_text() for path in (ROOT / "compose").glob("*.yml")]
    # In a value, or handed on without one.
    said = re.compile(r"(?:\$\{|^ +(?=\w+:$))(MOORING_\w+)", re.MULTILINE)
    settings = {name for text in files for name in said.findall(text)}
    named = re.findall(r"`(MOORING_(?!DEMO_)\w+)`", "\n".join(rows(ROOT / "compose/README.md")))
    assert set(named) == settings


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_between_documents_leads_somewhere(document: Path) -> None:
    """A moved file takes its links along."""
    targets = [target for target in LINK.findall(document.read_text()) if target and "://" not in target]
    assert not [target for target in targets if not (document.parent / target).exists()]


def test_every_make_target_that_a_document_names_exists() -> None:
    """What a reader is told to type works."""
    targets = set(re.findall(r"^([a-z-]+):.*?## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for document in DOCUMENTS:
        for named in re.findall(r"(?:^|`)make ([a-z][a-z -]*)", document.read_text(), re.MULTILINE):
            typed = named.split("  ")[0].split()
            assert set(typed) <= targets, f"{document.relative_to(ROOT)}: make {named}"


def test_every_command_that_a_document_shows_exists() -> None:
    """A command line in a document begins with a command that is there."""
    for document in DOCUMENTS:
        for shown in re.findall(r"(?:^|`)mooring ([a-z]+)", document.read_text(), re.MULTILINE):
            assert shown in READMES, f"{document.relative_to(ROOT)}: mooring {shown}"


def test_every_option_that_a_command_line_in_a_document_shows_exists() -> None:
    """Nobody copies a line from a document only to be told that there is no such option."""
    for document in DOCUMENTS:
        for name, rest in re.findall(r"^mooring ([a-z]+)(.*)$", document.read_text(), re.MULTILINE):
            known = {spelling for option in command_of(name).params for spelling in option.opts}
            shown = set(re.findall(r"--[a-z-]+", rest.partition("#")[0]))
            assert shown <= known, f"{document.relative_to(ROOT)}: mooring {name}{rest}"


def test_the_glossary_has_every_word_of_the_design() -> None:
    """A word that is used has its one meaning written down."""
    defined = {word for row in rows(ROOT / "docs/glossary.md") for word in re.findall(r"\*\*([^*]+)\*\*", row)}
    assert defined >= WORDS


def test_the_glossary_defines_each_word_once() -> None:
    """One word, one meaning."""
    defined = [word for row in rows(ROOT / "docs/glossary.md") for word in re.findall(r"\*\*([^*]+)\*\*", row)]
    assert len(defined) == len(set(defined))


@pytest.mark.parametrize("decision", sorted((ROOT / "docs/decisions").glob("*.md")), ids=lambda path: path.stem)
def test_a_decision_has_its_four_parts(decision: Path) -> None:
    """Context, options in a table, decision, consequences: in that order, and nothing decided without options."""
    headings = HEADING.findall(decision.read_text())
    assert headings[1:] == ["Context", "Options", "Decision", "Consequences"]
    assert headings[0].startswith(f"{int(decision.stem[:4])}. ")
    assert len(rows(decision)) > 3


def test_the_readme_fits_on_one_screen() -> None:
    """A newcomer sees what it is, how to try it and where to go next, without searching."""
    assert len((ROOT / "README.md").read_text().splitlines()) <= 75


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_path_of_the_repository_that_a_document_names_exists(document: Path) -> None:
    """Files and folders named in the text are there."""
    named = re.findall(r"`((?:tests|docs|shared|register|discover|proxy|compose)/[\w./-]+)`", document.read_text())
    assert not [path for path in named if not (ROOT / path).exists()]


def test_every_sentence_and_counter_that_operations_quotes_is_in_the_source() -> None:
    """Whoever searches a log for what the document says finds it."""
    text = (ROOT / "docs/operations.md").read_text()
    source = "\n".join(path.read_text() for part in PARTS for path in (ROOT / part).rglob("*.py"))
    sentences = re.findall(r"logs? (?:says )?((?:`[^`]+`(?:, )?)+)", text)
    quoted = [one for some in sentences for one in re.findall(r"`([^`]+)`", some)]
    counters = re.findall(r"`(mooring_[a-z]+_[a-z_]+)`", text)
    assert len(quoted) > 5
    assert len(counters) > 1
    assert not [one for one in (*quoted, *counters) if f'"{one}"' not in source]


def test_every_field_of_a_state_that_operations_names_is_in_the_source() -> None:
    """`/state` → `field` leads somewhere."""
    text = (ROOT / "docs/operations.md").read_text()
    source = "\n".join(path.read_text() for part in PARTS for path in (ROOT / part).rglob("*.py"))
    fields = {
        name for some in re.findall(r"`/state`((?: → `[^`]+`)+)", text) for name in re.findall(r"`([^`]+)`", some)
    }
    assert len(fields) > 8
    assert not [name for name in fields if f'"{name.partition(":")[0]}"' not in source]
