"""Pictures that are asked about: as a file in a form, or as base64 in JSON.

Nothing of a picture is kept but what can be said of it: its hash, type and size, and how bright it is.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from pydantic_core import from_json
from python_multipart import FormParser
from python_multipart.exceptions import FormParserError, MultipartParseError
from python_multipart.multipart import Field, File, parse_options_header

from modelyard.contract import Arrays, Contract, Value, brightness
from modelyard.pictures import Picture, TooLargePicture, UnknownPicture, UnusablePicture, from_base64, read_picture
from services.api.errors import BodyTooLarge, InvalidRequest, Problem, UnsupportedImage
from services.api.inputs.base import JSON, Question, check_is_json, is_json
from services.api.inputs.flat_json import READABLE_BYTES, NotFlat
from services.api.inputs.json_record import LONGEST_KEY, SHOWN_CHARACTERS, TIME, RecordReader, is_time
from services.api.inputs.long_text import Shortened, beginning, read_text, shorten

FORM = "multipart/form-data"
# A form has one picture and perhaps a key: it ends at more.
MOST_PARTS = 10
# So does an object.
MOST_FIELDS = 10
# Of a batch, all pictures are decoded before the first is answered; small files may hold many pixels.
LARGEST_BATCH_BYTES = 96 * 1024 * 1024


class Form(NamedTuple):
    """What came in a form.

    Attributes:
        files: The content of each file, by the field's name.
        fields: The other fields.
    """

    files: dict[str, bytes]
    fields: dict[str, bytes]


class PictureReader:
    """Reads one picture: a form with a file, or a JSON object with its base64 text.

    Args:
        contract: What the model takes: one feature, an image.
    """

    takes_files = True

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._feature = contract.features[0]
        self._records = RecordReader(contract)

    def read(self, body: bytes, content_type: str) -> Question:
        """The picture in a body.

        Raises:
            UnsupportedImage: The file is no picture, or of a kind that is not read.
            BodyTooLarge: The picture has too many bytes or pixels.
            InvalidRequest: The picture is damaged, or the body is neither such a form nor such an object.
        """
        if is_json(content_type):
            short, texts = self._shortened(body, 1)
            record, key = self._records.read(short)
            return self._question(self._content(record, body, texts[0]), key, self._beside(record))
        if content_type.partition(";")[0].strip().lower() == FORM:
            form = _form(body, content_type)
            return self._question(self._file(form), self._key(form), self._beside_in(form))
        raise self._unusable("content_type", f"the body must be {FORM} with a file, or {JSON} with the file in base64")

    def read_all(self, body: bytes, content_type: str, most: int) -> Iterator[list[Question]]:
        """The pictures in a JSON array, each an object with its base64 text."""
        check_is_json(content_type)
        short, texts = self._shortened(body, most)
        records = [record for some in self._records.read_all(short, most) for record in some]
        self._check_room(len(records))
        for (record, key), text in zip(records, texts, strict=False):
            yield [self._question(self._content(record, body, text), key, self._beside(record))]

    def arrays(self, questions: Sequence[Question]) -> Arrays:
        """The pixels of all pictures, of shape (questions, height, width, channels)."""
        name = self._feature.name
        return {name: np.concatenate([question.arrays[name] for question in questions if question.arrays])}

    def warnings(self, question: Question) -> list[str]:
        """How the picture differs from those that the model was trained on."""
        return list(question.remarks)

    def _check_room(self, pictures: int) -> None:
        height, width, channels = self._feature.image_shape
        most = LARGEST_BATCH_BYTES // (height * width * channels)
        if pictures > most:
            raise self._unusable("batch_size", f"a batch has up to {most} pictures, not {pictures}")

    def _beside(self, record: dict[str, Value]) -> dict[str, Value]:
        """Group and time, as far as they came with a picture."""
        return {name: record[name] for name in self._contract.carried if name in record}

    def _beside_in(self, form: Form) -> dict[str, Value]:
        """The same of a form."""
        found: dict[str, Value] = {}
        for name in self._contract.carried:
            if text := self._text(form, name):
                if name == self._contract.time and not is_time(text):
                    sentence = f"{name} must be {TIME}, not {text[:SHOWN_CHARACTERS]!r}"
                    raise self._unusable("datetime_parsing", sentence, name)
                found[name] = text
        return found

    def _question(self, content: bytes, key: str | None, beside: Mapping[str, Value]) -> Question:
        name = self._feature.name
        picture = self._picture(content)
        unusual = self._feature.unusual(picture.pixels)
        remarks = (*(f"{name} {remark}" for remark in picture.remarks), *([unusual] if unusual else []))
        kept = picture.facts | {"brightness": brightness(picture.pixels)}
        return Question({**beside, name: kept}, key, {name: picture.pixels[np.newaxis]}, remarks)

    def _picture(self, content: bytes) -> Picture:
        name = self._feature.name
        try:
            return read_picture(content, self._feature.image_shape)
        except UnknownPicture as problem:
            raise UnsupportedImage(f"{name} {problem}") from problem
        except TooLargePicture as problem:
            raise BodyTooLarge(f"{name} {problem}") from problem
        except UnusablePicture as problem:
            raise self._unusable("picture", f"{name} {problem}", name) from problem

    def _shortened(self, body: bytes, most: int) -> Shortened:
        try:
            return shorten(body, most, MOST_FIELDS)
        except NotFlat:
            if len(body) > READABLE_BYTES:
                name = self._feature.name
                sentence = f"the body must be JSON objects with nothing in them but {name} and perhaps a key"
                raise self._unusable("not_flat", sentence) from None
            # Short enough to be read as it is, so that what is wrong can be named.
            return Shortened(body, [None] * (len(body) + 1))

    def _content(self, record: dict[str, Value], body: bytes, text: slice | None) -> bytes:
        name = self._feature.name
        value = str(record[name])
        try:
            # The same name may stand in an object twice, and then the last one counts.
            if text and value == from_json(b'"%b"' % beginning(body, text.start)):
                value = b"".join(read_text(body, text)).decode(errors="replace")
            return from_base64(value)
        except UnusablePicture as problem:
            raise self._unusable("base64", f"{name} {problem}", name) from problem
        except ValueError as problem:
            raise self._unusable("json_invalid", f"{name} is not valid JSON: {problem}", name) from problem

    def _file(self, form: Form) -> bytes:
        name = self._feature.name
        if len(form.files) != 1:
            how = f"curl -F {name}=@picture.jpg …"
            raise self._unusable(
                "missing", f"the form must have one file, {name}, and has {len(form.files)}: {how}", name
            )
        return next(iter(form.files.values()))

    def _key(self, form: Form) -> str | None:
        unknown = sorted(set(form.fields) - {self._contract.key, *self._contract.carried})
        if unknown:
            sentence = (
                f"{unknown[0][:40]!r} is not a field of {self._contract.use_case}; the file is {self._feature.name}"
            )
            raise self._unusable("extra_forbidden", sentence)
        return self._text(form, self._contract.key) if self._contract.key else None

    def _text(self, form: Form, name: str) -> str | None:
        """What a field of a form says; None: nothing."""
        text = form.fields.get(name)
        if not text:
            return None
        if len(text) > LONGEST_KEY or b"\0" in text:
            raise self._unusable("string_type", f"{name} must be a text of up to {LONGEST_KEY} characters", name)
        return text.decode(errors="replace")

    def _unusable(self, kind: str, sentence: str, *where: str) -> InvalidRequest:
        return InvalidRequest([Problem(type=kind, loc=["body", *where], msg=sentence)])


def _form(body: bytes, content_type: str) -> Form:
    form = Form({}, {})

    def on_file(file: File) -> None:
        file.file_object.seek(0)
        _put(form.files, file.field_name, file.file_object.read())
        file.close()

    def on_field(field: Field) -> None:
        _put(form.fields, field.field_name, field.value or b"")

    def _put(into: dict[str, bytes], name: bytes | None, content: bytes) -> None:
        if len(form.files) + len(form.fields) >= MOST_PARTS:
            raise FormParserError(f"it has more than {MOST_PARTS} parts")
        into[(name or b"").decode(errors="replace")] = content

    _, options = parse_options_header(content_type)
    in_memory = {"MAX_MEMORY_FILE_SIZE": len(body) + 1}
    try:
        parser = FormParser(FORM, on_field, on_file, boundary=options.get(b"boundary", b""), config=in_memory)
        parser.write(body)
        parser.finalize()
    except (FormParserError, MultipartParseError, ValueError) as error:
        problem = f"the body is not the form that its Content-Type says: {error}"
        raise InvalidRequest([Problem(type="form", loc=["body"], msg=problem)]) from error
    return form
