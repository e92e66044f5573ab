"""Which photos are meant by files, folders and patterns."""

import pytest

from keras_xmap.cli._photo_files import photo_files


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in (
        "photos/b.png",
        "photos/a.JPG",
        "photos/.hidden.png",
        "photos/notes.txt",
        "photos/deep/a.webp",
        "photos/deep/er/c.tif",
        "photos/.cache/d.png",
        "photos/maps/a.layercam.png",
        "empty/notes.txt",
        "nested/deep/a.png",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


def found(*given, recursive=False, results="maps"):
    return [tuple(x) for x in photo_files(given, recursive, results)]


def test_a_folder_stands_for_the_photos_in_it(place):
    assert found("photos") == [("photos/a.JPG", "a"), ("photos/b.png", "b")]


def test_folders_in_folders_are_asked_for_and_results_are_no_photos(place):
    assert found("photos/", recursive=True, results="photos/maps") == [
        ("photos/a.JPG", "a"),
        ("photos/b.png", "b"),
        ("photos/deep/a.webp", "deep/a"),
        ("photos/deep/er/c.tif", "deep/er/c"),
    ]


def test_pictures_beside_their_maps_are_results(place):
    for name in ("b.gradcam", "b.layercam.top2", "a.smile"):
        (place / f"photos/{name}.png").touch()
        (place / f"photos/{name}.npy").touch()
    (place / "photos/z.gradcam.png").touch()
    names = [name for _, name in found("photos", results="photos")]
    assert names == ["a", "a.smile", "b", "z.gradcam"]


def test_patterns_keep_the_path_behind_what_is_fixed(place):
    assert found("photos/**/a.*", "photos/b.png") == [
        ("photos/a.JPG", "a"),
        ("photos/deep/a.webp", "deep/a"),
        ("photos/maps/a.layercam.png", "maps/a.layercam"),
        ("photos/b.png", "b"),
    ]
    assert found("photo[s]/?.png") == [("photos/b.png", "photos/b")]


def test_a_file_may_be_named_as_a_pattern(place):
    (place / "a[1].png").touch()
    assert found("a[1].png") == [("a[1].png", "a[1]")]


def test_photos_of_one_name_in_two_formats_keep_their_suffix(place):
    (place / "photos/a.png").touch()
    names = [name for _, name in found("photos")]
    assert names == ["a.JPG", "a.png", "b"]


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ("empty", ValueError, "Received: empty, where no file ends in .*png"),
        ("nested", ValueError, "`--recursive` looks in its folders"),
        ("*.xyz", FileNotFoundError, "Received: .*xyz, which fits none"),
        ("no.png", FileNotFoundError, "Received: no.png, which is not there"),
    ],
)
def test_where_there_is_no_photo_it_is_told(place, given, error, message):
    with pytest.raises(error, match=message):
        found(given)
