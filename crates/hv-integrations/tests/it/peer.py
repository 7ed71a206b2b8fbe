"""Prints random cases and what the installed package answers: peer.py KIND COUNT SEED.

One case a line: {"in": ..., "out": ...}. Ends with 3 where the package is not there.
"""

import json
import random
import sys
from importlib import metadata

PACKAGES = {
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
