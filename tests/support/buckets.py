"""An S3 of our own on 127.0.0.1, with the bucket `stores`, which ends with the tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

#: What must stand in no file and no log.
SECRET = "none-of-anybodys-business"  # noqa: S105 - the server asks for nothing


@dataclass
class Bucket:
    """A running server. `environment` is that of a process for which `s3://stores` is its bucket."""

    server: Any
    client: Any
    environment: dict[str, str]

    def keys(self, prefix: str) -> dict[str, int]:
        """Key -> bytes of what lies below a prefix."""
        found = self.client.list_objects_v2(Bucket="stores", Prefix=prefix)
        return {entry["Key"]: entry["Size"] for entry in found.get("Contents", ())}

    def read(self, key: str) -> bytes:
        data: bytes = self.client.get_object(Bucket="stores", Key=key)["Body"].read()
        return data

    def write(self, key: str, data: bytes) -> None:
        self.client.put_object(Bucket="stores", Key=key, Body=data)


@contextmanager
def running_bucket() -> Iterator[Bucket]:
    """One that is empty, until the block ends; a test may stop `server` before."""
    boto3 = pytest.importorskip("boto3")
    server = pytest.importorskip("moto.server").ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    pytest.importorskip("s3fs")
    server.start()
    host, port = server.get_host_and_port()
    environment = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    client = boto3.client(
        "s3",
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        aws_access_key_id="none",
        aws_secret_access_key=SECRET,
        region_name="us-east-1",
    )
    client.create_bucket(Bucket="stores")
    yield Bucket(server, client, environment)
    client.close()
    server.stop()
