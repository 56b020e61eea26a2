"""The chat endpoints in the OpenAPI schema: FastAPI does not see them, for they are plain ASGI."""

from __future__ import annotations

from typing import Any

import msgspec
from pydantic.json_schema import models_json_schema

from flexiai.app.bodies import DirectChat, FullChat
from flexiai.app.openai import Completion, ErrorBody, Question
from flexiai.app.replies import ChatReply, ErrorReply, FullChatReply

_REF = "#/components/schemas/{%s}"

_ERRORS = {
    "401": "A key is wanted",
    "4XX": "The request is not one, or a provider refused it",
    "503": "No provider could answer; Retry-After says when to try again",
    "504": "The request's time ran out",
}


def with_chat(schema: dict[str, Any]) -> dict[str, Any]:
    """`schema` with the chat endpoints in it."""
    _, bodies = models_json_schema([(DirectChat, "validation"), (FullChat, "validation")], ref_template=_REF % "model")
    told = [ChatReply, FullChatReply, ErrorReply, Question, Completion, ErrorBody]
    _, answers = msgspec.json.schema_components(told, ref_template=_REF % "name")
    schema.setdefault("components", {}).setdefault("schemas", {}).update({**bodies["$defs"], **answers})
    schema["paths"]["/chat"] = {"post": _operation("Chat: a message or a conversation", "FullChat", "FullChatReply")}
    schema["paths"]["/chat/direct"] = {"post": _operation("Chat: one message, its answer", "DirectChat", "ChatReply")}
    completions = _operation("Chat as OpenAI's API has it; further fields go to the provider", "Question", "Completion")
    schema["paths"]["/v1/chat/completions"] = {"post": _with_errors(completions, "ErrorBody")}
    return schema


def _operation(summary: str, body: str, answer: str) -> dict[str, Any]:
    operation = {
        "summary": summary,
        "requestBody": {"required": True, "content": _content(body)},
        "responses": {"200": {"description": "The answer", "content": _content(answer)}},
    }
    return _with_errors(operation, "ErrorReply")


def _with_errors(operation: dict[str, Any], shape: str) -> dict[str, Any]:
    errors = {status: {"description": text, "content": _content(shape)} for status, text in _ERRORS.items()}
    return {**operation, "responses": {**operation["responses"], **errors}}


def _content(name: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}
