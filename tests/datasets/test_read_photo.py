import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from PIL import ImageOps

from keras_xmap.datasets import read_photo


def colors(height=4, width=6, channels=3):
    rng = np.random.default_rng(0)
    return rng.integers(256, size=(height, width, channels), dtype="uint8")


def read(tmp_path, image, name="photo.png", **options):
    image.save(tmp_path / name, **options)
    return read_photo(tmp_path / name)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photos_stand_upright(orientation, tmp_path):
    photo = Image.fromarray(colors())
    exif = photo.getexif()
    exif[0x0112] = orientation
    for name, options in (("photo.png", {}), ("photo.webp", {"lossless": 1})):
        seen = read(tmp_path, photo, name, exif=exif, **options)
        with Image.open(tmp_path / name) as stored:
            upright = ImageOps.exif_transpose(stored).convert("RGB")
        np.testing.assert_array_equal(seen, np.array(upright))
        assert seen.flags.c_contiguous and seen.flags.owndata


def test_a_corner_goes_where_the_camera_was_held(tmp_path):
    photo = np.zeros((2, 3, 3), "uint8")
    photo[0, 0] = 255  # at the top left of the sensor
    photo = Image.fromarray(photo)
    for orientation, corner in ((1, (0, 0)), (6, (0, 1)), (8, (2, 0))):
        exif = photo.getexif()
        exif[0x0112] = orientation
        seen = read(tmp_path, photo, exif=exif)
        assert list(zip(*np.nonzero(seen[..., 0]), strict=True)) == [corner]


@pytest.mark.parametrize("value", (0, 9, 77))
def test_an_orientation_that_means_nothing_turns_nothing(value, tmp_path):
    photo = Image.fromarray(colors())
    exif = photo.getexif()
    exif[0x0112] = value
    assert (read(tmp_path, photo, exif=exif) == colors()).all()


def test_damaged_exif_turns_nothing(tmp_path):
    photo = Image.fromarray(colors())
    for damaged in (b"Exif\0\0MM\0*", b"Exif\0\0nothing of the kind"):
        seen = read(tmp_path, photo, exif=damaged)
        assert (seen == colors()).all()


def test_cmyk_is_seen_in_colours(tmp_path):
    # Cyan and magenta make blue, no ink is white, all black ink is black.
    for ink, color in (
        ((255, 255, 0, 0), (0, 0, 255)),
        ((0, 0, 0, 0), (255, 255, 255)),
        ((0, 0, 0, 255), (0, 0, 0)),
        ((0, 0, 255, 0), (255, 255, 0)),
    ):
        photo = Image.new("CMYK", (16, 16), ink)
        for name in ("photo.jpg", "photo.tiff"):
            seen = read(tmp_path, photo, name)
            assert np.abs(seen.astype(int) - color).max() <= 3


def test_16_bits_are_scaled_to_8(tmp_path):
    values = np.array([[0, 1, 128, 129], [257 * 7, 40000, 65406, 65535]])
    for name in ("photo.png", "photo.tiff"):
        photo = Image.fromarray(values.astype("uint16"))
        seen = read(tmp_path, photo, name)
        expected = np.rint(values / 257)
        assert (seen == expected[..., None]).all()
    assert seen[0, 3, 0] == 1 and seen[1].max() == 255


def png_of_16_bits(kind, values, *chunks):
    """Returns the bytes of a PNG of one row, of which Pillow writes not all."""
    width = len(values) // (3 if kind == 2 else 1)
    row = b"\0" + struct.pack(f">{len(values)}H", *values)
    content = b"\x89PNG\r\n\x1a\n"
    for name, data in (
        (b"IHDR", struct.pack(">2I5B", width, 1, 16, kind, 0, 0, 0)),
        *chunks,
        (b"IDAT", zlib.compress(row)),
        (b"IEND", b""),
    ):
        content += struct.pack(">I", len(data)) + name + data
        content += struct.pack(">I", zlib.crc32(name + data))
    return content


def test_16_bits_that_are_transparent_or_negative(tmp_path):
    file = tmp_path / "photo.png"
    transparent = (b"tRNS", struct.pack(">H", 1000))
    file.write_bytes(png_of_16_bits(0, (0, 1000, 40000), transparent))
    assert read_photo(file)[0, :, 0].tolist() == [0, 255, 156]
    photo = Image.fromarray(np.array([[0, 1000, 40000]], "uint16"))
    with pytest.raises(ValueError, match="photo.tiff': .* black at 0"):
        read(tmp_path, photo, "photo.tiff", tiffinfo={262: 0})


def test_colours_of_16_bits_are_scaled_to_8(tmp_path):
    file = tmp_path / "photo.png"
    file.write_bytes(png_of_16_bits(2, (65535, 0, 32896, 257, 514, 771)))
    assert read_photo(file).tolist() == [[[255, 0, 128], [1, 2, 3]]]


def test_kinds_of_few_colours_become_rgb(tmp_path):
    photo = Image.fromarray(colors())
    for mode in ("1", "L", "P", "LA"):
        seen = read(tmp_path, photo.convert(mode))
        expected = np.array(photo.convert(mode).convert("RGB"))
        np.testing.assert_array_equal(seen, expected)


def test_what_is_transparent_is_white(tmp_path):
    photo = np.full((1, 3, 4), 100, "uint8")
    photo[0, :, 3] = 0, 51, 255
    seen = read(tmp_path, Image.fromarray(photo))
    # A fifth of 100, and four fifths of 255.
    assert seen[0, :, 0].tolist() == [255, 224, 100]
    grey = Image.fromarray(photo).convert("LA")
    assert (read(tmp_path, grey) == seen).all()
    palette = Image.fromarray(colors()).convert("P")
    index = palette.getpixel((0, 0))
    seen = read(tmp_path, palette, transparency=index)
    hidden = np.array(palette) == index
    assert (seen[hidden] == 255).all()
    assert (seen == np.array(palette.convert("RGB")))[~hidden].all()


def test_of_several_frames_the_first_is_read(tmp_path):
    first, second = (Image.new("RGB", (3, 2), c) for c in ("red", "blue"))
    options = {"save_all": True, "append_images": [second]}
    for name in ("photo.tiff", "photo.gif"):
        seen = read(tmp_path, first, name, **options)
        assert (seen == (255, 0, 0)).all()


def test_a_white_that_is_not_known_is_refused(tmp_path):
    for dtype in ("float32", "int32"):
        photo = Image.fromarray(np.full((2, 2), 3, dtype))
        with pytest.raises(ValueError, match=r"'.*photo\.tiff': A photo must"):
            read(tmp_path, photo, "photo.tiff")


def test_what_is_no_photo_is_named(tmp_path):
    whole = io.BytesIO()
    Image.fromarray(colors(40, 40)).save(whole, "PNG")
    file = tmp_path / "photo.png"
    for content in (b"", b"text", whole.getvalue()[:-900]):
        file.write_bytes(content)
        with pytest.raises(ValueError, match=r"Received: '.*photo\.png': "):
            read_photo(file)
    with pytest.raises(OSError, match="nowhere"):
        read_photo(tmp_path / "nowhere")
    with pytest.raises(TypeError, match="Received: path=3"):
        read_photo(3)
