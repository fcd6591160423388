"""A client of any server that speaks OpenAI's protocol: `vllm serve`, SGLang, hosted models.

What fails is told apart by asking once more, for a single token: a server that answers this is
well, and the row was at fault; any other has lost its engine, however it says so. vLLM's answers
500 first, then refuses connections.
"""

import asyncio
import queue
import threading
import weakref
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import aiohttp
from yarl import URL

from recaptioner.engines.base import EngineLostError, Reply, Request, Sampling
from recaptioner.engines.server_config import ServerConfig, api_key, check_server
from recaptioner.engines.server_protocol import (
    decode_answer,
    decode_failure,
    decode_models,
    encode_request,
)
from schemas.errors import RecipeError

MAX_ANSWER_BYTES = 4 * 1024 * 1024
"""Largest body of an answer; a caption with the tokens of its prompt has some 10 KB."""
_READ_BYTES = 64 * 1024
_OK, _TOO_MANY = 200, 429
_ENCODERS = 2
_LOOK_SECONDS = 1.0
_CLOSE_SECONDS = 10.0
_PROBE = Request("", "", "a", None, Sampling(max_tokens=1))


@dataclass(frozen=True)
class _Answer:
    """What came of one try."""

    status: int = 0
    """0: no answer at all."""
    body: bytes = b""
    problem: str = ""
    """Why there is none, or that there was too much of it."""
    retry_after: float = 0.0

    @property
    def may_change(self) -> bool:
        """Whether another try may fare better."""
        return self.status in (0, 408, _TOO_MANY) or self.status >= 500


class ServerEngine:
    """An `Engine` that is elsewhere.

    Args:
        config: Checked here once more.
        with_prompt_ids: Ask for the tokens of prompts (vLLM only).

    Raises:
        RecipeError: The server has no such model, or does not let us in.
        EngineLostError: It cannot be reached.
    """

    def __init__(self, config: ServerConfig, *, with_prompt_ids: bool = False) -> None:
        check_server(config)
        self.capacity = config.capacity
        self._in_flight = 0
        self._replies: queue.SimpleQueue[Reply | None] = queue.SimpleQueue()
        self._end: BaseException | None = None
        self._client = _Client(config, with_prompt_ids)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="caption-server", daemon=True
        )
        self._thread.start()
        # Beam tells no model that it is done with it: then this runs when the process ends.
        self._finish = weakref.finalize(self, _finish, self._loop, self._thread, self._client)
        try:
            self.model = asyncio.run_coroutine_threadsafe(self._client.open(), self._loop).result()
        except BaseException:
            self.close()
            raise

    def submit(self, request: Request) -> None:
        """Take a request up. Returns at once."""
        if self._end is not None:
            raise self._end
        self._in_flight += 1
        asyncio.run_coroutine_threadsafe(self._answer(request), self._loop)

    def poll(self) -> list[Reply]:
        """Wait until at least one request has ended; all that have. Empty: none is in flight."""
        replies: list[Reply] = []
        while self._in_flight and not replies:
            try:
                woken = [self._replies.get(timeout=0.0 if self._end else _LOOK_SECONDS)]
                while not self._replies.empty():
                    woken.append(self._replies.get())
            except queue.Empty:
                woken = []
            replies = [reply for reply in woken if reply is not None]
            if self._end is not None:
                break
        # What had ended before the server was lost is an answer all the same.
        if self._end is not None and not replies:
            raise self._end
        self._in_flight -= len(replies)
        return replies

    def close(self) -> None:
        """Break off what is under way, and close all connections."""
        self._end = self._end or EngineLostError("the engine is closed")
        self._finish()

    async def _answer(self, request: Request) -> None:
        try:
            reply = None if self._end else await self._client.ask(request)
        except Exception as error:  # raised again where the engine is asked
            self._end = self._end or error
            reply = None
        self._replies.put(reply)


def _finish(loop: asyncio.AbstractEventLoop, thread: threading.Thread, client: "_Client") -> None:
    async def shut() -> None:
        mine = asyncio.current_task()
        tasks = [task for task in asyncio.all_tasks() if task is not mine]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await client.close()
        loop.stop()

    asyncio.run_coroutine_threadsafe(shut(), loop)
    thread.join(_CLOSE_SECONDS)


