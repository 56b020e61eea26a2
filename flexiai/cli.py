"""`flexiai`: what an operator says to a running fleet, from a shell.

It speaks to the service's HTTP API; any one worker answers, and the others are told by the fleet's store.

Rules
-----
* Exit codes: 0 done; 1 the service refused, or could not do it; 2 wrong arguments; 3 the service cannot be reached.
* The token is read from an environment variable, goes into one header, and nowhere else: not into the command's
  arguments, which every user of the host can see, nor into what is printed. No redirect is followed with it.
* A token that goes to another host in clear text is worth a warning: whoever listens on the way can operate too.
* The standard library alone: it must start where nothing but the package is installed.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import ssl
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import SplitResult, quote, urlsplit

DONE, REFUSED, WRONG, UNREACHABLE = 0, 1, 2, 3
DEFAULT_URL = "http://127.0.0.1:8000"
TOKEN_VARIABLE = "FLEXIAI_ADMIN_TOKEN"  # noqa: S105 - its name
TIMEOUT_S = 10.0
LONGEST_ANSWER = 1_000_000
_LOOPBACK = re.compile(r"localhost|127\.\d+\.\d+\.\d+|::1")
_DURATION = re.compile(r"(?P<number>\d+(?:\.\d+)?)(?P<unit>ms|s|m|h)?")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


class Failed(Exception):
    """It was not done; `code` is how the command ends."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; how the command is to end."""
    asked = _parser().parse_args(arguments)
    try:
        for line in _done(asked):
            print(line)
    except Failed as failed:
        print(f"flexiai: {failed}", file=sys.stderr)
        return failed.code
    return DONE


def seconds(text: str) -> float:
    """`10m`, `90s`, `1.5h` or `600` in seconds; ArgumentTypeError for anything else."""
    match = _DURATION.fullmatch(text.strip())
    if match is None or not 0 < (value := float(match["number"]) * _UNITS[match["unit"] or "s"]) <= 86_400:
        raise argparse.ArgumentTypeError(f"{text!r} is no duration up to a day, such as 90s, 10m or 1h")
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="flexiai", description="Operate the providers of a running FlexiAI service.")
    where = argparse.ArgumentParser(add_help=False)
    where.add_argument("--url", type=_url, default=DEFAULT_URL, help=f"where the service is (default {DEFAULT_URL})")
    where.add_argument(
        "--token-env",
        metavar="NAME",
        default=TOKEN_VARIABLE,
        help=f"environment variable that holds the operators' token (default {TOKEN_VARIABLE}; unset: none is sent)",
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    verbs.add_parser("providers", parents=[where], help="show every provider as one worker sees it")
    for verb, what in (
        ("open", "let nobody ask a provider for a time"),
        ("drain", "make it the last resort for a time"),
    ):
        timed = verbs.add_parser(verb, parents=[where], help=what)
        timed.add_argument("name", help="the provider")
        timed.add_argument(
            "--for", dest="for_s", type=seconds, required=True, metavar="TIME", help="such as 90s or 10m"
        )
        timed.add_argument("--reason", required=True, help="one line, shown wherever the provider is")
    reset = verbs.add_parser("reset", parents=[where], help="close a provider's circuit and end what holds it")
    reset.add_argument("name", help="the provider")
    reset.add_argument("--reason", help="one line")
    return parser


def _url(text: str) -> SplitResult:
    url = urlsplit(text.rstrip("/"))
    try:
        sound = url.scheme in ("http", "https") and url.hostname and url.port != 0 and not url.query
    except ValueError:
        sound = False
    if not sound or url.username is not None or url.password is not None:
        raise argparse.ArgumentTypeError("expected something like http://host:8000, without a user or password")
    return url


def _done(asked: argparse.Namespace) -> Iterator[str]:
    url = asked.url if isinstance(asked.url, SplitResult) else _url(asked.url)
    token = os.environ.get(asked.token_env, "").strip()
    if asked.verb == "providers":
        answer = _ask(url, "GET", "/providers", token)
        yield from (_line(provider) for provider in answer["providers"])
        return
    body = {"reason": asked.reason} | ({} if asked.verb == "reset" else {"for_s": asked.for_s})
    answer = _ask(url, "POST", f"/providers/{quote(asked.name, safe='')}/{asked.verb}", token, body)
    yield _line(answer["provider"])
    yield f"worker {answer['worker_id']} did it; the others are told through the fleet's store"


def _ask(url: SplitResult, method: str, path: str, token: str, body: Mapping[str, Any] | None = None) -> Any:
    """The service's answer; Failed says what is wrong, without the token."""
    headers = {"Accept": "application/json", "Content-Type": "application/json"}
    if token:
        headers["Authorization"] = _authorization(url, token)
    connection = _connection(url)
    try:
        content = None if body is None else json.dumps(body).encode()
        connection.request(method, url.path + path, content, headers)
        answer = connection.getresponse()
        raw = answer.read(LONGEST_ANSWER)
    except (OSError, http.client.HTTPException) as error:
        raise Failed(f"{_shown(url)} does not answer: {type(error).__name__}: {error}", UNREACHABLE) from None
    finally:
        connection.close()
    return _understood(url, path, answer.status, raw)


def _authorization(url: SplitResult, token: str) -> str:
    if not (token.isascii() and token.isprintable()):
        raise Failed("the token has characters that no header may have", WRONG)
    if url.scheme != "https" and not _LOOPBACK.fullmatch(url.hostname or ""):
        print(f"flexiai: warning: {_shown(url)} is not https, and the token goes there", file=sys.stderr)
    return f"Bearer {token}"


def _connection(url: SplitResult) -> http.client.HTTPConnection:
    host = url.hostname or ""
    if url.scheme == "https":
        return http.client.HTTPSConnection(host, url.port, timeout=TIMEOUT_S, context=ssl.create_default_context())
    return http.client.HTTPConnection(host, url.port, timeout=TIMEOUT_S)


def _understood(url: SplitResult, path: str, status: int, raw: bytes) -> Any:
    try:
        told = json.loads(raw)
    except ValueError:
        told = None
    if not isinstance(told, dict):
        raise Failed(f"{_shown(url)} answered {status} to {path}, but is no FlexiAI service", UNREACHABLE)
    if status == 200 and ("providers" in told or "provider" in told):
        return told
    message = told.get("message") or told.get("error") or "no reason given"
    raise Failed(f"{status}: {message}", REFUSED)


def _shown(url: SplitResult) -> str:
    return f"{url.scheme}://{url.netloc}{url.path}"


def _line(provider: Mapping[str, Any]) -> str:
    """A provider in a line. What a service does not tell is left out: it may be of another version."""
    words = [f"{provider.get('name', '?'):<16} {provider.get('circuit_state', '?'):<9}"]
    words.append("available" if provider.get("available") else "not available")
    words.append(f"({provider.get('reason', '?')})")
    if (retry_in_s := provider.get("retry_in_s")) is not None:
        words.append(f"probe in {retry_in_s:.0f} s")
    hold = provider.get("mode")
    if hold not in (None, "normal"):
        words.append(f"held: {hold}")
    if provider.get("held_for_s") is not None:
        words.append(f"for {provider['held_for_s']:.0f} s")
    if provider.get("note"):
        words.append(f"because: {provider['note']}")
    return " ".join(words)


if __name__ == "__main__":
    sys.exit(main())
