"""The bare `acme` library with threads: what a renewal costs at the least, when nothing is kept and nothing is served.

`python -m benchmarks.certificates.acme_loop DIRECTORY WEBROOT COUNT THREADS` (REQUESTS_CA_BUNDLE names the CA's own
roots) prints how many seconds the certificates took, after each thread had its account.
"""

import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from acme import challenges, client, crypto_util, messages
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from josepy.jwa import ES256
from josepy.jwk import JWKEC

_mine = threading.local()


def _account(directory_url: str) -> client.ClientV2:
    key = JWKEC(key=ec.generate_private_key(ec.SECP256R1()))
    network = client.ClientNetwork(key, alg=ES256, user_agent="benchmark")
    directory = client.ClientV2.get_directory(directory_url, network)
    made = client.ClientV2(directory, network)
    made.new_account(messages.NewRegistration(terms_of_service_agreed=True))
    return made


def _certificate(name: str, webroot: Path) -> None:
    at: client.ClientV2 = _mine.client
    key = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    order = at.new_order(crypto_util.make_csr(key, [name]))
    for authorization in order.authorizations:
        body = next(one for one in authorization.body.challenges if isinstance(one.chall, challenges.HTTP01))
        response, validation = body.chall.response_and_validation(at.net.key)
        answer = webroot / ".well-known" / "acme-challenge" / body.chall.encode("token")
        answer.write_text(validation)
        at.answer_challenge(body, response)
    at.poll_and_finalize(order)


def main(directory_url: str, webroot: Path, count: int, threads: int) -> None:
    (webroot / ".well-known" / "acme-challenge").mkdir(parents=True, exist_ok=True)
    together = threading.Barrier(threads + 1)

    def begin() -> None:
        _mine.client = _account(directory_url)
        together.wait()

    with ThreadPoolExecutor(threads, initializer=begin) as pool:
        # Each thread has its account before the clock starts.
        waiting = [
            pool.submit(_certificate, f"l{number}.bench.example.com", webroot) for number in range(threads)
        ]
        together.wait()
        began = time.perf_counter()
        rest = range(threads, count)
        waiting += [pool.submit(_certificate, f"l{number}.bench.example.com", webroot) for number in rest]
        for one in waiting:
            one.result()
        print(time.perf_counter() - began)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
