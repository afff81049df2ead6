import base64
from contextlib import suppress
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from modelyard import pictures
from modelyard.pictures import (
    TooLargePicture,
    UnknownPicture,
    UnusablePicture,
    from_base64,
    read_picture,
    resized,
    to_base64,
)
from tests.painted import BAD, CONVERTED, SHAPE, encoded, photo, pixels


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_used_is_said_in_words(name: str) -> None:
    make, reason = BAD[name]
    with pytest.raises(UnusablePicture, match=reason):
        read_picture(make(), SHAPE)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("name", ["bomb", "small_bomb"])
def test_a_bomb_is_refused_and_not_only_warned_of(name: str) -> None:
    with pytest.raises(TooLargePicture, match="more than 50 million pixels"):
        read_picture(BAD[name][0](), SHAPE)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("text", UnknownPicture), ("gif", UnknownPicture), ("huge_file", TooLargePicture), ("bomb", TooLargePicture)],
)
def test_a_wrong_kind_and_a_wrong_size_are_told_apart(name: str, kind: type[UnusablePicture]) -> None:
    with pytest.raises(kind):
        read_picture(BAD[name][0](), SHAPE)


@pytest.mark.parametrize("name", CONVERTED)
@pytest.mark.parametrize("channels", [1, 3])
def test_what_can_be_shown_is_converted(name: str, channels: int) -> None:
    picture = read_picture(CONVERTED[name](), (24, 40, channels))
    assert picture.pixels.shape == (24, 40, channels)
    assert picture.pixels.dtype == np.uint8


def test_pixels_of_the_wanted_shape_stay_as_they_are() -> None:
    assert np.array_equal(read_picture(encoded(photo(seed=3)), SHAPE).pixels, pixels("warm", 3))


def test_the_content_says_what_a_file_is() -> None:
    assert read_picture(encoded(photo(), "PNG"), SHAPE).format == "PNG"
    assert read_picture(encoded(photo(), "JPEG"), SHAPE).format == "JPEG"


def test_a_rotated_picture_is_turned_upright() -> None:
    left_is_white = Image.new("RGB", (64, 32))
    left_is_white.paste((255, 255, 255), (0, 0, 32, 32))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise: what was left is above
    picture = read_picture(encoded(left_is_white, exif=exif), (16, 16, 3))
    assert (picture.width, picture.height) == (32, 64)
    assert picture.pixels[0, :, 0].min() == 255
    assert picture.pixels[-1, :, 0].max() == 0


def test_what_is_transparent_becomes_white() -> None:
    assert read_picture(encoded(Image.new("RGBA", (32, 32), (0, 0, 0, 0))), SHAPE).pixels.min() == 255


def test_grey_of_16_bits_keeps_its_brightness() -> None:
    assert set(np.unique(read_picture(CONVERTED["deep_grey"](), SHAPE).pixels)) == {40_000 >> 8}


def test_changed_colours_are_remarked() -> None:
    assert read_picture(CONVERTED["grey"](), SHAPE).remarks == ("has no colours, only shades of grey",)
    assert "CMYK" in read_picture(CONVERTED["cmyk"](), SHAPE).remarks[0]
    assert read_picture(CONVERTED["grey"](), (16, 16, 1)).remarks == ()
    assert read_picture(CONVERTED["jpeg"](), SHAPE).remarks == ()


def test_a_large_jpeg_looks_the_same_as_one_decoded_whole() -> None:
    large = photo().resize((1200, 900), Image.Resampling.BICUBIC)
    whole = np.asarray(large.resize((16, 16), Image.Resampling.BILINEAR), dtype=float)
    read = read_picture(encoded(large, "JPEG", quality=95), SHAPE).pixels
    assert np.abs(read - whole).mean() < 6


def test_facts_say_what_the_file_was() -> None:
    content = encoded(photo(side=40))
    facts = read_picture(content, SHAPE).facts
    assert (facts["format"], facts["bytes"], facts["width"], facts["height"]) == ("PNG", len(content), 40, 40)
    assert len(str(facts["sha256"])) == 64


@pytest.mark.parametrize("shape", [(16, 16, 3), (16, 24, 1)])
def test_pixels_survive_base64(shape: tuple[int, int, int]) -> None:
    original = read_picture(CONVERTED["jpeg"](), shape).pixels
    assert np.array_equal(read_picture(from_base64(to_base64(original)), shape).pixels, original)


def test_base64_may_be_a_data_url() -> None:
    content = encoded(photo())
    assert from_base64(f"data:image/png;base64,{base64.b64encode(content).decode()}") == content
    with pytest.raises(UnusablePicture, match="is not base64"):
        from_base64("not base64 at all!")


def test_only_another_shape_is_resized() -> None:
    original = pixels("cold", 1)
    assert resized(original, SHAPE) is original
    assert resized(original, (32, 20, 3)).shape == (32, 20, 3)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(CONVERTED)), st.integers(0, 400), st.integers(0, 255))
def test_no_damage_makes_anything_but_a_sentence(name: str, position: int, value: int) -> None:
    content = bytearray(CONVERTED[name]())
    content[position % len(content)] = value
    with suppress(UnusablePicture):
        assert read_picture(bytes(content), SHAPE).pixels.shape == SHAPE


def test_a_large_picture_is_made_smaller_in_stripes_as_it_would_be_at_once() -> None:
    ramp = np.add.outer(np.arange(3000), np.arange(2800)).astype(np.uint8)
    image = Image.fromarray(np.dstack([ramp, ramp[::-1], ramp]))
    assert np.array_equal(np.asarray(pictures._reduced(image, 192, 3)), np.asarray(image.reduce(2800 // 192)))


def test_a_webp_picture_may_have_fewer_pixels_as_its_decoder_copies_them() -> None:
    file = BytesIO()
    Image.new("RGB", (4000, 3100)).save(file, "WEBP", quality=1, method=0)
    with pytest.raises(TooLargePicture, match="more than 12 million pixels"):
        read_picture(file.getvalue(), SHAPE)


def test_a_large_picture_that_says_how_it_is_to_be_turned_is_turned() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    file = BytesIO()
    left, right = Image.new("RGB", (1600, 2800), "white"), Image.new("RGB", (1600, 2800), "black")
    whole = Image.new("RGB", (3200, 2800))
    whole.paste(left, (0, 0))
    whole.paste(right, (1600, 0))
    whole.save(file, "PNG", exif=exif)
    pixels = read_picture(file.getvalue(), (32, 32, 3)).pixels
    assert pixels[0].mean() > 250
    assert pixels[-1].mean() < 5
