"""The calls that a test makes to its sandbox."""

import httpx

from coatcheck.testing.sandbox import SandboxClock


def test_a_move_of_the_clock_may_take_an_hour() -> None:
    limits = []

    def answer(request: httpx.Request) -> httpx.Response:
        limits.append(request.extensions["timeout"]["read"])
        return httpx.Response(
            200, json={"clock": {}, "ran": {"jobs": 20_000, "events": 0, "expired_tokens": 0}}
        )

    with httpx.Client(base_url="http://sandbox", transport=httpx.MockTransport(answer)) as client:
        assert SandboxClock(client).advance("400d")["jobs"] == 20_000
    assert limits == [3600]
