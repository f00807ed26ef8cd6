r"""JSON that preserves any text that models and users write.

Fast decoders refuse lone surrogates (``"\ud83d"``, half an emoji, which servers send when a reply
is cut off), and fast encoders refuse strings that hold them. Both directions fall back to the
standard library, which passes them through as escapes, so that no text is lost or altered.
"""

import json
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")


def dumps(value: Any) -> bytes:
    """Encode *value*, structs included, as JSON."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        tree = msgspec.to_builtins(value, enc_hook=_unwrap)
        return json.dumps(tree, separators=(",", ":")).encode("ascii")


def _unwrap(value: Any) -> Any:
    """Decode `msgspec.Raw`, which holds JSON as it was received; refuse any other type."""
    if isinstance(value, msgspec.Raw):
        return json.loads(bytes(value))
    raise NotImplementedError(f"{type(value).__name__} cannot be encoded as JSON")


def loads(data: bytes, decoder: "msgspec.json.Decoder[T]") -> T:
    """Decode JSON with *decoder*. White space around it is allowed, ``NaN`` is not.

    Raises:
        msgspec.DecodeError: the text is not JSON, or not UTF-8.
        msgspec.ValidationError: the JSON has another shape.
    """
    try:
        return decoder.decode(data)
    except msgspec.ValidationError:
        raise
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return _loads_slowly(data, decoder, error)


def _loads_slowly(data: bytes, decoder: "msgspec.json.Decoder[T]", error: Exception) -> T:
    try:
        tree = json.loads(data, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise msgspec.DecodeError(str(error)) from error
    return msgspec.convert(tree, decoder.type)


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")
