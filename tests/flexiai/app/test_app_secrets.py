"""No secret shows: in no answer, no log line, no journal, no file of metrics."""

from __future__ import annotations

import http.client
import json
import signal
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from uvicorn_process import PATIENCE_S, address_in, listening, read_until, rest_of, uvicorn

from tests.provider_process import provider_process

SECRETS = {
    "OPENAI_API_KEY": "sk-SECRET-of-the-vendor-1",
    "ANTHROPIC_API_KEY": "sk-ant-SECRET-of-the-vendor-2",
    "REDIS_PASSWORD": "SECRET-of-redis-3",
    "FLEXIAI_ADMIN_TOKEN": "SECRET-of-the-operators-4",
    "FLEXIAI_API_KEYS": "SECRET-of-the-callers-5",
}
BODY = json.dumps({"model": "flexiai", "messages": [{"role": "user", "content": "hi"}]})
ASKED = [
    ("POST", "/chat/direct", '{"message": "hi"}'),
    ("POST", "/chat", '{"message": "hi"}'),
    ("POST", "/v1/chat/completions", BODY),
    ("POST", "/v1/chat/completions", BODY[:-1] + ', "stream": true}'),
    ("POST", "/v1/chat/completions", "{"),
    ("GET", "/v1/models", None),
    ("GET", "/v1/models/nothing", None),
    ("GET", "/health", None),
    ("GET", "/health/ready", None),
    ("GET", "/metrics", None),
    ("GET", "/metrics?format=prometheus", None),
    ("GET", "/providers", None),
    ("POST", "/providers/openai/drain", '{"for_s": 1, "reason": "a test"}'),
    ("POST", "/providers/openai/reset", None),
    ("GET", "/openapi.json", None),
    ("GET", "/nowhere", None),
]


def asked(address: str, method: str, path: str, body: str | None, authorization: str | None) -> str:
    """All of one answer: its head and its body."""
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=PATIENCE_S)
    try:
        connection.request(method, path, body, {"Authorization": authorization} if authorization else {})
        answer = connection.getresponse()
        return f"{answer.status} {answer.getheaders()} {answer.read().decode()}"
    finally:
        connection.close()


@pytest.mark.real
@pytest.mark.parametrize("log_format", ["guide", "json"])
@pytest.mark.parametrize("status", [None, 401, 400])
def test_nothing_that_can_be_seen_holds_a_secret(tmp_path: Path, log_format: str, status: int | None) -> None:
    journals = tmp_path / "journals"
    journals.mkdir()
    with provider_process(tmp_path) as provider:
        if status is not None:  # with the key in its words, as vendors' errors have it
            echo = f"Incorrect API key provided: {SECRETS['OPENAI_API_KEY']}"
            assert provider.put(0, inject="error", status=status, message=echo) == 200
        variables = {
            **SECRETS,
            "OPENAI_BASE_URL": provider.openai_url,
            "ANTHROPIC_BASE_URL": "http://127.0.0.1:9",
            "REDIS_HOST": "127.0.0.1",
            "REDIS_PORT": "9",
            "FLEXIAI_JOURNAL_DIR": str(journals),
            "FLEXIAI_LOG_LEVEL": "debug",
            "FLEXIAI_LOG_FORMAT": log_format,
            "TMPDIR": str(tmp_path),
        }
        if log_format == "json":
            variables["REDIS_URL"] = f"redis://:{SECRETS['REDIS_PASSWORD']}@127.0.0.1:9/0"
        with uvicorn(tmp_path, "--log-level", "debug", **variables) as process:
            told = read_until(process, "Uvicorn running on")
            address = listening(address_in(told))
            seen = [
                asked(address, method, path, body, authorization)
                for method, path, body in ASKED
                for authorization in (
                    None,
                    f"Bearer {SECRETS['FLEXIAI_API_KEYS']}",
                    f"Bearer {SECRETS['FLEXIAI_ADMIN_TOKEN']}",
                )
            ]
            process.send_signal(signal.SIGTERM)
            told += rest_of(process)
        files = [p.read_bytes().decode(errors="replace") for p in tmp_path.rglob("*") if p.is_file()]
    served = [one for one in seen if "x-flexiai-provider" in one and one.startswith("200")]
    assert bool(served) is (status is None)
    if status is not None:
        assert any("Incorrect API key provided" in where for where in (told, *seen, *files)), "nothing was echoed"
    assert any('"kind":"request.ended"' in file for file in files)
    assert "Failed to connect to Redis" in told
    for secret in SECRETS.values():
        shown = [where for where in (told, *seen, *files) if secret in where]
        assert shown == [], secret
