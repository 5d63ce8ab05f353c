"""The OpenAPI 2 document as protobuf, which is how kubectl asks for it: gnostic's `openapi.v2.Document`."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from google.protobuf.json_format import ParseDict

from sim.proto_gen.openapi_v2_pb2 import Document
from sim.web.kubernetes.openapi import openapi_v2

MEDIA_TYPES = (
    "application/com.github.proto-openapi.spec.v2@v1.0+protobuf",
    "application/com.github.proto-openapi.spec.v2.v1.0+protobuf",
)


@cache
def openapi_v2_protobuf() -> bytes:
    document = openapi_v2()
    paths = [{"name": path, "value": _path_item(item)} for path, item in document["paths"].items()]
    message = {
        "swagger": document["swagger"],
        "info": document["info"],
        "paths": {"path": paths},
        "definitions": {"additional_properties": _named(document["definitions"])},
    }
    return ParseDict(message, Document()).SerializeToString()


def _path_item(item: dict[str, Any]) -> dict[str, Any]:
    operations = {method: _operation(operation) for method, operation in item.items() if method != "parameters"}
    return operations | {"parameters": [_parameter(parameter) for parameter in item.get("parameters", [])]}


def _operation(operation: dict[str, Any]) -> dict[str, Any]:
    responses = [
        {"name": code, "value": {"response": _response(answer)}} for code, answer in operation["responses"].items()
    ]
    return {
        "operation_id": operation["operationId"],
        "consumes": operation["consumes"],
        "produces": operation["produces"],
        "parameters": [_parameter(parameter) for parameter in operation["parameters"]],
        "responses": {"response_code": responses},
        "vendor_extension": _extensions(operation),
    }


def _response(answer: dict[str, Any]) -> dict[str, Any]:
    return {"description": answer["description"], "schema": {"schema": _schema(answer["schema"])}}


def _parameter(parameter: dict[str, Any]) -> dict[str, Any]:
    if parameter["in"] == "body":
        return {"parameter": {"body_parameter": {**parameter, "schema": _schema(parameter["schema"])}}}
    kind = "query_parameter_sub_schema" if parameter["in"] == "query" else "path_parameter_sub_schema"
    return {"parameter": {"non_body_parameter": {kind: parameter}}}


def _named(schemas: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"name": name, "value": _schema(schema)} for name, schema in schemas.items()]


def _schema(schema: dict[str, Any]) -> dict[str, Any]:
    message: dict[str, Any] = {"vendor_extension": _extensions(schema)}
    for key, value in schema.items():
        match key:
            case "$ref":
                message["_ref"] = value
            case "type":
                message["type"] = {"value": [value]}
            case "items":
                message["items"] = {"schema": [_schema(value)]}
            case "properties":
                message["properties"] = {"additional_properties": _named(value)}
            case "additionalProperties":
                message["additional_properties"] = {"schema": _schema(value)}
            case "enum":
                message["enum"] = [{"yaml": json.dumps(word)} for word in value]
            case "description" | "format" | "pattern" | "required":
                message[key] = value
    return message


def _extensions(holder: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"name": key, "value": {"yaml": json.dumps(value)}} for key, value in holder.items() if key.startswith("x-")
    ]
