"""The exceptions themselves."""

from __future__ import annotations

import pickle
import subprocess
import sys

import pytest
import requests

from smcp import errors
from smcp.errors import ERROR_KINDS, SEALError, SMCPConnectionError, SMCPError, SMCPHTTPError, SMCPTimeoutError


def test_published_constructor() -> None:
    error = SMCPError("text", 1001)
    assert (str(error), error.status_code, error.code, error.number) == ("text", 1001, "INVALID_SIGNATURE", 1001)
    plain = SMCPError("text")
    assert (plain.status_code, plain.code, plain.number, plain.http_status, plain.details) == (
        None,
        None,
        None,
        None,
        {},
    )
    assert SMCPError("text", status_code=9999).code is None
    assert plain.executed is None


def test_the_table() -> None:
    numbers = {str(kind.code): kind.number for kind in ERROR_KINDS}
    assert len(numbers) == len(ERROR_KINDS) == 35
    assert numbers["REPLAY_DETECTED"] == 1008
    assert errors.ErrorCode.TOKEN_EXPIRED == "TOKEN_EXPIRED"


@pytest.mark.parametrize(
    ("category", "plain", "foreign"),
    [
        ("http", SMCPHTTPError, requests.HTTPError),
        ("connection", SMCPConnectionError, requests.ConnectionError),
        ("timeout", SMCPTimeoutError, requests.Timeout),
    ],
)
@pytest.mark.parametrize("seal", [False, True])
def test_also_the_class_of_requests(
    category: str, plain: type[SMCPError], foreign: type[Exception], seal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def make() -> SMCPError:
        response = (418, [("X-A", "1"), ("x-a", "2")], b"\xff{") if category == "http" else None
        return errors._make(
            category,
            "text",
            seal=seal,
            status_code=4000,
            http_status=418,
            details={"executed": False},
            response=response,
        )

    error = make()
    assert isinstance(error, plain)
    assert isinstance(error, foreign)
    assert isinstance(error, SEALError) is seal
    assert str(error) == "text"
    assert type(error) is type(make())
    assert error.executed is False
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert (str(again), again.__dict__.keys()) == ("text", error.__dict__.keys())
    monkeypatch.delitem(sys.modules, "requests")
    bare = make()
    assert isinstance(bare, plain)
    assert not isinstance(bare, foreign)
    assert isinstance(bare, SEALError) is seal
    if isinstance(error, SMCPHTTPError):
        assert error.response is not None
        assert error.response.headers["X-a"] == "1, 2"
        assert (error.response.ok, error.response.content, error.response.text) == (False, b"\xff{", "\ufffd{")
        with pytest.raises(ValueError, match="."):
            error.response.json()


def test_requests_is_never_imported_and_no_thread_is_started() -> None:
    program = (
        "import sys, threading, os, smcp, smcp.client, smcp.server, smcp.envelope, smcp.crypto\n"
        "assert 'requests' not in sys.modules and 'asyncio' not in sys.modules\n"
        "assert len(os.listdir('/proc/self/task')) == 1\n"
        "try: smcp.SMCPClient('http://127.0.0.1:9', 'w', 's', max_retries=0).attest()\n"
        "except smcp.SMCPError as error: assert type(error) is smcp.SMCPConnectionError\n"
        "assert 'requests' not in sys.modules\n"
        "assert smcp.AsyncSMCPClient.__name__ == 'AsyncSMCPClient'\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_unknown_attribute() -> None:
    import smcp

    with pytest.raises(AttributeError):
        _ = smcp.Nothing
