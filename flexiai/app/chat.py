"""The chat endpoints: a request in, the client's answer or a clear error out.

Rules
-----
* `/chat` takes a message or a conversation and returns the whole completion too; `/chat/direct` takes one message
  and returns the text: the lean path, for load tests and simple callers; `/v1/chat/completions` speaks as OpenAI does.
* Whoever has no key, or finds no room, is told so before anything of the request is read.
* Every answer carries X-Request-ID; the answer of a provider, good or bad, also X-FlexiAI-Provider.
* These are plain ASGI endpoints: FastAPI's own handling of a body costs more than the whole client.
"""

from __future__ import annotations

from starlette.types import Receive, Scope, Send

from flexiai.app.dialect import Dialect
from flexiai.app.incoming import CallerGone, check_length, read_body, request_id, while_connected
from flexiai.app.refusals import not_serving, refusal
from flexiai.app.replies import Reply, answered_by, id_header
from flexiai.app.worker import Desk, Worker


class ChatEndpoint:
    """One chat endpoint, as an ASGI application."""

    def __init__(self, desk: Desk, dialect: Dialect) -> None:
        self._desk = desk
        self._dialect = dialect

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        asked_as = request_id(scope["headers"])
        worker = self._desk.worker
        if worker is None:
            await self._dialect.refused(not_serving(asked_as)).send(send)
            return
        try:
            worker.access.check_caller(scope["headers"])
            with worker.load:
                reply = await self._answer(worker, scope, receive, asked_as)
        except CallerGone:
            return  # nobody is there to be told
        except Exception as error:
            reply = self._dialect.refused(refusal(error, worker.id, asked_as))
        await reply.send(send)

    async def _answer(self, worker: Worker, scope: Scope, receive: Receive, asked_as: str) -> Reply:
        settings = worker.settings
        check_length(scope["headers"], settings.limits.max_body_bytes)
        body = await read_body(receive, settings.limits.max_body_bytes, settings.request.deadline_s)
        arguments = self._dialect.arguments(body, worker)
        work = worker.client.chat.completions.create(**arguments, request_id=asked_as)
        completion = await while_connected(receive, work)
        headers = (answered_by(completion.provider), id_header(asked_as))
        return Reply(200, self._dialect.told(completion, worker.id, asked_as), headers)
