"""XML from outside: no entities, no external documents, no names of namespaces to know."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element, ParseError

from dispatch.imports import Unreadable


def is_xml(content: bytes) -> bool:
    """Whether this is XML at all; what is in it shows when it is read."""
    return content.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<")


def tree(content: bytes) -> Element:
    """The root of a document. Raises Unreadable when it is broken, or declares entities (which could grow without end)."""
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    try:
        root: Element = fromstring(content, forbid_dtd=False, forbid_entities=True, forbid_external=True)
    except ParseError as error:
        line, column = error.position
        raise Unreadable(f"line {line}, column {column}: is broken XML: {error}") from None
    except DefusedXmlException as error:
        raise Unreadable(f"declares entities or refers to other documents, which is refused: {type(error).__name__}") from None
    except (ValueError, LookupError) as error:  # an encoding nobody knows
        raise Unreadable(f"is no XML: {error}") from None
    return root


def local(element: Element) -> str:
    """The name without its namespace."""
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def children(element: Element, name: str) -> Iterator[Element]:
    return (child for child in element if local(child) == name)


def text(element: Element, name: str) -> str:
    """The text of the first child of a name, stripped; empty when there is none."""
    found = next(children(element, name), None)
    return (found.text or "").strip() if found is not None else ""
