from __future__ import annotations

import os
from pathlib import Path

from quantgui.gui.cache_folder import OWN_FOLDER, cache_size, prune


def fill(folder: Path) -> list[Path]:
    """Five files of 100 bytes, the first used longest ago."""
    paths = [folder / "deep" / f"{number}.bin" for number in range(5)]
    paths[0].parent.mkdir(parents=True)
    for age, path in enumerate(paths):
        path.write_bytes(b"x" * 100)
        os.utime(path, (1000 + age, 1000 + age))
    return paths


def test_what_was_used_longest_ago_goes_first(tmp_path: Path) -> None:
    paths = fill(tmp_path)
    assert prune(tmp_path, 250) == 300
    assert [path.exists() for path in paths] == [False, False, False, True, True]
    assert cache_size(tmp_path) == 200


def test_a_cache_below_its_limit_is_left_alone(tmp_path: Path) -> None:
    fill(tmp_path)
    assert prune(tmp_path, 500) == 0
    assert cache_size(tmp_path / "not there") == 0


def test_a_link_is_removed_and_what_it_points_to_stays(tmp_path: Path) -> None:
    outside = tmp_path / "outside.bin"
    outside.write_bytes(b"x" * 100)
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / "link").symlink_to(outside)
    prune(cache, 0)
    assert outside.exists()
    assert not (cache / "link").exists()


def test_below_a_chosen_folder_only_our_own_is_emptied(state, tmp_path: Path) -> None:
    state.change_settings(cache_folder=str(tmp_path))
    assert state.cache_folder == tmp_path / OWN_FOLDER
