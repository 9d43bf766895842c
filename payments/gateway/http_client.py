"""The HTTP client of Stripe's library: bounded in time and size, without redirects."""

import time
from collections.abc import Mapping
from typing import Any

import httpx
import stripe

MOST_BYTES = 1 << 20


class BoundedClient(stripe.HTTPClient):
    """Stripe's own clients bound each read but not the whole call, accept an answer of any size,
    and follow redirects.

    seconds: for the whole call.
    """

    name = "bounded"

    def __init__(self, *, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds
        self.http = httpx.Client(timeout=seconds, follow_redirects=False)

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        post_data: Any = None,
        **ignored: Any,
    ) -> tuple[str, int, Mapping[str, str]]:
        try:
            with self.http.stream(
                method.upper(), url, headers=dict(headers or {}), content=post_data
            ) as response:
                until, body = time.monotonic() + self.seconds, b""
                for part in response.iter_bytes():
                    body += part
                    if len(body) > MOST_BYTES or time.monotonic() > until:
                        raise httpx.ReadError("the answer is too large or too slow")
                return body.decode("utf-8", "replace"), response.status_code, response.headers
        except httpx.HTTPError as error:
            name = type(error).__name__
            raise stripe.APIConnectionError(f"{name} at {httpx.URL(url).host}") from None  # type: ignore[no-untyped-call]

    def close(self) -> None:
        self.http.close()
