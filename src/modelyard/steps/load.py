"""Loads the records of a source into the raw database: each once, bad ones set aside with the reason."""

import logging
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from modelyard.errors import BadInput
from modelyard.settings import Settings, listed
from modelyard.sources.reach import ANYWHERE, Reach
from modelyard.stores.objects import ObjectStore, picture_name, required
from modelyard.stores.records.batches import Batch
from modelyard.stores.records.raw import RawStore
from modelyard.use_case import LaterFile, UseCase

if TYPE_CHECKING:
    from modelyard.records import Records
    from modelyard.sources.files import Content

LOGGER = logging.getLogger(__name__)


class LoadResult(Batch):
    """What a load came to.

    Attributes:
        source: What was loaded.
        sha256: Hash of its content.
        ignored_columns: Columns of the source that the contract does not know; not looked for in a known batch.
        profile: The profile of the use case that the records are of.
    """

    source: str
    sha256: str
    ignored_columns: tuple[str, ...] = ()
    profile: str | None = None


def load(
    use_case: UseCase,
    source: str,
    raw: RawStore,
    allowed_bad_share: float,
    objects: ObjectStore | None = None,
    reach: Reach = ANYWHERE,
    said: LaterFile | None = None,
) -> LoadResult:
    """Loads a source; the same content again adds nothing.

    Args:
        use_case: What its records are of.
        source: A path or URL of a CSV file; of a use case of pictures, of a folder with a folder for each class.
        raw: Where the records go.
        allowed_bad_share: With a greater share of rejected records nothing is loaded.
        objects: Where pictures go.
        reach: What may be opened as a source.
        said: What this source is, in a use case without a key; None: what the use case says, or what the source shows.
            If the newest batch has this content and was taken for something else, it is merged again.

    Raises:
        BadInput: The source cannot be read, has no column for a field, or has too many bad records; or it cannot, or no
            longer, be taken for what `said` says.
        ContractChanged: The contract no longer fits the use case's table.
        ServiceUnavailable: The database, or the server that has the source, does not answer.
    """
    if said and not use_case.is_keyless:
        raise BadInput(f"--records {said} is for tables without a key: the records of {use_case.name} are identified")
    if use_case.has_pictures:
        return _load_pictures(use_case, source, raw, allowed_bad_share, objects, reach)
    from modelyard.sources.files import content_hash

    sha256 = content_hash(source, reach)
    known = raw.find_batch(use_case, sha256)
    if known and known.is_as(said):
        LOGGER.info("%s is loaded already, as batch %d", source, known.batch_id)
        return LoadResult(source=source, sha256=sha256, profile=use_case.profile, **known.model_dump())
    return _load(use_case, source, sha256, raw, allowed_bad_share, reach, said)


def chosen_records(
    use_case: UseCase, source: str | None, profile: str | None, data_url: str, raw: RawStore
) -> tuple[UseCase, str]:
    """What a load takes: the use case in the profile that the records are of, and where they are.

    By default, these are the use case's own records. While they are missing and none were ever loaded, it is the
    sample, so that a use case can be started before its data are where they belong. Once some of its own were loaded,
    the sample is no longer taken unasked: a missing file is an error.

    Args:
        use_case: The use case as it is declared.
        source: What was named; None: nothing.
        profile: The profile that was named; None: none.
        data_url: The folder or URL that holds the data.
        raw: Says what was loaded before.

    Raises:
        BadInput: There is no such profile.
        ServiceUnavailable: The database, or the server that has the source, does not answer.
    """
    from modelyard.sources.files import is_there
    from modelyard.sources.locate import resolve

    chosen = use_case.in_profile(profile)
    where = resolve(chosen.source, data_url) if source is None else source
    if source or profile or not use_case.sample or is_there(where) or raw.batches(use_case.data_name):
        return chosen, where
    sample = use_case.in_profile(use_case.sample)
    LOGGER.warning("%s is not there yet: the sample of %s is loaded in its place", where, use_case.name)
    return sample, resolve(sample.source, data_url)


def sources_of_runs(settings: Settings, use_case: UseCase) -> Reach:
    """What may be loaded where whoever starts a run chooses the source.

    Args:
        settings: Say where data are, and what is allowed besides.
        use_case: Its own source is allowed, too.
    """
    from modelyard.sources.allowed import AllowedSources
    from modelyard.sources.granted import granted_sources
    from modelyard.sources.locate import resolve

    roots = [settings.data_url, settings.accepted_files_url, resolve(use_case.source, settings.data_url)]
    roots += [*listed(settings.sources_allowed), *granted_sources(settings.home)]
    return AllowedSources([root for root in roots if root], settings.sources_limit_mb * 1024**2)


def keep_accepted(source: str, sha256: str, folder: str, reach: Reach = ANYWHERE) -> None:
    """Keeps a copy of a source's content under its hash; one that is there already is not copied again.

    Args:
        source: What was loaded.
        sha256: Hash of its content.
        folder: The folder or URL of copies.
        reach: What may be opened as a source.

    Raises:
        BadInput: The source is no longer what was loaded, or the copy cannot be written.
        ServiceUnavailable: A server that has the one or takes the other does not answer.
    """
    from modelyard.sources.files import copy_content

    if copy_content(source, sha256, f"{folder}/{sha256}", reach):
        LOGGER.info("%s is kept as %s/%s", source, folder, sha256)


def _load(
    use_case: UseCase,
    source: str,
    sha256: str,
    raw: RawStore,
    allowed_bad_share: float,
    reach: Reach,
    said: LaterFile | None,
) -> LoadResult:
    from modelyard.sources.csv_file import CsvFile
    from modelyard.sources.files import opened
    from modelyard.sources.records import read_records

    with opened(source, reach) as content:
        file = CsvFile(content, use_case)
        records = _unchanged(read_records(file, use_case), content, sha256)
        batch = raw.add_batch(use_case, sha256, source, records, allowed_bad_share, said)
    about = {"source": source, "sha256": sha256, "profile": use_case.profile}
    return LoadResult(**about, ignored_columns=file.ignored, **batch.model_dump())


def _load_pictures(
    use_case: UseCase,
    source: str,
    raw: RawStore,
    allowed_bad_share: float,
    objects: ObjectStore | None,
    reach: Reach,
) -> LoadResult:
    from modelyard.sources.picture_folder import PictureFolder, read_pictures

    folder = PictureFolder(source, reach)
    sha256 = folder.content_hash()
    about = {"source": source, "sha256": sha256, "profile": use_case.profile}
    known = raw.find_batch(use_case, sha256)
    if known:
        LOGGER.info("%s is loaded already, as batch %d", source, known.batch_id)
        return LoadResult(**about, **known.model_dump())
    pictures = read_pictures(folder, use_case, partial(_keep_picture, required(objects), use_case))
    batch = raw.add_batch(use_case, sha256, source, pictures, allowed_bad_share)
    return LoadResult(**about, **batch.model_dump())


def _keep_picture(objects: ObjectStore, use_case: UseCase, sha256: str, content: bytes) -> None:
    name = picture_name(use_case.data_name, sha256)
    if not objects.has(name):
        objects.put(name, content)


def _unchanged(records: "Iterator[Records]", content: "Content", sha256: str) -> "Iterator[Records]":
    """The records, as long as they are those of the content that was hashed."""
    yield from records
    if content.sha256 != sha256:
        raise BadInput(f"{content.source} was changed while it was read: load it again when it is complete")
