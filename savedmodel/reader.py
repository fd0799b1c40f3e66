"""SavedModelReader: one SavedModel directory (or archive), parsed once, read-only. It refuses to execute anything or to load a kernel."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from savedmodel.errors import DataLossError, FormatError, ModelNotFoundError, NoSuchTagsError, TooLargeError
from savedmodel.format import fingerprint as fingerprints
from savedmodel.format import protos, v1_checkpoint, wire

__all__ = ["SavedModelReader", "contains_saved_model", "open_model"]

PB, PBTXT, CPB = "saved_model.pb", "saved_model.pbtxt", "saved_model.cpb"
_MAX_ARCHIVE = 8 << 30
_MAX_RATIO = 200
_LFS = b"version https://git-lfs.github.com/spec/"


class _Directory:
    """Files of a directory on disk."""

    def __init__(self, root: Path):
        self.root = root

    def exists(self, name: str) -> bool:
        return (self.root / name).is_file()

    def read(self, name: str) -> bytes:
        return (self.root / name).read_bytes()

    def path(self, name: str) -> str:
        return str(self.root / name)

    def names(self) -> list[str]:
        return sorted(str(p.relative_to(self.root)) for p in self.root.rglob("*") if p.is_file())

    def files(self) -> Any:
        return None


class _Memory:
    """Files held in memory, by relative path."""

    def __init__(self, contents: Mapping[str, bytes]):
        self.contents = dict(contents)
        self._folder: Any = None  # a TemporaryDirectory, once something needed a path

    def on_disk(self, name: str) -> str:
        """The path of a copy of the file on disk, which lives as long as this object; `name` itself where there is no such file."""
        if name not in self.contents:
            return name
        if self._folder is None:
            import tempfile

            self._folder = tempfile.TemporaryDirectory(prefix="savedmodel-")
        path = Path(self._folder.name, *PurePosixPath(name).parts)
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.contents[name])
        return str(path)

    def exists(self, name: str) -> bool:
        return name in self.contents

    def read(self, name: str) -> bytes:
        return self.contents[name]

    def path(self, name: str) -> str:
        return name

    def names(self) -> list[str]:
        return sorted(self.contents)

    def files(self) -> Any:
        return self.contents


def _from_archive(data: bytes, what: str) -> _Memory:
    """The files of a zip or tar archive, the model's directory stripped. Links and paths that lead out are refused."""
    import tarfile
    import zipfile

    contents: dict[str, bytes] = {}
    total = 0
    if zipfile.is_zipfile(io.BytesIO(data)):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for info in archive.infolist():
                if info.is_dir():
                    continue
                total += info.file_size
                _check_archive(total, len(data), what)
                contents[_safe_name(info.filename, what)] = archive.read(info)
    else:
        try:
            with tarfile.open(fileobj=io.BytesIO(data)) as archive:
                for member in archive:
                    if member.isdir():
                        continue
                    if not member.isfile():
                        raise FormatError(f"{what} > {member.name}: expected files and directories, received a link or device; refused")
                    total += member.size
                    _check_archive(total, len(data), what)
                    handle = archive.extractfile(member)
                    contents[_safe_name(member.name, what)] = handle.read() if handle is not None else b""
        except tarfile.TarError as error:
            raise ModelNotFoundError(f"{what}: expected a zip or tar archive of a SavedModel, received {len(data)} bytes that are neither ({error})") from None
    roots = sorted((n.rpartition(name)[0] for n in contents for name in (PB, PBTXT) if n.endswith(name)), key=len)
    if not roots:
        raise ModelNotFoundError(f"{what}: the archive holds no {PB} or {PBTXT}; its files: {', '.join(sorted(contents)[:10])}")
    prefix = roots[0]
    return _Memory({n[len(prefix) :]: d for n, d in contents.items() if n.startswith(prefix)})


def _check_archive(total: int, packed: int, what: str) -> None:
    if total > _MAX_ARCHIVE or total > max(packed, 1 << 20) * _MAX_RATIO:
        raise TooLargeError(f"{what}: the archive unpacks to more than {total} bytes from {packed}; refused as a decompression bomb")


def _safe_name(name: str, what: str) -> str:
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or (path.parts and ":" in path.parts[0]):
        raise FormatError(f"{what} > {name!r}: a path that leads out of the archive; refused")
    return str(path)


