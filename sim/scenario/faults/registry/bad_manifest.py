"""`bad_manifest`: what comes as a manifest is none."""

from __future__ import annotations

import json
from typing import Any, ClassVar, Literal

from aiohttp import web
from pydantic import Field

from sim.oci.registry.faults import Pull, PullStep
from sim.scenario.faults.active import ActiveFault
from sim.scenario.faults.registry.effect import Effect, Match, RegistryFault

_PAGE = b"<html><body>The service is being maintained.</body></html>\n"


class BadManifest(RegistryFault):
    """Send something else under the manifest's media type: a web page, or JSON without the image's layers."""

    kind = "bad_manifest"
    steps: ClassVar[tuple[PullStep, ...]] = ("manifest",)

    form: Literal["not_json", "wrong_schema"] = Field(default="not_json", description="What is wrong with it")

    def effect(self, fault: ActiveFault[Any], match: Match) -> Effect[BadManifest]:
        return _Replace(fault, match)


class _Replace(Effect[BadManifest]):
    async def answer(self, pull: Pull) -> web.StreamResponse | None:
        found = pull.manifest() if self.match.covers(pull) else None
        if found is None or not self.take(pull):
            return None
        digest, media_type, _ = found
        body = _PAGE
        if self.kind.form == "wrong_schema":
            body = json.dumps({"schemaVersion": 2, "mediaType": media_type, "layers": "none"}).encode()
        return web.Response(body=body, headers={"Content-Type": media_type, "Docker-Content-Digest": digest})
