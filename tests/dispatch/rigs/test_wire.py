"""The codec against itself in both roles, and against pyasic's."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from passlib.hash import md5_crypt
from pyasic.rpc.btminer import TokenData, create_privileged_cmd, parse_btminer_priviledge_data

from dispatch.rigs.wire import line, md5crypt
from dispatch.rigs.wire import whatsminer as wire

SALT = st.text("./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", min_size=1, max_size=8)
WORD = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=0, max_size=40)
NAMES = st.text(min_size=1).filter(lambda k: k not in ("cmd", "command", "token", "enc"))
JSON = st.dictionaries(NAMES, st.integers() | st.text() | st.booleans() | st.none(), max_size=4)
KEYS = st.sampled_from([wire.keys("admin", "5626", "BQ5hoXV9", "jbzkfQls"), wire.keys("geheim 42", "0001", "a", "b")])


@given(WORD, SALT)
def test_md5crypt_is_crypts(word: str, salt: str) -> None:
    assert md5crypt.md5crypt(word.encode(), salt.encode()) == md5_crypt.hash(word, salt=salt).split("$")[3]


@given(KEYS, st.sampled_from(sorted(wire.WRITES)), JSON)
def test_a_write_arrives_as_it_was_sent(known: wire.Keys, command: str, params: dict) -> None:
    data = wire.write_request(known, command, **params)
    assert line.complete(data)
    assert wire.parse_request(data, known) == wire.WhatsminerRequest((command,), params, known.sign)


@given(KEYS, JSON)
def test_an_answer_arrives_as_it_was_sent_plain_or_encrypted(known: wire.Keys, document: dict) -> None:
    assert wire.parse_reply(wire.reply(document)) == document
    assert wire.parse_reply(wire.reply(document, known), known) == document


@given(KEYS, st.dictionaries(st.text("abcdef", min_size=1), st.text("xyz0123456789")))
def test_pyasic_writes_what_we_read_and_reads_what_we_write(known: wire.Keys, params: dict) -> None:
    theirs = TokenData(host_sign=known.sign, host_passwd_md5=known.key)
    sent = create_privileged_cmd(theirs, {"cmd": "power_off", **params})
    assert wire.parse_request(sent, known) == wire.WhatsminerRequest(("power_off",), params, known.sign)
    assert parse_btminer_priviledge_data(theirs, json.loads(wire.reply(wire.ok(5), known))) == wire.ok(5)


@given(st.sampled_from(sorted(wire.READS)), st.integers(0, 30))
def test_a_request_in_pieces_is_not_complete_before_its_end(command: str, cut: int) -> None:
    data = wire.read_request(command)
    assert line.complete(data)
    if cut < len(data):
        assert not line.complete(data[:cut])
    assert wire.parse_request(data + b"\0", None).commands == (command,)


def test_joined_reads_and_the_old_word_for_a_command() -> None:
    assert wire.parse_request(b'{"command":"summary+pools"}', None) == wire.WhatsminerRequest(("summary", "pools"))


@given(st.binary(max_size=300))
def test_rubbish_is_a_wire_error_and_nothing_else(data: bytes) -> None:
    known = wire.keys("admin", "5626", "BQ5hoXV9", "jbzkfQls")
    for read in (line.complete, lambda d: wire.parse_request(d, known), lambda d: wire.parse_reply(d, known)):
        try:
            read(data)
        except line.WireError:
            pass


@given(KEYS, st.text())
def test_rubbish_in_an_envelope_is_a_wire_error(known: wire.Keys, text: str) -> None:
    with pytest.raises(line.WireError):
        wire.parse_request(json.dumps({"enc": 1, "data": text}).encode(), known)


def test_what_the_protocol_forbids() -> None:
    known, other = wire.keys("admin", "1", "a", "b"), wire.keys("other", "1", "a", "b")
    with pytest.raises(line.WireError, match="no token"):
        wire.parse_request(wire.write_request(known, "power_off"), None)
    with pytest.raises(line.WireError):
        wire.parse_request(wire.write_request(other, "power_off"), known)
    with pytest.raises(line.WireError, match="too long"):
        line.complete(b"{" + b" " * line.MAX_REQUEST)
    with pytest.raises(line.WireError, match="object"):
        line.complete(b"[1]")
    with pytest.raises(line.WireError, match="plain question"):
        wire.parse_reply(wire.reply(wire.ok(1), known))
