"""One GET of a page with JSON, without the proxies that the environment may name."""

from __future__ import annotations

import http.client
import json
from typing import Any

from sim.commands.addresses import Address
from sim.errors import EnvironmentProblem

#: Envoy answers from its main thread, which a big module keeps busy for seconds.
_PATIENCE_S = 30.0


def get_json(address: Address, path: str, who: str, hint: str) -> Any:
    """What the path holds. `who` is meant to listen there, `hint` says how it is made to.

    Raises EnvironmentProblem when nobody answers, or with something else than JSON.
    """
    connection = http.client.HTTPConnection(address.host, address.port, timeout=_PATIENCE_S)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
        raise EnvironmentProblem(f"{who} at {address} does not answer: {why}", hint=hint) from error
    finally:
        connection.close()
    if response.status != http.HTTPStatus.OK:
        said = body.decode(errors="replace").strip().partition("\n")[0]
        raise EnvironmentProblem(f"{who} at {address} answers {path} with {response.status}: {said}", hint=hint)
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise EnvironmentProblem(f"what answers at {address}{path} is no JSON: {error}", hint=hint) from error
