"""What the two wire formats have in common: a request that is understood, and the words of its answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

Ending = Literal["stop", "stop_sequence", "length", "calls"]


class Rejected(Exception):
    """A request that the vendor refuses: HTTP status, and its message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request asks for.

    words  how many there are in its messages
    usage  a stream tells its tokens too
    calls  the tools that the answer is to call, in place of words
    json   the answer is to be JSON
    """

    model: str
    words: int
    stream: bool
    max_tokens: int | None
    stop: tuple[str, ...]
    usage: bool = True
    calls: tuple[str, ...] = ()
    json: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """A tool that an answer calls, its id's number, and its arguments: a JSON object as text."""

    name: str
    number: int
    arguments: str

    @property
    def pieces(self) -> tuple[str, str]:
        """The arguments, as they are streamed."""
        half = len(self.arguments) // 2
        return self.arguments[:half], self.arguments[half:]


@dataclass(frozen=True, slots=True)
class Told:
    """The words of an answer (here a word is a token), or the tools it calls, why it ended there, and its number."""

    asked: Asked
    words: tuple[str, ...]
    ending: Ending
    number: int
    calls: tuple[Call, ...] = ()

    @property
    def tokens(self) -> int:
        """How many it has: each word, and each piece of a call."""
        return len(self.words) + sum(len(call.pieces) for call in self.calls)

    @property
    def text(self) -> str:
        """The answer's text."""
        return " ".join(self.words)

    @property
    def pieces(self) -> Iterator[str]:
        """The text, word by word, as it is streamed."""
        return (word if i == 0 else f" {word}" for i, word in enumerate(self.words))


class Frame(NamedTuple):
    """A server-sent event of a streamed answer; `token`: it carries one."""

    data: bytes
    token: bool = False


class Wire(Protocol):
    """A vendor's HTTP format."""

    path: str

    def understand(self, body: bytes, headers: Mapping[str, str]) -> Asked:
        """The request, or Rejected."""
        ...

    def answer(self, told: Told) -> bytes:
        """The body of a 200."""
        ...

    def frames(self, told: Told) -> Iterator[Frame]:
        """The server-sent events of a streamed answer."""
        ...

    def error_frame(self, body: bytes) -> bytes:
        """The server-sent event of an error with that body, in a stream that has begun."""
        ...

    def error(self, status: int, message: str, code: str | None = None) -> bytes:
        """The body of an error with an HTTP status; `code` where the usual one will not do."""
        ...


def tell(name: str, asked: Asked, number: int, tokens: int | None = None) -> Told:
    """The answer of provider `name`: always the same to the same request, but for its number.

    `tokens`: how many words it has, counted out beyond the usual ones.
    """
    if asked.calls:
        arguments = f'{{"words": {asked.words}}}'
        calls = tuple(Call(tool, i, arguments) for i, tool in enumerate(asked.calls, 1))
        return Told(asked, (), "calls", number, calls)
    text = f"{name} answers as {asked.model} to {asked.words} words."
    if tokens is not None:
        usual = text.split()
        text = " ".join([*usual, *map(str, range(len(usual) + 1, tokens + 1))][:tokens])
    if asked.json:
        text = f'{{"answer": "{text}"}}'
    cuts = [text.index(s) for s in asked.stop if s and s in text]
    words = tuple((text[: min(cuts)] if cuts else text).split())
    if asked.max_tokens is not None and len(words) > asked.max_tokens:
        return Told(asked, words[: asked.max_tokens], "length", number)
    return Told(asked, words, "stop_sequence" if cuts else "stop", number)


def count_words(texts: Sequence[str]) -> int:
    """How many words there are in some texts."""
    return sum(len(text.split()) for text in texts)


def event(data: bytes, name: str | None = None) -> bytes:
    """One server-sent event."""
    return (b"" if name is None else b"event: " + name.encode() + b"\n") + b"data: " + data + b"\n\n"
