"""Templates: Jinja2 in its sandbox, from the operator's options only, and what one comes to for a container. Pure.

A template sees the names of `NAMES` (`wording.view`) and nothing else: no file, no other template, no chance, so that
the same container always comes to the same. What is wrong with a template by itself is said when it is read; what
fails while it is rendered concerns one container only. Its time has no limit: loops and patterns are the operator's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import jinja2
from attrs import field, frozen
from jinja2 import meta, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from mooring_register.labels.template_filters import FILTERS
from mooring_register.labels.words import is_said_once

NAMES: Final = frozenset(
    {
        *("id", "name", "hostname", "image", "labels", "environment", "networks", "started"),
        *("compose", "host", "service", "is_named", "port", "proto", "ip", "published", "address"),
    }
)
OUTPUT_MOST_CHARACTERS: Final = 4096

_KEY = re.compile(r"[^\s=,/]+")
_GO = re.compile(r"\{\{[^}]*(?<![\w\])])\.[A-Za-z]")
_LOADING: Final = (nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)
_SPACE: Final = r"\s+"
# Not at `\,`, which stands for a comma in what the template comes to.
_COMMA: Final = r"(?<!\\),"


def _sandbox() -> ImmutableSandboxedEnvironment:
    # Nothing is escaped, for nothing of it is HTML.
    sandbox = ImmutableSandboxedEnvironment(undefined=jinja2.StrictUndefined, autoescape=False)
    sandbox.filters.update(FILTERS)
    # Rendered twice, a container would come to two different things, and be written each time.
    del sandbox.filters["random"], sandbox.globals["lipsum"]
    return sandbox


_SANDBOX: Final = _sandbox()


@frozen
class Template:
    """One template; `option` names it in errors."""

    option: str
    text: str
    _names: frozenset[str] = field(eq=False, repr=False)
    _compiled: jinja2.Template = field(eq=False, repr=False)

    def mentions(self, name: str) -> bool:
        """Whether what it comes to may depend on a name."""
        return name in self._names

    def render(self, seen: Mapping[str, object]) -> str:
        """Return what it comes to, without white space around it.

        Raises:
            ValueError: it fails, or comes to what no label may hold.
        """
        try:
            text = self._compiled.render(seen).strip()
        except Exception as error:  # noqa: BLE001 -- a template is a program of the operator's, and fails as any may
            message = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            raise ValueError(message) from None
        return _checked(text)


@frozen
class Wording:
    """What the operator adds to the words of each container: tags, a name, and words that it does not say itself."""

    tags: tuple[Template, ...] = ()
    name: Template | None = None
    attributes: tuple[tuple[str, Template], ...] = ()


def parse_template(option: str, text: str) -> Template:
    """Read a template.

    Raises:
        ValueError: it cannot be meant; the message names the line.
    """
    try:
        tree = _SANDBOX.parse(text)
        _check_alone(tree)
        names = frozenset(meta.find_undeclared_variables(tree)) - _SANDBOX.globals.keys()
        compiled = _SANDBOX.from_string(tree)
    except jinja2.TemplateSyntaxError as error:
        message = f"template {text!r}, line {error.lineno}: {error.message}{_advice(text)}"
        raise ValueError(message) from None
    if unknown := names - NAMES:
        message = f"template {text!r}: there is no {', '.join(sorted(unknown))}; there are {', '.join(sorted(NAMES))}"
        raise ValueError(message)
    return Template(option, text, names, compiled)


def parse_tags(text: str) -> tuple[Template, ...]:
    r"""Read a list of templates with commas between them (`\,` is none); one with `{% … %}` is a single template.

    Raises:
        ValueError: one of them cannot be meant.
    """
    items = [text] if "{%" in text else _split_outside(text, _COMMA)
    return tuple(parse_template("--tags", item.strip()) for item in items if item.strip())


def parse_name(text: str) -> Template:
    """Read the template of a service's name.

    Raises:
        ValueError: it cannot be meant.
    """
    if not text.strip():
        raise ValueError("it is empty: no service would have a name")
    return parse_template("--name-template", text)


def parse_attribute(text: str) -> tuple[str, Template]:
    """Read `KEY=TEMPLATE`; the key is what may follow `SERVICE_`, and comes in lower case.

    Raises:
        ValueError: it cannot be meant.
    """
    key, equals, template = text.partition("=")
    word = key.strip().lower()
    if not equals or _KEY.fullmatch(word) is None:
        message = f"expected KEY=TEMPLATE, got {text!r}"
        raise ValueError(message)
    if is_said_once(word):
        message = f"{key.strip()!r} cannot be said of all containers"
        raise ValueError(message)
    return word, parse_template(f"--attribute {word}", template)


def split_words(text: str) -> list[str]:
    """Split at white space outside of what Jinja2 reads, as an environment variable with several templates is."""
    return [word for word in _split_outside(text, _SPACE) if word]


def _check_alone(tree: nodes.Template) -> None:
    for node in tree.find_all(_LOADING):
        raise jinja2.TemplateSyntaxError("there is no other template to load", node.lineno)


def _split_outside(text: str, separator: str) -> list[str]:
    items = [""]
    try:
        for _, kind, piece in _SANDBOX.lex(text):
            first, *others = re.split(separator, piece) if kind == "data" else [piece]
            items[-1] += first
            items += others
    except jinja2.TemplateSyntaxError:
        # Whoever reads it as one template says what is wrong with it.
        return [text]
    return items


def _advice(text: str) -> str:
    if _GO.search(text):
        return " (this is Jinja2, not Go: {{ hostname }}, not {{.Config.Hostname}})"
    if "httpGet" in text:
        return " (httpGet is not offered: a template must not wait for a network)"
    return ""


def _checked(text: str) -> str:
    if len(text) > OUTPUT_MOST_CHARACTERS:
        message = f"it comes to {len(text)} characters, more than {OUTPUT_MOST_CHARACTERS}"
        raise ValueError(message)
    if _has(text, (0x00, 0x1F), (0x7F, 0x9F)):
        raise ValueError("it comes to a text with a control character")
    if _has(text, (0xD800, 0xDFFF)):
        raise ValueError("it comes to half a character")
    return text


def _has(text: str, *ranges: tuple[int, int]) -> bool:
    return any(first <= ord(character) <= last for character in text for first, last in ranges)
