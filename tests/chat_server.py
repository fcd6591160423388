"""A server that speaks as much of OpenAI's protocol as captions take; answers by a function."""

import base64
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from typing import Any

from PIL import Image


@dataclass
class Asked:
    """A request, as a model would see it."""

    system: str
    user: str
    image: Image.Image | None
    values: Mapping[str, Any]


@dataclass
class ChatServer:
    """A server on loopback. `asked` are the requests so far."""

    say: Callable[[Asked], str | None]
    """What it answers; None: an answer without choices."""
    dies_after: int | None = None
    """Requests that it answers before it answers none any more."""
    asked: list[Asked] = field(default_factory=list)

    def __enter__(self) -> "ChatServer":
        self._lock = threading.Lock()
        chat = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._send(200 if chat.lives else 503, {"data": [{"id": "tiny"}]})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                asked = _read(body)
                with chat._lock:
                    if chat.lives:
                        chat.asked.append(asked)
                    alive = chat.lives
                if not alive:
                    self._send(500, {"error": {"message": "EngineDeadError"}})
                    return
                said = chat.say(asked)
                message = {"role": "assistant", "content": said}
                usage = {"prompt_tokens": 11, "completion_tokens": 7}
                choice = {"index": 0, "message": message, "finish_reason": "stop"}
                choices = [] if said is None else [choice]
                self._send(200, {"choices": choices, "usage": usage, "model": "tiny"})

            def _send(self, status: int, values: Any) -> None:
                data = json.dumps(values).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def lives(self) -> bool:
        return self.dies_after is None or len(self.asked) < self.dies_after

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"


def _read(body: Mapping[str, Any]) -> Asked:
    texts = {"system": "", "user": ""}
    image = None
    for message in body["messages"]:
        parts = message["content"]
        parts = [{"type": "text", "text": parts}] if isinstance(parts, str) else parts
        for part in parts:
            if part["type"] == "text":
                texts[message["role"]] += part["text"]
            else:
                data = part["image_url"]["url"].partition(",")[2]
                image = Image.open(BytesIO(base64.b64decode(data)))
    return Asked(texts["system"], texts["user"], image, body)
