"""Prints random cases and what the installed package answers: peer.py KIND COUNT SEED.

One case a line: {"in": ..., "out": ...}. Ends with 3 where the package is not there.
"""

import json
import random
import sys
from importlib import metadata

PACKAGES = {
    "nexus": ("nexus-trust-exchange", "0.1.0"),
    "nexus_engine": ("nexus-trust-exchange", "0.1.0"),
    "cmvk": ("cmvk", "0.3.0"),
    "iatp": ("inter-agent-trust-protocol", "0.5.0"),
}


def iatp(rng):
    """Valid manifests, and every so often one with a field of another kind or none at all."""
    from iatp.models import CapabilityManifest

    odd = [None, 0, 1, 2, -1, 0.0, 1.0, 0.5, True, False, "", "true", "Yes", "oFF", "0", "1", "f", " on",
           "none", "full", "forever", "verified_partner", "Trusted", [], {}, ["a"], {"a": 1}]
    spans = [None, "30s", "5m", "24h", "7d", "2w", "2000ms", "1.5h", "10 minutes"]
    levels = ["verified_partner", "trusted", "standard", "unknown", "untrusted"]

    def maybe(value):
        return rng.choice(odd) if rng.random() < 0.02 else value

    def some(fields):
        keep = {k: maybe(v) for k, v in fields.items() if rng.random() < 0.95}
        items = list(keep.items())
        rng.shuffle(items)
        return dict(items)

    while True:
        capabilities = some({
            "idempotency": rng.random() < 0.5,
            "reversibility": rng.choice(["full", "partial", "none"]),
        })
        # Windows and limits are read more strictly on purpose, so only what both read is asked.
        capabilities["undo_window"] = rng.choice(spans)
        capabilities["sla_latency"] = rng.choice(spans)
        capabilities["rate_limit"] = rng.choice([None, 0, 60, 600.0, "60", " 7 ", True, 2**63])
        case = some({
            "agent_id": rng.choice(["did:mesh:a", "agent-1", "", "é\n\"\\", "x" * 200]),
            "agent_version": rng.choice([None, "1.0.0"]),
            "trust_level": rng.choice(levels),
            "capabilities": capabilities,
            "privacy_contract": some({
                "retention": rng.choice(["ephemeral", "temporary", "permanent", "forever"]),
                "storage_location": rng.choice([None, "eu-west"]),
                "human_review": rng.random() < 0.5,
                "encryption_at_rest": rng.random() < 0.5,
                "encryption_in_transit": rng.random() < 0.5,
            }),
            "scopes": rng.sample(["repo:read", "repo:write", "db:admin", "*"], rng.randrange(4)),
            "not_in_the_model": rng.choice(odd),
        })
        try:
            manifest = CapabilityManifest.model_validate_json(json.dumps(case))
        except ValueError:
            yield case, None
        else:
            yield case, {"trust_score": manifest.calculate_trust_score()}


