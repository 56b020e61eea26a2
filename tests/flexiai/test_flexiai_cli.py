"""The operators' command line, against a small HTTP server that answers as told and remembers what it was asked."""

from __future__ import annotations

import argparse
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from flexiai import cli

TOKEN = "a-token-of-operators"
PROVIDER = {
    "name": "openai",
    "circuit_state": "OPEN",
    "available": False,
    "reason": "forced_open",
    "retry_in_s": 599.6,
    "mode": "open",
    "held_for_s": 599.6,
    "note": "a deploy",
}


class Service:
    """One answer for every request, and the requests."""

    def __init__(self) -> None:
        self.status, self.body = (
            200,
            json.dumps({"worker_id": 7, "provider": PROVIDER, "providers": [PROVIDER]}).encode(),
        )
        self.asked: list[tuple[str, str, str | None, Any]] = []
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length)) if length else None
                service.asked.append((self.command, self.path, self.headers.get("Authorization"), body))
                self.send_response(service.status)
                self.send_header("Content-Length", str(len(service.body)))
                self.end_headers()
                self.wfile.write(service.body)

            do_POST = do_GET

            def log_message(self, *_: Any) -> None:
                """Silent."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def service() -> Iterator[Service]:
    service = Service()
    thread = threading.Thread(target=service.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield service
    service.server.shutdown()
    service.server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def _no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLEXIAI_ADMIN_TOKEN", raising=False)


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        (["providers"], ("GET", "/providers", None, None)),
        (
            ["open", "openai", "--for", "10m", "--reason", "a deploy"],
            ("POST", "/providers/openai/open", None, {"for_s": 600.0, "reason": "a deploy"}),
        ),
        (
            ["drain", "a.b-c_d", "--for", "90s", "--reason", "x"],
            ("POST", "/providers/a.b-c_d/drain", None, {"for_s": 90.0, "reason": "x"}),
        ),
        (["reset", "../x"], ("POST", "/providers/..%2Fx/reset", None, {"reason": None})),
    ],
)
def test_it_asks_the_service_and_shows_the_provider(
    service: Service, capsys: pytest.CaptureFixture[str], arguments: list[str], asked: Any
) -> None:
    assert cli.main([*arguments, "--url", service.url + "/"]) == cli.DONE
    assert service.asked == [asked]
    said = capsys.readouterr().out
    assert said.startswith("openai           OPEN      not available (forced_open) probe in 600 s held: open")
    assert "because: a deploy" in said


def test_the_token_is_sent_and_never_shown(
    service: Service, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MINE", TOKEN)
    service.status, service.body = 401, b'{"error": "unauthorized", "message": "no such token"}'
    assert cli.main(["providers", "--url", service.url, "--token-env", "MINE"]) == cli.REFUSED
    assert service.asked[0][2] == f"Bearer {TOKEN}"
    said = capsys.readouterr()
    assert said.err == "flexiai: 401: no such token\n"
    assert TOKEN not in said.out + said.err


def test_a_token_that_goes_elsewhere_in_clear_text_is_warned_of(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLEXIAI_ADMIN_TOKEN", TOKEN)
    monkeypatch.setattr(cli, "_connection", _nobody)
    assert cli.main(["providers", "--url", "http://web-1:8000"]) == cli.UNREACHABLE
    said = capsys.readouterr().err
    assert "warning: http://web-1:8000 is not https" in said
    assert TOKEN not in said


def _nobody(_: object) -> Any:
    class Nobody:
        def request(self, *_: object) -> None:
            raise ConnectionRefusedError("nobody is there")

        def close(self) -> None:
            """Nothing is open."""

    return Nobody()


@pytest.mark.parametrize("token", ["a\nb", "é"])
def test_a_token_that_no_header_can_carry_is_refused_without_showing_it(
    service: Service, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    monkeypatch.setenv("FLEXIAI_ADMIN_TOKEN", token)
    assert cli.main(["providers", "--url", service.url]) == cli.WRONG
    assert service.asked == []
    assert token not in capsys.readouterr().err


def test_a_refusal_is_told_and_fails(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    service.status, service.body = 404, b'{"error": "unknown_provider", "message": "there is no provider called x"}'
    assert cli.main(["reset", "x", "--url", service.url]) == cli.REFUSED
    assert capsys.readouterr().err == "flexiai: 404: there is no provider called x\n"


@pytest.mark.parametrize("body", [b"<html>", b"[1]", b"\xff", b""])
def test_what_is_no_flexiai_service_is_said_to_be_none(
    service: Service, capsys: pytest.CaptureFixture[str], body: bytes
) -> None:
    service.body = body
    assert cli.main(["providers", "--url", service.url]) == cli.UNREACHABLE
    assert "is no FlexiAI service" in capsys.readouterr().err


def test_nobody_there_is_its_own_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["providers", "--url", "http://127.0.0.1:1"]) == cli.UNREACHABLE
    assert "does not answer" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["open", "x"],
        ["open", "x", "--for", "10m"],
        ["open", "x", "--for", "0s", "--reason", "x"],
        ["open", "x", "--for", "25h", "--reason", "x"],
        ["open", "x", "--for", "soon", "--reason", "x"],
        ["providers", "--url", "host:8000"],
        ["providers", "--url", "http://me:secret@host"],
        ["providers", "--url", "http://host:99999"],
    ],
)
def test_wrong_arguments_are_exit_code_2_and_no_secret_is_repeated(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == cli.WRONG
    assert "secret" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "value"), [("250ms", 0.25), ("90s", 90.0), ("10m", 600.0), ("1.5h", 5400.0), ("7", 7.0)]
)
def test_durations_have_units(text: str, value: float) -> None:
    assert cli.seconds(text) == value


def test_a_duration_beyond_a_day_is_none() -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        cli.seconds("86401s")