class _Client:
    """Everything that happens in the event loop."""

    def __init__(self, config: ServerConfig, with_prompt_ids: bool) -> None:
        self._config = config
        self._with_prompt_ids = with_prompt_ids
        self._key = api_key(config)
        self._model = config.model
        self._slots = asyncio.Semaphore(config.concurrency)
        self._probing = asyncio.Lock()
        self._probed = -1.0
        self._is_well = False
        self._encoders = ThreadPoolExecutor(_ENCODERS, thread_name_prefix="caption-png")
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> str:
        """Begin; the name of the model."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=self._config.deadline_seconds),
            headers={"Authorization": f"Bearer {self._key}"} if self._key else None,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        )
        url = self._config.endpoint("models")
        answer = await self._tries("GET", url, b"")
        if answer.may_change:
            raise EngineLostError(f"{url}: {self._said(answer)}: is the server up?")
        self._refuse_at_once(answer, url)
        names = decode_models(answer.body) if answer.status == _OK else None
        if names is None and not self._model:
            raise RecipeError(f"recaption.server.model: {url} lists no models: name the one to ask")
        if names is not None and not self._model and len(names) == 1:
            self._model = names[0]
        if names is not None and self._model not in names:
            listed = ", ".join(names)[:200]
            raise RecipeError(
                f"recaption.server.model: {self._model!r} is none of those at {url}: {listed}"
            )
        return self._model

    async def close(self) -> None:
        """Close all connections."""
        self._encoders.shutdown(wait=False, cancel_futures=True)
        if self._session is not None:
            await self._session.close()

    async def ask(self, request: Request) -> Reply:
        """The reply to a request.

        Raises:
            EngineLostError: The server answers nobody.
            RecipeError: It answers, and will answer every request like this.
        """
        async with self._slots:
            try:
                body = await asyncio.get_running_loop().run_in_executor(
                    self._encoders, self._encoded, request
                )
            except (OSError, ValueError) as error:  # a picture that breaks off, half a surrogate
                return Reply(request.key, error=f"{type(error).__name__}: {str(error)[:200]}")
            url = self._config.endpoint("chat/completions")
            answer = await self._tries("POST", url, body)
            if answer.status == _OK:
                if answer.problem:
                    return Reply(request.key, error=answer.problem, may_change=True)
                return decode_answer(request.key, answer.body)
            self._refuse_at_once(answer, url)
            if answer.status == 404:
                raise RecipeError(f"recaption.server: {url}: {self._said(answer)}")
            if answer.status == _TOO_MANY:
                raise EngineLostError(
                    f"{url}: {self._said(answer)}, after {self._config.retries + 1} tries: lower "
                    "recaption.server.concurrency"
                )
            if answer.may_change and not await self._answers():
                raise EngineLostError(f"{url}: {self._said(answer)}")
            return Reply(request.key, error=self._said(answer), may_change=answer.may_change)

    def _encoded(self, request: Request) -> bytes:
        return encode_request(request, self._model, self._config, self._with_prompt_ids)

    async def _answers(self) -> bool:
        """Whether the server answers anything, as of now; all who wonder together ask once."""
        loop = asyncio.get_running_loop()
        wondered = loop.time()
        async with self._probing:
            if self._probed < wondered:
                url = self._config.endpoint("chat/completions")
                began = loop.time()
                answer = await self._try("POST", url, self._encoded(_PROBE))
                self._is_well, self._probed = not answer.may_change, began
        return self._is_well

    def _refuse_at_once(self, answer: _Answer, url: URL) -> None:
        """Raise what is wrong with the recipe rather than with a row."""
        if answer.status in (401, 403):
            name = self._config.api_key_env or "none is named"
            raise RecipeError(
                f"recaption.server.api_key_env ({name}): {url} answers {answer.status}: it wants a "
                "key that may use this model"
            )
        if 300 <= answer.status < 400:
            raise RecipeError(
                f"recaption.server.url: {url} answers {answer.status} and points elsewhere, where "
                "no key is sent unasked: give the address itself"
            )

    def _said(self, answer: _Answer) -> str:
        if answer.problem:
            return answer.problem
        said = decode_failure(answer.body, self._key)
        return f"status {answer.status}" + (f": {said}" if said else "")

    async def _tries(self, method: str, url: URL, body: bytes) -> _Answer:
        config = self._config
        answer = await self._try(method, url, body)
        for number in range(config.retries):
            if not answer.may_change:
                break
            wait = max(answer.retry_after, config.backoff_seconds * 2**number)
            await asyncio.sleep(min(wait, config.max_wait_seconds))
            answer = await self._try(method, url, body)
        return answer

    async def _try(self, method: str, url: URL, body: bytes) -> _Answer:
        assert self._session is not None
        headers = {"Content-Type": "application/json"} if body else None
        try:
            async with self._session.request(
                method, url, data=body or None, headers=headers, allow_redirects=False
            ) as response:
                found = bytearray()
                async for chunk in response.content.iter_chunked(_READ_BYTES):
                    found += chunk
                    if len(found) > MAX_ANSWER_BYTES:
                        response.close()
                        return _Answer(
                            response.status,
                            problem=f"the answer has more than {MAX_ANSWER_BYTES} bytes",
                        )
                return _Answer(
                    response.status, bytes(found), retry_after=_seconds(response.headers)
                )
        except TimeoutError:
            return _Answer(problem=f"no answer within {self._config.deadline_seconds:g} s")
        except (aiohttp.ClientError, OSError) as error:
            return _Answer(problem=f"{type(error).__name__}: {str(error)[:200]}")


def _seconds(headers: Mapping[str, str]) -> float:
    """`Retry-After` in seconds; 0: there is none, or it is a date."""
    value = headers.get("Retry-After", "")
    return float(value) if value.isascii() and value.isdigit() and len(value) < 9 else 0.0
