"""Kubernetes' own schemas, against which the manifests of deploy/ and of the pages are held."""

from __future__ import annotations

from typing import Any


def invalid(document: Any, version: str) -> str | None:
    """What a cluster of that *version* would refuse in *document*; fields that it does not know count."""
    import kubernetes_validate  # two seconds, which each worker would spend before its first test

    try:
        kubernetes_validate.validate(document, version, strict=True)
    except kubernetes_validate.ValidationError as error:
        return str(error.message)
    return None
