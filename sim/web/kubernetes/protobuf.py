"""Objects as Kubernetes writes them in protobuf: what kubectl, from 1.33 on, sends when it makes one by itself.

Four letters, then a `runtime.Unknown` around the object (k8s.io/apimachinery, pkg/runtime/serializer/protobuf).
"""

from __future__ import annotations

from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError, Message

from sim.proto_gen import kubernetes_pb2 as kubernetes
from sim.web.kubernetes.body import Body, BodyError

PROTOBUF = "application/vnd.kubernetes.protobuf"

_MAGIC = b"k8s\x00"
_MESSAGES: dict[str, type[Message]] = {
    "DeleteOptions": kubernetes.DeleteOptions,
    "Ingress": kubernetes.Ingress,
    "Namespace": kubernetes.Namespace,
    "Secret": kubernetes.Secret,
    "SelfSubjectAccessReview": kubernetes.SelfSubjectAccessReview,
    "Service": kubernetes.Service,
}


def parse_protobuf(text: bytes) -> Body:
    """Raises BodyError."""
    if not text.startswith(_MAGIC):
        raise BodyError("provided data does not appear to be a protobuf message, expected prefix k8s")
    envelope = kubernetes.Unknown()
    try:
        envelope.ParseFromString(text[len(_MAGIC) :])
        message_type = _MESSAGES.get(envelope.typeMeta.kind)
        if message_type is None:
            raise BodyError(
                f'no kind "{envelope.typeMeta.kind}" is registered for version "{envelope.typeMeta.apiVersion}"'
            )
        message = message_type()
        message.ParseFromString(envelope.raw)
    except DecodeError as error:
        raise BodyError(f"proto: {error}") from error
    content = MessageToDict(message, preserving_proto_field_name=True)
    _as_in_json(content)
    return Body(text, {"apiVersion": envelope.typeMeta.apiVersion, "kind": envelope.typeMeta.kind, **content})


def _as_in_json(content: dict[str, Any]) -> None:
    """Undo where Kubernetes' JSON has another structure than its protobuf."""
    spec = content.get("spec", {})
    for rule in spec.get("rules", []):
        rule |= rule.pop("ingressRuleValue", {})
    for port in spec.get("ports", []):
        target = port.pop("targetPort", {})
        if value := target.get("strVal") if target.get("type") else target.get("intVal"):
            port["targetPort"] = value
