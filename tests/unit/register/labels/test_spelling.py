"""Guesses at what was meant: only where something is nearly ours, and never with a stranger's value."""

from __future__ import annotations

import pytest

from mooring_register.containers import Container
from mooring_register.labels.descriptor import read_descriptor
from mooring_register.labels.spelling import guesses


def guessed(labels: dict[str, str], ports: tuple[int, ...] = (80,)) -> list[str]:
    """Return the guesses at these labels, which Docker knows as they are."""
    ours = {name: value for name, value in labels.items() if name.startswith("SERVICE_")}
    others = {name: value for name, value in labels.items() if name not in ours}
    container = Container(id="c", name="/web.1", labels=ours, other_labels=others)
    return list(guesses(container, read_descriptor("web.1", ours, {}), ports, "BACKEND_"))


@pytest.mark.parametrize(
    ("label", "meant"),
    [
        ("SERVICE_NAMES", "SERVICE_NAME"),
        ("SERVICE_TAG", "SERVICE_TAGS"),
        ("SERVICE_WIEGHT", "SERVICE_WEIGHT"),
        ("SERVICE_80_NAMES", "SERVICE_80_NAME"),
        ("SERVICE_NAME_80", "SERVICE_80_NAME"),
        ("SERVCE_NAME", "SERVICE_NAME"),
        ("SERVICES_NAME", "SERVICE_NAME"),
        ("SERVICE-NAME", "SERVICE_NAME"),
        ("SERVICE.80.NAME", "SERVICE_80_NAME"),
        ("service_name", "SERVICE_NAME"),
        ("service_80_name", "SERVICE_80_NAME"),
        ("service_check_http", "SERVICE_CHECK_HTTP"),
        ("BACKED_DB", "BACKEND_DB"),
        ("backend_DB", "BACKEND_DB"),
    ],
)
def test_a_label_that_is_nearly_ours_is_guessed_at(label: str, meant: str) -> None:
    """A letter too many or too few, two swapped, the wrong case or separator: it is asked what was meant."""
    (one,) = guessed({label: "secret"})
    assert label in one
    assert one.endswith(f"did you mean {meant}?")
    assert "secret" not in one


@pytest.mark.parametrize(
    "label",
    [
        "SERVICE_NAME",
        "SERVICE_80_NAME",
        "SERVICE_80_TCP_NAME",
        "SERVICE_REGION",
        "SERVICE_NODE",
        "SERVICE_VERSION",
        "SERVICE_NAME_IPV4",
        "SERVICE_CHECK_HTTP",
        "BACKEND_DB",
        "com.docker.compose.service",
        "org.opencontainers.image.version",
        "maintainer",
        "service",
        "",
    ],
)
def test_what_is_right_or_somebody_elses_is_left_alone(label: str) -> None:
    """A guess at what is no mistake would teach people not to read guesses."""
    assert guessed({label: "x"}) == []


def test_a_port_that_is_not_there_is_told_with_those_that_are() -> None:
    """Whoever mistook the published port for the container's sees which ports he could have meant."""
    (one,) = guessed({"SERVICE_8080_NAME": "x"}, (80, 443))
    assert one == (
        "label SERVICE_8080_NAME speaks of port 8080, which it does not have; "
        "did you mean SERVICE_80_NAME or SERVICE_443_NAME?"
    )
    assert guessed({"SERVICE_8080_NAME": "x"}, ()) == []
