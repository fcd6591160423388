"""The client of a server, against servers that misbehave on purpose."""

import asyncio
import base64
import gzip
import io
import json
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from PIL import Image

from recaptioner.engines.base import EngineLostError, Reply, Request, Sampling
from recaptioner.engines.handler import CaptionHandler, answers
from recaptioner.engines.server import MAX_ANSWER_BYTES, ServerEngine
from recaptioner.engines.server_config import ServerConfig
from schemas.errors import RecipeError
from tests.captioners import make_pictures
from tests.fault_server import Asked, FaultServer, Handler, in_turn, raw, reply

MODELS, CHAT = "/v1/models", "/v1/chat/completions"
KEY = "sk-very-secret"


def user_text(asked: Asked) -> str:
    content = json.loads(asked.body)["messages"][-1]["content"]
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content)


def completion(text: str | None = "fine", finish: str | None = "stop", **more) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}}
    usage = {"prompt_tokens": 5, "completion_tokens": 2}
    answer = {"choices": [{**choice, "finish_reason": finish}], "usage": usage, **more}
    return json.dumps(answer).encode()


async def echo(asked: Asked) -> None:
    await asked.answer(200, completion(user_text(asked).upper()))


def models(*names: str) -> Handler:
    return reply(body=json.dumps({"data": [{"id": name} for name in names]}).encode())


TINY = models("tiny")


def but(bad: Handler) -> Handler:
    """Echoes, except for texts with `bad`."""

    async def handler(asked: Asked) -> bool | None:
        return await (bad if "bad" in user_text(asked) else echo)(asked)

    return handler


async def hang(asked: Asked) -> None:
    await asked.hang()


async def reset(asked: Asked) -> bool:
    linger = struct.pack("ii", 1, 0)
    asked.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    return True


@contextmanager
def serving(chat: Handler, listed: Handler = TINY, **settings) -> Iterator[tuple]:
    """A server, and an engine that asks it."""
    defaults = {"retries": 2, "backoff_seconds": 0.01, "deadline_seconds": 60.0, "concurrency": 4}
    with FaultServer({MODELS: listed, CHAT: chat}) as server:
        config = ServerConfig(url=server.url("/v1"), **{**defaults, **settings})
        engine = ServerEngine(config)
        try:
            yield server, engine
        finally:
            engine.close()


def asked(key: str, text: str | None = None, image=None, **sampling) -> Request:
    return Request(key, "", key if text is None else text, image, Sampling(8, **sampling))


def ask(engine: ServerEngine, *requests: Request) -> list[Reply]:
    return list(answers(engine, requests))


def chats(server: FaultServer) -> list[Asked]:
    return [each for each in server.asked if each.path == CHAT]


def drain(engine: ServerEngine) -> list[Reply]:
    found: list[Reply] = []
    while replies := engine.poll():
        found += replies
    return found


# --- a server that is well


def test_a_request_is_sent_as_it_is():
    (picture,) = make_pictures(1)
    request = Request("k", "be brief", "a <image> b", picture, Sampling(9, 0.7, 0.9, 1.2, 4))
    with serving(echo, extra={"top_k": 3}) as (server, engine):
        assert ask(engine, request) == [Reply("k", "A < IMAGE> B", "stop", 5, 2)]
    (sent,) = chats(server)
    body = json.loads(sent.body)
    system, user = body.pop("messages")
    assert body == {
        "model": "tiny", "max_tokens": 9, "temperature": 0.7, "top_p": 0.9, "seed": 4,
        "repetition_penalty": 1.2, "top_k": 3,
    }  # fmt: skip
    assert system == {"role": "system", "content": "be brief"}
    image, text = user["content"]
    assert text == {"type": "text", "text": "a < image> b"}
    head, _, data = image["image_url"]["url"].partition(",")
    assert head == "data:image/png;base64"
    with Image.open(io.BytesIO(base64.b64decode(data))) as decoded:
        assert decoded.tobytes() == picture.tobytes()
    assert "Authorization" not in sent.headers


