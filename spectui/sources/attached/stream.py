"""What one endpoint sends, as events: its state, its sessions, and whatever makes no sense. Knows no socket."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import msgspec

from spectui.protocol import events as ev
from spectui.protocol.serving import ServerStage
from spectui.sources.attached import sense
from spectui.sources.attached.seen import engine, seen
from spectui.sources.attached.session import NonsenseError, Session, Told
from spectui.sources.vllm.pieces import TokenTable
from spectui.wire import messages as wire

SECOND = 1_000_000_000
SERVING_NS = SECOND // 5
"""How often at most it is told how a server stands."""

MOST_ANSWERS = 64
"""Answers to our own messages that wait to be read."""

_REFUSED = (
    "{address} speaks version {theirs} of the messages, this program version {ours}: install the same version of "
    "SpecTUI on both"
)


class Stream:
    """The messages of one endpoint, whichever session of its server they belong to.

    Attributes:
        info: The lane as it is known.
        address: The endpoint, for sentences.
        stage: The state of the endpoint.
        about: What the server runs; None until it has said so.
        id: Its current session; empty until it is known.
        session: What it does in it.
        malformed: Messages that made no sense.
        wants_again: Whether the server should say again what it runs and how it stands.
        answers: Its answers to our own messages, for the caller to take.
        table: The vocabulary for texts; None until there is one.
        watcher: Told every engine step.
    """

    def __init__(self, lane: ev.LaneInfo, address: str, slots: Iterator[int], *, asks: bool = False) -> None:
        """Prepare.

        Args:
            lane: The lane as it is known before anything was heard.
            address: The endpoint, for sentences.
            slots: Gives places to requests.
            asks: Whether prompts can be sent to the server.
        """
        self.info = lane
        self.address = address
        self.stage: ServerStage = "connecting"
        self.about: wire.About | None = None
        self.id = ""
        self.session = Session(lane.name, slots)
        self.malformed = 0
        self.wants_again = True
        self.answers: list[wire.Reply | wire.Words] = []
        self.table: TokenTable | None = None
        self.watcher: Callable[[wire.EngineStep], None] | None = None
        self._asks = asks
        self._lane = lane.name
        self._why = ""
        self._number: int | None = None
        self._ready = False
        self._heard_ns: int | None = None
        self._left_ns: int | None = None
        self._parted_ns: int | None = None
        self._serving = ev.Serving(lane.name, 0)
        self._told_ns: int | None = None

    def read(self, data: bytes, now_ns: int) -> Told:
        """Read what was received at ``now_ns`` of this machine's clock."""
        try:
            packet = wire.read_packet(data)
        except wire.MalformedError:
            theirs = _version(data)
            if theirs not in (None, wire.VERSION):
                return self._refuse(theirs)
            self.malformed += 1
            return []
        return self.take(packet, now_ns)

    def take(self, packet: wire.Packet, now_ns: int) -> Told:
        """Follow a packet, as `read`."""
        if packet.version != wire.VERSION:
            return self._refuse(packet.version)
        if not sense.sound_packet(packet):
            self.malformed += 1
            return []
        events = self._in_session(packet)
        if self.session.sums.began:
            events += self._live(now_ns)
        for item in packet.items:
            try:
                events += self._item(item, packet.at_ns, now_ns)
            except NonsenseError:
                self.malformed += 1
        self._heard_ns = now_ns
        return events

    def tick(self, now_ns: int, gone_ns: int) -> Told:
        """Say what the passing of time means: a server that is silent for ``gone_ns`` is gone."""
        events: Told = []
        if self.stage == "live" and self._heard_ns is not None and now_ns - self._heard_ns > gone_ns:
            events += self.told("gone", f"{self.address} does not answer any more: it is tried again until it does")
            self.wants_again = True
        if self._serving.malformed != self.malformed:
            events += self._tell(self._serving, now_ns)
        return events

    def silent(self, why: str) -> Told:
        """Say why nothing may be heard, if nothing ever was, or if what was heard last was a refusal."""
        if self.stage == "refused":
            return self.told("gone" if self.id else "connecting", why)
        return self.told("connecting", why) if self.stage == "connecting" else []

    def told(self, stage: ServerStage, why: str = "", downtime_ns: int | None = None) -> Told:
        """The event of a state, if it is another than before."""
        if (stage, why) == (self.stage, self._why):
            return []
        if self.stage == "live" != stage:
            self._left_ns = self._heard_ns
        self.stage, self._why = stage, why
        return [ev.ServerState(self._lane, stage, why, downtime_ns)]

    def lost(self) -> None:
        """The connection is a new one: packets may be missing."""
        self._number = None
        self.session.lossy = self.wants_again = True

    def _refuse(self, theirs: object) -> Told:
        return self.told("refused", _REFUSED.format(address=self.address, theirs=theirs, ours=wire.VERSION))

    def _in_session(self, packet: wire.Packet) -> Told:
        """Notice a new session and missing packets."""
        last, self._number = self._number, packet.number
        if packet.session == self.id:
            if last is not None and packet.number != last + 1:
                self.session.lossy = self.wants_again = True
            return []
        self.id, self._parted_ns = packet.session, self._heard_ns
        self.about, self.wants_again = None, True
        return self.session.over()

    def _live(self, now_ns: int) -> Told:
        events = self.told("live", "", None if self._left_ns is None else now_ns - self._left_ns)
        self._left_ns = None
        if not self._ready:
            self._ready = True
            events.append(ev.LaneStage(self._lane, "ready"))
        return events

    def _item(self, item: wire.Item, at_ns: int, now_ns: int) -> Told:
        match item:
            case wire.EngineStep() | wire.Began() if not self.session.sums.began:
                # From where to count comes first, and was asked for.
                return []
            case wire.EngineStep():
                events = self.session.step(item, self.table)
                if self.watcher is not None:
                    self.watcher(item)
                return events
            case wire.Began():
                return self.session.begin(item)
            case wire.Ended():
                return self.session.end(item)
            case wire.Preempted():
                return self.session.preempt(item.slot)
            case wire.KSet():
                return self.session.set_k(item.k, "yours")
            case wire.Standing():
                return self._standing(item, at_ns, now_ns)
            case wire.About():
                return self._about(item)
            case wire.Reply(number=0, done=False):
                # What it says to one whom it does not admit.
                return self.told("refused", sentence(item.text))
            case wire.Reply() | wire.Words():
                if len(self.answers) >= MOST_ANSWERS:
                    raise NonsenseError
                self.answers.append(item)
                return []

    def _about(self, about: wire.About) -> Told:
        if not sense.sound_about(about):
            raise NonsenseError
        if about == self.about:
            return []
        self.about = about
        self.info = replace(self.info, method=about.method, k_max=about.k_max)
        return [seen(self.info, about, self.address, self.id, asks=self._asks), engine(self._lane, about)]

    def _standing(self, standing: wire.Standing, at_ns: int, now_ns: int) -> Told:
        totals = sense.totals(standing.totals)
        if totals is None or not sense.sound_standing(standing):
            raise NonsenseError
        if self.about is None:
            return []
        self.session.lossy |= standing.dropped > self._serving.dropped
        first = not self.session.sums.began
        events = self.session.stand(standing, totals, older=self._older(standing, now_ns))
        if first:
            events = self._live(now_ns) + events
        self.wants_again = False
        self._serving = ev.Serving(
            lane=self._lane,
            at_ns=at_ns,
            running=self.session.running(standing, at_ns),
            waiting=standing.waiting,
            dropped=standing.dropped,
            malformed=self._serving.malformed,
            since_start=totals,
            accepted_at=tuple(standing.accepted_at),
            drafted_at=tuple(standing.drafted_at),
            draft_ns=standing.draft_ns,
            verify_ns=standing.verify_ns,
            clock_ns=standing.clock_ns,
            engine_steps=standing.engine_steps,
        )
        return events + self._tell(self._serving, now_ns)

    def _older(self, standing: wire.Standing, now_ns: int) -> bool:
        """Whether the session began while another one was watched: behind the endpoint is another server."""
        return self._parted_ns is not None and standing.clock_ns > now_ns - self._parted_ns + SECOND

    def _tell(self, serving: ev.Serving, now_ns: int) -> Told:
        """How the server stands, if that was not told a moment ago."""
        if self._told_ns is not None and now_ns - self._told_ns < SERVING_NS:
            return []
        self._told_ns = now_ns
        self._serving = replace(serving, malformed=self.malformed)
        return [self._serving]


def sentence(text: str) -> str:
    """What a server says, as one line of bounded length."""
    return " ".join(text.split())[: sense.MOST_TEXT] or "the server has refused it"


def _version(data: bytes) -> int | None:
    """The version of a message that cannot be read, perhaps because it is of another version."""
    try:
        found = msgspec.msgpack.decode(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError, OverflowError, ValueError):
        return None
    first = found[0] if isinstance(found, list) and found else None
    return first if type(first) is int and 0 < first < 1000 else None
