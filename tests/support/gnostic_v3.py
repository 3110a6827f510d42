"""Reads OpenAPI 3 documents in protobuf by the messages of gnostic's `openapiv3/OpenAPIv3.proto`, with Google's own library.

Only what documents of Kubernetes contain is known; a field beyond it is an error.
"""

from typing import Any

import yaml
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message

# Per message its fields: name, number, type; `*` for repeated ones.
_MESSAGES = """
Document: openapi 1 string, info 2 Info, paths 4 Paths, components 5 Components
Info: title 1 string, version 6 string
Paths: path 1 NamedPathItem*
NamedPathItem: name 1 string, value 2 PathItem
PathItem: get 4 Operation, put 5 Operation, post 6 Operation, delete 7 Operation, options 8 Operation, head 9 Operation,\
 patch 10 Operation, parameters 13 ParameterOrReference*
Operation: tags 1 string*, description 3 string, operation_id 5 string, parameters 6 ParameterOrReference*,\
 request_body 7 RequestBodyOrReference, responses 8 Responses, specification_extension 13 NamedAny*
ParameterOrReference: parameter 1 Parameter, reference 2 Reference
Parameter: name 1 string, in 2 string, description 3 string, required 4 bool, schema 10 SchemaOrReference
RequestBodyOrReference: request_body 1 RequestBody, reference 2 Reference
RequestBody: description 1 string, content 2 MediaTypes, required 3 bool
MediaTypes: additional_properties 1 NamedMediaType*
NamedMediaType: name 1 string, value 2 MediaType
MediaType: schema 1 SchemaOrReference
Responses: response_or_reference 2 NamedResponseOrReference*
NamedResponseOrReference: name 1 string, value 2 ResponseOrReference
ResponseOrReference: response 1 Response, reference 2 Reference
Response: description 1 string, content 3 MediaTypes
Components: schemas 1 SchemasOrReferences, security_schemes 7 SecuritySchemesOrReferences
SchemasOrReferences: additional_properties 1 NamedSchemaOrReference*
NamedSchemaOrReference: name 1 string, value 2 SchemaOrReference
SecuritySchemesOrReferences: additional_properties 1 NamedSecuritySchemeOrReference*
NamedSecuritySchemeOrReference: name 1 string, value 2 SecuritySchemeOrReference
SecuritySchemeOrReference: security_scheme 1 SecurityScheme, reference 2 Reference
SecurityScheme: type 1 string, description 2 string, name 3 string, in 4 string
SchemaOrReference: schema 1 Schema, reference 2 Reference
Reference: _ref 1 string
Schema: unique_items 20 bool, required 23 string*, type 25 string, all_of 26 SchemaOrReference*,\
 one_of 27 SchemaOrReference*, items 30 ItemsItem, properties 31 Properties,\
 additional_properties 32 AdditionalPropertiesItem, description 34 string, format 35 string,\
 specification_extension 36 NamedAny*
ItemsItem: schema_or_reference 1 SchemaOrReference*
Properties: additional_properties 1 NamedSchemaOrReference*
AdditionalPropertiesItem: schema_or_reference 1 SchemaOrReference, boolean 2 bool
NamedAny: name 1 string, value 2 Any
Any: yaml 2 string
"""
_PACKAGE = "openapi.v3"
_Field = descriptor_pb2.FieldDescriptorProto
_SCALARS = {"string": _Field.TYPE_STRING, "bool": _Field.TYPE_BOOL}
# Messages that hold a single thing, and stand for it.
_WRAPPERS = ("OrReference", "ItemsItem", "AdditionalPropertiesItem")
_MAPS = frozenset({
    "Paths",
    "MediaTypes",
    "Responses",
    "Properties",
    "SchemasOrReferences",
    "SecuritySchemesOrReferences",
})


def _document() -> type[Message]:
    file = descriptor_pb2.FileDescriptorProto(name="openapi_v3.proto", package=_PACKAGE, syntax="proto3")
    for line in _MESSAGES.strip().splitlines():
        name, _, fields = line.partition(": ")
        described = file.message_type.add(name=name)
        for one in fields.split(", "):
            wire, number, kind = one.split()
            bare = kind.rstrip("*")
            field = described.field.add(
                name=wire, number=int(number), label=_Field.LABEL_REPEATED if kind != bare else _Field.LABEL_OPTIONAL
            )
            field.type = _SCALARS.get(bare, _Field.TYPE_MESSAGE)
            if bare not in _SCALARS:
                field.type_name = f".{_PACKAGE}.{bare}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.Document"))


_DOCUMENT = _document()


def tree(data: bytes) -> Any:
    """Return a document as its JSON would parse.

    Raises:
        ValueError: it has a field that gnostic does not have there, or that no document of Kubernetes has.
    """
    found = _DOCUMENT.FromString(data)
    found.DiscardUnknownFields()
    if found.ByteSize() != len(data):
        raise ValueError("unknown fields")
    return _plain(found)


def _plain(found: Any) -> Any:
    if not isinstance(found, Message):
        return found
    kind = found.DESCRIPTOR.name
    fields = found.ListFields()
    if kind in _MAPS:
        return {one.name: _plain(one.value) for _, items in fields for one in items}
    if kind.endswith(_WRAPPERS):
        (value,) = (value for _, value in fields)
        return _plain(value if isinstance(value, Message) or kind == "AdditionalPropertiesItem" else value[0])
    out: dict[str, Any] = {}
    for field, value in fields:
        if field.name == "specification_extension":
            out |= {one.name: yaml.safe_load(one.value.yaml) for one in value}
        elif field.name == "_ref":
            out["$ref"] = value
        else:
            out[_camel(field.name)] = [_plain(one) for one in value] if field.is_repeated else _plain(value)
    return out


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