def _remote(url: str) -> _Memory:
    try:
        import fsspec
    except ImportError:
        raise ModelNotFoundError(f"{url}: remote paths need the package fsspec; install savedmodel[remote], or copy the model here") from None
    fs, root = fsspec.core.url_to_fs(url)
    contents = {}
    for path in fs.find(root):
        contents[path[len(root) :].lstrip("/")] = fs.cat_file(path)
    return _Memory(contents)


def _source(path: Any) -> tuple[Any, str]:
    if isinstance(path, (bytes, bytearray, memoryview)):
        data = bytes(path)
        if data[:2] in (b"PK", b"\x1f\x8b", b"BZ") or b"ustar" in data[:512] or len(data) > 1024:
            return _from_archive(data, "bytes"), "<bytes>"
        path = os.fsdecode(data)
    if not isinstance(path, (str, bytes, os.PathLike)):
        raise TypeError(
            f"expected the path of a SavedModel (str, bytes, os.PathLike) or the bytes of a zip or tar archive, received {path!r} of type "
            f"{type(path).__name__}"
        )
    where = os.fspath(path)
    if isinstance(where, bytes):
        where = os.fsdecode(where)
    if "://" in where:
        from urllib.parse import unquote, urlparse

        parsed = urlparse(where)
        if parsed.scheme != "file":
            return _remote(where), where
        where = unquote(parsed.path)
    target = Path(where)
    if target.is_file():
        if target.name in (PB, PBTXT) or target.suffix in (".pb", ".pbtxt"):
            if target.name not in (PB, PBTXT):
                raise ModelNotFoundError(f"{where}: expected a SavedModel directory or its {PB}, received another file; if it is a frozen GraphDef, it is no SavedModel")
            return _Directory(target.parent), str(target.parent)
        return _from_archive(target.read_bytes(), where), where
    return _Directory(target), where


def contains_saved_model(path: Any) -> bool:
    """Whether there is a SavedModel at `path`."""
    try:
        source, _ = _source(path)
    except (OSError, ValueError):
        return False
    return source.exists(PB) or source.exists(PBTXT)


