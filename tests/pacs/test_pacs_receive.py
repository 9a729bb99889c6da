"""The receiver: what it took is on disk before it says so, once, and from those alone who may call."""

from __future__ import annotations

import socket
import ssl
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import imagecodecs
import pytest
from films import BIRTH_DATE, NAME, PATIENT_ID, encoded, film, film_uid
from pydicom.encaps import encapsulate
from pydicom.uid import (
    BasicTextSRStorage,
    BreastTomosynthesisImageStorage,
    CTImageStorage,
    DigitalMammographyXRayImageStorageForProcessing,
    GrayscaleSoftcopyPresentationStateStorage,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    RLELossless,
    SegmentationStorage,
)
from pynetdicom import AE
from pynetdicom.association import Association
from tls_files import TlsFiles

from mammoscope.pacs.image_queue import ImageQueue
from mammoscope.pacs.queued_image import ImageState
from mammoscope.pacs.receiver import OUT_OF_RESOURCES, SUCCESS, Receiver
from mammoscope.pacs.settings import Caller, Listening
from mammoscope.peers.tls import Tls
from mammoscope.readers import read_mammogram

OTHER_CLASSES = (
    BasicTextSRStorage,
    BreastTomosynthesisImageStorage,
    CTImageStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    SegmentationStorage,
)
Receiving = Callable[..., tuple[Receiver, ImageQueue]]


def associate(receiver: Receiver, *, title: str = "MODALITY", called: str = "MAMMOSCOPE") -> Association:
    entity = AE(title)
    entity.acse_timeout = entity.dimse_timeout = 10
    for sop_class in (film(1).SOPClassUID, DigitalMammographyXRayImageStorageForProcessing, CTImageStorage):
        entity.add_requested_context(sop_class)
    return entity.associate("127.0.0.1", receiver.port, ae_title=called)


def storescu(port: int, *files: Path, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    command = ["storescu", "-aet", "MODALITY", "-aec", "MAMMOSCOPE", *options, "127.0.0.1", str(port), *map(str, files)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def wait_for(condition: Callable[[], bool], seconds: float = 10) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()


@pytest.mark.usefixtures("dcmtk")
def test_foreign_clients_verify_and_store(receiving: Receiving, tmp_path: Path) -> None:
    receiver, queue = receiving()
    echo = ["echoscu", "-aec", "MAMMOSCOPE", "127.0.0.1", str(receiver.port)]
    assert subprocess.run(echo, timeout=30, check=False).returncode == 0
    paths = [tmp_path / f"{number}.dcm" for number in range(3)]
    for number, path in enumerate(paths):
        path.write_bytes(encoded(film(number)))
    for _ in range(2):  # the second time all are known
        assert storescu(receiver.port, *paths).returncode == 0
    assert [image.sop_instance for image in queue.images(ImageState.RECEIVED)] == [
        film_uid(number) for number in range(3)
    ]
    for image in queue.images(ImageState.RECEIVED):
        assert read_mammogram(queue.place(image).image).sop_instance_uid == image.sop_instance


@pytest.mark.usefixtures("dcmtk")
def test_what_only_a_query_could_want_is_rejected(receiving: Receiving) -> None:
    receiver, _ = receiving()
    find = ["findscu", "-S", "-aec", "MAMMOSCOPE", "127.0.0.1", str(receiver.port), "-k", "QueryRetrieveLevel=STUDY"]
    assert subprocess.run(find, timeout=30, capture_output=True, check=False).returncode != 0


@pytest.mark.usefixtures("dcmtk")
@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, RLELossless, JPEG2000Lossless, JPEGLosslessSV1])
def test_an_image_stays_in_its_transfer_syntax(receiving: Receiving, tmp_path: Path, syntax: str) -> None:
    receiver, queue = receiving()
    path, option = tmp_path / "film.dcm", {RLELossless: "-xr", JPEG2000Lossless: "-xv", JPEGLosslessSV1: "-xs"}
    dataset = film(1)
    if syntax == RLELossless:
        dataset.compress(syntax, generate_instance_uid=False)
        path.write_bytes(encoded(dataset))
    elif syntax == JPEG2000Lossless:
        codestream = imagecodecs.jpeg2k_encode(dataset.pixel_array, level=0, codecformat="j2k", reversible=True)
        dataset.file_meta.TransferSyntaxUID = syntax
        dataset.PixelData = encapsulate([codestream])
        dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
        path.write_bytes(encoded(dataset))
    elif syntax == JPEGLosslessSV1:
        (tmp_path / "plain.dcm").write_bytes(encoded(dataset))
        subprocess.run(["dcmcjpeg", str(tmp_path / "plain.dcm"), str(path)], check=True)
    else:
        dataset.file_meta.TransferSyntaxUID = syntax
        path.write_bytes(encoded(dataset))
    assert storescu(receiver.port, path, options=(option.get(syntax, "-xi"),)).returncode == 0
    (image,) = queue.images(ImageState.RECEIVED)
    file = queue.place(image).image
    assert syntax.encode() in file.read_bytes()[:600]
    assert read_mammogram(file).pixels.shape == (film(1).Rows, film(1).Columns)


