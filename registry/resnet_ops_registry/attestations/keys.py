"""Signing keys: Ed25519, made on first use, readable by their owner alone."""

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from resnet_ops.errors import ConfigError, StorageError
from resnet_ops_registry.common.settings import keys_folder

__all__ = ["PrivateKey", "PublicKey", "list_keys", "make_key", "open_key", "read_key", "read_public_key"]


@dataclass(frozen=True)
class PublicKey:
    """What a verifier needs. `raw` is the key's 32 bytes; `id` is their sha256, 64 hexadecimal digits."""

    raw: bytes

    @property
    def id(self) -> str:
        return hashlib.sha256(self.raw).hexdigest()

    def verifies(self, message: bytes, signature: bytes) -> bool:
        """Whether `signature` was made over `message` with the private half."""
        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, message)
        except (InvalidSignature, ValueError):  # the latter: these bytes are no key
            return False
        return True

    def pem(self) -> str:
        """As SubjectPublicKeyInfo in PEM."""
        key = Ed25519PublicKey.from_public_bytes(self.raw)
        return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


@dataclass(frozen=True)
class PrivateKey:
    """A key that signs, and the name of its file."""

    name: str
    key: Ed25519PrivateKey

    @property
    def public(self) -> PublicKey:
        return PublicKey(self.key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))

    def sign(self, message: bytes) -> bytes:
        """The 64 bytes of the signature."""
        return self.key.sign(message)


def open_key(name: str = "pipeline", folder: Path | None = None) -> PrivateKey:
    """The key called `name`, made now if it is missing."""
    path = _path(name, folder)
    return _read(path) if path.exists() else make_key(name, folder)


def make_key(name: str, folder: Path | None = None) -> PrivateKey:
    """Make NAME.pem (PKCS8, mode 0600) and NAME.pub.pem beside it. A key that is there already is kept.

    Raises StorageError when the folder cannot be written.
    """
    path = _path(name, folder)
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # written whole under another name, then linked: a second process finds the first one's key, never half
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(temporary, path)
        except FileExistsError:
            pass
        finally:
            temporary.unlink()
        key = _read(path)
        path.with_suffix(".pub.pem").write_text(key.public.pem())
    except OSError as error:
        raise StorageError(
            f"Cannot write the key {path}: {error.strerror}. Make the folder writable, or set RESNET_OPS_KEYS."
        ) from error
    return key


def read_key(name: str, folder: Path | None = None) -> PrivateKey:
    """The key called `name`. Raises ConfigError when there is none: a person's key is made on purpose."""
    path = _path(name, folder)
    if not path.exists():
        raise ConfigError(
            f"There is no key {path}. Make one with: resnet-ops keys new {name}; then have an operator trust it: "
            f"resnet-ops keys trust {path.with_suffix('.pub.pem')} --role reviewer (or "
            "pipeline, where it signs evidence)"
        )
    return _read(path)


def list_keys(folder: Path | None = None) -> list[PrivateKey]:
    """Every private key in the folder, by name."""
    root = folder or keys_folder()
    return [_read(path) for path in sorted(root.glob("*.pem")) if not path.name.endswith(".pub.pem")]


def read_public_key(path: Path) -> PublicKey:
    """Read a public key from a PEM file. Raises ConfigError when it holds no Ed25519 public key."""
    try:
        key = load_pem_public_key(path.read_bytes())
    except FileNotFoundError:
        raise ConfigError(
            f"There is no file {path}. Name the NAME.pub.pem that `resnet-ops keys new` made."
        ) from None
    except (OSError, ValueError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"{path} is not a public key in PEM ({error}). Name a NAME.pub.pem.") from error
    if not isinstance(key, Ed25519PublicKey):
        raise ConfigError(f"{path} is not an Ed25519 key. Make one with: resnet-ops keys new NAME")
    return PublicKey(key.public_bytes(Encoding.Raw, PublicFormat.Raw))


def _path(name: str, folder: Path | None) -> Path:
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,63}", name):
        raise ConfigError(f"{name!r} cannot name a key: use small letters, digits, - and _.")
    return (folder or keys_folder()) / f"{name}.pem"


def _read(path: Path) -> PrivateKey:
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        raise ConfigError(
            f"The private key {path} can be read by others (mode {mode:o}). Run: chmod 600 {path}"
        )
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigError(
            f"{path} is not a private key in PEM ({error}). Restore it, or delete it."
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(f"{path} is not an Ed25519 key. Move it away; a new one is made on first use.")
    return PrivateKey(path.stem, key)
