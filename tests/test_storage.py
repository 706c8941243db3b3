"""Files that were cut, changed, or are something else are refused; a failed write leaves the old file."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import save_file

import cumulant as cm
from cumulant import storage
from cumulant.errors import FileFormatError, SourceError


@pytest.fixture
def saved(tmp_path):
    model = cm.fit({"x": [1.0, 2.0, 4.0], "y": [2.0, 4.1, 7.9]})
    path = tmp_path / "m.cumulant"
    model.save(path)
    return path


def test_missing_file(tmp_path):
    with pytest.raises(SourceError, match=r"no file .*nowhere\.cumulant"):
        cm.load(tmp_path / "nowhere.cumulant")


@pytest.mark.parametrize("keep", [0, 4, 100, 0.5, 0.99])
def test_truncated(saved, keep):
    content = saved.read_bytes()
    saved.write_bytes(content[: keep if isinstance(keep, int) else int(keep * len(content))])
    with pytest.raises(FileFormatError, match=r"truncated|not a cumulant file"):
        cm.load(saved)


def test_every_changed_byte_is_noticed(saved):
    content = saved.read_bytes()
    rng = np.random.default_rng(0)
    for at in [*rng.integers(8, len(content), size=60), len(content) - 1]:
        changed = bytearray(content)
        changed[at] ^= 0x40
        saved.write_bytes(changed)
        with pytest.raises(FileFormatError):
            cm.load(saved)


def test_foreign_files(tmp_path):
    path = tmp_path / "foreign.cumulant"
    save_file({"weights": np.zeros(3)}, path)
    with pytest.raises(FileFormatError, match="not one that cumulant wrote"):
        cm.load(path)
    path.write_text("price,rooms\n1,2\n")
    with pytest.raises(FileFormatError):
        cm.load(path)


def test_a_pickle_is_never_executed(tmp_path):
    witness = tmp_path / "executed"

    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(witness),)

    path = tmp_path / "bomb.cumulant"
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(FileFormatError):
        cm.load(path)
    assert not witness.exists()


def test_newer_version(tmp_path, monkeypatch):
    path = tmp_path / "new.cumulant"
    monkeypatch.setattr(storage, "VERSION", 99)
    storage.save(path, "moments", {}, {})
    monkeypatch.undo()
    with pytest.raises(FileFormatError, match="format version 99, this cumulant reads up to 1"):
        cm.load(path)


def test_unknown_kind_and_missing_parts(tmp_path):
    path = tmp_path / "odd.cumulant"
    storage.save(path, "atlas", {}, {})
    with pytest.raises(FileFormatError, match="holds 'atlas'"):
        cm.load(path)
    storage.save(path, "model", {}, {"schema": []})
    with pytest.raises(FileFormatError, match="incomplete"):
        cm.load(path)


def test_names_that_json_and_shells_dislike(tmp_path):
    names = ['quote"', "</script>", "ключ", "a,b", "new\nline", " "]
    model = cm.fit({name: np.arange(5.0) ** (i + 1) for i, name in enumerate(names)}, precision="double")
    model.save(tmp_path / "m")
    assert cm.load(tmp_path / "m").columns == tuple(names)


def test_a_model_is_about_eight_bytes_a_pair(tmp_path):
    x = np.random.default_rng(1).normal(size=(500, 100))
    cm.fit(x).save(tmp_path / "m", moments=False)
    assert (tmp_path / "m").stat().st_size < 1.5 * 8 * 100**2


def test_a_full_disk_leaves_the_old_file(saved):
    """The write is stopped by the operating system's limit on file size, in a process of its own."""
    before = saved.read_bytes()
    code = (
        "import resource, signal, sys, numpy as np, cumulant as cm\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "model = cm.fit(np.random.default_rng(0).normal(size=(50, 40)))\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "model.save(sys.argv[1])\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(saved)], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "any earlier file of that name is as it was" in done.stderr
    assert saved.read_bytes() == before
    assert [p.name for p in saved.parent.iterdir()] == [saved.name]


def test_unwritable_folder(tmp_path):
    model = cm.fit({"x": [1.0, 2.0]})
    with pytest.raises(SourceError, match="cannot write"):
        model.save(tmp_path / "no" / "such" / "folder.cumulant")


def test_the_header_is_plain_json(saved):
    content = saved.read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])["__metadata__"]
    assert header["format"] == "cumulant"
    assert json.loads(header["meta"])["theory"] == "gaussian"


def test_bytes_sent_between_processes_arrive_or_are_refused():
    arrays = {"a": np.arange(6.0).reshape(2, 3), "n": np.array([2**62], dtype=np.int64)}
    meta = {"name": 'Ørsted "', "levels": [], "gap": None}
    content = storage.encode("moments", arrays, meta)
    kind, got, about = storage.decode(content)
    assert (kind, about) == ("moments", meta)
    assert got.keys() == arrays.keys()
    assert all(np.array_equal(got[name], arrays[name]) for name in arrays)
    assert storage.decode(storage.encode("error", {}, {})) == ("error", {}, {})
    changed = bytearray(content)
    changed[-1] ^= 1
    for broken in (b"", content[:7], content[:-1], bytes(changed)):
        with pytest.raises(FileFormatError, match="another process"):
            storage.decode(broken)
