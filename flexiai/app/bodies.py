"""What callers of the chat endpoints send. A misspelt field is an error, as everywhere in FlexiAI."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from flexiai.chat import ChatRequest
from flexiai.operating import LONGEST_S

RESERVED_OPTIONS = frozenset({"messages", "model", "temperature", "max_tokens", "request_id", "stream"})

Text = Annotated[str, Field(max_length=10_000)]


class DirectChat(BaseModel):
    """The body of `/chat/direct`: one message of the user. `temperature` null: the provider's own default."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    message: Text
    temperature: float | None = Field(0.7, ge=0.0, le=2.0)
    max_tokens: int | None = Field(None, gt=0, le=4000)

    def asked(self, asked_as: str) -> ChatRequest:
        """The request, under this id."""
        return ChatRequest(
            messages=({"role": "user", "content": self.message},),
            temperature=self.temperature,
            max_tokens=self.max_tokens,
            request_id=asked_as,
        )


class Word(BaseModel):
    """What an operator says with a reset: why, if anything."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    reason: str | None = Field(None, max_length=1000)


class TimedWord(Word):
    """What an operator says with a hold: for how many seconds, and why."""

    for_s: float = Field(gt=0, le=LONGEST_S)


class Turn(BaseModel):
    """One message of a conversation, in OpenAI's shape; further fields go to the provider as they are."""

    model_config = ConfigDict(extra="allow", hide_input_in_errors=True)

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[dict[str, Any]] | None = None


class FullChat(BaseModel):
    """The body of `/chat`: one `message`, or a conversation as `messages`.

    `model` is asked of every provider instead of its configured one; `options` are further OpenAI parameters.
    """

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    message: Text | None = None
    messages: list[Turn] | None = Field(None, min_length=1)
    model: str | None = Field(None, min_length=1, max_length=200)
    temperature: float | None = Field(0.7, ge=0.0, le=2.0)
    max_tokens: int | None = Field(None, gt=0, le=4000)
    options: dict[str, Any] = {}

    @model_validator(mode="after")
    def _says_something_once(self) -> FullChat:
        if (self.message is None) == (self.messages is None):
            raise ValueError("give either message or messages")
        reserved = sorted(RESERVED_OPTIONS & self.options.keys())
        if reserved:
            raise ValueError(f"options must not contain {reserved[0]}")
        return self

    def asked(self, asked_as: str) -> ChatRequest:
        """The request, under this id."""
        turns = tuple(turn.model_dump(exclude_unset=True) for turn in self.messages or ())
        return ChatRequest(
            messages=turns or ({"role": "user", "content": self.message},),
            model=self.model,
            temperature=self.temperature,
            max_tokens=self.max_tokens,
            options=self.options,
            request_id=asked_as,
        )


Body = DirectChat | FullChat
