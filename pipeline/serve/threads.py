"""Work beside the event loop that does not keep the program from ending."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
Result = TypeVar("Result")

_WORKING = set[threading.Thread]()


async def in_thread(function: Callable[P, Result], *args: P.args, **kwargs: P.kwargs) -> Result:
    """Call a function in a thread of its own, which is left alone where the caller is cancelled.

    (`asyncio.to_thread` has the program wait at its end for what runs.)
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Result] = loop.create_future()

    def settle(result: Any, error: BaseException | None) -> None:
        if done.cancelled():
            return
        if error is None:
            done.set_result(result)
        else:
            done.set_exception(error)

    def work() -> None:
        result, failed = None, None
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            failed = error
        _WORKING.discard(thread)
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(settle, result, failed)

    thread = threading.Thread(target=work, daemon=True)
    _WORKING.add(thread)
    thread.start()
    return await done


def is_working() -> bool:
    """Whether a thread of `in_thread` has not ended."""
    return bool(_WORKING)
