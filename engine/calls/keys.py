"""Cache keys: two calls have the same key if and only if one answer serves both."""

from collections.abc import Mapping, Sequence
from functools import partial
from hashlib import blake2b
from types import MappingProxyType
from typing import Any

import msgspec
from msgspec import Raw, Struct

from ...providers import json_codec
from ...providers.base import Message, Request

KEY_VERSION = 1
"""Raise it when the meaning of a key changes; older answers are then not reused."""

_sorted = msgspec.json.Encoder(order="sorted")


class KeyFields(Struct, frozen=True, array_like=True):
    """The parts of a key besides messages and sample; stored so that keys can be compared."""

    provider: str
    endpoint: str
    model: str
    temperature: float | None
    top_p: float | None
    max_tokens: int | None
    seed: int | None
    response_format: str
    schema: dict[str, Any] | None
    extra: dict[str, Any]
    key_version: int = KEY_VERSION


class KeyFieldsWithOptions(KeyFields, frozen=True, array_like=True, kw_only=True):
    """The same for a provider whose options can change a reply, and do."""

    options: dict[str, Any]


class KeyHasher:
    """Makes the keys of calls with the same `KeyFields`, which are hashed once.

    Args:
        fields: encoded, as a `StoredReply` holds them.
    """

    def __init__(self, fields: Raw) -> None:
        self.fields = fields
        self._base = blake2b(bytes(fields), digest_size=16)

    def key(self, messages: Sequence[Message], sample: str) -> bytes:
        """Return the key: 16 bytes, the same in every run and on every machine."""
        encoded = json_codec.dumps(messages)
        digest = self._base.copy()
        # The length keeps messages and sample apart; the JSON hashed before ends with a bracket.
        digest.update(b"%d:%b" % (len(encoded), encoded))
        digest.update(sample.encode("utf-8", "surrogatepass"))
        return digest.digest()


class KeyBuilder(KeyHasher):
    """Builds the keys of calls that differ only in messages and sample.

    What they share is hashed once, which leaves one pass over the messages per call.

    Args:
        provider: the provider's kind.
        endpoint: the provider's identity, usually its base URL.
        request: any of the calls; its messages, sample and purpose do not matter.
        options: the provider's options that can change a reply and are not at their default.
    """

    def __init__(
        self,
        provider: str,
        endpoint: str,
        request: Request,
        options: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        # Without options a key is what it was before there were any: stored replies still serve.
        make_fields = partial(KeyFieldsWithOptions, options=dict(options)) if options else KeyFields
        fields = make_fields(
            provider,
            endpoint,
            request.model,
            request.temperature,
            request.top_p,
            request.max_tokens,
            request.seed,
            request.response_format,
            request.schema,
            request.extra,
        )
        try:
            encoded = _sorted.encode(fields)
        except UnicodeEncodeError:  # half an emoji
            encoded = json_codec.dumps(msgspec.to_builtins(fields, order="sorted"))
        super().__init__(Raw(encoded))