def test_the_same_image_at_the_same_time_is_taken_once(receiving: Receiving) -> None:
    receiver, queue = receiving()

    def send(_: int) -> int:
        association = associate(receiver)
        status = int(association.send_c_store(film(1)).Status)
        association.release()
        return status

    with ThreadPoolExecutor(6) as senders:
        assert list(senders.map(send, range(6))) == [SUCCESS] * 6
    assert len(queue.images(ImageState.RECEIVED)) == 1
    assert len(list((queue.folder / "files").rglob("*.dcm"))) == 1


def test_corrected_demographics_under_a_known_uid_are_taken(receiving: Receiving) -> None:
    receiver, queue = receiving()
    association = associate(receiver)
    assert association.send_c_store(film(1)).Status == SUCCESS
    assert association.send_c_store(film(1, PatientID="CORRECTED")).Status == SUCCESS
    association.release()
    (image,) = queue.images(ImageState.RECEIVED)
    content = queue.place(image).image.read_bytes()
    assert b"CORRECTED" in content and PATIENT_ID.encode() not in content


def test_a_whole_study_is_taken_and_what_is_no_mammogram_set_aside(
    receiving: Receiving, caplog: pytest.LogCaptureFixture
) -> None:
    receiver, queue = receiving()
    entity = AE("MODALITY")
    for sop_class in (film(1).SOPClassUID, *OTHER_CLASSES):
        entity.add_requested_context(sop_class)
    association = entity.associate("127.0.0.1", receiver.port, ae_title="MAMMOSCOPE")
    assert not association.rejected_contexts
    for number, sop_class in enumerate((film(1).SOPClassUID, *OTHER_CLASSES)):
        assert association.send_c_store(film(number, SOPClassUID=sop_class)).Status == SUCCESS
    association.release()
    assert [image.sop_instance for image in queue.images(ImageState.RECEIVED)] == [film_uid(0)]
    assert len(list((queue.folder / "files").iterdir())) == 1
    assert caplog.text.count("set aside, it is no mammogram") == len(OTHER_CLASSES)
    assert "Breast Tomosynthesis Image Storage" in caplog.text


