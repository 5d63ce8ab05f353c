"""Pushing an image, over the `oras` package, as users push."""

from __future__ import annotations

import asyncio
import logging
import tempfile
from pathlib import Path
from typing import Any

from sim.errors import EnvironmentProblem
from sim.oci.images import Image
from sim.oci.references import Reference, parse_reference


async def push(
    image: Image,
    reference: Reference | str,
    registry_address: str,
    insecure: bool = True,
    *,
    user: str | None = None,
    password: str = "",
    ca_pem: str | None = None,
) -> str:
    """Push the image to the repository and tag of `reference` on the registry at `registry_address` (host:port).

    The registry that the reference names is not contacted: it may be one that a mirror table maps to this address.
    `insecure` is plain HTTP; without it the registry's certificate must be by `ca_pem`, a private CA, or, where that is
    None, by one that the system trusts. Returns the manifest's digest. Raises EnvironmentProblem when the registry
    can't be reached or refuses.
    """
    target = parse_reference(reference) if isinstance(reference, str) else reference
    return await asyncio.to_thread(_push, image, target, registry_address, insecure, user, password, ca_pem)


def _push(
    image: Image,
    target: Reference,
    address: str,
    insecure: bool,
    user: str | None,
    password: str,
    ca_pem: str | None,
) -> str:
    # Here and not at the top: it takes a third of a second, and most runs that read images push none.
    import oras.container
    import oras.logger
    import oras.provider

    _silence(oras.logger.logger)
    with tempfile.TemporaryDirectory(prefix="ecdsim-push-") as folder:
        trusted: bool | str = True
        if ca_pem is not None:
            trusted = str(Path(folder) / "ca.pem")
            Path(trusted).write_text(ca_pem)
        provider = oras.provider.Registry(hostname=address, insecure=insecure, tls_verify=trusted)
        # A push to this address is never anything for the user's proxy or netrc.
        provider.session.trust_env = False
        provider.session.verify = trusted
        # The package tries everything five times over two minutes; an embedded registry answers or it never will.
        provider.do_request = oras.provider.Registry.do_request.__wrapped__.__get__(provider)
        # It would answer any challenge by asking its realm, even one that is no address; `_log_in` did that already.
        provider.auth.authenticate_request = _answer_no_challenge
        container = oras.container.Container(f"{address}/{target.repository}")
        container.tag = target.identifier
        try:
            if user is not None:
                _log_in(provider, target.repository, user, password)
            for blob in image.blobs:
                path = Path(folder) / blob.digest.partition(":")[2]
                path.write_bytes(blob.content)
                _check(provider.upload_blob(str(path), container, blob.descriptor()), blob.digest, address)
            # The package's own upload_manifest writes the JSON anew and always as an OCI manifest, so that
            # the digest and the Docker media type would be lost.
            response = provider.do_request(
                f"{provider.prefix}://{container.manifest_url()}",
                "PUT",
                data=image.manifest,
                headers={"Content-Type": image.media_type},
            )
            _check(response, f"the manifest of {target}", address)
        except (OSError, ValueError) as error:
            raise EnvironmentProblem(
                f"can't push {target} to the registry at {address}: {error}",
                hint="check that the registry runs there and that the user may push",
            ) from error
        finally:
            provider.session.close()
    return image.digest


def _log_in(provider: Any, repository: str, user: str, password: str) -> None:
    """Prepare the package for the registry's kind of authentication, before its first request.

    Left alone it takes every challenge for a token's, and keeps the first token, which is for pulling only.
    """
    import oras.auth
    import oras.auth.utils

    ping = provider.session.get(f"{provider.prefix}://{provider.hostname}/v2/")
    if ping.status_code != 401:
        return
    header = ping.headers.get("WWW-Authenticate", "")
    if header.lower().startswith("basic"):
        provider.session.auth = (user, password)
        return
    provider.auth.set_basic_auth(user, password)
    challenge = oras.auth.utils.parse_auth_header(header)
    challenge.scope = f"repository:{repository}:pull,push"
    provider.auth.token = provider.auth.request_token(challenge)
    if not provider.auth.token:
        raise ValueError("its realm gives no token for this user and password")


def _answer_no_challenge(response: Any, headers: Any, refresh: bool = False) -> tuple[Any, bool]:
    return headers, False


def _check(response: Any, what: str, address: str) -> None:
    if response.status_code not in (200, 201, 202):
        raise EnvironmentProblem(
            f"the registry at {address} refused {what}: {response.status_code} {response.reason}",
            hint=response.text[:500] or "look at the registry's log",
        )


def _silence(logger: Any) -> None:
    """The package logs to the console by a logger of its own, past the root logger's settings."""
    logger.quiet = True
    logger.set_level(logging.CRITICAL + 1)