def reputation():
    """The package installs its modules flat, so this one is loaded by its file."""
    import importlib.util
    import pathlib

    files = metadata.files("nexus-trust-exchange") or []
    path = next(pathlib.Path(f.locate()) for f in files if f.name == "reputation.py")
    spec = importlib.util.spec_from_file_location("reputation", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["reputation"] = module
    spec.loader.exec_module(module)
    return module


def nexus(rng):
    """Everything that the formula reads, small, large, half and missing."""
    module = reputation()
    engine = module.ReputationEngine()
    words = ["full", "partial", "none", "Full", "ephemeral", "permanent", "session", "temporary", "reject",
             "anonymize", "accept", "", None]

    def count():
        return rng.choice([0, 1, rng.randrange(10), rng.randrange(400), rng.randrange(2000), 10**9])

    def some(fields):
        return {k: v for k, v in fields.items() if rng.random() < 0.9}

    while True:
        history = some({
            "successful_tasks": count() + rng.choice([0, 0, 0.5]),
            "failed_tasks": rng.randrange(40) + rng.choice([0, 0, 0.5]),
            "disputes_won": rng.randrange(8),
            "disputes_lost": rng.randrange(8),
            "uptime_days": count(),
            "times_slashed": rng.randrange(6),
        })
        capabilities = rng.choice([None, some({
            "reversibility": rng.choice(words),
            "idempotency": rng.choice([True, False, None]),
        })])
        privacy = rng.choice([None, some({
            "retention_policy": rng.choice(words),
            "training_consent": rng.choice([True, False, None]),
            "pii_handling": rng.choice(words),
        })])
        level = rng.choice(["verified_partner", "verified", "registered", "unknown", "standard", ""])
        score = engine.calculate_trust_score(
            level, module.ReputationHistory(agent_did="did:mesh:a", **history), capabilities, privacy)
        yield (
            {"verification_level": level, "history": history, "capabilities": capabilities, "privacy": privacy},
            {"total_score": score.total_score, "tier": score.tier.value, "base_score": score.base_score,
             "behavioral_modifier": score.behavioral_modifier, "capability_modifier": score.capability_modifier},
        )


def nexus_engine(rng):
    """What happens to an agent, and what the engine says after each of it."""
    module = reputation()
    while True:
        engine = module.ReputationEngine()
        told, answers = [], []
        for _ in range(rng.randrange(12)):
            what = rng.choice(["success", "failure", "partial", "won", "lost", "low", "medium", "high", "critical"])
            told.append(what)
            # The package keeps a score until the next slash; the point here is the score as it is now.
            engine._score_cache.clear()
            engine.check_trust_threshold("did:mesh:a")
            if what in ("success", "failure", "partial"):
                engine.record_task_outcome("did:mesh:a", what)
            elif what in ("won", "lost"):
                engine.record_dispute_outcome("did:mesh:a", what)
            else:
                event = engine.slash_reputation("did:mesh:a", "policy_violation", what)
                answers.append([event.score_before, event.score_reduction, event.score_after])
            engine._score_cache.clear()
            answers.append(engine.check_trust_threshold("did:mesh:a")[1].total_score)
        yield told, answers


def cmvk(rng):
    """Embeddings that are near, far, opposite, scaled, tiny and large, in every metric and profile."""
    from cmvk.verification import verify_embeddings

    metrics = ["cosine", "euclidean", "manhattan", "chebyshev", "mahalanobis", "Cosine", "EUCLIDEAN"]
    profiles = [None, "general", "carbon", "financial", "medical", "strict", "lenient", "Strict"]
    while True:
        n = rng.choice([1, 2, 3, 8, 9, 10, 64, 130, 257])
        size = rng.choice([1e-7, 1e-3, 1, 1, 1, 1, 50])
        claimed = [rng.gauss(0, size) for _ in range(n)]
        far = rng.choice([0, 0.01, 0.1, 0.3, 1, 3]) * size
        scale = rng.choice([1, 1, 1, -1, 0.5, 0.49, 2, 2.1])
        observed = [scale * x + rng.gauss(0, far) for x in claimed]
        weights = rng.choice([None, None, [rng.random() + 1e-3 for _ in range(n)]])
        metric, profile = rng.choice(metrics), rng.choice(profiles)
        score = verify_embeddings(
            claimed, observed, metric=metric, weights=weights, threshold_profile=profile, explain=True)
        details, why = score.details, score.explanation
        judged = details.get("profile")
        yield (
            {"claimed": claimed, "observed": observed, "metric": metric, "weights": weights, "profile": profile},
            {
                "drift_score": score.drift_score,
                "confidence": score.confidence,
                "metric_used": details["metric"].lower(),
                "raw_distance": details["raw_distance"],
                "profile": judged,
                "explanation": {
                    "primary_drift_dimension": why["primary_drift_dimension"],
                    "top_contributors": why["top_contributors"],
                },
            },
        )


def main():
    kind, count, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    name, version = PACKAGES[kind]
    try:
        found = metadata.version(name)
    except metadata.PackageNotFoundError:
        found = None
    if found != version:
        print(f"needs {name}=={version}, found {found}", file=sys.stderr)
        sys.exit(3)
    cases = globals()[kind](random.Random(seed))
    for _ in range(count):
        case, answer = next(cases)
        print(json.dumps({"in": case, "out": answer}))


main()