def test_what_is_not_in_the_protocol_is_sent_only_where_it_says_something():
    with serving(echo) as (server, engine):
        ask(engine, asked("a"))
    (sent,) = chats(server)
    assert set(json.loads(sent.body)) == {
        "model", "messages", "max_tokens", "temperature", "top_p", "seed",
    }  # fmt: skip


def test_replies_keep_the_keys_of_their_requests():
    requests = [asked(f"key {number}") for number in range(60)]
    with serving(echo) as (server, engine):
        found = ask(engine, *requests)
        assert engine.poll() == []
    assert [(each.key, each.text) for each in found] == [(r.key, r.key.upper()) for r in requests]
    assert len(chats(server)) == 60


def test_no_more_requests_are_under_way_than_wanted():
    under_way, most = 0, 0

    async def counting(asked: Asked) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.02)
        under_way -= 1
        await echo(asked)

    with serving(counting, concurrency=3) as (_, engine):
        ask(engine, *(asked(str(number)) for number in range(30)))
        assert engine.capacity == 6
    assert most == 3


def test_the_key_is_sent_and_never_told(monkeypatch):
    monkeypatch.setenv("WEFT_TEST_KEY", KEY)
    tells = reply(400, json.dumps({"error": {"message": f"bad key {KEY}?"}}).encode())
    with serving(but(tells), api_key_env="WEFT_TEST_KEY") as (server, engine):
        good, bad = ask(engine, asked("good"), asked("bad"))
    assert good.text == "GOOD"
    assert bad.error == "status 400: bad key ***?"
    assert {each.headers["Authorization"] for each in server.asked} == {f"Bearer {KEY}"}


def test_beam_runs_an_engine_that_is_elsewhere():
    import apache_beam as beam
    from apache_beam.ml.inference.base import RunInference
    from apache_beam.testing.util import assert_that, equal_to

    requests = [asked(f"key {number}") for number in range(20)]
    with FaultServer({MODELS: TINY, CHAT: echo}) as server:
        handler = CaptionHandler(ServerConfig(url=server.url("/v1")))
        with beam.Pipeline("FnApiRunner") as pipeline:
            found = pipeline | beam.Create(requests) | RunInference(handler)
            assert_that(
                found, equal_to([Reply(r.key, r.key.upper(), "stop", 5, 2) for r in requests])
            )


# --- one request fails, the others do not


