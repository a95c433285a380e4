"""What every key store promises, shown on each of them."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from cli.dev.servers import Token
from clients.keystores import KeyStore
from clients.keystores.pkcs11 import Pkcs11KeyStore
from clients.keystores.signing import csr, stored_key
from clients.keystores.software import SoftwareKeyStore
from clients.secrets.resolver import Secrets
from schemas.errors import KeyNotFound, KeyUnsuitable
from schemas.settings.key_stores import KeyAlgorithm
from tests.servers.crashes import killed_at

ALGORITHMS: tuple[KeyAlgorithm, ...] = ("EC-P256", "EC-P384", "RSA-2048")
ID = b"\x00\x9f\xff key"

_SOFTWARE = """
from pathlib import Path
from clients.keystores.software import SoftwareKeyStore
store = SoftwareKeyStore("software", Path({path!r}), Path({master!r}).read_bytes())
"""
_PKCS11 = """
from clients.keystores.pkcs11 import Pkcs11KeyStore
from clients.secrets.resolver import Secrets
store = Pkcs11KeyStore("hsm", {module!r}, {token!r}, lambda: Secrets().resolve({pin!r}))
"""


@dataclass
class Case:
    store: KeyStore
    again: Callable[[], KeyStore]
    """The same store, as another process would make it."""
    program: str
    """Python that makes it as `store` in another process."""
    in_token: bool


@pytest.fixture(params=["software", "softhsm"])
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Case:
    if request.param == "software":
        return _software(tmp_path)
    return _softhsm(request.getfixturevalue("empty_softhsm"))


def _software(folder: Path) -> Case:
    master = folder / "master-key"
    master.write_text(os.urandom(32).hex())

    def make() -> KeyStore:
        return SoftwareKeyStore("software", folder / "store", master.read_bytes())

    return Case(
        make(), make, _SOFTWARE.format(path=str(folder / "store"), master=str(master)), in_token=False
    )


def _softhsm(token: Token) -> Case:
    def make() -> KeyStore:
        return Pkcs11KeyStore("hsm", token.module, token.label, lambda: Secrets().resolve(token.pin_ref))

    program = _PKCS11.format(module=str(token.module), token=token.label, pin=token.pin_ref)
    return Case(make(), make, program, in_token=True)


def run_elsewhere(program: str) -> "subprocess.Popen[str]":
    return subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)


def outcome(process: "subprocess.Popen[str]") -> str:
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return out.strip()


def verify(public_key: bytes, signature: bytes, data: bytes, digest: hashes.HashAlgorithm) -> None:
    public = serialization.load_der_public_key(public_key)
    if isinstance(public, rsa.RSAPublicKey):
        public.verify(signature, data, padding.PKCS1v15(), digest)
    else:
        assert isinstance(public, ec.EllipticCurvePublicKey)
        public.verify(signature, data, ec.ECDSA(digest))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_signature_verifies_with_the_public_key(case: Case, algorithm: KeyAlgorithm) -> None:
    facts = case.store.generate(ID, "a label", algorithm)
    assert (facts.key_id, facts.label, facts.algorithm) == (ID.hex(), "a label", algorithm)
    custody = case.store.custody(ID)
    assert (custody is not None) == case.in_token
    assert custody is None or (custody.local and custody.always_sensitive and custody.never_extractable)
    assert not facts.extractable
    verify(facts.public_key, case.store.sign(ID, b"data", "sha256"), b"data", hashes.SHA256())
    verify(facts.public_key, case.store.sign(ID, b"data", "sha384"), b"data", hashes.SHA384())


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_request_is_signed_where_the_key_is(case: Case, algorithm: KeyAlgorithm) -> None:
    facts = case.store.generate(ID, "a label", algorithm)
    request = x509.load_der_x509_csr(csr(case.store, ID, ("www.example.com", "example.com")))
    assert request.is_signature_valid
    shown = request.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    assert shown == facts.public_key
    names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["www.example.com", "example.com"]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_adapter_gives_no_private_half(case: Case, algorithm: KeyAlgorithm) -> None:
    case.store.generate(ID, "a label", algorithm)
    key = stored_key(case.store, ID)
    with pytest.raises(KeyUnsuitable):
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    with pytest.raises(KeyUnsuitable):
        key.private_numbers()


def test_the_same_id_is_the_same_key(case: Case) -> None:
    first = case.store.generate(ID, "a label", "EC-P256")
    assert case.store.generate(ID, "another label", "EC-P384") == first
    assert case.again().describe(ID) == first
    assert case.store.list() == (first,)


def test_threads_that_make_one_key_get_one_key(case: Case) -> None:
    start = threading.Barrier(4)

    def make() -> bytes:
        start.wait(30)
        return case.store.generate(ID, "a label", "EC-P256").public_key

    with ThreadPoolExecutor(4) as threads:
        made = {future.result() for future in [threads.submit(make) for _ in range(4)]}
    assert len(made) == 1
    assert len(case.store.list()) == 1


def test_processes_that_make_one_key_get_one_key(case: Case) -> None:
    program = case.program + f'print(store.generate({ID!r}, "a label", "EC-P256").public_key.hex())\n'
    made = {outcome(process) for process in [run_elsewhere(program) for _ in range(3)]}
    assert made == {case.store.describe(ID).public_key.hex()}
    assert len(case.store.list()) == 1


def test_a_key_of_another_process_signs_here(case: Case) -> None:
    case.store.check()
    outcome(run_elsewhere(case.program + f'store.generate({ID!r}, "a label", "EC-P256")\n'))
    facts = case.store.describe(ID)
    verify(facts.public_key, case.store.sign(ID, b"data", "sha256"), b"data", hashes.SHA256())


def test_a_destroyed_key_signs_no_more(case: Case) -> None:
    case.store.generate(ID, "a label", "EC-P256")
    case.store.sign(ID, b"data", "sha256")
    case.store.destroy(ID)
    for use in (lambda: case.store.sign(ID, b"data", "sha256"), lambda: case.store.describe(ID)):
        with pytest.raises(KeyNotFound):
            use()
    assert case.store.list() == ()
    case.store.destroy(ID)


def test_a_key_destroyed_by_another_process_signs_no_more(case: Case) -> None:
    case.store.generate(ID, "a label", "EC-P256")
    case.store.sign(ID, b"data", "sha256")
    outcome(run_elsewhere(case.program + f"store.destroy({ID!r})\n"))
    with pytest.raises(KeyNotFound):
        case.store.sign(ID, b"data", "sha256")


def test_a_key_that_is_not_there_is_named(case: Case) -> None:
    for use in (lambda: case.store.sign(b"\x05", b"data", "sha256"), lambda: case.store.describe(b"\x05")):
        with pytest.raises(KeyNotFound, match="05"):
            use()


def test_list_names_every_key_once(case: Case) -> None:
    made = [case.store.generate(bytes([number]), "one label", "EC-P256") for number in range(12)]
    assert case.store.list() == tuple(made)


def test_an_algorithm_that_is_not_offered_is_refused(case: Case) -> None:
    with pytest.raises(KeyUnsuitable):
        case.store.generate(ID, "a label", "DSA-1024")  # type: ignore[arg-type]  # that is the test


def test_threads_sign_at_once(case: Case) -> None:
    facts = case.store.generate(ID, "a label", "EC-P256")

    def sign(number: int) -> None:
        data = str(number).encode()
        verify(facts.public_key, case.store.sign(ID, data, "sha256"), data, hashes.SHA256())

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(sign, range(200)))


def test_a_forked_child_signs_too(case: Case) -> None:
    """In a process of its own: forking this one, with its threads, would test pytest."""
    program = (
        "import os\n" + case.program + f'store.generate({ID!r}, "a label", "EC-P256")\n'
        "child = os.fork()\n"
        f'signature = store.sign({ID!r}, b"data", "sha256")\n'
        "if child:\n"
        "    assert os.waitpid(child, 0)[1] == 0\n"
        f'    print(store.sign({ID!r}, b"data", "sha256").hex())\n'
        "os._exit(0) if not child else None\n"
    )
    signature = outcome(run_elsewhere(program))
    verify(case.store.describe(ID).public_key, bytes.fromhex(signature), b"data", hashes.SHA256())


def test_check_is_quiet_when_all_is_well(case: Case) -> None:
    case.store.check()
    case.store.generate(ID, "a label", "EC-P256")
    case.store.check()


@pytest.mark.parametrize("point", ["key.generating", "key.generated"])
def test_killed_while_it_makes_a_key_there_is_one_key_after(case: Case, point: str, tmp_path: Path) -> None:
    killed_at(point, tmp_path, case.program + f'store.generate({ID!r}, "a label", "EC-P256")\n')
    facts = case.store.generate(ID, "a label", "EC-P256")
    verify(facts.public_key, case.store.sign(ID, b"data", "sha256"), b"data", hashes.SHA256())
    assert case.store.list() == (facts,)


@pytest.mark.parametrize("point", ["key.destroying", "key.destroyed"])
def test_killed_while_it_destroys_a_key_there_is_none_after(case: Case, point: str, tmp_path: Path) -> None:
    case.store.generate(ID, "a label", "EC-P256")
    killed_at(point, tmp_path, case.program + f"store.destroy({ID!r})\n")
    case.store.destroy(ID)
    assert case.store.list() == ()
