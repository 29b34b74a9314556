"""Rows in an object store: `s3://bucket/key`, by Arrow's own client, as the AWS_* variables of the process say."""

import os
from typing import Final
from urllib.parse import unquote, urlsplit

import pyarrow as pa

from mainstay.errors import Misconfigured, NotFound, Refused, Unavailable

_ABSENT: Final = ("NO_SUCH_KEY", "NO_SUCH_BUCKET", "RESOURCE_NOT_FOUND", "path does not exist", "NoSuchBucket", "404")
_CLOSED: Final = ("ACCESS_DENIED", "InvalidAccessKeyId", "SignatureDoesNotMatch", "403")


def get_object(url: str) -> bytes:
    """The bytes of an object. AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION and AWS_ENDPOINT_URL say where.

    Misconfigured for an address without bucket or key, NotFound where there is no such object, Refused where the keys
    do not open it, Unavailable where the store cannot be reached.
    """
    parts = urlsplit(url)
    key = unquote(parts.path).lstrip("/")
    if not parts.netloc or not key or "@" in parts.netloc:
        raise Misconfigured("an object is at s3://BUCKET/KEY; its keys are AWS_ACCESS_KEY_ID and its secret", url)
    # The variables that every client of such a store obeys; Arrow's own reads some of them, and once only.
    endpoint = os.getenv("AWS_ENDPOINT_URL_S3") or os.getenv("AWS_ENDPOINT_URL")
    region = os.getenv("AWS_REGION") or os.getenv("AWS_DEFAULT_REGION") or "us-east-1"
    try:
        from pyarrow.fs import S3FileSystem  # here: it starts threads, which most sources have no need of
    except ImportError as error:
        raise Misconfigured("this build of pyarrow cannot read s3://; install the one from PyPI", url) from error
    try:
        store = S3FileSystem(endpoint_override=endpoint, region=region, connect_timeout=5, request_timeout=60)
        with store.open_input_file(f"{parts.netloc}/{key}") as file:
            data: bytes = file.read()
            return data
    except FileNotFoundError as error:
        raise NotFound("there is no such object", url) from error
    except (OSError, pa.ArrowException) as error:
        said = str(error)
        if any(word in said for word in _ABSENT):
            raise NotFound("there is no such object", url) from error
        if any(word in said for word in _CLOSED):
            raise Refused("access denied; AWS_ACCESS_KEY_ID and its secret must be allowed to read it", url) from error
        raise Unavailable("the object store cannot be reached; is AWS_ENDPOINT_URL right?", url) from error
