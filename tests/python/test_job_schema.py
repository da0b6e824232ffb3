"""configs/job.schema.json and the program must accept and refuse the same jobs.

Documents are generated from the schema itself (for every key: allowed values, values at and beyond each limit, wrong
types, an unknown neighbour), and from the rules between keys. What JSON Schema cannot say (duplicate keys, syntax)
is not here; test_config.sh has it.
"""
import copy
import json
import os
import pathlib
import subprocess
import sys
import tempfile

try:
    import jsonschema
except ImportError:
    print("SKIP: no Python package jsonschema", file=sys.stderr)
    sys.exit(77)

EXACONN = os.environ["EXACONN"]
SOURCE = pathlib.Path(os.environ["EXACONN_SOURCE_DIR"])
BASE = {"volume": "v.h5:/raw", "weights": "w.h5", "output": "run"}
WRONG = [True, "text", 1, 1.5, [], [1], {}, None, "", [1, 2, 3], [1, 2], [[1, 2, 3]], -1, 1e300]


def number_values(schema):
    """Numbers at, just inside and beyond the limits."""
    values = []
    for name in ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"):
        if name in schema:
            limit = schema[name]
            values += [limit, limit - 1, limit + 1, limit * 2 + 1, limit + 0.5]
    return values + [0, 1, 1.0, 0.5]


def values(schema):
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    yield from WRONG
    yield from schema.get("examples", [])
    if "default" in schema:
        yield schema["default"]
    for name in schema.get("enum", []):
        yield name
        yield name.upper()
        yield name + "x"
    if "string" in kinds and "enum" not in schema:
        yield "/" + "x" * 4094
        yield "/" + "x" * 4095
        yield "/" + "é" * 4094
    if "integer" in kinds or "number" in kinds:
        yield from number_values(schema)
    if "array" in kinds:
        items = schema["items"]
        inner = items["items"] if items["type"] == "array" else items
        for value in number_values(inner):
            if items["type"] == "array":
                yield [[1, 2, value]]
                yield [[1, 2, 3], [value, 2, 3]]
            else:
                yield [value] * schema.get("minItems", 1)
                yield [1, value, 2]
        yield [1, "2", 3]
        yield [1, None, 3]
        yield [1] * 65
        yield [1, 2, 3, 4]


def documents(schema):
    yield copy.deepcopy(BASE)
    yield {}
    for missing in BASE:
        yield {k: v for k, v in BASE.items() if k != missing}
    for whole in ([], "job", 1, None):
        yield whole
    for name, sub in schema["properties"].items():
        keys = sub.get("properties")
        if keys is None:
            for value in values(sub):
                yield {**BASE, name: value}
        else:
            for value in WRONG:
                yield {**BASE, name: value}
            for key, inner in keys.items():
                for value in values(inner):
                    yield {**BASE, name: {key: value}}
                yield {**BASE, name: {key + "x": 1}}
        yield {**BASE, name + "_": 1}
    point = [[1, 2, 3]]
    for policy in ("peaks", "max", "grid3d", "list", None):
        for extra in ({}, {"points": point}, {"file": "s"}, {"points": point, "file": "s"}, {"points": None},
                      {"file": None}, {"points": None, "file": None}, {"points": point, "file": None},
                      {"points": None, "file": "s"}, {"step": [1, 2, 3], "points": point}):
            seeds = dict(extra) if policy is None else {"policy": policy, **extra}
            yield {**BASE, "seeds": seeds}
    for name in ("comment", "//", "box.start", "Volume", "$comment"):
        yield {**BASE, name: "x"}
    for path in sorted((SOURCE / "configs").glob("*.json")):
        if path.name != "job.schema.json":
            yield json.loads(path.read_text())


def main():
    schema = json.loads((SOURCE / "configs" / "job.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    counts = {True: 0, False: 0}
    disagreements = 0
    seen = set()
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "job.json"
        for document in documents(schema):
            text = json.dumps(document)
            if text in seen:
                continue
            seen.add(text)
            path.write_text(text)
            expected = validator.is_valid(document)
            result = subprocess.run([EXACONN, "config", "--check", str(path)], capture_output=True, text=True)
            ok = result.returncode == 0
            counts[expected] += 1
            if result.returncode not in (0, 2) or ok != expected:
                disagreements += 1
                print(f"schema {'accepts' if expected else 'refuses'}, program says {result.returncode}: {text[:200]}")
                print("   ", result.stderr.strip()[:300])
            elif not ok and ("hint:" not in result.stderr or "job.json" not in result.stderr):
                disagreements += 1
                print(f"no file or no hint: {text[:200]}\n    {result.stderr.strip()[:300]}")
    print(f"{counts[True]} documents accepted, {counts[False]} refused, {disagreements} disagreements")
    if counts[True] < 60 or counts[False] < 60:
        print("too few documents of a kind")
        return 1
    return 1 if disagreements else 0


if __name__ == "__main__":
    sys.exit(main())