def test_nothing_is_held_of_what_is_set_aside(receiving: Receiving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mammoscope.pacs.listener.LARGEST_IMAGE", 300_000)
    receiver, queue = receiving()
    entity = AE("MODALITY")
    for sop_class in (film(1).SOPClassUID, BreastTomosynthesisImageStorage):
        entity.add_requested_context(sop_class)
    association = entity.associate("127.0.0.1", receiver.port, ae_title="MAMMOSCOPE")
    large = film(1).PixelData * 2
    for number in range(2):
        other = film(number, SOPClassUID=BreastTomosynthesisImageStorage, PixelData=large)
        assert association.send_c_store(other).Status == SUCCESS
    assert association.send_c_store(film(2)).Status == SUCCESS
    with pytest.raises((RuntimeError, AttributeError, AssertionError)):
        # So much that it cannot have arrived whole before the thread that aborts is started.
        assert association.send_c_store(film(3, PixelData=large * 40)).Status == SUCCESS
    assert len(queue.images(ImageState.RECEIVED)) == 1


def test_an_image_for_processing_waits(receiving: Receiving) -> None:
    receiver, queue = receiving(hold=1000.0)
    association = associate(receiver)
    association.send_c_store(film(1, SOPClassUID=DigitalMammographyXRayImageStorageForProcessing))
    assert queue.next(ImageState.RECEIVED) is None
    association.send_c_store(film(2))
    assert queue.next(ImageState.RECEIVED).sop_instance == film_uid(2)  # type: ignore[union-attr]
    association.release()


def test_a_full_disk_is_said_and_leaves_nothing(receiving: Receiving) -> None:
    receiver, queue = receiving(reserve=1 << 60)
    association = associate(receiver)
    assert association.send_c_store(film(1)).Status == OUT_OF_RESOURCES
    association.release()
    assert not list((queue.folder / "files").iterdir()) and not any(queue.counts().values())


def test_a_dropped_association_leaves_nothing(receiving: Receiving) -> None:
    receiver, queue = receiving()
    association = associate(receiver)
    # Half of a C-STORE request's data, then the connection is gone.
    content, connection = encoded(film(1)), association.dul.socket.socket  # type: ignore[union-attr]
    part = content[132 : len(content) // 2]
    connection.sendall(b"\x04\0" + (len(part) + 6).to_bytes(4, "big") + (len(part) + 2).to_bytes(4, "big") + b"\1\0")
    connection.sendall(part)
    connection.close()
    association.kill()
    assert wait_for(lambda: not receiver._server.active_associations)
    assert not any(queue.counts().values()) and not list((queue.folder / "files").iterdir())
    again = associate(receiver)
    assert again.send_c_store(film(1)).Status == SUCCESS
    again.release()


def test_rubbish_and_silence_stop_nobody(receiving: Receiving) -> None:
    receiver, _ = receiving()
    silent = [socket.create_connection(("127.0.0.1", receiver.port)) for _ in range(5)]
    for rubbish in (b"GET / HTTP/1.1\r\n\r\n", bytes(64), b"\x01\0\0\0\0\x08" + bytes(8), b"\x04\0\xff\xff\xff\xff"):
        with socket.create_connection(("127.0.0.1", receiver.port)) as connection:
            connection.sendall(rubbish)
    association = associate(receiver)
    assert association.send_c_store(film(1)).Status == SUCCESS
    association.release()
    for connection in silent:
        connection.close()


@pytest.mark.parametrize(
    ("callers", "title", "called", "accepted"),
    [
        ((), "ANYBODY", "MAMMOSCOPE", True),
        ((), "ANYBODY", "ANOTHER", False),
        (("MODALITY@127.0.0.1",), "MODALITY", "MAMMOSCOPE", True),
        (("MODALITY@127.0.0.1",), "STRANGER", "MAMMOSCOPE", False),
        (("MODALITY@10.0.0.7", "OTHER@127.0.0.1"), "MODALITY", "MAMMOSCOPE", False),
        (("*@127.0.0.0/8",), "STRANGER", "MAMMOSCOPE", True),
        (("MODALITY@10.0.0.7",), "MODALITY", "MAMMOSCOPE", False),
    ],
)
def test_only_those_on_the_list_may_call(
    receiving: Receiving, callers: tuple[str, ...], title: str, called: str, accepted: bool
) -> None:
    receiver, queue = receiving(Listening(port=0, callers=tuple(map(Caller.parse, callers))))
    association = associate(receiver, title=title, called=called)
    assert association.is_established is accepted
    if accepted:
        association.release()
    assert not any(queue.counts().values())


@pytest.mark.usefixtures("dcmtk")
def test_tls_with_certificates_on_both_sides(receiving: Receiving, tls: TlsFiles, tmp_path: Path) -> None:
    receiver, queue = receiving(Listening(port=0, tls=Tls(tls.certificate, tls.key, tls.authority)))
    path = tmp_path / "film.dcm"
    path.write_bytes(encoded(film(1)))
    silent = socket.create_connection(("127.0.0.1", receiver.port))  # shakes no hand
    assert storescu(receiver.port, path).returncode != 0  # in the clear
    trusts = ("+cf", str(tls.authority), "--require-peer-cert")
    assert storescu(receiver.port, path, options=("+tla", *trusts)).returncode != 0  # shows no certificate
    assert not any(queue.counts().values())
    shows = ("+tls", str(tls.key), str(tls.certificate), *trusts)
    assert storescu(receiver.port, path, options=shows).returncode == 0
    assert len(queue.images(ImageState.RECEIVED)) == 1
    silent.close()


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1")
def test_old_tls_is_refused(receiving: Receiving, tls: TlsFiles) -> None:
    receiver, _ = receiving(Listening(port=0, tls=Tls(tls.certificate, tls.key)))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    with socket.create_connection(("127.0.0.1", receiver.port)) as connection, pytest.raises((ssl.SSLError, OSError)):
        context.wrap_socket(connection)


def test_names_and_queue_hold_nothing_of_the_patient(receiving: Receiving, caplog: pytest.LogCaptureFixture) -> None:
    receiver, queue = receiving()
    association = associate(receiver)
    assert association.send_c_store(film(1)).Status == SUCCESS
    association.release()
    secrets = (*NAME.split("^"), PATIENT_ID, BIRTH_DATE)
    names = " ".join(map(str, queue.folder.rglob("*")))
    databases = b"".join(path.read_bytes() for path in queue.folder.glob("*.sqlite*")).decode("latin-1")
    assert "received" in caplog.text
    assert not [secret for secret in secrets for text in (names, databases, caplog.text) if secret in text]
