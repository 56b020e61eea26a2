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

from contextlib import suppress

from starlette.types import Receive, Scope, Send

from flexiai.app.dialect import Asked, Dialect
from flexiai.app.event_stream import EventStream
from flexiai.app.incoming import CallerGone, check_length, read_body, request_id, while_connected
from flexiai.app.openai import Answerer
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
        events = EventStream(send, worker.settings.request.deadline_s)
        try:
            worker.access.check_caller(scope["headers"])
            with worker.load:
                asked = await self._asked(worker, scope, receive, asked_as)
                reply = await while_connected(receive, self._served(worker, asked, asked_as, events))
        except CallerGone:
            return  # nobody is there to be told
        except Exception as error:
            reply = refusal(error, worker.id, asked_as)
            worker.pulse.refused(reply, error)
            reply = self._dialect.refused(reply)
            if events.begun:
                with suppress(CallerGone):
                    await events.break_off(reply)
                return
        if reply is not None:
            await reply.send(send)

    async def _asked(self, worker: Worker, scope: Scope, receive: Receive, asked_as: str) -> Asked:
        settings = worker.settings
        check_length(scope["headers"], settings.limits.max_body_bytes)
        body = await read_body(receive, settings.limits.max_body_bytes, settings.request.deadline_s)
        return self._dialect.asked(body, worker, asked_as)

    async def _served(self, worker: Worker, asked: Asked, asked_as: str, events: EventStream) -> Reply | None:
        """The answer; None if it was told piece by piece."""
        if asked.stream:
            stream = await worker.client.stream(asked.chat)
            answerer = Answerer(provider=stream.provider, worker_id=worker.id, request_id=asked_as)
            await events.tell(stream, asked.usage, answerer, answered_by(stream.provider), id_header(asked_as))
            return None
        answer = await worker.client.answer(asked.chat)
        headers = (answered_by(answer.provider), id_header(asked_as))
        return Reply(200, self._dialect.told(answer, worker.id, asked_as), headers)
