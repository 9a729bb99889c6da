"""Callers that send too much, too slowly, or nothing: the receiver stays there for others."""

from __future__ import annotations

import resource
import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Thread

import pytest
from films import film
from pynetdicom import AE
from test_pacs_receive import associate, wait_for

from mammoscope.pacs import bounded_association
from mammoscope.pacs.connections import MOST_OF_AN_ADDRESS, Connections
from mammoscope.pacs.dimse import Dimse
from mammoscope.pacs.image_queue import ImageQueue
from mammoscope.pacs.receiver import SUCCESS, Receiver
from mammoscope.pacs.settings import Node
from mammoscope.peers.errors import UnavailableError

Receiving = Callable[..., tuple[Receiver, ImageQueue]]


def is_closed(connection: socket.socket) -> bool:
    """Whether the other side has ended it, within some seconds."""
    connection.settimeout(10)
    try:
        while connection.recv(4096):
            pass
    except TimeoutError:
        return False
    except OSError:
        pass
    return True


@pytest.mark.parametrize("kind", [0x01, 0x04])
@pytest.mark.parametrize("length", [0xFFFFFFFF, (1 << 20) + 1])
def test_a_pdu_is_refused_by_its_header(receiving: Receiving, kind: int, length: int) -> None:
    receiver, _ = receiving()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with socket.create_connection(("127.0.0.1", receiver.port)) as caller:
        caller.sendall(struct.pack(">BBL", kind, 0, length))
        try:
            for _ in range(200):
                caller.sendall(bytes(1 << 20))
        except OSError:
            pass
        else:
            raise AssertionError("all of it was taken")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50 << 10
    association = associate(receiver)
    assert association.send_c_store(film(1)).Status == SUCCESS
    association.release()


def test_a_pdu_that_does_not_end_is_cut_off(receiving: Receiving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_association, "_PDU_SECONDS", 0.5)
    receiver, _ = receiving()
    with socket.create_connection(("127.0.0.1", receiver.port)) as caller:
        caller.sendall(struct.pack(">BBL", 1, 0, 1000))
        begun = time.monotonic()
        with pytest.raises(OSError):
            while time.monotonic() < begun + 10:
                caller.sendall(b"x")
                time.sleep(0.05)


@pytest.mark.parametrize("number", [60, pytest.param(300, marks=pytest.mark.load)])
def test_silent_connections_keep_nobody_out(receiving: Receiving, number: int) -> None:
    receiver, _ = receiving()
    busy = associate(receiver)
    silent = [socket.create_connection(("127.0.0.1", receiver.port)) for _ in range(number)]
    assert wait_for(lambda: len(receiver._server.active_associations) <= MOST_OF_AN_ADDRESS + 5, 30)
    association = associate(receiver)
    assert association.send_c_store(film(1)).Status == SUCCESS
    association.release()
    assert busy.send_c_store(film(2)).Status == SUCCESS  # an association is never closed for a new connection
    busy.release()
    for connection in silent:
        connection.close()


def test_who_has_too_many_associations_gets_no_more_and_others_do() -> None:
    connections, pairs = Connections(), [socket.socketpair() for _ in range(MOST_OF_AN_ADDRESS + 3)]
    for ours, _ in pairs[:MOST_OF_AN_ADDRESS]:
        assert connections.admit(ours, "10.0.0.7")
        connections.associated(ours)
    (first, _), (second, _), (third, _) = pairs[MOST_OF_AN_ADDRESS:]
    assert not connections.admit(first, "10.0.0.7") and connections.admit(second, "10.0.0.8")
    pairs[0][0].close()
    assert connections.admit(third, "10.0.0.7")
    for pair in pairs:
        for one in pair:
            one.close()


def test_an_archive_that_answers_with_a_huge_pdu_is_left() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1 << 16)
                with suppress(OSError):
                    connection.sendall(struct.pack(">BBL", 2, 0, 0xFFFFFFFF))
                    for _ in range(200):
                        connection.sendall(bytes(1 << 20))

        Thread(target=answer, daemon=True).start()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with pytest.raises(UnavailableError):
            Dimse(Node("PEER", "127.0.0.1", listener.getsockname()[1]), "MAMMOSCOPE", None).store([film(0)])
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50 << 10


def test_echoes_between_images_do_not_count_against_the_association(
    receiving: Receiving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mammoscope.pacs.listener.LARGEST_IMAGE", 700_000)
    receiver, _ = receiving()
    entity = AE("MODALITY")
    entity.add_requested_context(film(0).SOPClassUID)
    entity.add_requested_context("1.2.840.10008.1.1")
    association = entity.associate("127.0.0.1", receiver.port, ae_title="MAMMOSCOPE")
    for number in range(8):
        assert association.send_c_echo().Status == SUCCESS
        assert association.send_c_store(film(number)).Status == SUCCESS
    association.release()


def test_the_folder_holds_nothing_of_it_all(receiving: Receiving, tmp_path: Path) -> None:
    receiver, queue = receiving()
    with socket.create_connection(("127.0.0.1", receiver.port)) as caller:
        caller.sendall(struct.pack(">BBL", 1, 0, 0xFFFFFFFF))
        assert is_closed(caller)
    assert not list((queue.folder / "files").iterdir())
