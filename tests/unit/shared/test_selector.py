"""What a listener asks for: names, paths on segment borders, patterns, tags."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.catalog import Catalog, catalog_of
from mooring.model import Address, Instance
from mooring.selector import Selector, parse_selector
from tests.strategies import catalogs

NAMES = st.text(st.characters(exclude_categories=["Cs", "Z", "Cc"], exclude_characters="[];="), min_size=1, max_size=12)
TAGS = st.text(st.characters(exclude_categories=["Cs", "Z", "Cc"], exclude_characters="[];,"), min_size=1, max_size=6)


def instance(service: str = "web", path: str = "", *tags: str) -> Instance:
    """Return an instance of a service, found under a path, with tags."""
    return Instance(service=service, id="h:web:80", address=Address("10.0.0.5", 80), path=path, tags=tags)


@pytest.mark.parametrize(
    ("selector", "service", "selected"),
    [
        ("web", "web", True),
        ("web", "web2", False),
        ("web", "web/v1", False),
        ("hello/v1", "hello/v1", True),
        ("hello/*", "hello/v1", True),
        ("hello/*", "hello", False),
        ("hello/*", "hello/v1/x", False),
        ("*", "web", True),
        ("*", "hello/v1", False),
        ("*/v1", "hello/v1", True),
        ("h*", "hello", False),
    ],
)
def test_name_is_exact_but_for_whole_segments(selector: str, service: str, selected: bool) -> None:
    """A name means the service of exactly that name; a star stands for one whole segment and nothing else."""
    assert parse_selector(selector).selects(instance(service, "/services/x")) is selected


@pytest.mark.parametrize(
    ("selector", "path", "selected"),
    [
        ("/services/prod", "/services/prod/db/h:db:1", True),
        ("/services/prod", "/services/prod", True),
        ("/services/prod/", "/services/prod/db", True),
        ("/services/prod", "/services/production/db", False),
        ("/services/prod", "/services", False),
        ("/services/*/db", "/services/prod/db/h:db:1", True),
        ("/services/*/db", "/services/prod/web/db", False),
        ("/", "/services/prod/db", True),
        ("/", "", True),
        ("/services", "", False),
    ],
)
def test_path_selects_on_segment_borders(selector: str, path: str, selected: bool) -> None:
    """A path selects what lies under it, never what merely begins with the same letters; the root selects all."""
    assert parse_selector(selector).selects(instance("anything", path)) is selected


def test_all_tags_are_wanted() -> None:
    """Tags narrow the selection to the instances that carry every one of them."""
    both, one = instance("web", "", "eu", "master"), instance("web", "", "eu")
    assert parse_selector("web[master,eu]").selects(both)
    assert not parse_selector("web[master,eu]").selects(one)
    assert parse_selector("web").selects(one)


@given(NAMES, st.lists(TAGS, max_size=3))
def test_selector_reads_as_it_is_written(name: str, tags: list[str]) -> None:
    """Whatever `str` writes of a selector, `parse_selector` reads."""
    selector = Selector(name, tuple(tags))
    assert parse_selector(str(selector)) == selector


@pytest.mark.parametrize(
    "text", ["", "web[", "web[]", "web]", "web[a", "web[a,]", "[a]", "web[a][b]", "a b", "web;x", "a=b"]
)
def test_selector_that_is_none_is_refused(text: str) -> None:
    """Anything else is an error that shows what was given."""
    with pytest.raises(ValueError, match="expected SERVICE"):
        parse_selector(text)


@given(catalogs(), st.sampled_from(["web", "hello/v1", "*", "hello/*", "/", "/services", "nothing"]))
def test_selection_is_every_instance_that_is_asked_for(catalog: Catalog, name: str) -> None:
    """The short way through the catalog finds the same as looking at each instance."""
    selector = Selector(name)
    assert list(selector.instances(catalog)) == [each for each in catalog.instances() if selector.selects(each)]


def test_selection_in_a_catalog() -> None:
    """A name finds its service's instances and no others."""
    web, other = instance("web"), instance("other")
    assert list(parse_selector("web").instances(catalog_of([web, other]))) == [web]
