"""Their side of the comparison: agent-hypervisor (Python) under the workloads of its own benchmark.

Waits for a line, does what it says, answers in a line. `list` answers the names of all workloads.
`run NAME CALLS` answers `NAME NANOSECONDS ANSWER`, where ANSWER is what the last call returned.

Each run starts from fresh state, warms up, and then times all calls together: the clock is read twice in a
run and not twice in a call, which is a little kinder to this side than timing every call would be.
"""

import asyncio
import sys
from itertools import repeat
from time import perf_counter_ns

from hypervisor import Hypervisor, RingEnforcer, SagaOrchestrator, SessionConfig, VouchingEngine
from hypervisor.audit.delta import DeltaEngine, VFSChange

AGENT = "did:mesh:a"


def ring_computation():
    enforcer = RingEnforcer()
    return lambda: enforcer.compute_ring(0.85).value


def vouching_sigma_eff():
    """The engine lives as long as the run: what a call costs depends on all vouches before it."""
    engine = VouchingEngine()
    turn = 0

    def call():
        nonlocal turn
        turn += 1
        voucher, vouchee, session = f"did:v:{turn}", f"did:e:{turn}", f"bench-{turn}"
        engine.vouch(voucher, vouchee, session, 0.9, bond_pct=0.2)
        return engine.compute_sigma_eff(vouchee, session, 0.4, risk_weight=0.5)

    return call


def add(path, content):
    return [VFSChange(path=path, operation="add", content_hash=content)]


def captured(session, count):
    """An engine with as many captured deltas."""
    engine = DeltaEngine(session)
    for turn in range(count):
        engine.capture(AGENT, add(f"/f{turn}", f"h{turn}"))
    return engine


def delta_capture():
    change = "/data/file.txt", "abc123"
    return lambda: DeltaEngine("bench-session").capture(AGENT, add(*change)).delta_hash


def merkle_root_10_deltas():
    return lambda: captured("bench-merkle", 10).compute_merkle_root()


def merkle_root_100_deltas():
    return lambda: captured("bench-merkle-100", 100).compute_merkle_root()


def root_of_10000():
    """The root alone: what it is over was captured before."""
    engine = captured("bench-root", 10_000)
    return lambda: engine.compute_merkle_root()


def chain_verify_50_deltas():
    return lambda: captured("bench-verify", 50).verify_chain()


async def effect():
    """The step's effect: gives way to the event loop once."""
    await asyncio.sleep(0)


async def joined(config):
    """A hypervisor with one active session that has one member."""
    hypervisor = Hypervisor()
    session = await hypervisor.create_session(config=config, creator_did="did:mesh:admin")
    name = session.sso.session_id
    await hypervisor.join_session(name, AGENT, sigma_raw=0.8)
    await hypervisor.activate_session(name)
    return hypervisor, session, name


def session_lifecycle():
    async def call():
        hypervisor, _, name = await joined(SessionConfig())
        return await hypervisor.terminate_session(name)

    return call


def saga_3_steps():
    async def call():
        orchestrator = SagaOrchestrator()
        saga = orchestrator.create_saga("bench-session")
        steps = [
            orchestrator.add_step(
                saga.saga_id, f"action{turn}", f"did:mesh:{turn}", f"/api/{turn}", undo_api=f"/api/undo/{turn}"
            )
            for turn in range(3)
        ]
        for step in steps:
            await orchestrator.execute_step(saga.saga_id, step.step_id, executor=effect)
        return saga.state.value

    return call


def saga_of_3_new_steps():
    """The same: here every saga's steps are added to it anew."""
    return saga_3_steps()


def full_governance_pipeline():
    async def call():
        hypervisor, session, name = await joined(SessionConfig(enable_audit=True))
        for turn in range(3):
            session.delta_engine.capture(AGENT, add(f"/f{turn}", f"h{turn}"))
        saga = session.saga.create_saga(name)
        step = session.saga.add_step(saga.saga_id, "action", AGENT, "/api/action")
        await session.saga.execute_step(saga.saga_id, step.step_id, executor=effect)
        return await hypervisor.terminate_session(name)

    return call


WORKLOADS = {
    workload.__name__: workload
    for workload in (
        ring_computation,
        vouching_sigma_eff,
        delta_capture,
        merkle_root_10_deltas,
        merkle_root_100_deltas,
        root_of_10000,
        chain_verify_50_deltas,
        session_lifecycle,
        saga_3_steps,
        saga_of_3_new_steps,
        full_governance_pipeline,
    )
}


def timed(call, calls):
    for _ in repeat(None, min(100, calls // 10)):
        call()
    started = perf_counter_ns()
    for _ in repeat(None, calls):
        answer = call()
    return (perf_counter_ns() - started) / calls, answer


async def timed_async(call, calls):
    for _ in repeat(None, min(100, calls // 10)):
        await call()
    started = perf_counter_ns()
    for _ in repeat(None, calls):
        answer = await call()
    return (perf_counter_ns() - started) / calls, answer


def run(name, calls):
    call = WORKLOADS[name]()
    if asyncio.iscoroutinefunction(call):
        return asyncio.run(timed_async(call, calls))
    return timed(call, calls)


def main():
    for line in sys.stdin:
        match line.split():
            case ["list"]:
                print(*WORKLOADS, flush=True)
            case ["run", name, calls]:
                nanoseconds, answer = run(name, int(calls))
                print(name, nanoseconds, answer, flush=True)
            case _:
                print("error", repr(line), "is neither `list` nor `run NAME CALLS`", flush=True)


if __name__ == "__main__":
    main()
