"""The API against a recorded conversation with a real kube-apiserver."""

from __future__ import annotations

from tests.golden_files import assert_same_json
from tests.wire.web.kubernetes.conversation import answers, recorded
from tests.wire.web.kubernetes.world import api_world

#: Requests that are answered otherwise, and why.
DIFFERENT = {
    "the group's resources": "a status is kept by nobody here, so there is no resource to write it with",
    "to an object": "a POST to an object is refused, not taken for a creation",
    "a huge priority": "Higress reads an int32, so it is refused before it is stored",
    "istio with a bad checksum": "the same pattern, written in another way",
    "applied the same, shared": "an owner without a time is a quirk of the real one",
    "listed by limit=2&continue=nonsense": "Go's decoder complains in other words",
    "one more": "the real one does not look whether what is left is selected",
    "what can't be accepted": "no answer is made in protobuf here",
    "a table that is too new": "no answer is made in protobuf here",
    "a method nobody knows": "refused as a method, not for the missing name",
    "watched from nowhere": "the client's mistake, not the server's",
    "an ingress merged with an unknown field": "the object is repeated with its keys in order",
    "an ingress merged with a wrong type": "the object is repeated with its keys in order",
    "an ingress patched strategically with a wrong type": "Go's converter complains in other words",
    "a namespace": "it was there from the start, made by nobody's kubectl",
    "a namespace as a table": "it was there from the start, made by nobody's kubectl",
}


async def test_requests_are_answered_as_a_real_api_server_answered_them() -> None:
    async with api_world() as (_, session):
        ours = await answers(session, "")
    theirs = recorded()
    assert ours.keys() == theirs.keys()
    same = theirs.keys() - DIFFERENT.keys()
    assert_same_json({name: ours[name] for name in same}, {name: theirs[name] for name in same})
    no_longer_different = [name for name in DIFFERENT if ours[name] == theirs[name]]
    assert no_longer_different == []
