"""Every error Weft raises on purpose.

::

    WeftError
    +-- UserError                 the command, the recipe or a path is wrong: one line, exit code 2
    |   +-- RecipeError           an unknown key, a bad value, a rule that is refused
    |   +-- InputError            an input that is not there, is empty, or cannot be read
    |   +-- OutputError           an output that cannot be written, or belongs to another run
    +-- StageError                a stage did not end well (failure budget, dead workers):
    |                             exit code 1
    +-- StoreError                an object store failed in every try: exit code 1
    +-- TrainingError             a training that cannot go on: exit code 1
    +-- DataError                 one row is bad: it becomes a row of the table `failures`
        +-- RecordError           the crawl file
        |   +-- WarcParseError        bytes that are no WARC record
        |   +-- TruncatedRecordError  the file ends inside the record
        |   +-- HttpParseError        a response record without a readable HTTP head
        |   +-- ContentDecodeError    a content or transfer coding that cannot be undone
        |   +-- PayloadTooLargeError  more bytes than the recipe allows
        +-- InputRowError         a row of a table or corpus, or a place in its file
        +-- PageError             a page
        |   +-- CharsetError          no encoding decodes it
        |   +-- HtmlParseError        no backend parses it
        |   +-- PageTooLargeError     more nodes or characters than the recipe allows
        +-- ImageError            an image
        |   +-- NotAnImageError       the bytes are something else
        |   +-- ImageDecodeError      an image that does not decode to its end
        |   +-- TooManyPixelsError    width x height above the cap
        |   +-- ImageMissingError     bytes that a table promises are not in their pack
        +-- FetchError            an image URL without an answer; its outcome says why
        +-- TextError             a text that cannot be scored
        |   +-- EmptyTextError        nothing in it that a model sees
        |   +-- TextTooLongError      more than the model takes, even in pieces
        +-- ScoreError            a model's answer that is no number

A step may raise nothing else about data. Anything that is not a `WeftError` is a bug
and crashes the part.
"""


class WeftError(Exception):
    """Base of everything Weft raises on purpose."""


class UserError(WeftError):
    """The user's mistake: the command line prints one line and exits with code 2."""


class RecipeError(UserError):
    """A recipe that cannot be used; the message names the key."""


class InputError(UserError):
    """An input that is missing, empty or unreadable."""


class OutputError(UserError):
    """An output that cannot be written."""


class StageError(WeftError):
    """A stage that ended without its result."""


class StoreError(WeftError, OSError):
    """An object store that does not answer, or fails; the message names the object and the cause.

    An `OSError` too, as what a disk does is: whoever checks what the user named says it in one way.
    """


class TrainingError(WeftError):
    """A training that cannot go on."""


class DataError(WeftError):
    """One bad row. `error` is the type name that goes to the table `failures`."""

    @property
    def error(self) -> str:
        """The name of the error's type, as counted and stored."""
        return type(self).__name__


class RecordedError(DataError):
    """An outcome that was recorded before, told again of a row that depends on it."""

    def __init__(self, outcome: str, message: str) -> None:
        super().__init__(message)
        self._outcome = outcome

    @property
    def error(self) -> str:
        """The recorded outcome."""
        return self._outcome


class RecordError(DataError):
    """A record of a crawl file."""


class WarcParseError(RecordError):
    """Bytes that are no WARC record."""


class TruncatedRecordError(RecordError):
    """The file ends inside the record."""


class HttpParseError(RecordError):
    """A response record without a readable HTTP head."""


class ContentDecodeError(RecordError):
    """A content or transfer coding that cannot be undone."""


class PayloadTooLargeError(RecordError):
    """More bytes than the recipe allows."""


class InputRowError(DataError):
    """A row of a table or corpus that cannot be read, or a place in its file."""


class PageError(DataError):
    """A page."""


class CharsetError(PageError):
    """No encoding decodes the page."""


class HtmlParseError(PageError):
    """No backend parses the page."""


class PageTooLargeError(PageError):
    """More nodes or characters than the recipe allows."""


class PageDeadlineError(PageError):
    """A page takes longer than the recipe allows."""


class ImageError(DataError):
    """An image."""


class NotAnImageError(ImageError):
    """The bytes are something else."""


class ImageDecodeError(ImageError):
    """An image that does not decode to its end."""


class TooManyPixelsError(ImageError):
    """Width times height above the cap, read from the header before any pixel is decoded."""


class ImageMissingError(ImageError):
    """Bytes that a table promises are not in their pack."""


class FetchError(DataError):
    """An image URL without an answer that can be used."""

    def __init__(self, outcome: str, message: str) -> None:
        super().__init__(message)
        self.outcome = outcome

    @property
    def error(self) -> str:
        """The outcome, so that failures are counted by it."""
        return self.outcome


class TextError(DataError):
    """A text that cannot be scored."""


class EmptyTextError(TextError):
    """Nothing in it that a model sees."""


class TextTooLongError(TextError):
    """More tokens than the model takes, even in pieces, or in one where pieces are not wanted."""


class ScoreError(DataError):
    """A model's answer that is no finite number, or a picture that it cannot be shown."""
