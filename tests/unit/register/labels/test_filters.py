"""Which containers count."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring_register.containers import Container, Network
from mooring_register.labels.filters import parse_filter, reason_against

WEB = Container(
    id="c1",
    name="/shop.web.1",
    image="registry:5000/team/web:1.2",
    labels={"SERVICE_NAME": "web"},
    other_labels={"tier": "front", "empty": "", "k=v": "x"},
    network_mode="shop_default",
    networks=(Network("front", "172.18.0.2"), Network("shop_default", "172.19.0.2")),
)


def is_let_in(*filters: str, container: Container = WEB) -> bool:
    """Tell whether all these filters let a container in."""
    return not reason_against([parse_filter(text) for text in filters], container)


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("label=tier", True),
        ("label=tier=front", True),
        ("label=tier=", False),
        ("label=tier=fron*", False),
        ("label=Tier", False),
        ("label=empty=", True),
        ("label=SERVICE_NAME=web", True),
        ("name=shop.web.1", True),
        ("name=/shop.web.1", True),
        ("name=shop.*", True),
        ("name=web", False),
        ("name=SHOP.*", False),
        ("image=registry:5000/team/web", True),
        ("image=registry:5000/team/web:1.2", True),
        ("image=registry:5000/team/web:*", True),
        ("image=*/web", True),
        ("image=web", False),
        ("network=front", True),
        ("network=shop_default", True),
        ("network=fr*", False),
    ],
)
def test_filter(text: str, holds: bool) -> None:
    """A filter lets in what it holds for, its negation all else."""
    word, _, wanted = text.partition("=")
    assert is_let_in(text) is holds
    assert is_let_in(f"{word}!={wanted}") is not holds


def test_host_network() -> None:
    """A container in the host's network is found by Docker's word for that."""
    assert is_let_in("network=host", container=Container(id="c", name="/a", network_mode="host"))


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (("name=web", "name=shop.*"), True),
        (("name=web", "name=db"), False),
        (("label=tier", "label=empty"), True),
        (("label=tier", "label=other"), False),
        (("name=shop.*", "label=other"), False),
        (("name=shop.*", "image=*/web", "network=front"), True),
        (("name=shop.*", "name!=*.1"), False),
        (("name!=db", "name!=cache"), True),
        ((), True),
    ],
)
def test_several_filters(filters: tuple[str, ...], expected: bool) -> None:
    """As with Docker: each label, and one of each other word; what a negated one holds for is out."""
    assert is_let_in(*filters) is expected


def test_reasons_name_the_filters_and_nothing_of_the_container() -> None:
    """The reason is what the operator wrote: a label's value may be nobody's business."""
    filters = [parse_filter("name=db"), parse_filter("name=cache")]
    assert reason_against(filters, WEB) == "it is not what --filter name=db or name=cache asks for"
    assert reason_against([parse_filter("label!=tier")], WEB) == "--filter label!=tier leaves it out"


@pytest.mark.parametrize("text", ["", "name", "name=", "=x", "!=x", "port=80", "label", "label!=", "Name=x"])
def test_no_filter(text: str) -> None:
    """A filter that nobody understands is refused with those that are."""
    with pytest.raises(ValueError, match="expected label=KEY"):
        parse_filter(text)


@given(st.sampled_from(["label", "name", "image", "network"]), st.text(min_size=1), st.booleans())
def test_a_filter_is_shown_as_it_was_given(word: str, wanted: str, is_negated: bool) -> None:
    """Any text can be asked for, and never raises."""
    text = f"{word}{'!=' if is_negated else '='}{wanted}"
    one = parse_filter(text)
    assert str(one) == text
    reason_against([one], WEB)
