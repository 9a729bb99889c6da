"""What the service between the two ends says of an exam: its queue, and ``/ready``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from mammoscope.errors import MammoscopeError
from mammoscope.pacs.image_queue import ImageQueue
from mammoscope.pacs.opening import is_worked_on
from mammoscope.pacs.queued_image import Image, ImageState
from mammoscope.pacs.settings import Address
from mammoscope.peers.bounded_http import BoundedHttp
from mammoscope.peers.bounds import AnswerError, Bounds
from mammoscope.peers.web_server import WebServer

_BOUNDS = Bounds(1 << 20, 20.0)


class Link(StrEnum):
    """The links of the chain, in their order."""

    SEARCH = "search"  # where results are looked for
    CONNECTION = "connection"  # to where the exam is stored
    SERVICE = "service"  # 'watch' or 'receive' runs
    STORE = "store"  # of the exam
    PICKUP = "pick-up"  # the service has the images
    ANALYSIS = "analysis"
    RESULTS_STORE = "store of results"
    RESULTS = "results"  # are found


class Broken(NamedTuple):
    """A link that does not work.

    Attributes
    ----------
    link, problem
        Which, and why.
    is_final
        Whether waiting longer is of no use.
    has_failed
        Whether something went wrong, and it is tried again; otherwise it may only take its time.
    """

    link: Link
    problem: str
    is_final: bool = False
    has_failed: bool = False


# What ``/ready`` calls them; the earliest of the chain is named.
_READY = {
    "listener": Link.CONNECTION,
    "queue": Link.PICKUP,
    "disk": Link.PICKUP,
    "search": Link.PICKUP,
    "analysis": Link.ANALYSIS,
    "store": Link.RESULTS_STORE,
}
_PASSED = {
    ImageState.RECEIVED: (Link.SERVICE, Link.PICKUP),
    ImageState.ANALYSED: (Link.SERVICE, Link.PICKUP, Link.ANALYSIS),
    ImageState.SENT: (Link.SERVICE, Link.PICKUP, Link.ANALYSIS, Link.RESULTS_STORE),
}
_WAITING = {
    ImageState.FOUND: (Link.PICKUP, "an image is found and not fetched"),
    ImageState.RECEIVED: (Link.ANALYSIS, "an image waits for its analysis"),
    ImageState.ANALYSED: (Link.RESULTS_STORE, "results of an image wait to be stored"),
}


class Service:
    """``watch`` or ``receive``, as far as it can be seen.

    Parameters
    ----------
    data
        Folder of its queue; None: it cannot be read from here.
    monitor
        Where it has ``/ready``; None: it is not known.
    """

    def __init__(self, data: Path | None, monitor: Address | None) -> None:
        self._data, self._monitor = data, monitor

    @property
    def is_seen(self) -> bool:
        """Whether anything of it can be seen."""
        return self._data is not None or self._monitor is not None

    def absence(self) -> Broken | None:
        """Why it is seen not to run; None otherwise."""
        try:
            is_idle = self._data is not None and not is_worked_on(self._data)
        except OSError as error:  # another user's, for example
            return Broken(Link.SERVICE, f"{self._data} cannot be looked into ({error.strerror})", is_final=True)
        if is_idle:
            return Broken(Link.SERVICE, f"neither 'watch' nor 'receive' runs on {self._data}", is_final=True)
        if self._monitor is not None and isinstance(found := self._ready(), Broken):
            return found
        return None

    def where(self, images: Sequence[str]) -> tuple[frozenset[Link], Broken | None]:
        """The links that all of these images have passed, and where the first of them are held up."""
        if (absence := self.absence()) is not None:
            return frozenset(), absence
        passed, found = (frozenset[Link](), []) if self._data is None else _of_queue(self._data, images)
        if self._monitor is not None and isinstance(ready := self._ready(), dict):
            found += [Broken(_READY[name], f"the service says that {name} {what}") for name, what in ready.items()]
        order = list(Link)
        return passed, min(found, key=lambda one: (not one.is_final, order.index(one.link)), default=None)

    def dead_letters(self, images: Sequence[str]) -> int:
        """How many of these images are dead letters, as far as it can be seen."""
        if self._data is None:
            return 0
        try:
            with closing(ImageQueue(self._data, working=False)) as queue:
                return sum(image is not None and image.state is ImageState.DEAD for image in map(queue.image, images))
        except (MammoscopeError, OSError):
            return 0

    def _ready(self) -> dict[str, str] | Broken:
        """The links that it says do not work, or that it does not answer."""
        url = f"http://{self._monitor}/ready"
        http = BoundedHttp(WebServer(url))
        try:
            with http.asking("GET", url, _BOUNDS, {"Accept": "application/json"}) as answer:
                links = json.loads(answer.body())["links"]
                return {name: str(what) for name, what in links.items() if what != "ok" and name in _READY}
        except (AnswerError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            problem = str(error) if isinstance(error, AnswerError) else "gives no valid answer"
            return Broken(Link.SERVICE, f"{url} {problem}: it does not run, or has no --monitor there")


def _of_queue(data: Path, images: Sequence[str]) -> tuple[frozenset[Link], list[Broken]]:
    try:
        with closing(ImageQueue(data, working=False)) as queue:
            found = [queue.image(image) for image in images]
            known = [image for image in found if image is not None]
            problems = [one for image in known if (one := _problem(queue, image)) is not None]
    except (MammoscopeError, OSError) as error:
        return frozenset(), [Broken(Link.PICKUP, f"the queue cannot be read: {error}")]
    if missing := len(found) - len(known):
        what = f"{missing} of {len(images)} images have not come into the queue of {data}"
        problems.append(Broken(Link.PICKUP, what))
    passed = [frozenset(_PASSED.get(image.state, ())) if image is not None else frozenset() for image in found]
    return frozenset.intersection(*passed), problems


def _problem(queue: ImageQueue, image: Image) -> Broken | None:
    """Where an image is held up; None if it is not."""
    if image.state is ImageState.SENT:
        return None
    if image.state in _WAITING:
        link, what = _WAITING[image.state]
        said = _said(queue, image)
        # An image that waits for its analysis may say so without a failure: its exam is not whole yet.
        return Broken(link, f"{what}{said}", has_failed=bool(said) and link is not Link.ANALYSIS)
    said = f": {image.problem}" if image.problem else ""
    if image.state is ImageState.SKIPPED:
        return Broken(Link.ANALYSIS, f"an image was skipped{said}", is_final=True)
    place = queue.place(image)
    link = Link.RESULTS_STORE if place.results() else Link.ANALYSIS if place.image.exists() else Link.PICKUP
    return Broken(link, f"an image is a dead letter{said}", is_final=True)


def _said(queue: ImageQueue, image: Image) -> str:
    """Why an image waits; while another system is not asked, only those know that waited before."""
    if image.problem:
        return f": {image.problem}"
    others = [other.problem for other in queue.images(image.state) if other.problem]
    return f", as others do: {others[-1]}" if others else ""
