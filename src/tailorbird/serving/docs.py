"""``/docs``: the OpenAPI document as a page that fetches nothing from outside."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader

PAGE = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True)


def add_docs(app: FastAPI) -> None:
    """Serve the page at ``/docs``."""

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        nonce = secrets.token_urlsafe(16)
        policy = (
            f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; "
            "connect-src 'self'; img-src data:; frame-ancestors 'none'"
        )
        page = render_docs(app.openapi(), nonce=nonce)
        return HTMLResponse(page, headers={"Content-Security-Policy": policy})


def render_docs(document: Mapping[str, Any], *, nonce: str) -> str:
    """The page for an OpenAPI *document*; only elements with *nonce* may style and run."""
    schemas = document.get("components", {}).get("schemas", {})
    operations = [
        _operation(path, method, operation, schemas)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    return PAGE.get_template("docs.html").render(
        info=document["info"],
        operations=operations,
        schemas={name: _fields(schema) for name, schema in schemas.items()},
        needs_key=any(operation["needs_key"] for operation in operations),
        nonce=nonce,
    )


def _operation(
    path: str, method: str, operation: Mapping[str, Any], schemas: Mapping[str, Any]
) -> dict[str, Any]:
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    body_name = _name(body.get("schema", {}))
    examples = schemas.get(body_name, {}).get("examples", [])
    return {
        "path": path,
        "method": method.upper(),
        "summary": operation.get("summary", ""),
        "description": operation.get("description", ""),
        "body": body_name,
        "example": json.dumps(examples[0], ensure_ascii=False, indent=2) if examples else "",
        "needs_key": bool(operation.get("security")),
        "responses": [
            {
                "status": status,
                "description": response.get("description", ""),
                "schema": _name(
                    response.get("content", {}).get("application/json", {}).get("schema", {})
                ),
            }
            for status, response in sorted(operation.get("responses", {}).items())
        ],
    }


def _fields(schema: Mapping[str, Any]) -> dict[str, Any]:
    required = schema.get("required", ())
    return {
        "description": schema.get("description", ""),
        "fields": [
            {
                "name": name,
                "type": _type(field),
                "is_required": name in required,
                "description": field.get("description", ""),
            }
            for name, field in schema.get("properties", {}).items()
        ],
    }


def _type(schema: Mapping[str, Any]) -> str:
    """A type as people write it: ``list of string``, ``string or null``."""
    if "anyOf" in schema:
        return " or ".join(_type(option) for option in schema["anyOf"])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    return _name(schema) or str(schema.get("type", "anything"))


def _name(schema: Mapping[str, Any]) -> str:
    return str(schema.get("$ref", "")).rpartition("/")[2]
