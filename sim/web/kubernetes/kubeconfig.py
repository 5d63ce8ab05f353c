"""The file by which kubectl finds the API."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

from sim.errors import EnvironmentProblem

CONTEXT = "ecdsim"
NAMESPACE = "higress-system"


def write_kubeconfig(path: Path, server: str, token: str, *, certificate_authority: str | None = None) -> None:
    """Write `path`, for its owner alone: `server` is the API's URL, `certificate_authority` PEM for a `https` one.

    kubectl sends a token over TLS only, but a password that stands in the URL always; so a `http` server's URL carries
    the token. Raises EnvironmentProblem.
    """
    cluster = [f"    server: {server}"]
    parts = urlsplit(server)
    if parts.scheme == "http":
        with_token = parts._replace(netloc=f"{CONTEXT}:{quote(token, safe='')}@{parts.netloc}")
        cluster = [f"    server: {urlunsplit(with_token)}"]
    elif certificate_authority is not None:
        encoded = base64.b64encode(certificate_authority.encode()).decode()
        cluster.append(f"    certificate-authority-data: {encoded}")
    lines = [
        "apiVersion: v1",
        "kind: Config",
        f"current-context: {CONTEXT}",
        "clusters:",
        f"- name: {CONTEXT}",
        "  cluster:",
        *cluster,
        "contexts:",
        f"- name: {CONTEXT}",
        "  context:",
        f"    cluster: {CONTEXT}",
        f"    namespace: {NAMESPACE}",
        f"    user: {CONTEXT}",
        "users:",
        f"- name: {CONTEXT}",
        "  user:",
        f'    token: "{token}"',
    ]
    try:
        # Whatever was there may be readable for others, and stays so when it is written over.
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write("\n".join(lines) + "\n")
    except OSError as error:
        raise EnvironmentProblem(
            f"{path} can't be written: {error.strerror}", hint="name a file in a folder that is yours"
        ) from error
