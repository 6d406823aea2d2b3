"""A bare NATS client, as anybody may write one: nats-py, JSON, and nothing of ours.

    PYTHONPATH=<nats-py> python3 plain.py <server> <instance> <task> [argument]

Prints one JSON document about what it saw. The test that starts it judges.
"""

import asyncio
import json
import statistics
import sys
import time
import uuid
from datetime import datetime, timezone

import nats

PATIENCE = 5.0


def command(instance, **changes):
    return {
        "schema": "instance.v1.remediation_command",
        "command_id": str(uuid.uuid4()),
        "trace_id": uuid.uuid4().hex,
        "instance": instance,
        "error_type": "resource",
        "severity": 1,
        "recommended_action": "keep IRIS out of swap",
        "requires_restart": False,
        "requested_by": "a plain client",
        "issued_at": datetime.now(timezone.utc).isoformat().replace("+00:00", "Z"),
        "execution_order": ["os_config"],
        "parameters": {"kernel_param": "vm.swappiness", "new_value": 5},
    } | changes


async def ask(bus, instance, body):
    """Publishes a command; the answer comes to the subject that the header names, JetStream's to the reply."""
    inbox = bus.new_inbox()
    answers = await bus.subscribe(inbox)
    began = time.monotonic()
    stored = await bus.jetstream().publish(
        f"instance.v1.command.{instance}", json.dumps(body).encode(), headers={"Instance-Reply": inbox}
    )
    answer = await answers.next_msg(timeout=PATIENCE)
    milliseconds = (time.monotonic() - began) * 1000
    await answers.unsubscribe()
    return {"answer": json.loads(answer.data), "milliseconds": milliseconds, "stored_in": stored.stream}


async def commands(bus, instance):
    """Some that are only planned, and one that nobody may ask for."""
    good = [await ask(bus, instance, command(instance, dry_run=True)) for _ in range(9)]
    bad = await ask(bus, instance, command(instance, timeout_seconds=301))
    times = [one["milliseconds"] for one in good]
    return {"good": good, "bad": bad, "median_ms": statistics.median(times), "slowest_ms": max(times)}


async def follow(bus, instance):
    """A command to its end, on the subjects of the remediation log."""
    asked = await ask(bus, instance, command(instance))
    remediation = asked["answer"]["remediation_id"]
    wanted = f"instance.v1.remediation.*.{remediation}.>"
    jetstream = bus.jetstream()
    # Whoever does not know the shard asks the server which stream holds the subject: each shard has its own.
    streams = [name for name in await stream_names(jetstream) if name.startswith("INSTANCE_REMEDIATIONS_")]
    readers = [await jetstream.subscribe(wanted, stream=name, ordered_consumer=True) for name in streams]
    seen, trace = [], None
    ends_at = time.monotonic() + 4 * PATIENCE
    while trace is None and time.monotonic() < ends_at:
        for reader in readers:
            try:
                message = await reader.next_msg(timeout=0.1)
            except nats.errors.TimeoutError:
                continue
            kind = message.subject.split(".", 5)[5]
            seen.append(kind)
            if kind == "ended":
                trace = json.loads(message.data)
    return {"asked": asked, "streams": len(streams), "seen": seen, "trace": trace}


async def stream_names(jetstream):
    return [info.config.name for info in await jetstream.streams_info()]


async def generate(bus, request):
    """A plain request to the generator's endpoint."""
    reply = await bus.request("instance.v1.generate", request.encode(), timeout=PATIENCE)
    return {"headers": dict(reply.headers or {}), "reply": json.loads(reply.data) if reply.data else None}


async def discover(bus):
    """Every service that says that it is there, by the NATS micro protocol."""
    found = {}
    for verb in ["PING", "INFO", "STATS"]:
        inbox = bus.new_inbox()
        answers = await bus.subscribe(inbox)
        await bus.publish(f"$SRV.{verb}", b"", reply=inbox)
        found[verb] = []
        ends_at = time.monotonic() + 1.0
        while (left := ends_at - time.monotonic()) > 0:
            try:
                found[verb].append(json.loads((await answers.next_msg(timeout=left)).data))
            except nats.errors.TimeoutError:
                break
        await answers.unsubscribe()
    return found


async def main():
    server, instance, task, *rest = sys.argv[1:]
    bus = await nats.connect(server)
    match task:
        case "commands":
            result = await commands(bus, instance)
        case "follow":
            result = await follow(bus, instance)
        case "generate":
            result = await generate(bus, rest[0])
        case "discover":
            result = await discover(bus)
    await bus.close()
    print(json.dumps(result))


asyncio.run(main())
