"""The way to this host's register: its admin server, where ends are announced. An edge."""

from __future__ import annotations

import json
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from typing import Final

from mooring.errors import DocumentError, Unavailable
from mooring.model import Address
from mooring_register.stop.announcement import PATH, Announcement, Answer, decode_answer, encode_announcement

_ANSWER_SECONDS: Final = 2.0


class RegisterClient:
    """A register at the address of its admin server, which is on this very machine."""

    def __init__(self, address: Address) -> None:
        self._address = address

    def announce(self, announcement: Announcement) -> Answer:
        """Say that a container will be stopped.

        Raises:
            Unavailable: no answer, or one that makes no sense.
        """
        connection = HTTPConnection(self._address.host, self._address.port, timeout=_ANSWER_SECONDS)
        body = json.dumps(encode_announcement(announcement))
        try:
            connection.request("POST", PATH, body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            text = response.read()
            if response.status != HTTPStatus.OK:
                raise Unavailable(f"{self._address} answers {response.status} {text.decode(errors='replace')[:200]}")
            return decode_answer(json.loads(text))
        except (OSError, HTTPException, ValueError, DocumentError) as error:
            raise Unavailable(f"{self._address}: {error}") from None
        finally:
            connection.close()
