"""Reads XML from outside: entities and external documents are refused, namespaces ignored."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element, ParseError

from dispatch.imports import UnreadableDocument


def is_xml(content: bytes) -> bool:
    """Whether the content starts like XML."""
    return content.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<")


def parse_xml(content: bytes) -> Element:
    """The root of a document. Raises UnreadableDocument when it is broken, or declares entities (which could grow without end)."""
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    try:
        root: Element = fromstring(content, forbid_dtd=False, forbid_entities=True, forbid_external=True)
    except ParseError as error:
        line, column = error.position
        raise UnreadableDocument(f"line {line}, column {column}: is broken XML: {error}") from None
    except DefusedXmlException as error:
        raise UnreadableDocument(f"declares entities or refers to other documents, which is refused: {type(error).__name__}") from None
    except (ValueError, LookupError) as error:  # an encoding nobody knows
        raise UnreadableDocument(f"is not XML: {error}") from None
    return root


def local_name(element: Element) -> str:
    """The name without its namespace."""
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def children(element: Element, name: str) -> Iterator[Element]:
    return (child for child in element if local_name(child) == name)


def child_text(element: Element, name: str) -> str:
    """The text of the first child of a name, stripped; empty when there is none."""
    found = next(children(element, name), None)
    return (found.text or "").strip() if found is not None else ""