NESTED = b"[" * 100_000
ROW_FAULTS = {
    "no choices": (reply(body=b'{"choices": []}'), "no choices"),
    "no list of choices": (reply(body=b"{}"), "no choices"),
    "null content": (reply(body=completion(None)), "no text"),
    "no message": (reply(body=b'{"choices": [{}]}'), "no chat completion"),
    "content of another type": (reply(body=completion(7)), "no chat completion"),
    "tool call": (reply(body=completion("x", "tool_calls")), "ended it: tool_calls"),
    "no finish": (reply(body=completion("x", None)), "ended it: None"),
    "invalid JSON": (reply(body=b'{"choices": [{"mess'), "no chat completion"),
    "a page": (reply(body=b"<html>502</html>"), "no chat completion"),
    "half a surrogate": (reply(body=b'{"choices":[{"message":{"content":"\\ud800"}}]}'), "no chat"),
    "no UTF-8": (reply(body=b'{"choices":[{"message":{"content":"\xff"}}]}'), "no chat"),
    "nested": (reply(body=NESTED), "no chat completion"),
    "nothing": (reply(body=b""), "no chat completion"),
    "huge": (reply(body=b" " * (MAX_ANSWER_BYTES + 1)), "more than 4194304 bytes"),
    "bomb": (
        reply(body=gzip.compress(bytes(64 << 20)), Content_Encoding="gzip"),
        "more than 4194304 bytes",
    ),
    "too long": (reply(400, b'{"error": {"message": "too\\nlong"}}'), "status 400: too long"),
    "SGLang's form": (reply(422, b'{"message": "too long"}'), "status 422: too long"),
    "a text as error": (reply(400, b'{"error": "too long"}'), "status 400: too long"),
    "a page as error": (reply(413, b"<html>\xff</html>" * 999), "status 413: <html>"),
    "always 500": (reply(500, b"oops"), "status 500: oops"),
    "reset": (reset, "ClientOSError|ServerDisconnectedError"),
    "closed": (raw(b""), "ServerDisconnectedError"),
    "garbage": (raw(b"\x00\x01SSH-2.0\r\n\r\n"), "BadStatusLine|ResponseError|BadHttp"),
    "broken off": (
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"), "ClientPayloadError",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("bad", "message"), ROW_FAULTS.values(), ids=ROW_FAULTS.keys())
def test_a_fault_of_one_answer_is_that_of_one_row(bad, message):
    import re

    with serving(but(bad)) as (_, engine):
        first, failed, last = ask(engine, asked("a"), asked("bad"), asked("b"))
    assert (first.text, last.text) == ("A", "B")
    assert re.search(message, failed.error), failed
    assert len(failed.error) <= 400
    assert (failed.key, failed.text, failed.finish) == ("bad", "", "")


def test_a_request_that_takes_too_long_fails_alone():
    with serving(but(hang), deadline_seconds=0.3, retries=1) as (server, engine):
        failed, good = ask(engine, asked("bad"), asked("b"))
        assert failed.error == "no answer within 0.3 s"
        assert good.text == "B"
    assert sum("bad" in user_text(each) for each in chats(server)) == 2


@pytest.mark.parametrize(
    "image", [Image.new("HSV", (2, 2)), Image.new("RGB", (2, 0))], ids=["mode", "empty"]
)
def test_a_picture_that_cannot_be_sent_fails_alone(image):
    with serving(echo) as (_, engine):
        bad, good = ask(engine, asked("bad", image=image), asked("good"))
    assert good.text == "GOOD"
    assert bad.error


def test_half_a_surrogate_cannot_be_sent():
    with serving(echo) as (_, engine):
        bad, good = ask(engine, asked("bad", "a\ud800"), asked("good"))
    assert good.text == "GOOD"
    assert "surrogate" in bad.error


# --- faults that pass


@pytest.mark.parametrize(
    "fault",
    [reply(500), reply(503, b"loading"), reply(408), reply(429), reset, raw(b"")],
    ids=["500", "503", "408", "429", "reset", "closed"],
)
def test_a_fault_that_passes_is_tried_again(fault):
    with serving(in_turn(fault, fault, echo)) as (server, engine):
        assert ask(engine, asked("a")) == [Reply("a", "A", "stop", 5, 2)]
    assert len(chats(server)) == 3


def test_retry_after_is_waited_for():
    with serving(in_turn(reply(429, Retry_After="1"), echo)) as (server, engine):
        assert ask(engine, asked("a"))[0].text == "A"
    first, second = chats(server)
    assert second.time - first.time >= 1


@pytest.mark.parametrize("value", ["99999999", "soon", "-1", "\u0663", "9" * 400])
def test_retry_after_cannot_keep_us(value):
    late = in_turn(reply(429, Retry_After=value.encode("utf-8").decode("latin-1")), echo)
    with serving(late, max_wait_seconds=0.05) as (_, engine):
        assert ask(engine, asked("a"))[0].text == "A"


# --- the engine is lost


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def test_a_server_that_is_down_is_lost_at_once():
    config = ServerConfig(url=f"http://127.0.0.1:{free_port()}", retries=1, backoff_seconds=0.01)
    with pytest.raises(EngineLostError, match=r"/v1/models: .*: is the server up"):
        ServerEngine(config)


LOSSES = {
    "500": (reply(500, b"EngineCore died"), "status 500: EngineCore died"),
    "503": (reply(503), "status 503"),
    "reset": (reset, "ClientOSError|ServerDisconnectedError"),
    "429": (reply(429, b"slow down"), r"status 429: slow down, after 3 tries: lower .*concurrency"),
}


@pytest.mark.parametrize(("always", "message"), LOSSES.values(), ids=LOSSES.keys())
def test_a_server_that_answers_nobody_is_lost(always, message):
    with serving(always) as (_, engine):
        engine.submit(asked("a"))
        with pytest.raises(EngineLostError, match=message):
            engine.poll()
        with pytest.raises(EngineLostError, match=message):
            engine.submit(asked("b"))


def test_a_server_that_keeps_everybody_waiting_is_lost():
    with serving(hang, deadline_seconds=0.3, retries=0) as (_, engine):
        for number in range(8):
            engine.submit(asked(str(number)))
        with pytest.raises(EngineLostError, match=r"no answer within 0\.3 s"):
            drain(engine)


def test_a_server_that_goes_is_lost_and_its_answers_are_kept():
    with serving(echo) as (server, engine):
        engine.submit(asked("a"))
        assert [each.text for each in engine.poll()] == ["A"]
        server.handlers[CHAT] = but(reply(500))
        engine.submit(asked("b"))
        assert [each.text for each in engine.poll()] == ["B"]
        server.handlers[CHAT] = reply(500)
        engine.submit(asked("c"))
        with pytest.raises(EngineLostError):
            engine.poll()


def test_a_closed_engine_is_lost():
    with serving(hang) as (_, engine):
        engine.submit(asked("a"))
        engine.close()
        with pytest.raises(EngineLostError, match="closed"):
            engine.poll()
        engine.close()


# --- the recipe is wrong


@pytest.mark.parametrize("status", [401, 403])
def test_a_server_that_wants_a_key_says_so(monkeypatch, status):
    monkeypatch.setenv("WEFT_TEST_KEY", KEY)
    wants = reply(status, f'{{"error": "{KEY}"}}'.encode())
    message = rf"api_key_env \(WEFT_TEST_KEY\): .* answers {status}"
    settings = {"api_key_env": "WEFT_TEST_KEY"}
    with serving(wants, **settings) as (_, engine):
        engine.submit(asked("a"))
        with pytest.raises(RecipeError, match=message) as refused:
            engine.poll()
    assert KEY not in str(refused.value)
    with pytest.raises(RecipeError, match=message), serving(echo, wants, **settings):
        pass


def test_nobody_is_followed_elsewhere():
    with FaultServer({CHAT: echo, MODELS: TINY}) as other:
        away = reply(307, Location=other.url(CHAT))
        with serving(away) as (_, engine):
            engine.submit(asked("a"))
            with pytest.raises(RecipeError, match="answers 307 and points elsewhere"):
                engine.poll()
        with pytest.raises(RecipeError, match="points elsewhere"), serving(echo, away):
            pass
        assert other.asked == []


def test_a_route_that_is_not_there_is_the_recipes_fault():
    with serving(reply(404, b'{"error": {"message": "no model tiny"}}')) as (_, engine):
        engine.submit(asked("a"))
        with pytest.raises(RecipeError, match="status 404: no model tiny"):
            engine.poll()


@pytest.mark.parametrize(
    ("listed", "model", "found"),
    [
        (TINY, "", "tiny"),
        (models("a", "b"), "b", "b"),
        (reply(404), "mine", "mine"),
        (reply(body=b"[]"), "mine", "mine"),
        (reply(body=b"<html>"), "mine", "mine"),
    ],
    ids=["the only one", "one of two", "no list", "another list", "a page"],
)
def test_the_model_is_found(listed, model, found):
    with serving(echo, listed, model=model) as (server, engine):
        assert engine.model == found
        ask(engine, asked("a"))
    assert json.loads(chats(server)[0].body)["model"] == found


@pytest.mark.parametrize(
    ("listed", "model", "message"),
    [
        (models("a", "b"), "", "'' is none of those at .*: a, b"),
        (models("a", "b"), "c", "'c' is none of those at .*: a, b"),
        (models(), "", "'' is none of those"),
        (reply(404), "", "lists no models: name the one to ask"),
        (reply(body=b"{}"), "", "lists no models: name the one to ask"),
    ],
    ids=["two", "another", "none", "no list", "nothing"],
)
def test_a_model_that_is_not_there_is_refused(listed, model, message):
    with pytest.raises(RecipeError, match=message), serving(echo, listed, model=model):
        pass
