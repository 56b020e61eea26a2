"""The chat endpoints: a request in, the client's answer or a clear error out.

Rules
-----
* `/chat` takes a message or a conversation and returns the whole completion too; `/chat/direct` takes one message
  and returns the text: the lean path, for load tests and simple callers.
* Every answer carries X-Request-ID; the answer of a provider, good or bad, also X-FlexiAI-Provider.
* These are plain ASGI endpoints: FastAPI's own handling of a body costs more than the whole client.
"""

from __future__ import annotations

from collections.abc import Callable

from starlette.types import Receive, Scope, Send

from flexiai.app.bodies import Body
from flexiai.app.incoming import CallerGone, read_body, request_id, while_connected
from flexiai.app.refusals import not_serving, refusal
from flexiai.app.replies import ChatReply, FullChatReply, Reply, answered_by, id_header
from flexiai.app.worker import Desk, Worker
from flexiai.chat import ChatCompletion

Render = Callable[[ChatCompletion, int, str], ChatReply]


class ChatEndpoint:
    """One chat endpoint, as an ASGI application."""

    def __init__(self, desk: Desk, body: type[Body], render: Render) -> None:
        self._desk = desk
        self._body = body
        self._render = render

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        asked_as = request_id(scope["headers"])
        worker = self._desk.worker
        if worker is None:
            await not_serving(asked_as).send(send)
            return
        try:
            reply = await self._answer(worker, receive, asked_as)
        except CallerGone:
            return  # nobody is there to be told
        except Exception as error:
            reply = refusal(error, worker.id, asked_as)
        await reply.send(send)

    async def _answer(self, worker: Worker, receive: Receive, asked_as: str) -> Reply:
        arguments = self._body.model_validate_json(await read_body(receive)).arguments()
        work = worker.client.chat.completions.create(**arguments, request_id=asked_as)
        completion = await while_connected(receive, work)
        headers = (answered_by(completion.provider), id_header(asked_as))
        return Reply(200, self._render(completion, worker.id, asked_as), headers)


def text_only(completion: ChatCompletion, worker_id: int, asked_as: str) -> ChatReply:
    """The answer of `/chat/direct`."""
    return ChatReply(
        response=_text(completion),
        provider=completion.provider,
        model=completion.model,
        usage=completion.usage,
        worker_id=worker_id,
        request_id=asked_as,
    )


def whole_completion(completion: ChatCompletion, worker_id: int, asked_as: str) -> FullChatReply:
    """The answer of `/chat`."""
    return FullChatReply(
        response=_text(completion),
        provider=completion.provider,
        model=completion.model,
        usage=completion.usage,
        worker_id=worker_id,
        request_id=asked_as,
        completion=completion,
    )


def _text(completion: ChatCompletion) -> str | None:
    return completion.choices[0].message.content if completion.choices else None
