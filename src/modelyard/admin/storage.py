"""MinIO's buckets and users, and what a user's folders bring to the platform."""

import hashlib
import json
import logging
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from minio import Minio, MinioAdmin
from minio.credentials.providers import StaticProvider
from minio.error import MinioAdminException, MinioException, S3Error
from urllib3 import PoolManager, Retry, Timeout
from urllib3.exceptions import HTTPError

from modelyard.errors import BadInput, ServiceUnavailable
from modelyard.settings import Administration
from modelyard.sources.local_files import list_files, open_regular

LOGGER = logging.getLogger(__name__)

DATA_BUCKET = "data"
# Each bucket's user has the bucket's name.
BUCKETS = ("mlflow", DATA_BUCKET)
# Kept with every file, so that one that is there already is not sent again.
HASH = "sha256"
ATTACHED_ALREADY = "XMinioAdminPolicyChangeAlreadyApplied"
NO_SUCH_FILE = "NoSuchKey"
TIMEOUT_SECONDS = 60
# A folder of pictures has thousands.
FILES_NAMED = 5
RETRIES = 4


def upload(administration: Administration, data: Path, use_cases: Path, into: Path) -> None:
    """Makes what is missing of buckets and users, sends the files of `data`, and copies the use cases.

    Args:
        administration: MinIO's address, its administrator, and the users' keys.
        data: Its files go into the bucket `data`; nothing is removed there. Links are left out.
        use_cases: Its Python files. Links are left out.
        into: The folder that is made to hold just those.

    Raises:
        BadInput: The use cases cannot be copied, or there is no key for MinIO.
        ServiceUnavailable: MinIO does not answer, or refuses.
    """
    with _explained(administration.minio_url):
        client = _client(administration)
        _make_users(administration)
        for bucket in BUCKETS:
            if not client.bucket_exists(bucket_name=bucket):
                client.make_bucket(bucket_name=bucket)
        sent = [name for name, file in files_to_send(data) if _send(client, name, file)]
    copied = _copied(use_cases, into)
    shown = ", ".join(sent[:FILES_NAMED]) + (f" and {len(sent) - FILES_NAMED} more" if len(sent) > FILES_NAMED else "")
    LOGGER.info("sent to the bucket %s: %s", DATA_BUCKET, shown or "nothing is new")
    LOGGER.info("use cases of your own: %s", ", ".join(copied) or "none")


def mirror_use_cases(folder: Path, into: Path) -> list[str]:
    """Makes a folder hold the Python files of another one and no more; returns their names. Links are left out."""
    wanted = dict(_regular(folder, lambda name: name.endswith(".py") and "/" not in name))
    for file in into.glob("*.py"):
        if file.name not in wanted:
            file.unlink()
    for name, file in wanted.items():
        # Never half a file: the scheduler may be reading.
        unfinished = into / f".{name}"
        with open_regular(str(file)) as content, unfinished.open("wb") as copy:
            shutil.copyfileobj(content, copy)
        unfinished.replace(into / name)
    return list(wanted)


def files_to_send(folder: Path) -> Iterator[tuple[str, Path]]:
    """The names and paths of the files in a folder of data and in its folders: no hidden ones, no code, no links."""
    return _regular(folder, lambda name: not name.endswith(".py") and not re.search("(^|/)__", name))


def _regular(folder: Path, is_wanted: Callable[[str], bool]) -> Iterator[tuple[str, Path]]:
    root = folder.resolve()
    for entry in sorted(list_files(str(root))):
        if not is_wanted(entry.path):
            continue
        if entry.problem:
            LOGGER.warning("%s is left out: it %s", folder / entry.path, entry.problem)
        else:
            yield entry.path, root / entry.path


def _copied(folder: Path, into: Path) -> list[str]:
    try:
        return mirror_use_cases(folder, into)
    except OSError as error:
        raise BadInput(f"the use cases of {folder} cannot be copied to {into}: {error}") from error


def _http() -> PoolManager:
    return PoolManager(timeout=Timeout(TIMEOUT_SECONDS), retries=Retry(total=RETRIES, backoff_factor=0.5))


def _client(administration: Administration) -> Minio:
    url = urlsplit(administration.minio_url)
    return Minio(
        endpoint=url.netloc,
        access_key=administration.minio_root_user,
        secret_key=administration.secret("minio_root_password"),
        secure=url.scheme == "https",
        http_client=_http(),
    )


def _make_users(administration: Administration) -> None:
    url = urlsplit(administration.minio_url)
    admin = MinioAdmin(
        endpoint=url.netloc,
        credentials=StaticProvider(administration.minio_root_user, administration.secret("minio_root_password")),
        secure=url.scheme == "https",
        http_client=_http(),
    )
    for bucket in BUCKETS:
        admin.user_add(bucket, administration.secret(f"{bucket}_s3_secret_key"))
        admin.policy_add(policy_name=f"{bucket}-bucket", policy=_policy(bucket))
        try:
            admin.attach_policy([f"{bucket}-bucket"], user=bucket)
        except MinioAdminException as error:
            if ATTACHED_ALREADY not in str(error):
                raise


def _policy(bucket: str) -> dict[str, object]:
    """Everything in one bucket, and nothing elsewhere."""
    resources = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["s3:*"], "Resource": resources}]}


def _send(client: Minio, name: str, file: Path) -> bool:
    with open_regular(str(file)) as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        if _hash_there(client, name) == sha256:
            return False
        size = stream.seek(0, os.SEEK_END)
        stream.seek(0)
        metadata: dict[str, str | list[str] | tuple[str]] = {f"x-amz-meta-{HASH}": sha256}
        client.put_object(bucket_name=DATA_BUCKET, object_name=name, data=stream, length=size, metadata=metadata)
    return True


def _hash_there(client: Minio, name: str) -> str | None:
    try:
        metadata = client.stat_object(bucket_name=DATA_BUCKET, object_name=name).metadata or {}
    except S3Error as error:
        if error.code == NO_SUCH_FILE:
            return None
        raise
    return metadata.get(f"x-amz-meta-{HASH}")


@contextmanager
def _explained(url: str) -> Iterator[None]:
    try:
        yield
    except MinioAdminException as error:
        raise ServiceUnavailable(f"MinIO on {url} refuses its administrator: {_reason(str(error))}") from error
    except (MinioException, HTTPError) as error:
        raise ServiceUnavailable(f"MinIO on {url} does not do what was asked: {error}") from error


def _reason(text: str) -> str:
    """The message in the JSON that an error of MinIO's administration holds."""
    try:
        return str(json.loads(text[text.index("{") :])["Message"])
    except (ValueError, KeyError):
        return text
