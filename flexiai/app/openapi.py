"""The chat endpoints in the OpenAPI schema: FastAPI does not see them, for they are plain ASGI."""

from __future__ import annotations

from typing import Any

import msgspec
from pydantic.json_schema import models_json_schema

from flexiai.app.bodies import DirectChat, FullChat
from flexiai.app.replies import ChatReply, ErrorReply, FullChatReply

_REF = "#/components/schemas/{%s}"

_ERRORS = {
    "422": "The request is not one",
    "503": "No provider could answer; Retry-After says when to try again",
    "504": "The request's time ran out",
}


def with_chat(schema: dict[str, Any]) -> dict[str, Any]:
    """`schema` with `/chat` and `/chat/direct` in it."""
    _, bodies = models_json_schema([(DirectChat, "validation"), (FullChat, "validation")], ref_template=_REF % "model")
    _, answers = msgspec.json.schema_components([ChatReply, FullChatReply, ErrorReply], ref_template=_REF % "name")
    schema.setdefault("components", {}).setdefault("schemas", {}).update({**bodies["$defs"], **answers})
    schema["paths"]["/chat"] = {"post": _operation("Chat: a message or a conversation", "FullChat", "FullChatReply")}
    schema["paths"]["/chat/direct"] = {"post": _operation("Chat: one message, its answer", "DirectChat", "ChatReply")}
    return schema


def _operation(summary: str, body: str, answer: str) -> dict[str, Any]:
    errors = {status: {"description": text, "content": _content("ErrorReply")} for status, text in _ERRORS.items()}
    return {
        "summary": summary,
        "requestBody": {"required": True, "content": _content(body)},
        "responses": {"200": {"description": "The answer", "content": _content(answer)}, **errors},
    }


def _content(name: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}