class SavedModelReader:
    """A SavedModel, parsed: meta graphs, signatures, objects, variables, assets, fingerprint. Nothing is executed.

    Args:
        path: a directory, the `.pb` in it, a zip or tar archive (path or bytes), or a URL (`file://`, others through fsspec).

    Raises:
        OSError: there is no SavedModel at `path`. DataLossError: its bytes are damaged.
    """

    def __init__(self, path: Any):
        self.source, self.path = _source(path)
        source = self.source
        if source.exists(PB):
            data = source.read(PB)
            where = source.path(PB)
            if data.startswith(_LFS):
                raise DataLossError(
                    f"{where}: a Git LFS pointer ({len(data)} bytes), not the model itself; run `git lfs pull` in its repository"
                )
            if not data:
                raise DataLossError(f"{where}: the file is empty; expected a serialized SavedModel")
            self.message = wire.parse(protos.SavedModel, data, where)
        elif source.exists(PBTXT):
            where = source.path(PBTXT)
            from savedmodel.format import text

            self.message = text.parse_text(protos.SavedModel, source.read(PBTXT), where)
        else:
            if source.exists(CPB):
                raise ModelNotFoundError(f"{self.path}: only {CPB} is there, a format that open TensorFlow does not read either; export again without experimental_image_format")
            raise ModelNotFoundError(
                f"SavedModel file does not exist at: {self.path}{os.sep}{{{PBTXT}|{PB}}}"
            )
        self.where = where
        if not self.message.meta_graphs:
            raise DataLossError(f"{where}: expected at least one MetaGraphDef, received none; the file is damaged or no SavedModel")

    # -- meta graphs -------------------------------------------------------------------------------------------------

    @property
    def meta_graphs(self) -> list[Any]:
        """The MetaGraphDef messages."""
        return list(self.message.meta_graphs)

    @property
    def tag_sets(self) -> list[tuple[str, ...]]:
        return [tuple(sorted(m.meta_info_def.tags)) for m in self.message.meta_graphs]

    def select(self, tags: str | Iterable[str] | None = None) -> Any:
        """The MetaGraphDef with exactly `tags` (None: the only one).

        Raises:
            ValueError: none, or several, fit; the message lists what is there.
        """
        graphs = self.message.meta_graphs
        available = ", ".join(str(set(t) or "{}") for t in self.tag_sets)
        if tags is None:
            if len(graphs) != 1:
                raise FormatError(
                    f"Importing a SavedModel with tf.saved_model.load requires a `tags=` argument if there is more than one MetaGraph. "
                    f"Got `tags=None`, but there are {len(graphs)} MetaGraphs in the SavedModel with tag sets: {available}. Pass a "
                    f"`tags=` argument to load this SavedModel."
                )
            return graphs[0]
        wanted = {tags} if isinstance(tags, str) else set(tags)
        for graph in graphs:
            if set(graph.meta_info_def.tags) == wanted:
                return graph
        raise NoSuchTagsError(
            f"{self.path}: MetaGraphDef associated with tags {sorted(wanted)} could not be found in SavedModel, with available tags "
            f"'{available}'. To inspect the available tag sets, run `savedmodel show {self.path} --all`."
        )

    @property
    def is_object_based(self) -> bool:
        """Whether the model holds an object graph (TensorFlow 2), and not only graphs (TensorFlow 1)."""
        graphs = self.message.meta_graphs
        return len(graphs) == 1 and graphs[0].HasField("object_graph_def")

    @property
    def signatures(self) -> dict[str, Any]:
        """The SignatureDef messages of the first meta graph, by key."""
        return dict(self.message.meta_graphs[0].signature_def.items())

    @property
    def functions(self) -> dict[str, Any]:
        """The FunctionDef messages of the first meta graph, by name."""
        return {f.signature.name: f for f in self.message.meta_graphs[0].graph_def.library.function}

    @property
    def objects(self) -> Any:
        """The SavedObjectGraph message of the first meta graph."""
        return self.message.meta_graphs[0].object_graph_def

    # -- variables ---------------------------------------------------------------------------------------------------

    @property
    def has_variables(self) -> bool:
        return self.source.exists("variables/variables.index") or self.source.exists("variables/variables")

    @cached_property
    def variables(self) -> Any:
        """Checkpoint key → lazily read tensor. Raises MissingFileError when the model has no checkpoint."""
        prefix = self.source.path("variables/variables")
        files = self.source.files()
        if files is not None:
            from savedmodel.format.bundle import BundleReader

            return BundleReader("variables/variables", files=files)
        return v1_checkpoint.open_checkpoint(prefix)

    # -- the rest ----------------------------------------------------------------------------------------------------

    @cached_property
    def fingerprint(self) -> Any:
        """The FingerprintDef message, or None."""
        if not self.source.exists("fingerprint.pb"):
            return None
        try:
            return wire.parse(protos.FingerprintDef, self.source.read("fingerprint.pb"), self.source.path("fingerprint.pb"))
        except DataLossError:
            return None  # informational: a damaged one never stops a load

    def verify(self) -> list[str]:
        """Problems found: hashes of fingerprint.pb, checksums of every tensor, assets that are missing. Empty: all is well."""
        problems = []
        if self.fingerprint is not None:
            index = self.source.read("variables/variables.index") if self.source.exists("variables/variables.index") else b""
            data = self.source.read(PB) if self.source.exists(PB) else None
            problems += fingerprints.verify(self.fingerprint, self.message, index, data=data)
        if self.has_variables:
            for key in self.variables:
                try:
                    self.variables.read(key)
                except (FormatError, OSError) as error:
                    problems.append(str(error))
        for name in self.assets:
            if not self.source.exists(f"assets/{name}"):
                problems.append(f"{self.path}: asset {name!r} is missing")
        return problems

    @property
    def assets(self) -> list[str]:
        """File names under `assets/` that the first meta graph refers to."""
        return [a.filename for a in self.message.meta_graphs[0].asset_file_def]

    def asset_path(self, name: str) -> str:
        """Where the asset lies; out of an archive it is copied to a temporary folder that lives as long as this reader.

        Raises:
            FormatError: the name leads out of the model.
        """
        _safe_name(name, self.path)
        if isinstance(self.source, _Memory):
            return self.source.on_disk(f"assets/{name}")
        return self.source.path(f"assets/{name}")

    @cached_property
    def keras_metadata(self) -> Any:
        """The SavedMetadata message of keras_metadata.pb, or None."""
        if not self.source.exists("keras_metadata.pb"):
            return None
        return wire.parse(protos.SavedMetadata, self.source.read("keras_metadata.pb"), self.source.path("keras_metadata.pb"))

    def __repr__(self) -> str:
        return f"<SavedModelReader {self.path!r} tags={self.tag_sets} signatures={sorted(self.signatures)}>"


def open_model(path: Any) -> SavedModelReader:
    """Open a SavedModel for looking at it; see SavedModelReader."""
    return SavedModelReader(path)
